//! Peak activation RAM as a plan: the operator order that needs least memory, in place where that is legal, and where
//! each buffer lies in one arena.
//!
//! A network is cut where a single value is alive. Within a segment the best order is found exactly, as a path through
//! the sets of finished steps whose largest step is smallest (Dijkstra on the bottleneck). A sum of n branches
//! accumulates: the first branch that is ready lends its buffer, the others are added to it. Neighbouring segments lay
//! their buffers from opposite ends of the arena, so that the value they share keeps its place.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::op::Op;
use super::{Graph, NodeId, NumberFormat};
use crate::units::Bytes;

/// One step of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Computes a node's output.
    Compute(NodeId),
    /// Adds one operand to a sum; the first one starts it.
    Merge {
        /// The [`Op::Add`] node.
        sum: NodeId,
        /// The value added.
        operand: NodeId,
        /// Whether the sum starts here.
        first: bool,
    },
}

/// A place in the arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// The nodes whose output it holds, one after the other.
    pub nodes: Vec<NodeId>,
    /// Where it starts, in values.
    pub offset: usize,
    /// Its size, in values.
    pub elements: usize,
    /// First step (an index into [`MemoryPlan::steps`]) at which it is needed; the image is there from step 0.
    pub first_step: usize,
    /// Last step at which it is needed.
    pub last_step: usize,
}

/// Order, lifetimes and offsets for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// What lies where.
    pub buffers: Vec<Buffer>,
    /// Size of the arena, in values.
    pub peak_elements: usize,
    /// Whether the arena is proved to be the smallest possible for any order of the operators.
    pub optimal: bool,
}

/// States looked at in one segment before the given order is taken as it is.
const MOST_STATES: usize = 200_000;
/// Random orders of placement tried beside the usual three: some order of first fit is always optimal.
const SHUFFLES: usize = 300;
/// Steps that fit into one segment's set.
const MOST_STEPS: usize = 128;

impl MemoryPlan {
    /// Plans a graph as deployed, that is, without batch normalisation ([`super::Folded`]).
    pub fn of(graph: &Graph) -> Self {
        let segments: Vec<SegmentPlan> =
            cuts(graph).windows(2).map(|cut| Segment::between(graph, cut[0], cut[1]).plan()).collect();
        let input = graph.input_shape().elements();
        let peak_elements = segments.iter().map(|s| s.extent).max().unwrap_or(input).max(input);
        let optimal = segments.iter().all(|s| s.optimal);
        let (steps, buffers) = assemble(&segments, peak_elements, input);
        MemoryPlan { steps, buffers, peak_elements, optimal }
    }

    /// Size of the arena.
    pub fn peak_ram(&self, numbers: NumberFormat) -> Bytes {
        Bytes(self.peak_elements as u64 * numbers.activation_bytes())
    }
}

