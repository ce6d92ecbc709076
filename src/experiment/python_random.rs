//! The random numbers of Python, for splits that were published as a seed of its `random.Random`.

/// The Mersenne Twister (Matsumoto and Nishimura, 1998) as Python seeds and reads it.
pub(super) struct PythonRandom {
    state: [u32; WORDS],
    at: usize,
}

const WORDS: usize = 624;
const SHIFT: usize = 397;

impl PythonRandom {
    /// `random.Random(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut state = [0u32; WORDS];
        state[0] = 19_650_218;
        for i in 1..WORDS {
            state[i] = scrambled(state[i - 1]).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let mut at = 1;
        let next = |at: &mut usize, state: &mut [u32; WORDS]| {
            *at += 1;
            if *at >= WORDS {
                state[0] = state[WORDS - 1];
                *at = 1;
            }
        };
        // `init_by_array` with an array of one number.
        for _ in 0..WORDS {
            state[at] = (state[at] ^ scrambled(state[at - 1]).wrapping_mul(1_664_525)).wrapping_add(seed);
            next(&mut at, &mut state);
        }
        for _ in 1..WORDS {
            state[at] = (state[at] ^ scrambled(state[at - 1]).wrapping_mul(1_566_083_941)).wrapping_sub(at as u32);
            next(&mut at, &mut state);
        }
        state[0] = 1 << 31;
        PythonRandom { state, at: WORDS }
    }

    fn word(&mut self) -> u32 {
        if self.at == WORDS {
            for i in 0..WORDS {
                let y = self.state[i] & 1 << 31 | self.state[(i + 1) % WORDS] & !(1 << 31);
                let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + SHIFT) % WORDS] ^ y >> 1 ^ odd;
            }
            self.at = 0;
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    /// `_randbelow`: a number below `end`, which is positive.
    fn below(&mut self, end: u32) -> u32 {
        let bits = u32::BITS - end.leading_zeros();
        loop {
            let drawn = self.word() >> (u32::BITS - bits);
            if drawn < end {
                return drawn;
            }
        }
    }

    /// `shuffle`.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

fn scrambled(word: u32) -> u32 {
    word ^ word >> 30
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Python 3.11: `l = list(range(10)); random.Random(0).shuffle(l)`, and the first of a longer one.
    #[test]
    fn a_shuffle_is_python_s() {
        let mut short: Vec<u32> = (0..10).collect();
        PythonRandom::new(0).shuffle(&mut short);
        assert_eq!(short, [7, 8, 1, 5, 3, 4, 2, 0, 9, 6]);
        let mut long: Vec<u32> = (0..2000).collect();
        PythonRandom::new(7).shuffle(&mut long);
        assert_eq!(long[..5], LONG);
    }

    const LONG: [u32; 5] = [161, 562, 1877, 1034, 1575];
}
