//! The order of the rooms and what only some of them may use, read from the sources. What the compiler allows is not what
//! the architecture allows: every room is one `crate::` away from every other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The rooms of each floor, from the ground up. A room uses rooms of lower floors only.
const FLOORS: [&[&str]; 8] = [
    &["units", "stats", "seed"],
    &["graph", "regress"],
    &["target", "space", "data", "onnx", "nn"],
    &["tabular", "predictor", "proxy", "train", "measure"],
    &["search", "generate", "quantise"],
    &["run"],
    &["experiment", "report"],
    &["cli"],
];

/// A word and the only places that may say it. `cfg(…)` stands for the attribute, `!` for a macro.
struct Reserved {
    word: &'static str,
    places: &'static [&'static str],
    also_in_tests: bool,
}

const RESERVED: [Reserved; 8] = [
    Reserved { word: "unsafe", places: &["nn/kernels/", "nn/cuda/", "nn/runtime.rs"], also_in_tests: true },
    Reserved { word: "prost", places: &["onnx/", "tabular/"], also_in_tests: true },
    Reserved { word: "cfg(feature=\"cuda\")", places: &["nn/device.rs", "nn/cuda/"], also_in_tests: true },
    Reserved { word: "ureq", places: &["data/fetch/"], also_in_tests: true },
    Reserved { word: "print!", places: &["cli/"], also_in_tests: false },
    Reserved { word: "println!", places: &["cli/"], also_in_tests: false },
    Reserved { word: "eprint!", places: &["cli/"], also_in_tests: false },
    Reserved { word: "eprintln!", places: &["cli/"], also_in_tests: false },
];

#[test]
fn every_room_keeps_to_its_floor() {
    let sources = Source::all();
    assert!(sources.len() > 50, "the sources are found: {}", sources.len());
    let faults: Vec<String> = sources.iter().flat_map(floor_faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    let rooms: BTreeSet<String> = Source::all().iter().filter_map(Source::room).collect();
    let homeless: Vec<&String> = rooms.iter().filter(|room| floor(room).is_none()).collect();
    assert!(homeless.is_empty(), "without a floor: {homeless:?}");
}

#[test]
fn reserved_words_stay_where_they_belong() {
    let faults: Vec<String> = Source::all().iter().flat_map(reserved_faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A file of `src/`, as tokens: comments are gone, and what stands in quotes is one token.
struct Source {
    /// Path below `src/`.
    path: String,
    tokens: Vec<TokenTree>,
    /// Whether its module is declared under `#[cfg(test)]`.
    test_only: bool,
}

impl Source {
    fn of(path: &str, text: &str, test_only: bool) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path} is not Rust: {e}"));
        Source { path: path.to_string(), tokens: tokens.into_iter().collect(), test_only }
    }

    fn all() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        files.sort();
        let mut sources: Vec<Source> = files
            .iter()
            .map(|file| {
                let path = file.strip_prefix(&root).expect("it was found there").to_string_lossy().replace('\\', "/");
                Source::of(&path, &fs::read_to_string(file).expect("a source is text"), false)
            })
            .collect();
        let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
        for source in &mut sources {
            let stem = source.path.trim_end_matches(".rs");
            source.test_only = tests.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/")));
        }
        sources
    }

    /// The room it belongs to; `lib.rs` and `main.rs` belong to none.
    fn room(&self) -> Option<String> {
        let first = self.path.split('/').next().expect("a path has a first part").trim_end_matches(".rs");
        (!["lib", "main"].contains(&first)).then(|| first.to_string())
    }

    /// Modules from the crate's root down to the file's own.
    fn depth(&self) -> usize {
        self.path.split('/').filter(|part| *part != "mod.rs").count()
    }

    /// Paths, without extension, of modules of their own file that are declared under `#[cfg(test)]`.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            _ => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        let mut modules = Vec::new();
        for (at, _) in self.tokens.iter().enumerate().filter(|(at, _)| is_test_attribute(&self.tokens[*at..])) {
            let item: Vec<String> = self.tokens[at + 2..].iter().take(6).map(TokenTree::to_string).collect();
            if let Some(at) = item.iter().position(|word| word == "mod").filter(|at| item[at + 2] == ";") {
                modules.push(format!("{folder}{}", item[at + 1]));
            }
        }
        modules
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are readable") {
        let path = entry.expect("the sources are readable").path();
        match path.is_dir() {
            true => collect(&path, files),
            false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
            false => {}
        }
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn floor_faults(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let mut used = BTreeSet::new();
    rooms_used(&source.tokens, source.depth(), &mut used);
    used.remove(&room);
    let allowed = |other: &String| floor(other).is_none_or(|other| floor(&room).is_none_or(|own| other < own));
    used.iter()
        .filter(|other| !allowed(other))
        .map(|other| format!("{}: `{room}` uses `{other}`, which is not on a lower floor", source.path))
        .collect()
}

/// First names after the crate's root in every path: `crate::NAME`, `crate::{NAME, …}`, and `super::…::NAME` with as many
/// `super` as the module is deep.
fn rooms_used(tokens: &[TokenTree], depth: usize, used: &mut BTreeSet<String>) {
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            let is_module = at >= 2 && is_word(&tokens[at - 2], "mod");
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            rooms_used(&inner, depth + usize::from(is_module), used);
        }
        // `super::super` are three tokens apart: a word and two colons.
        let climbed = tokens[at..].iter().step_by(3).take_while(|t| is_word(t, "super")).count();
        let root = match is_word(token, "crate") {
            true => at,
            false if climbed >= depth => at + 3 * (depth - 1),
            false => continue,
        };
        let colons = tokens[root + 1..].iter().take(2).filter(|t| t.to_string() == ":").count();
        if colons == 2 {
            first_names(tokens.get(root + 3), used);
        }
    }
}