/// Nodes after which theirs is the only value alive, from the input to the output.
fn cuts(graph: &Graph) -> Vec<NodeId> {
    let mut last_use = vec![0; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate() {
        node.inputs.iter().for_each(|i| last_use[*i] = id);
    }
    let mut furthest = 0;
    let mut cuts = Vec::new();
    for (id, last) in last_use.iter().enumerate() {
        if furthest <= id {
            cuts.push(id);
        }
        furthest = furthest.max(*last);
    }
    cuts
}

/// The part of a graph between two cuts. Value 0 is what comes in; value `i` is the output of node `before + i`.
struct Segment {
    before: NodeId,
    sizes: Vec<usize>,
    steps: Vec<Step>,
    /// For each step, the steps that must be finished before.
    needs: Vec<u128>,
    /// For each step, the values it reads.
    reads: Vec<Vec<usize>>,
    /// For each value, the steps that read it.
    readers: Vec<u128>,
    /// For each value, the steps of which one makes it exist (none: it was there).
    starts: Vec<u128>,
    in_place: Vec<bool>,
}

struct SegmentPlan {
    steps: Vec<Step>,
    buffers: Vec<Buffer>,
    extent: usize,
    optimal: bool,
    /// Buffer of the value that comes in, and of the one that goes out.
    input: usize,
    output: usize,
}

impl Segment {
    fn between(graph: &Graph, before: NodeId, last: NodeId) -> Self {
        let values = last - before + 1;
        let sizes = (before..=last).map(|id| graph.node(id).shape.elements()).collect();
        let (mut steps, mut reads) = (Vec::new(), Vec::new());
        let mut made_by: Vec<Vec<usize>> = vec![Vec::new(); values];
        for id in before + 1..=last {
            let node = graph.node(id);
            let made = match node.op {
                Op::Add => node
                    .inputs
                    .iter()
                    .map(|operand| (Step::Merge { sum: id, operand: *operand, first: false }, vec![operand - before]))
                    .collect(),
                _ => vec![(Step::Compute(id), node.inputs.iter().map(|i| i - before).collect())],
            };
            for (step, read) in made {
                made_by[id - before].push(steps.len());
                steps.push(step);
                reads.push(read);
            }
        }
        let small = steps.len() <= MOST_STEPS;
        let set = |steps: &[usize]| if small { steps.iter().fold(0u128, |s, i| s | 1 << i) } else { 0 };
        let starts: Vec<u128> = made_by.iter().map(|steps| set(steps)).collect();
        let mut readers = vec![0u128; values];
        if small {
            for (step, read) in reads.iter().enumerate() {
                read.iter().for_each(|value| readers[*value] |= 1 << step);
            }
        }
        let needs = reads.iter().map(|read| read.iter().fold(0, |all, value| all | starts[*value])).collect();
        let in_place = steps
            .iter()
            .map(|step| match step {
                Step::Compute(id) => graph.node(*id).op.works_in_place(),
                Step::Merge { .. } => true,
            })
            .collect();
        Segment { before, sizes, steps, needs, reads, readers, starts, in_place }
    }

    fn made(&self, step: usize) -> usize {
        match self.steps[step] {
            Step::Compute(id) => id - self.before,
            Step::Merge { sum, .. } => sum - self.before,
        }
    }

    fn is_alive(&self, done: u128, value: usize) -> bool {
        let exists = value == 0 || self.starts[value] & done != 0;
        exists && (value == self.sizes.len() - 1 || self.readers[value] & !done != 0)
    }

    fn alive(&self, done: u128) -> usize {
        (0..self.sizes.len()).filter(|v| self.is_alive(done, *v)).map(|v| self.sizes[v]).sum()
    }

    /// Whether the step may overwrite what it reads: nothing else will read it.
    fn overwrites(&self, done: u128, step: usize) -> bool {
        let read = self.reads[step][0];
        self.in_place[step] && self.readers[read] & !done == 1 << step
    }

    /// Values newly needed while the step runs.
    fn allocates(&self, done: u128, step: usize) -> usize {
        let made = self.made(step);
        let goes_on = self.starts[made] & done != 0;
        if goes_on || self.overwrites(done, step) { 0 } else { self.sizes[made] }
    }

    fn ready(&self, done: u128) -> impl Iterator<Item = usize> + '_ {
        (0..self.steps.len()).filter(move |s| done & (1 << s) == 0 && self.needs[*s] & !done == 0)
    }

    /// Steps that need no new memory never harm: they are taken at once.
    fn take_free_steps(&self, mut done: u128, taken: &mut Vec<usize>) -> u128 {
        while let Some(step) = self.ready(done).find(|s| self.allocates(done, *s) == 0) {
            taken.push(step);
            done |= 1 << step;
        }
        done
    }

    /// The order with the smallest peak, or the given order if there are too many.
    fn best_order(&self) -> (Vec<usize>, bool) {
        let given: Vec<usize> = (0..self.steps.len()).collect();
        if self.steps.len() > MOST_STEPS {
            return (given, false);
        }
        let all = if self.steps.len() == MOST_STEPS { u128::MAX } else { (1 << self.steps.len()) - 1 };
        let mut taken = Vec::new();
        let start = self.take_free_steps(0, &mut taken);
        let peak = self.alive(start);
        let mut reached = HashMap::from([(start, Reached { peak, from: start, taken: taken.clone() })]);
        let mut settled = HashSet::new();
        let mut queue = BinaryHeap::from([(Reverse(peak), start.count_ones(), start)]);
        while let Some((Reverse(peak), _, done)) = queue.pop() {
            if done == all {
                return (walk_back(&reached, start, all), true);
            }
            if !settled.insert(done) {
                continue;
            }
            if settled.len() > MOST_STATES {
                break;
            }
            let alive = self.alive(done);
            for step in self.ready(done) {
                taken.clear();
                taken.push(step);
                let peak = peak.max(alive + self.allocates(done, step));
                let next = self.take_free_steps(done | 1 << step, &mut taken);
                if reached.get(&next).is_none_or(|r| peak < r.peak) {
                    reached.insert(next, Reached { peak, from: done, taken: taken.clone() });
                    queue.push((Reverse(peak), next.count_ones(), next));
                }
            }
        }
        (given, false)
    }

    /// Lifetimes and places of the values when the steps run in `order`.
    fn plan(&self) -> SegmentPlan {
        let (order, ordered) = self.best_order();
        let last = self.sizes.len() - 1;
        let mut left: Vec<usize> = vec![0; self.sizes.len()];
        self.reads.iter().flatten().for_each(|v| left[*v] += 1);
        let mut buffer_of: Vec<Option<usize>> = vec![None; self.sizes.len()];
        let mut buffers = vec![self.buffer(0, 0)];
        buffer_of[0] = Some(0);
        let mut steps = Vec::with_capacity(order.len());
        for (at, step) in order.iter().copied().enumerate() {
            let made = self.made(step);
            let goes_on = buffer_of[made].is_some();
            if !goes_on {
                let read = self.reads[step][0];
                let reused = buffer_of[read].filter(|_| self.in_place[step] && left[read] == 1);
                match reused {
                    Some(buffer) => buffers[buffer].nodes.push(self.before + made),
                    None => buffers.push(self.buffer(made, at)),
                }
                buffer_of[made] = Some(reused.unwrap_or(buffers.len() - 1));
            }
            for value in self.reads[step].iter().chain([&made]) {
                let buffer = buffer_of[*value].expect("steps run after what they read");
                buffers[buffer].last_step = at;
            }
            self.reads[step].iter().for_each(|v| left[*v] -= 1);
            steps.push(match self.steps[step] {
                Step::Merge { sum, operand, .. } => Step::Merge { sum, operand, first: !goes_on },
                compute => compute,
            });
        }
        let output = buffer_of[last].expect("every value is made");
        buffers[output].last_step = steps.len();
        let (extent, bound) = place(&mut buffers, output, steps.len());
        SegmentPlan { steps, buffers, extent, optimal: ordered && extent == bound, input: 0, output }
    }

    fn buffer(&self, value: usize, step: usize) -> Buffer {
        let elements = self.sizes[value];
        Buffer { nodes: vec![self.before + value], offset: 0, elements, first_step: step, last_step: step }
    }
}

