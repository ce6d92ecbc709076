//! What all pictures share.

/// A line of text at a place, in a colour.
#[cfg(feature = "train")]
pub(super) fn text_at((x, y): (f64, f64), colour: &str, text: &str) -> String {
    format!("<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"{colour}\">{}</text>\n", escaped(text))
}

/// Text as XML allows it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