/// The name, or each first name of the group, that follows `crate::`.
fn first_names(token: Option<&TokenTree>, used: &mut BTreeSet<String>) {
    match token {
        Some(TokenTree::Ident(name)) => {
            used.insert(name.to_string());
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            inner.split(|t| t.to_string() == ",").for_each(|path| first_names(path.first(), used));
        }
        _ => {}
    }
}

fn reserved_faults(source: &Source) -> Vec<String> {
    let (mut words, mut words_of_tests) = (BTreeSet::new(), BTreeSet::new());
    collect_words(&source.tokens, source.test_only, &mut words, &mut words_of_tests);
    let fault = |reserved: &&Reserved| {
        let said = words.contains(reserved.word) || reserved.also_in_tests && words_of_tests.contains(reserved.word);
        said && !reserved.places.iter().any(|place| source.path.starts_with(place))
    };
    let message = |reserved: &Reserved| {
        format!("{}: `{}` belongs into {}", source.path, reserved.word, reserved.places.join(", "))
    };
    RESERVED.iter().filter(fault).map(message).collect()
}

/// Identifiers, `name!` of macros and `cfg(…)` of attributes; those of test code apart.
fn collect_words(tokens: &[TokenTree], test: bool, words: &mut BTreeSet<String>, of_tests: &mut BTreeSet<String>) {
    let mut test_item = false;
    for (at, token) in tokens.iter().enumerate() {
        test_item |= is_test_attribute(&tokens[at..]);
        let test = test || test_item;
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                collect_words(&inner, test, words, of_tests);
                test_item &= group.delimiter() != Delimiter::Brace;
            }
            TokenTree::Ident(name) => {
                let into = if test { &mut *of_tests } else { &mut *words };
                let next = tokens.get(at + 1).map(TokenTree::to_string).unwrap_or_default();
                into.insert(name.to_string());
                if next == "!" {
                    into.insert(format!("{name}!"));
                } else if name == "cfg" {
                    into.insert(format!("cfg{}", next.replace(' ', "")));
                }
            }
            TokenTree::Punct(punct) => test_item &= punct.as_char() != ';',
            TokenTree::Literal(_) => {}
        }
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(name) if name == word)
}

/// Whether these tokens begin with `#[cfg(test)]`.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let text = |at: usize| tokens.get(at).map(|t| t.to_string().replace(' ', "")).unwrap_or_default();
    matches!(&tokens[0], TokenTree::Punct(p) if p.as_char() == '#') && text(1) == "[cfg(test)]"
}