/// How a set of finished steps was reached best.
struct Reached {
    peak: usize,
    from: u128,
    taken: Vec<usize>,
}

fn walk_back(reached: &HashMap<u128, Reached>, start: u128, end: u128) -> Vec<usize> {
    let (mut at, mut pieces) = (end, Vec::new());
    loop {
        let r = &reached[&at];
        pieces.push(&r.taken);
        if at == start {
            break;
        }
        at = r.from;
    }
    pieces.into_iter().rev().flatten().copied().collect()
}

/// Gives every buffer an offset, the first at the bottom and `output` at one end, and returns the extent reached with the
/// largest sum of buffers alive at once, which no placement can beat.
fn place(buffers: &mut [Buffer], output: usize, steps: usize) -> (usize, usize) {
    let alive_at = |step: usize| buffers.iter().filter(move |b| b.first_step <= step && step <= b.last_step);
    let bound = (0..=steps).map(|s| alive_at(s).map(|b| b.elements).sum::<usize>()).max().unwrap_or(0);
    let free: Vec<usize> = (1..buffers.len()).filter(|b| *b != output).collect();
    let size = |b: &usize| buffers[*b].elements;
    let area = |b: &usize| buffers[*b].elements * (buffers[*b].last_step - buffers[*b].first_step + 1);
    let mut rules = vec![free; 3 + SHUFFLES];
    rules[0].sort_by_key(|b| Reverse(size(b)));
    rules[1].sort_by_key(|b| buffers[*b].first_step);
    rules[2].sort_by_key(|b| Reverse(area(b)));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    rules[3..].iter_mut().for_each(|rule| rule.shuffle(&mut rng));
    let grain = buffers.iter().map(|b| b.elements).min().unwrap_or(1).max(1);
    for extent in (bound..).step_by(grain) {
        for end in [extent - buffers[output].elements, 0] {
            buffers[output].offset = end;
            if rules.iter().any(|rule| place_within(buffers, output, rule, extent)) {
                return (extent, bound);
            }
        }
    }
    unreachable!("an extent that holds all buffers side by side is enough")
}

/// Whether two buffers are needed at the same time.
fn meet(a: &Buffer, b: &Buffer) -> bool {
    a.first_step <= b.last_step && b.first_step <= a.last_step
}

fn place_within(buffers: &mut [Buffer], output: usize, rule: &[usize], extent: usize) -> bool {
    let mut placed = vec![0];
    if output != 0 {
        if buffers[output].offset < buffers[0].elements && meet(&buffers[0], &buffers[output]) {
            return false;
        }
        placed.push(output);
    }
    for b in rule {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .map(|p: &usize| &buffers[*p])
            .filter(|other| meet(other, &buffers[*b]))
            .map(|other| (other.offset, other.offset + other.elements))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (from, to) in taken {
            if offset + buffers[*b].elements <= from {
                break;
            }
            offset = offset.max(to);
        }
        if offset + buffers[*b].elements > extent {
            return false;
        }
        buffers[*b].offset = offset;
        placed.push(*b);
    }
    true
}

