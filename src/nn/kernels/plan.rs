//! Which input and which weight meet in which output: a convolution over one map, or its transpose, as lists of taps.

use super::Window;

/// Which map is read and which is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// What to read for every output of a map; made once for a window and kept.
pub(super) struct Plan {
    pub lines: Vec<Line>,
    pub taps: Vec<Tap>,
    /// Where each pixel of the map that is read lies in its padded copy. Rows have zeros beside them, as many as the taps
    /// reach; rows above and below are never visited and have no place.
    pub pixels: Vec<usize>,
    /// Columns of the map that is read.
    pub width: usize,
    /// Pixels of the padded copy.
    pub padded: usize,
    /// Pixels of the map that is written.
    pub outputs: usize,
}

/// Outputs `first`, `first + step`, ... that share their taps.
pub(super) struct Line {
    pub first: usize,
    pub step: usize,
    pub count: usize,
    /// Distance of the inputs of neighbouring outputs.
    pub input_step: usize,
    pub taps: std::ops::Range<usize>,
}

/// One product: the input pixel in the padded copy for the first output of the line, and the weight.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub input: usize,
    pub weight: usize,
}

/// A tap before padding is known: columns may be negative.
struct Reach {
    row: usize,
    column: isize,
    weight: usize,
}

impl Plan {
    pub fn new(w: &Window, direction: Direction) -> Plan {
        let (width, height, outputs, lines) = match direction {
            Direction::Forward => (w.in_w, w.in_h, w.out_plane(), forward_lines(w)),
            Direction::Backward => (w.out_w, w.out_h, w.in_plane(), backward_lines(w)),
        };
        let columns =
            |line: &Line, reach: &Reach| (reach.column, reach.column + ((line.count - 1) * line.input_step) as isize);
        let all = || lines.iter().flat_map(|(line, reaches)| reaches.iter().map(|r| columns(line, r)));
        let left = all().map(|(first, _)| (-first).max(0) as usize).max().unwrap_or(0);
        let right = all().map(|(_, last)| last + 1).max().unwrap_or(0).max(width as isize) as usize;
        let pitch = left + right;
        let mut plan = Plan {
            lines: Vec::new(),
            taps: Vec::new(),
            pixels: (0..width * height).map(|i| i / width * pitch + left + i % width).collect(),
            width,
            padded: pitch * height,
            outputs,
        };
        for (line, reaches) in lines {
            let start = plan.taps.len();
            let input = |r: &Reach| r.row * pitch + (r.column + left as isize) as usize;
            plan.taps.extend(reaches.iter().map(|r| Tap { input: input(r), weight: r.weight }));
            plan.lines.push(Line { taps: start..plan.taps.len(), ..line });
        }
        plan
    }
}

/// One line per output row; taps in the order of the kernel, without those that only see padding.
fn forward_lines(w: &Window) -> Vec<(Line, Vec<Reach>)> {
    let line = |oy: usize| {
        let taps = (0..w.taps()).filter_map(|weight| {
            let (ky, kx) = (weight / w.kernel, weight % w.kernel);
            let column = (kx * w.dilation) as isize - w.left as isize;
            (!w.columns_inside(kx).is_empty()).then_some(Reach { row: w.row(oy, ky)?, column, weight })
        });
        (Line { first: oy * w.out_w, step: 1, count: w.out_w, input_step: w.stride, taps: 0..0 }, taps.collect())
    };
    (0..w.out_h).map(line).collect()
}

/// One line per input row and column phase: with a stride, neighbouring inputs meet different taps, and those a stride
/// apart meet the same.
fn backward_lines(w: &Window) -> Vec<(Line, Vec<Reach>)> {
    let phases = (0..w.in_h).flat_map(|iy| (0..w.stride.min(w.in_w)).map(move |phase| (iy, phase)));
    let line = |(iy, phase): (usize, usize)| {
        let count = (w.in_w - phase).div_ceil(w.stride);
        let taps = (0..w.taps()).filter_map(|weight| {
            let (ky, kx) = (weight / w.kernel, weight % w.kernel);
            let row = (iy + w.top).checked_sub(ky * w.dilation)?;
            let column = (phase + w.left) as isize - (kx * w.dilation) as isize;
            if row % w.stride != 0 || row / w.stride >= w.out_h || column.rem_euclid(w.stride as isize) != 0 {
                return None;
            }
            let column = column / w.stride as isize;
            let seen = column + (count as isize) > 0 && column < w.out_w as isize;
            seen.then_some(Reach { row: row / w.stride, column, weight })
        });
        let line = Line { first: iy * w.in_w + phase, step: w.stride, count, input_step: 1, taps: 0..0 };
        (line, taps.collect())
    };
    phases.map(line).collect()
}
