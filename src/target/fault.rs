//! What is wrong at a place of a profile, shown with the line it is on.

use std::fmt::Write;

/// A place in a text, counted in characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
    /// Characters that the caret underlines.
    pub width: usize,
}

/// Something wrong in a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub place: Place,
    pub message: String,
    pub hint: String,
}

impl Fault {
    pub fn new(place: Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault { place, message: message.into(), hint: hint.into() }
    }
}

/// Faults shown; a file that is no profile at all would have hundreds.
const MOST_SHOWN: usize = 20;
/// Characters of a line that are shown around a fault.
const SHOWN_WIDTH: usize = 100;

/// All faults in the order of the text, each with file, line, column, the line with a caret below, and a hint.
pub(super) fn render(origin: &str, text: &str, mut faults: Vec<Fault>) -> String {
    faults.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.message.cmp(&b.message)));
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = String::new();
    for Fault { place, message, hint } in faults.iter().take(MOST_SHOWN) {
        let Place { line, column, .. } = place;
        let _ = writeln!(shown, "{origin}:{line}:{column}: {}", printable(message));
        if let Some(source) = lines.get(line.saturating_sub(1)) {
            shown += &excerpt(source, *place);
        }
        let _ = writeln!(shown, "hint: {}", printable(hint));
    }
    if faults.len() > MOST_SHOWN {
        let _ = writeln!(shown, "and {} more", faults.len() - MOST_SHOWN);
    }
    shown.trim_end().to_string()
}

/// The line and a caret under the place; of a long line the part around it.
fn excerpt(source: &str, place: Place) -> String {
    let characters: Vec<char> = source.chars().collect();
    let at = (place.column - 1).min(characters.len());
    let start = at.saturating_sub(SHOWN_WIDTH / 2);
    let end = characters.len().min(start + SHOWN_WIDTH);
    let part: String = characters[start..end].iter().collect();
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let carets = "^".repeat(place.width.clamp(1, (end - at).max(1)));
    format!("  {number} | {}\n  {gutter} | {}{carets}\n", printable(&part), " ".repeat(at - start))
}

/// Text that a terminal shows as it is: one character for each, none that controls.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: usize, column: usize, message: &str) -> Fault {
        Fault::new(Place { line, column, width: 3 }, message, "change it")
    }

    #[test]
    fn faults_come_in_the_order_of_the_text_each_with_its_line_and_a_caret() {
        let shown = render("x.yaml", "name: x\nram: 3\n", vec![fault(2, 1, "second"), fault(1, 7, "first")]);
        let expected = "x.yaml:1:7: first\n  1 | name: x\n    |       ^\nhint: change it\n\
                        x.yaml:2:1: second\n  2 | ram: 3\n    | ^^^\nhint: change it";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_long_line_is_cut_and_control_characters_do_not_reach_the_terminal() {
        let text = format!("{}\u{1b}[31mred", "a".repeat(500));
        let shown = render("x.yaml", &text, vec![fault(1, 501, "here")]);
        assert!(!shown.contains('\u{1b}') && shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        let many = (1..=30).map(|line| fault(line, 1, "wrong")).collect();
        assert!(render("x.yaml", "", many).ends_with("and 10 more"));
    }
}