/// Joins the segments' plans: every second one is turned upside down, so that the value that one leaves at the top is the
/// value that the next finds at its end.
fn assemble(segments: &[SegmentPlan], peak: usize, input: usize) -> (Vec<Step>, Vec<Buffer>) {
    let mut steps: Vec<Step> = Vec::new();
    let mut buffers = vec![Buffer { nodes: vec![0], offset: 0, elements: input, first_step: 0, last_step: 0 }];
    let (mut shared, mut turned) = (0, false);
    for segment in segments {
        let start = steps.len();
        let mut next_shared = shared;
        for (id, local) in segment.buffers.iter().enumerate() {
            let last_step = start + local.last_step.min(segment.steps.len() - 1);
            if id == segment.input {
                buffers[shared].nodes.extend(&local.nodes[1..]);
                buffers[shared].last_step = last_step;
                continue;
            }
            let is_output = id == segment.output;
            let low = if is_output && local.offset > 0 { peak - local.elements } else { local.offset };
            let offset = if turned { peak - low - local.elements } else { low };
            let first_step = start + local.first_step;
            buffers.push(Buffer { offset, first_step, last_step, ..local.clone() });
            if is_output {
                next_shared = buffers.len() - 1;
            }
        }
        turned ^= segment.buffers[segment.output].offset > 0;
        shared = next_shared;
        steps.extend(&segment.steps);
    }
    (steps, buffers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, GraphBuilder, Shape};

    /// Smallest peak over all orders, by trying every one: slow, and obviously right.
    fn smallest_peak(segment: &Segment, done: u128) -> usize {
        let all = (1u128 << segment.steps.len()) - 1;
        if done == all {
            return segment.alive(done);
        }
        segment
            .ready(done)
            .map(|step| {
                let here = segment.alive(done) + segment.allocates(done, step);
                here.max(smallest_peak(segment, done | 1 << step))
            })
            .min()
            .expect("some step is ready")
    }

    fn conv(out: usize, stride: usize) -> Op {
        Op::Conv2d(Conv2d { stride, ..Conv2d::dense(out, 3) })
    }

    /// Branches of different widths between two maps, some of them strided.
    fn branches(widths: &[usize]) -> Graph {
        let mut b = GraphBuilder::new(Shape::new(4, 8, 8)).unwrap();
        let ends: Vec<NodeId> = widths
            .iter()
            .enumerate()
            .map(|(i, width)| {
                let relu = b.push(format!("b{i}.relu"), Op::Relu, &[0]).unwrap();
                let wide = b.push(format!("b{i}.wide"), conv(*width, 1), &[relu]).unwrap();
                b.push(format!("b{i}.narrow"), conv(6, 2), &[wide]).unwrap()
            })
            .collect();
        b.push("sum", Op::Add, &ends).unwrap();
        b.finish().unwrap()
    }

    #[test]
    fn the_order_found_is_the_best_of_all_orders() {
        for widths in [[2, 9, 5].as_slice(), &[16, 1, 8], &[3, 3], &[7, 30], &[1, 40], &[12, 12, 2]] {
            let graph = branches(widths);
            let plan = MemoryPlan::of(&graph);
            let segment = Segment::between(&graph, 0, graph.output());
            assert_eq!(plan.peak_elements, smallest_peak(&segment, 0), "{widths:?}");
            assert!(plan.optimal);
        }
    }

    #[test]
    fn a_sum_accumulates_into_its_first_branch() {
        // Input 256 values, one wide map at a time, one narrow sum (6 × 4 × 4 = 96).
        let plan = MemoryPlan::of(&branches(&[4, 4, 4]));
        // While the last branch runs, the input has become its ReLU in place: 256 + 256 + 96; before, the input is kept
        // beside the ReLU: 256 + 256 + 256 + 96.
        assert_eq!(plan.peak_elements, 864);
    }

    #[test]
    fn buffers_that_live_together_do_not_overlap() {
        let graph = branches(&[2, 9, 5, 12]);
        let plan = MemoryPlan::of(&graph);
        for (i, a) in plan.buffers.iter().enumerate() {
            assert!(a.offset + a.elements <= plan.peak_elements);
            for b in &plan.buffers[..i] {
                let together = a.first_step <= b.last_step && b.first_step <= a.last_step;
                let apart = a.offset + a.elements <= b.offset || b.offset + b.elements <= a.offset;
                assert!(!together || apart, "{a:?} {b:?}");
            }
        }
    }
}
