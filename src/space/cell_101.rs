//! A cell of NAS-Bench-101 as a matrix and operations: text, pruning, limits, channels, the benchmark's hash and the
//! canonical order of its vertices.

use md5::{Digest, Md5};

/// Vertices of a cell, input and output included.
pub(super) const VERTICES: usize = 7;
const MOST_EDGES: usize = 9;
const INNER: usize = VERTICES - 2;

/// Names of the operations in the benchmark's order, which its hash depends on; symbol 1 is the first.
pub(super) const OPERATIONS: [&str; 3] = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"];
/// Symbol of an inner vertex that is not there.
pub(super) const ABSENT: u8 = 0;

/// Operations of the inner vertices and, for each vertex, the set of those that it feeds. Where it is valid, vertices that
/// are not there stand behind the others and have no edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell101 {
    pub operations: [u8; INNER],
    /// Bit `to` of `feeds[from]` is the edge between them; `from < to`.
    feeds: [u8; VERTICES],
}

impl Cell101 {
    /// No operation and no edge: a start to fill.
    pub fn empty() -> Self {
        Cell101 { operations: [ABSENT; INNER], feeds: [0; VERTICES] }
    }

    /// The cell of one 3×3 convolution.
    pub fn chain() -> Self {
        let mut cell = Cell101::empty();
        cell.operations[0] = 1;
        cell.connect(0, 1);
        cell.connect(1, VERTICES - 1);
        cell
    }

    pub fn connect(&mut self, from: usize, to: usize) {
        self.feeds[from] |= 1 << to;
    }

    pub fn is_edge(&self, from: usize, to: usize) -> bool {
        self.feeds[from] >> to & 1 == 1
    }

    pub fn is_present(&self, vertex: usize) -> bool {
        vertex == 0 || vertex == VERTICES - 1 || self.operations[vertex - 1] != ABSENT
    }