/// The checker itself, on made-up sources.
mod checker {
    use super::*;

    fn floors(path: &str, text: &str) -> Vec<String> {
        floor_faults(&Source::of(path, text, false))
    }

    fn reserved(path: &str, text: &str) -> Vec<String> {
        reserved_faults(&Source::of(path, text, false))
    }

    #[test]
    fn lower_floors_may_be_used_and_the_own_room() {
        let text = "use crate::graph::Graph; use crate::space::Dag; use super::super::units; use super::plan::Plan;";
        assert_eq!(floors("space/lower.rs", text), [""; 0]);
    }

    #[test]
    fn a_neighbour_or_a_higher_floor_is_a_fault_however_it_is_written() {
        let fault = ["space/lower.rs: `space` uses `nn`, which is not on a lower floor"];
        for text in [
            "use crate::nn::Net;",
            "use crate::{graph::Graph, nn::{Net, sgd}};",
            "use crate :: nn;",
            "fn f() { let x = crate::nn::Net::new(); }",
            "use super::super::nn::Net;",
            "use super::super::{units, nn};",
            "mod tests { use super::super::super::nn::Net; }",
            "macro_rules! m { () => { $crate::nn::Net } }",
        ] {
            assert_eq!(floors("space/lower.rs", text), fault, "{text}");
        }
        assert_eq!(floors("space/mod.rs", "use super::nn::Net;").len(), 1);
        assert_eq!(floors("units.rs", "use super::run;").len(), 1);
        assert_eq!(floors("graph/op.rs", "use crate::regress::Ridge;").len(), 1);
    }

    #[test]
    fn comments_texts_and_relatives_are_no_uses() {
        let text = r##"
            //! See [`crate::cli`].
            // use crate::cli;
            /* crate::cli /* crate::cli */ */
            const TEXT: &str = "crate::cli"; const RAW: &str = r#"crate::cli"#;
            mod tests { use super::super::cli; }
        "##;
        assert_eq!(floors("space/lower.rs", text), [""; 0]);
    }

    #[test]
    fn reserved_words_are_found_outside_of_their_places_only() {
        assert_eq!(reserved("nn/kernels/pool.rs", "fn f() { unsafe { g() } }"), [""; 0]);
        assert_eq!(reserved("nn/net.rs", "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }").len(), 1);
        assert_eq!(
            reserved("graph/op.rs", "use prost::Message;"),
            ["graph/op.rs: `prost` belongs into onnx/, tabular/"]
        );
        assert_eq!(reserved("nn/net.rs", "#[cfg(feature = \"cuda\")] mod cuda;").len(), 1);
        assert_eq!(reserved("nn/net.rs", "#[cfg(feature = \"train\")] mod cuda;"), [""; 0]);
    }

    #[test]
    fn printing_is_for_the_command_line_and_for_tests() {
        assert_eq!(reserved("cli/mod.rs", "fn f() { println!() }"), [""; 0]);
        assert_eq!(reserved("run/mod.rs", "fn f() { g(|| eprintln!()) }").len(), 1);
        let test = "#[cfg(test)] mod tests { fn f() { println!() } }";
        assert_eq!(reserved("run/mod.rs", test), [""; 0]);
        assert_eq!(reserved("run/mod.rs", &format!("{test} fn f() {{ println!() }}")).len(), 1, "after the tests");
        assert_eq!(reserved("run/mod.rs", "#[cfg(test)] use a::b; fn f() { println!() }").len(), 1, "after one item");
    }

    #[test]
    fn modules_of_their_own_file_under_cfg_test_are_tests() {
        let source =
            Source::of("onnx/mod.rs", "#[cfg(test)] pub(crate) mod random; mod real; #[cfg(test)] mod x;", false);
        assert_eq!(source.test_modules(), ["onnx/random", "onnx/x"]);
        let shown = Source::of("onnx/random.rs", "fn f() { println!() }", true);
        assert_eq!(reserved_faults(&shown), [""; 0]);
    }
}
