//! How the key columns of a table name a network of a space.

use crate::space::{Genotype, NatsOperation, Space, SpaceError};

/// How a network is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Encoding {
    /// One column: the space's own text.
    Text,
    /// One column of `nats-tss`: `(4, 0, 3, 1, 4, 3)`, operations of the edges 1-2, 1-3, 1-4, 2-3, 2-4, 3-4, numbered in
    /// the order skip_connect, none, nor_conv_3x3, nor_conv_1x1, avg_pool_3x3.
    OperationTuple,
    /// Two columns of `nas-bench-101`: rows of the matrix with `/` between them, operations with spaces between them. The
    /// matrix may have empty rows and columns at its end.
    #[serde(rename = "nas-bench-101-matrix")]
    Matrix,
    /// One column of `nas-bench-101`: the 21 bits above the diagonal of a matrix of seven, a space, the five operations.
    #[serde(rename = "nas-bench-101-triangle")]
    Triangle,
    /// A column of 0 or 1 for each operation of each layer of `macro`.
    MacroBits,
    /// One column: the record's place in the table's first file, from 0.
    Row,
}

/// A network, or the place of one.
pub(super) enum Key {
    /// The network.
    Genotype(Genotype),
    /// A record of the table's first file.
    Row(usize),
}

impl Encoding {
    /// Number of key columns, if the encoding fixes it.
    pub fn columns(self) -> Option<usize> {
        match self {
            Encoding::Text | Encoding::OperationTuple | Encoding::Triangle | Encoding::Row => Some(1),
            Encoding::Matrix => Some(2),
            Encoding::MacroBits => None,
        }
    }

    /// The space it belongs to, if it is not for all.
    pub fn space(self) -> Option<&'static str> {
        match self {
            Encoding::Text | Encoding::Row => None,
            Encoding::OperationTuple => Some("nats-tss"),
            Encoding::Matrix | Encoding::Triangle => Some("nas-bench-101"),
            Encoding::MacroBits => Some("macro"),
        }
    }

    /// Reads the fields of the key columns; the error says what is wrong.
    pub fn read(self, space: &Space, fields: &[&str]) -> Result<Key, String> {
        let parsed = |found: Result<Genotype, SpaceError>| found.map(Key::Genotype).map_err(|e| e.to_string());
        match self {
            Encoding::Text => parsed(space.parse(fields[0])),
            Encoding::OperationTuple => operation_tuple(fields[0]).map(Key::Genotype),
            Encoding::Matrix => parsed(space.parse(&matrix(fields[0], fields[1])?)),
            Encoding::Triangle => parsed(space.parse(&triangle(fields[0])?)),
            Encoding::MacroBits => parsed(space.parse(&macro_bits(fields)?)),
            Encoding::Row => {
                fields[0].parse().map(Key::Row).map_err(|_| format!("`{}` is not the number of a record", fields[0]))
            }
        }
    }
}

/// Operations by their number in a tuple.
const TUPLE_OPERATIONS: [NatsOperation; 5] = [
    NatsOperation::Skip,
    NatsOperation::None,
    NatsOperation::Conv3x3,
    NatsOperation::Conv1x1,
    NatsOperation::AvgPool3x3,
];
/// For each edge in the order of the official text, its place in a tuple.
const TUPLE_PLACES: [usize; 6] = [0, 1, 3, 2, 4, 5];

fn operation_tuple(text: &str) -> Result<Genotype, String> {
    let wrong = || format!("`{text}` is not six numbers of operations, such as `(4, 0, 3, 1, 4, 3)`");
    let inner = text.trim_matches(['(', ')', '[', ']', ' ']);
    let operation = |number: &str| TUPLE_OPERATIONS.get(number.trim().parse::<usize>().ok()?).copied();
    let operations: Option<Vec<NatsOperation>> = inner.split(',').map(operation).collect();
    let operations = operations.filter(|operations| operations.len() == 6).ok_or_else(wrong)?;
    Ok(TUPLE_PLACES.map(|place| operations[place] as u8).to_vec().into())
}

/// The space's own text of a cell: the matrix cut to as many vertices as there are operations.
fn matrix(rows: &str, operations: &str) -> Result<String, String> {
    let rows: Vec<&str> = rows.split('/').collect();
    let operations: Vec<&str> = operations.split([' ', ',']).filter(|name| !name.is_empty()).collect();
    let vertices = operations.len();
    let is_padding = |row: &&str| row.bytes().all(|bit| bit == b'0');
    let fits = rows.len() >= vertices
        && rows.iter().all(|row| row.is_ascii() && row.len() == rows.len())
        && rows[vertices..].iter().all(is_padding)
        && rows.iter().all(|row| is_padding(&&row[vertices..]));
    if !fits {
        return Err(format!("a matrix of {} rows does not suit {vertices} operations", rows.len()));
    }
    let rows: Vec<&str> = rows[..vertices].iter().map(|row| &row[..vertices]).collect();
    Ok(format!("{}:{}", rows.join("/"), operations.join(",")))
}

fn triangle(text: &str) -> Result<String, String> {
    const VERTICES: usize = 7;
    let wrong = || format!("`{text}` is not 21 bits and five operations");
    let mut words = text.split_whitespace();
    let bits = words.next().filter(|bits| bits.is_ascii() && bits.len() == 21).ok_or_else(wrong)?;
    let operations: Vec<&str> = words.collect();
    if operations.len() != VERTICES - 2 {
        return Err(wrong());
    }
    let mut rest = bits;
    let mut rows = Vec::with_capacity(VERTICES);
    for vertex in 0..VERTICES {
        let (own, later) = rest.split_at(VERTICES - 1 - vertex);
        rows.push(format!("{}{own}", "0".repeat(vertex + 1)));
        rest = later;
    }
    Ok(format!("{}:input,{},output", rows.join("/"), operations.join(",")))
}

/// Bits of a layer of the macro space.
const LAYER_BITS: usize = 6;

fn macro_bits(fields: &[&str]) -> Result<String, String> {
    match fields.len().is_multiple_of(LAYER_BITS) {
        true => Ok(fields.chunks(LAYER_BITS).map(<[&str]>::concat).collect::<Vec<_>>().join("-")),
        false => Err(format!("{} columns of bits do not make layers of {LAYER_BITS}", fields.len())),
    }
}
