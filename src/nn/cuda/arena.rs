//! Where buffers lie in one piece of memory: those that are never needed at the same time share their place.

use super::command::{Life, Tape};

/// Every buffer begins at a multiple of this, in bytes.
const ALIGNMENT: usize = 256;

/// Offsets of buffers in one piece of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arena {
    /// For each buffer, its offset in bytes; none for those that lie elsewhere.
    pub offsets: Vec<Option<usize>>,
    /// Size of the piece.
    pub bytes: usize,
}

/// When and how long a buffer lives, in commands.
struct Interval {
    buffer: usize,
    bytes: usize,
    from: usize,
    to: usize,
}

impl Arena {
    /// Kept buffers first, then those of a step by falling size, each at the lowest place that is free while it lives.
    pub fn of(tape: &Tape) -> Arena {
        let mut offsets = vec![None; tape.buffers.len()];
        let mut end = 0;
        let mut intervals = Vec::new();
        let lives = lives(tape);
        for (buffer, spec) in tape.buffers.iter().enumerate() {
            let bytes = spec.bytes.next_multiple_of(ALIGNMENT);
            match (spec.life, lives[buffer]) {
                (Life::Outside(_), _) => {}
                (Life::Step, Some((from, to))) => intervals.push(Interval { buffer, bytes, from, to }),
                (Life::Kept | Life::Step, _) => {
                    offsets[buffer] = Some(end);
                    end += bytes;
                }
            }
        }
        intervals.sort_by_key(|i| (std::cmp::Reverse(i.bytes), i.from, i.buffer));
        let (start, mut placed): (usize, Vec<(usize, Interval)>) = (end, Vec::new());
        for interval in intervals {
            let at = lowest_free(start, &interval, &placed);
            end = end.max(at + interval.bytes);
            offsets[interval.buffer] = Some(at);
            placed.push((at, interval));
            placed.sort_by_key(|(at, _)| *at);
        }
        Arena { offsets, bytes: end }
    }
}

/// First and last command of each buffer.
fn lives(tape: &Tape) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; tape.buffers.len()];
    for (at, command) in tape.commands.iter().enumerate() {
        for buffer in command.buffers() {
            let life = &mut lives[buffer.0];
            *life = Some((life.map_or(at, |(from, _)| from), at));
        }
    }
    lives
}

/// `placed` is in the order of places.
fn lowest_free(start: usize, interval: &Interval, placed: &[(usize, Interval)]) -> usize {
    let mut at = start;
    for (other_at, other) in placed.iter().filter(|(_, o)| o.from <= interval.to && interval.from <= o.to) {
        if at + interval.bytes <= *other_at {
            break;
        }
        at = at.max(other_at + other.bytes);
    }
    at
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::command::{Call, args};
    use super::*;

    #[test]
    fn buffers_that_live_at_the_same_time_do_not_overlap_and_others_share() {
        let mut rng = crate::seed::stream(1, "arena", 0);
        let mut tape = Tape::default();
        let kept = tape.buffer(1000, Life::Kept);
        let buffers: Vec<_> = (0..40).map(|_| tape.buffer(rng.random_range(1..5000), Life::Step)).collect();
        for pair in buffers.windows(2) {
            tape.call(Call::each("copy_or_add", 1), args![pair[0], pair[1], kept]);
        }
        let arena = Arena::of(&tape);
        let range = |b: usize| {
            let from = arena.offsets[b].unwrap();
            from..from + tape.buffers[b].bytes
        };
        for pair in buffers.windows(2) {
            let (a, b) = (range(pair[0].0), range(pair[1].0));
            assert!(a.end <= b.start || b.end <= a.start, "{a:?} {b:?}");
            assert!(range(kept.0).end <= a.start);
        }
        let all: usize = tape.buffers.iter().map(|b| b.bytes).sum();
        assert!(arena.bytes < all / 2, "{} of {all} bytes", arena.bytes);
    }
}
