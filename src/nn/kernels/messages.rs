//! Messages along the edges of small graphs, for predictors: rows of weighted sums of rows, forward and backward.

use super::isa::on_each_isa;
use super::simd::Simd;

/// Who hears whom: node `i` receives from `from[first[i]..first[i + 1]]`, each with its weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Links {
    pub first: Vec<u32>,
    pub from: Vec<u32>,
    pub weight: Vec<f32>,
}

impl Links {
    /// The node under construction hears `from`.
    pub fn push(&mut self, from: u32, weight: f32) {
        self.from.push(from);
        self.weight.push(weight);
    }

    /// The node under construction hears nobody else.
    pub fn end_node(&mut self) {
        self.first.push(self.from.len() as u32);
    }
}

/// Columns `at..at + width` of rows of `pitch` values.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    pub at: usize,
    pub width: usize,
    pub pitch: usize,
}

on_each_isa! {
    /// `sums` (nodes, pitch) at `columns`: the weighted sums of what each node hears of `sent` (nodes, pitch).
    pub fn receive(links: &Links, columns: Columns, sent: &[f32], sums: &mut [f32]) = receive_body
}

#[inline(always)]
fn receive_body<S: Simd>(links: &Links, columns: Columns, sent: &[f32], sums: &mut [f32]) {
    let Columns { at, width, pitch } = columns;
    for (node, sum) in sums.chunks_exact_mut(pitch).enumerate() {
        let sum = &mut sum[at..at + width];
        sum.fill(0.0);
        for link in links.first[node] as usize..links.first[node + 1] as usize {
            let (from, weight) = (links.from[link] as usize, links.weight[link]);
            let message = &sent[from * pitch + at..][..width];
            sum.iter_mut().zip(message).for_each(|(sum, value)| *sum += weight * value);
        }
    }
}

on_each_isa! {
    /// The backward pass of [`receive`]: adds to `sent` (nodes, pitch) at `columns` what its rows contributed.
    pub fn receive_backward(links: &Links, columns: Columns, sums: &[f32], sent: &mut [f32]) = receive_backward_body
}

#[inline(always)]
fn receive_backward_body<S: Simd>(links: &Links, columns: Columns, sums: &[f32], sent: &mut [f32]) {
    let Columns { at, width, pitch } = columns;
    for (node, sum) in sums.chunks_exact(pitch).enumerate() {
        let sum = &sum[at..at + width];
        for link in links.first[node] as usize..links.first[node + 1] as usize {
            let (from, weight) = (links.from[link] as usize, links.weight[link]);
            let message = &mut sent[from * pitch + at..][..width];
            message.iter_mut().zip(sum).for_each(|(value, sum)| *value += weight * sum);
        }
    }
}

on_each_isa! {
    /// `means` (nodes, width): half the sum of the two rectified halves of `sums` (nodes, 2 · width).
    pub fn rectified_mean(width: usize, sums: &[f32], means: &mut [f32]) = rectified_mean_body
}

#[inline(always)]
fn rectified_mean_body<S: Simd>(width: usize, sums: &[f32], means: &mut [f32]) {
    for (mean, sums) in means.chunks_exact_mut(width).zip(sums.chunks_exact(2 * width)) {
        let (forth, back) = sums.split_at(width);
        for ((mean, forth), back) in mean.iter_mut().zip(forth).zip(back) {
            *mean = 0.5 * (forth.max(0.0) + back.max(0.0));
        }
    }
}

on_each_isa! {
    /// [`receive`] in both directions and [`rectified_mean`] at once, where nothing need be kept: `means` (nodes, width)
    /// from `sent` (senders, 2 · width), by way of `row` (2 · width). Node `i` speaks by row `speaker[i]`.
    pub fn hear(
        links: &[Links; 2], speaker: &[u32], width: usize, sent: &[f32], row: &mut [f32], means: &mut [f32],
    ) = hear_body
}

#[inline(always)]
fn hear_body<S: Simd>(
    links: &[Links; 2],
    speaker: &[u32],
    width: usize,
    sent: &[f32],
    row: &mut [f32],
    means: &mut [f32],
) {
    for (node, mean) in means.chunks_exact_mut(width).enumerate() {
        for ((links, sum), at) in links.iter().zip(row.chunks_exact_mut(width)).zip([0, width]) {
            sum.fill(0.0);
            for link in links.first[node] as usize..links.first[node + 1] as usize {
                let (from, weight) = (speaker[links.from[link] as usize] as usize, links.weight[link]);
                let message = &sent[from * 2 * width + at..][..width];
                sum.iter_mut().zip(message).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        rectified_mean_body::<S>(width, row, mean);
    }
}

on_each_isa! {
    /// The backward pass of [`rectified_mean`]: turns `sums` (nodes, 2 · width) into their gradient, from that by `means`.
    pub fn rectified_mean_backward(width: usize, means: &[f32], sums: &mut [f32]) = rectified_mean_backward_body
}

#[inline(always)]
fn rectified_mean_backward_body<S: Simd>(width: usize, means: &[f32], sums: &mut [f32]) {
    for (mean, sums) in means.chunks_exact(width).zip(sums.chunks_exact_mut(2 * width)) {
        for half in sums.chunks_exact_mut(width) {
            half.iter_mut().zip(mean).for_each(|(sum, mean)| *sum = if *sum > 0.0 { 0.5 * mean } else { 0.0 });
        }
    }
}
