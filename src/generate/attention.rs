//! Attention of several heads between sets of rows, forward and backward.

use std::ops::Range;

/// A set of rows that reads another set of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub queries: Range<usize>,
    pub keys: Range<usize>,
}

impl Reading {
    /// Sets of so many rows each, one after the other, that read themselves.
    pub fn of_themselves(sizes: &[usize]) -> Vec<Reading> {
        let mut end = 0;
        let set = |size: &usize| {
            let rows = end..end + size;
            end = rows.end;
            Reading { queries: rows.clone(), keys: rows }
        };
        sizes.iter().map(set).collect()
    }

    /// The same sets, each read by one row.
    pub fn by_one_row(sizes: &[usize]) -> Vec<Reading> {
        let own = Reading::of_themselves(sizes).into_iter().enumerate();
        own.map(|(row, reading)| Reading { queries: row..row + 1, keys: reading.keys }).collect()
    }
}

/// Width of all heads together, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heads {
    pub width: usize,
    pub heads: usize,
}

impl Heads {
    fn columns(self) -> usize {
        self.width / self.heads
    }

    /// Products are divided by the root of the whole width, as the Set Transformer has it.
    fn scale(self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(sum: &mut [f32], by: f32, values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += by * value);
}

/// Queries plus what they hear, `q + softmax(q kᵀ / √width) v` head by head, and the weights of every reading.
pub(super) fn attend(size: Heads, readings: &[Reading], q: &[f32], k: &[f32], v: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (width, columns) = (size.width, size.columns());
    let (mut output, mut shares) = (q.to_vec(), Vec::new());
    for reading in readings {
        for query in reading.queries.clone() {
            for first in (0..width).step_by(columns) {
                let part = |rows: &'_ [f32], row: usize| -> Range<usize> {
                    debug_assert!((row + 1) * width <= rows.len());
                    row * width + first..row * width + first + columns
                };
                let asked = &q[part(q, query)];
                let start = shares.len();
                shares.extend(reading.keys.clone().map(|key| dot(asked, &k[part(k, key)]) * size.scale()));
                softmax(&mut shares[start..]);
                for (share, key) in shares[start..].iter().zip(reading.keys.clone()) {
                    add_scaled(&mut output[part(q, query)], *share, &v[part(v, key)]);
                }
            }
        }
    }
    (output, shares)
}

fn softmax(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}

/// Adds the gradients of [`attend`] to those of queries, keys and values.
pub(super) fn attend_backward(
    size: Heads,
    readings: &[Reading],
    (q, k, v, shares): (&[f32], &[f32], &[f32], &[f32]),
    gradient: &[f32],
    (to_q, to_k, to_v): (&mut [f32], &mut [f32], &mut [f32]),
) {
    let (width, columns) = (size.width, size.columns());
    to_q.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    let mut at = 0;
    for reading in readings {
        for query in reading.queries.clone() {
            for first in (0..width).step_by(columns) {
                let part = |row: usize| row * width + first..row * width + first + columns;
                let shares = &shares[at..at + reading.keys.len()];
                at += reading.keys.len();
                let of_output = &gradient[part(query)];
                let by_share: Vec<f32> = reading.keys.clone().map(|key| dot(of_output, &v[part(key)])).collect();
                let mean = dot(&by_share, shares);
                for ((share, by_share), key) in shares.iter().zip(&by_share).zip(reading.keys.clone()) {
                    add_scaled(&mut to_v[part(key)], *share, of_output);
                    let by_product = share * (by_share - mean) * size.scale();
                    add_scaled(&mut to_q[part(query)], by_product, &k[part(key)]);
                    add_scaled(&mut to_k[part(key)], by_product, &q[part(query)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_hears_the_mean_of_equal_keys_and_only_its_own_set() {
        let size = Heads { width: 2, heads: 1 };
        let readings = Reading::of_themselves(&[2, 1]);
        let v = [1.0, 2.0, 3.0, 6.0, 50.0, 60.0];
        let (output, shares) = attend(size, &readings, &[0.0; 6], &[0.5; 6], &v);
        assert_eq!(output, [2.0, 4.0, 2.0, 4.0, 50.0, 60.0]);
        assert_eq!(shares, [0.5, 0.5, 0.5, 0.5, 1.0]);
        let pooled = Reading::by_one_row(&[2, 1]);
        assert_eq!((pooled[1].queries.clone(), pooled[1].keys.clone()), (1..2, 2..3));
    }

    #[test]
    fn heads_attend_apart() {
        let size = Heads { width: 2, heads: 2 };
        let readings = [Reading { queries: 0..1, keys: 0..2 }];
        // The first head looks at the first key, the second at the second.
        let (output, _) = attend(size, &readings, &[40.0, 40.0], &[9.0, 0.0, 0.0, 9.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!((output[0] - 41.0).abs() < 1e-4 && (output[1] - 44.0).abs() < 1e-4, "{output:?}");
    }
}