    /// Edges in the order of the matrix's rows.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        pairs().filter(|(from, to)| self.is_edge(*from, *to))
    }

    /// Flips the edges for which `flips` says so.
    pub fn flip_edges(&mut self, mut flips: impl FnMut() -> bool) {
        pairs().filter(|_| flips()).for_each(|(from, to)| self.feeds[from] ^= 1 << to);
    }

    pub fn symbols(&self) -> Vec<u8> {
        self.operations.iter().copied().chain(pairs().map(|(from, to)| u8::from(self.is_edge(from, to)))).collect()
    }

    /// The cell of [`Cell101::symbols`].
    pub fn of_symbols(symbols: &[u8]) -> Self {
        let mut cell = Cell101::empty();
        let (operations, bits) = symbols.split_at(INNER);
        cell.operations.copy_from_slice(operations);
        pairs().zip(bits).filter(|(_, bit)| **bit == 1).for_each(|((from, to), _)| cell.connect(from, to));
        cell
    }

    /// Without edges of vertices that are not there.
    pub fn without_absent(mut self) -> Self {
        let present: u8 = (0..VERTICES).filter(|vertex| self.is_present(*vertex)).map(|vertex| 1u8 << vertex).sum();
        for (vertex, feeds) in self.feeds.iter_mut().enumerate() {
            *feeds &= if present >> vertex & 1 == 1 { present } else { 0 };
        }
        self
    }

    /// Without vertices that are on no path from input to output, the others moved together; none if nothing is left.
    pub fn pruned(&self) -> Option<Self> {
        let last = VERTICES - 1;
        let (mut from_input, mut to_output) = (1u8, 1u8 << last);
        (0..last).for_each(|v| from_input |= if from_input >> v & 1 == 1 { self.feeds[v] } else { 0 });
        (0..last).rev().for_each(|v| to_output |= u8::from(self.feeds[v] & to_output != 0) << v);
        let kept = from_input & to_output;
        if kept & 1 == 0 || kept >> last == 0 {
            return None;
        }
        let inner = (1..last).filter(|vertex| kept >> vertex & 1 == 1);
        let order: Vec<usize> = std::iter::once(0).chain(inner).chain([last]).collect();
        Some(self.reordered(&order))
    }

    /// The cell of these vertices, input first and output last.
    fn reordered(&self, order: &[usize]) -> Self {
        let place = |at: usize| if at + 1 == order.len() { VERTICES - 1 } else { at };
        let mut cell = Cell101::empty();
        for (at, vertex) in order.iter().enumerate() {
            if (1..order.len() - 1).contains(&at) {
                cell.operations[at - 1] = self.operations[vertex - 1];
            }
            let reached = (at + 1..order.len()).filter(|to| self.is_edge(*vertex, order[*to]));
            reached.for_each(|to| cell.connect(place(at), place(to)));
        }
        cell
    }

    pub fn keeps_limits(&self) -> bool {
        self.edges().count() <= MOST_EDGES
    }

    fn vertices(&self) -> Vec<usize> {
        (0..VERTICES).filter(|vertex| self.is_present(*vertex)).collect()
    }

    /// Rows of the matrix, without vertices that are not there.
    pub fn matrix(&self) -> Vec<Vec<u8>> {
        let vertices = self.vertices();
        let row = |from: &usize| vertices.iter().map(|to| u8::from(from < to && self.is_edge(*from, *to))).collect();
        vertices.iter().map(row).collect()
    }

    pub fn operation_names(&self) -> Vec<&'static str> {
        let inner = self.operations.iter().filter(|operation| **operation != ABSENT);
        let inner = inner.map(|operation| OPERATIONS[usize::from(*operation) - 1]);
        std::iter::once("input").chain(inner).chain(["output"]).collect()
    }

    /// Writes `0110/0011/0001/0000:input,conv3x3-bn-relu,maxpool3x3,output`.
    pub fn format(&self) -> String {
        let row = |row: Vec<u8>| row.into_iter().map(|bit| char::from(b'0' + bit)).collect::<String>();
        let rows: Vec<String> = self.matrix().into_iter().map(row).collect();
        format!("{}:{}", rows.join("/"), self.operation_names().join(","))
    }

    /// Reads what [`Cell101::format`] writes, prunes it and checks the limits; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rows, operations) = text.split_once(':').ok_or("there is no `:` between matrix and operations")?;
        let bit = |bit: char| match bit {
            '0' => Ok(0),
            '1' => Ok(1),
            other => Err(format!("`{other}` in the matrix is neither 0 nor 1")),
        };
        let rows: Result<Vec<Vec<u8>>, String> =
            rows.split('/').map(|row| row.trim().chars().map(bit).collect()).collect();
        let operations: Vec<&str> = operations.split(',').map(str::trim).collect();
        Cell101::of_spec(&rows?, &operations)
    }

    /// The pruned cell of a matrix and operations; the error says what is wrong.
    pub fn of_spec(matrix: &[Vec<u8>], operations: &[&str]) -> Result<Self, String> {
        let count = matrix.len();
        if matrix.iter().any(|row| row.len() != count) {
            return Err(format!("the matrix of {count} rows is not square"));
        }
        if operations.len() != count {
            return Err(format!("{} operations for {count} vertices", operations.len()));
        }
        // Before pruning a cell may be larger than the benchmark's; a set of bits holds its reach.
        if !(2..=64).contains(&count) {
            return Err(format!("{count} vertices, a cell has 2 to {VERTICES}"));
        }
        for (from, row) in matrix.iter().enumerate() {
            if let Some(to) = row[..=from].iter().position(|bit| *bit != 0) {
                return Err(format!(
                    "the matrix is not upper triangular: vertex {} feeds vertex {}, and a cell has no cycles",
                    from + 1,
                    to + 1
                ));
            }
        }
        let kept = on_a_path(matrix).ok_or("the output does not depend on the input")?;
        if kept.len() > VERTICES {
            return Err(format!("{} vertices after pruning, a cell has at most {VERTICES}", kept.len()));
        }
        let names: Vec<&str> = kept.iter().map(|vertex| operations[*vertex]).collect();
        let cell = Cell101::of_kept(matrix, &kept, &names)?;
        match cell.edges().count() {
            edges if edges > MOST_EDGES => Err(format!("{edges} edges after pruning, a cell has at most {MOST_EDGES}")),
            _ => Ok(cell),
        }
    }

    fn of_kept(matrix: &[Vec<u8>], kept: &[usize], names: &[&str]) -> Result<Self, String> {
        let last = kept.len() - 1;
        if (names[0], names[last]) != ("input", "output") {
            return Err(format!(
                "operations go from `{}` to `{}`, not from `input` to `output`",
                names[0], names[last]
            ));
        }
        let place = |at: usize| if at == last { VERTICES - 1 } else { at };
        let mut cell = Cell101::empty();
        for (at, name) in names[..last].iter().enumerate().skip(1) {
            let symbol = OPERATIONS
                .iter()
                .position(|operation| operation == name)
                .ok_or_else(|| format!("there is no operation `{name}`, operations are {}", OPERATIONS.join(", ")))?;
            cell.operations[at - 1] = symbol as u8 + 1;
        }
        for (at, from) in kept.iter().enumerate() {
            let reached = (at + 1..=last).filter(|to| matrix[*from][kept[*to]] == 1);
            reached.for_each(|to| cell.connect(place(at), place(to)));
        }
        Ok(cell)
    }

    /// Channels of each vertex in a cell with `out` channels (`compute_vertex_channels` of the benchmark): what the output
    /// joins shares them, the first vertices take the rest, any other vertex has as many as the widest it feeds.
    pub fn channels(&self, out: usize) -> [usize; VERTICES] {
        let last = VERTICES - 1;
        let joined: Vec<usize> = (1..last).filter(|vertex| self.is_edge(*vertex, last)).collect();
        let mut channels = [0; VERTICES];
        channels[last] = out;
        for (at, vertex) in joined.iter().enumerate() {
            channels[*vertex] = out / joined.len() + usize::from(at < out % joined.len());
        }
        for vertex in (1..last).rev().filter(|vertex| !self.is_edge(*vertex, last)) {
            channels[vertex] =
                (vertex + 1..last).filter(|to| self.is_edge(vertex, *to)).map(|to| channels[to]).max().unwrap_or(0);
        }
        channels
    }

    /// The benchmark's hash (`hash_module`): degrees and operation of each vertex, then as many rounds as vertices in which
    /// each takes in its neighbours.
    pub fn hash(&self) -> [u8; 16] {
        let vertices = self.vertices();
        let inputs = |v: usize| vertices.iter().copied().filter(move |from| *from < v && self.is_edge(*from, v));
        let outputs = |v: usize| vertices.iter().copied().filter(move |to| *to > v && self.is_edge(v, *to));
        let label = |vertex: usize| match vertex {
            0 => -1,
            _ if vertex == VERTICES - 1 => -2,
            _ => i32::from(self.operations[vertex - 1]) - 1,
        };
        let start = |v: &usize| md5_hex(&format!("({}, {}, {})", outputs(*v).count(), inputs(*v).count(), label(*v)));
        let mut hashes = vec![String::new(); VERTICES];
        vertices.iter().for_each(|vertex| hashes[*vertex] = start(vertex));
        for _ in &vertices {
            let sorted = |neighbours: &mut dyn Iterator<Item = usize>| {
                let mut found: Vec<&str> = neighbours.map(|n| hashes[n].as_str()).collect();
                found.sort_unstable();
                found.concat()
            };
            let next = |v: &usize| {
                md5_hex(&format!("{}|{}|{}", sorted(&mut inputs(*v)), sorted(&mut outputs(*v)), hashes[*v]))
            };
            let next: Vec<(usize, String)> = vertices.iter().map(|vertex| (*vertex, next(vertex))).collect();
            next.into_iter().for_each(|(vertex, hash)| hashes[vertex] = hash);
        }
        let mut sorted: Vec<String> = vertices.iter().map(|vertex| format!("'{}'", hashes[*vertex])).collect();
        sorted.sort_unstable();
        Md5::digest(format!("[{}]", sorted.join(", "))).into()
    }

    /// The same cell with its inner vertices in the order that edges follow and whose symbols come first.
    pub fn canonical(&self) -> Self {
        let inner: Vec<usize> = (1..VERTICES - 1).filter(|vertex| self.is_present(*vertex)).collect();
        let mut best: Option<(Vec<u8>, Cell101)> = None;
        let mut order = vec![0];
        self.try_orders(&inner, &mut order, &mut best);
        best.expect("the cell's own order is one of them").1
    }

    /// Goes through all orders of the inner vertices in which no edge points back.
    fn try_orders(&self, inner: &[usize], order: &mut Vec<usize>, best: &mut Option<(Vec<u8>, Cell101)>) {
        if order.len() == inner.len() + 1 {
            order.push(VERTICES - 1);
            let cell = self.reordered(order);
            order.pop();
            let symbols = cell.symbols();
            if best.as_ref().is_none_or(|(first, _)| symbols < *first) {
                *best = Some((symbols, cell));
            }
            return;
        }
        for vertex in inner {
            let is_next = !order.contains(vertex)
                && inner.iter().all(|from| !self.is_edge(*from, *vertex) || order.contains(from));
            if is_next {
                order.push(*vertex);
                self.try_orders(inner, order, best);
                order.pop();
            }
        }
    }
}

/// Pairs of vertices above the diagonal, row by row.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..VERTICES).flat_map(|from| (from + 1..VERTICES).map(move |to| (from, to)))
}

/// Vertices on a path from the first to the last; none if there is no such path.
fn on_a_path(matrix: &[Vec<u8>]) -> Option<Vec<usize>> {
    let last = matrix.len() - 1;
    let (mut from_input, mut to_output) = (vec![false; matrix.len()], vec![false; matrix.len()]);
    (from_input[0], to_output[last]) = (true, true);
    for vertex in 1..=last {
        from_input[vertex] = (0..vertex).any(|from| from_input[from] && matrix[from][vertex] == 1);
    }
    for vertex in (0..last).rev() {
        to_output[vertex] = (vertex + 1..=last).any(|to| to_output[to] && matrix[vertex][to] == 1);
    }
    from_input[last].then(|| (0..=last).filter(|v| from_input[*v] && to_output[*v]).collect())
}

fn md5_hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
