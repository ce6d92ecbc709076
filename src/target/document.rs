//! YAML as a tree whose leaves know where they stand. Anchors, aliases and tags, which can make a small text mean a huge
//! one, are refused: a profile needs none of them.

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, options};

use super::fault::{Fault, Place};

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing is written, or `null`.
    Empty,
    /// Something that is not read and was reported.
    Refused,
    Scalar(String),
    List(Vec<Node>),
    /// Every entry as written, repeated keys as well.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

/// Profiles are three levels deep.
const DEEPEST: usize = 8;

/// Reads one document: its tree, if there is one, and what is wrong with it as YAML.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Fault>) {
    let options = options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut reader = Reader { events: Parser::new_from_str_with_options(text, options), refused: Vec::new() };
    match reader.document() {
        Ok(root) => (Some(root), reader.refused),
        Err(fault) => (None, reader.refused.into_iter().chain([fault]).collect()),
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    refused: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        let (event, place) = self.next()?;
        if let Event::StreamEnd = event {
            return Err(Fault::new(
                place,
                "the profile is empty",
                "`netwright targets new my-board` writes an example",
            ));
        }
        let root = self.node(&event, place, 0)?;
        match self.next()? {
            (Event::StreamEnd, _) => Ok(root),
            (_, place) => Err(Fault::new(place, "a second document begins", "write one profile into a file")),
        }
    }

    /// The next event that says something about the content.
    fn next(&mut self) -> Result<(Event<'a>, Place), Fault> {
        loop {
            match self.events.next() {
                Some(Ok((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _))) => {}
                Some(Ok((event, span))) => return Ok((event, place(&span))),
                Some(Err(error)) => {
                    let place =
                        Place { line: error.marker().line().max(1), column: error.marker().col() + 1, width: 1 };
                    let hint = "check indentation, colons and quotes at this place and on the line before";
                    return Err(Fault::new(place, format!("this is not YAML: {}", error.info()), hint));
                }
                None => return Ok((Event::StreamEnd, Place { line: 1, column: 1, width: 1 })),
            }
        }
    }

    fn node(&mut self, event: &Event, place: Place, depth: usize) -> Result<Node, Fault> {
        if depth > DEEPEST {
            return Err(Fault::new(place, "nested too deeply", "a profile has at most three levels"));
        }
        let mut refuse = |what: &str| self.refused.push(Fault::new(place, what, "write the value out"));
        if event.anchor_id().is_some_and(|id| id != 0) {
            refuse("a profile has no anchors");
        }
        if event.tag().is_some() {
            refuse("a profile has no tags");
        }
        let value = match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                refuse("a profile has no aliases");
                Value::Refused
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) if ["", "~", "null"].contains(&text.as_ref()) => Value::Empty,
            Event::Scalar(text, ..) => Value::Scalar(text.trim().to_string()),
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            _ => return Err(Fault::new(place, "a value is missing", "write it after the colon")),
        };
        Ok(Node { place, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, place) => items.push(self.node(&event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if let Event::MappingEnd = event {
                return Ok(entries);
            }
            let key = self.key(&event, place, depth)?;
            let (event, at) = self.next()?;
            entries.push(Entry { key, place, node: self.node(&event, at, depth + 1)? });
        }
    }

    fn key(&mut self, event: &Event, place: Place, depth: usize) -> Result<String, Fault> {
        match self.node(event, place, depth + 1)?.value {
            Value::Scalar(key) => Ok(key),
            Value::Empty | Value::Refused | Value::List(_) | Value::Map(_) => {
                Err(Fault::new(place, "a key is no word", "write `key: value`"))
            }
        }
    }
}

/// Where a span begins, and how much of its first line it covers.
fn place(span: &Span) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Place { line: start.line().max(1), column: start.col() + 1, width: width.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_kept_with_its_place_repeated_ones_too() {
        let (root, faults) = parse("a: 1\nb:\n  - x\na: {c: }\n");
        let Some(Node { value: Value::Map(entries), .. }) = root else { panic!("{faults:?}") };
        let keys: Vec<(&str, usize)> = entries.iter().map(|e| (e.key.as_str(), e.place.line)).collect();
        assert_eq!(keys, [("a", 1), ("b", 2), ("a", 4)]);
        assert_eq!(entries[0].node.place, Place { line: 1, column: 4, width: 1 });
        let Value::Map(inner) = &entries[2].node.value else { panic!("{entries:?}") };
        assert_eq!(inner[0].node.value, Value::Empty);
    }

    #[test]
    fn what_can_make_a_small_text_huge_is_refused_and_the_rest_is_read() {
        let mut bomb = "a0: &a0 [x, x]\n".to_string();
        for i in 1..30 {
            bomb += &format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1);
        }
        let (root, faults) = parse(&bomb);
        let Some(Node { value: Value::Map(entries), .. }) = root else { panic!("{faults:?}") };
        assert_eq!((entries.len(), faults.len()), (30, 30 + 3 * 29));
        assert_eq!(parse("a: !!str b\nc: *nowhere\n").1.len(), 2);
    }

    #[test]
    fn nesting_has_an_end_and_broken_text_is_shown_where_it_breaks() {
        for text in [&"[".repeat(60_000), &"- ".repeat(30_000), &"{a: ".repeat(9_000)] {
            let (root, faults) = parse(text);
            assert!(root.is_none() && faults.len() == 1, "{faults:?}");
        }
        let (_, faults) = parse("name: x\nlimits: {macs: 1\n");
        assert!(faults[0].message.starts_with("this is not YAML"), "{faults:?}");
        assert_eq!(parse("# nothing\n").1[0].message, "the profile is empty");
        assert_eq!(parse("a: 1\n---\nb: 2\n").1[0].message, "a second document begins");
    }
}
