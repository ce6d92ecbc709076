//! A regression tree on plain arrays: how it is stored and read. Forest and boosting each grow it in their own way.

/// Rows that pass all trees before the next ones do: as many as stay in the cache beside a tree.
pub(super) const BLOCK: usize = 64;

/// Rows that go down a tree side by side: while one waits for its next node, the others step.
const LANES: usize = 8;

/// A binary tree whose leaves hold values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

/// A question about one column, or a leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    /// Threshold of the column: rows up to it go left. The value, of a leaf.
    number: f64,
    column: u32,
    /// Place of the left child; the right one follows it. Zero for a leaf: the root is nobody's child.
    left: u32,
}

impl Tree {
    /// A tree of one leaf.
    pub(super) fn leaf(value: f64) -> Tree {
        Tree { nodes: vec![Node { number: value, column: 0, left: 0 }] }
    }

    /// Turns a leaf into a question; the places of its two new leaves, left and right.
    pub(super) fn split(&mut self, leaf: usize, column: usize, threshold: f64) -> (usize, usize) {
        let left = self.nodes.len();
        self.nodes[leaf] = Node { number: threshold, column: column as u32, left: left as u32 };
        self.nodes.extend([Node { number: 0.0, column: 0, left: 0 }; 2]);
        (left, left + 1)
    }

    /// Sets what a leaf answers.
    pub(super) fn set(&mut self, leaf: usize, value: f64) {
        self.nodes[leaf].number = value;
    }

    /// The value of the leaf that a row falls into.
    pub(super) fn value(&self, row: &[f64]) -> f64 {
        let mut node = self.nodes[0];
        while node.left != 0 {
            let right = usize::from(row[node.column as usize] > node.number);
            node = self.nodes[node.left as usize + right];
        }
        node.number
    }

    /// Gives the place of each row with the value of the leaf that it falls into; in deep trees twice as fast as row by row.
    pub(super) fn for_each_value(&self, rows: &[Vec<f64>], mut take: impl FnMut(usize, f64)) {
        for (block, rows) in rows.chunks(LANES).enumerate() {
            let mut places = [0u32; LANES];
            let mut steps = true;
            while steps {
                steps = false;
                for (place, row) in places.iter_mut().zip(rows) {
                    let node = self.nodes[*place as usize];
                    let right = u32::from(row[node.column as usize] > node.number);
                    let inner = node.left != 0;
                    *place = if inner { node.left + right } else { *place };
                    steps |= inner;
                }
            }
            let found = places.iter().take(rows.len()).map(|place| self.nodes[*place as usize].number);
            found.enumerate().for_each(|(lane, value)| take(block * LANES + lane, value));
        }
    }
}

/// Rows turned into columns, one after another: growing a tree reads column by column.
pub(super) struct Columns {
    rows: usize,
    values: Vec<f64>,
}

impl Columns {
    /// # Panics
    /// If rows differ in length.
    pub(super) fn of(rows: &[Vec<f64>]) -> Columns {
        let width = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == width), "rows are equally long");
        let values = (0..width).flat_map(|column| rows.iter().map(move |row| row[column])).collect();
        Columns { rows: rows.len(), values }
    }

    /// Number of columns.
    pub(super) fn count(&self) -> usize {
        self.values.len() / self.rows
    }

    /// One value for each row.
    pub(super) fn column(&self, column: usize) -> &[f64] {
        &self.values[column * self.rows..][..self.rows]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_up_to_the_threshold_go_left() {
        let mut tree = Tree::leaf(0.0);
        let (left, right) = tree.split(0, 1, 0.5);
        tree.set(left, -1.0);
        let (inner_left, inner_right) = tree.split(right, 0, 2.0);
        tree.set(inner_left, 3.0);
        tree.set(inner_right, 4.0);
        assert_eq!([[9.0, 0.5], [2.0, 0.6], [2.1, 0.6]].map(|row| tree.value(&row)), [-1.0, 3.0, 4.0]);
        // More rows than go side by side, and not a multiple of them.
        let rows: Vec<Vec<f64>> = (0..LANES + 3).map(|i| vec![f64::from(i as u32) * 0.5, 0.6]).collect();
        let mut found = Vec::new();
        tree.for_each_value(&rows, |place, value| found.push((place, value)));
        let one_by_one: Vec<(usize, f64)> = rows.iter().map(|row| tree.value(row)).enumerate().collect();
        assert_eq!(found, one_by_one);
    }
}
