//! The controller of Zoph and Le (Neural Architecture Search with Reinforcement Learning, 2017): a recurrent network that
//! writes a network choice by choice, each drawn from a distribution that depends on all choices before.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::{log_softmax, sigmoid};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Values of a state.
const WIDTH: usize = 32;
/// Weights begin uniform within this, as in the paper.
const START: f32 = 0.08;

/// The network and its optimiser.
pub(super) struct Controller {
    choices: Vec<u8>,
    /// For each option that can come before, what the cell reads; the first row is the beginning.
    embedding: Var,
    /// Reads (embedding, hidden state), gives the four gates of a long short-term memory (Hochreiter and Schmidhuber, 1997).
    gates: Var,
    gates_bias: Var,
    /// For each choice, from the hidden state to its options.
    heads: Vec<Var>,
    optimizer: AdamW,
}

/// State of the recurrent network.
struct Memory {
    hidden: Tensor,
    cell: Tensor,
}

impl Controller {
    /// A controller for these choices, all options of which are about equally likely at first.
    pub(super) fn new(choices: &[u8], learning_rate: f64, rng: &mut ChaCha8Rng) -> Result<Self> {
        let mut uniform = |rows: usize, columns: usize| {
            let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-START..START)).collect();
            Var::from_vec(values, (rows, columns), &Device::Cpu)
        };
        let most = choices.iter().copied().max().map_or(0, usize::from);
        let embedding = uniform(1 + choices.len() * most, WIDTH)?;
        let gates = uniform(2 * WIDTH, 4 * WIDTH)?;
        let gates_bias = uniform(1, 4 * WIDTH)?;
        let heads =
            choices.iter().map(|options| uniform(WIDTH, usize::from(*options))).collect::<Result<Vec<Var>>>()?;
        let variables = [&embedding, &gates, &gates_bias].into_iter().chain(&heads).cloned().collect();
        let optimizer =
            AdamW::new(variables, ParamsAdamW { lr: learning_rate, weight_decay: 0.0, ..ParamsAdamW::default() })?;
        Ok(Controller { choices: choices.to_vec(), embedding, gates, gates_bias, heads, optimizer })
    }

    /// Draws one option for each choice.
    pub(super) fn write(&self, rng: &mut ChaCha8Rng) -> Result<Vec<u8>> {
        let mut options: Vec<u8> = Vec::with_capacity(self.choices.len());
        let mut memory = Memory::empty()?;
        for place in 0..self.choices.len() {
            let log = self.next(&mut memory, place, options.last().copied())?;
            let weights: Vec<f32> = log.exp()?.flatten_all()?.to_vec1()?;
            let mut left = rng.random::<f32>() * weights.iter().sum::<f32>();
            let reached = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            options.push(reached.unwrap_or(weights.len() - 1) as u8);
        }
        Ok(options)
    }

    /// One step of REINFORCE (Williams, 1992): what was written becomes likelier in proportion to its advantage. `entropy`
    /// is the reward for being undecided.
    pub(super) fn reinforce(&mut self, options: &[u8], advantage: f64, entropy: f64) -> Result<()> {
        let mut memory = Memory::empty()?;
        let mut losses = Vec::with_capacity(options.len());
        for (place, option) in options.iter().enumerate() {
            let before = place.checked_sub(1).map(|before| options[before]);
            let log = self.next(&mut memory, place, before)?;
            let written = (log.narrow(1, usize::from(*option), 1)?.sum_all()? * -advantage)?;
            let decided = ((log.exp()? * &log)?.sum_all()? * entropy)?;
            losses.push((written + decided)?);
        }
        let loss = Tensor::stack(&losses, 0)?.sum_all()?;
        self.optimizer.backward_step(&loss)
    }

    /// Logarithms of the probabilities of a choice's options, (1, options), after `before` was written.
    fn next(&self, memory: &mut Memory, place: usize, before: Option<u8>) -> Result<Tensor> {
        let most = self.choices.iter().copied().max().map_or(0, usize::from);
        let row = before.map_or(0, |option| 1 + (place - 1) * most + usize::from(option));
        let read = Tensor::cat(&[self.embedding.narrow(0, row, 1)?, memory.hidden.clone()], 1)?;
        let gates = (read.matmul(&self.gates)? + self.gates_bias.as_tensor())?.chunk(4, 1)?;
        let (input, forget, output) = (sigmoid(&gates[0])?, sigmoid(&gates[1])?, sigmoid(&gates[2])?);
        memory.cell = ((forget * &memory.cell)? + (input * gates[3].tanh()?)?)?;
        memory.hidden = (output * memory.cell.tanh()?)?;
        log_softmax(&memory.hidden.matmul(&self.heads[place])?, D::Minus1)
    }
}

impl Memory {
    fn empty() -> Result<Memory> {
        let zeros = Tensor::zeros((1, WIDTH), candle_core::DType::F32, &Device::Cpu)?;
        Ok(Memory { hidden: zeros.clone(), cell: zeros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn what_is_rewarded_is_written_more_often_and_later_choices_learn_from_earlier_ones() {
        let mut rng = seed::stream(1, "test", 0);
        let mut controller = Controller::new(&[2, 3], 0.02, &mut rng).unwrap();
        // The second option is right if it is the first one plus one.
        let is_right = |options: &[u8]| options[1] == options[0] + 1;
        for _ in 0..400 {
            let options = controller.write(&mut rng).unwrap();
            controller.reinforce(&options, if is_right(&options) { 1.0 } else { -0.5 }, 0.02).unwrap();
        }
        let written: Vec<Vec<u8>> = (0..100).map(|_| controller.write(&mut rng).unwrap()).collect();
        let right = written.iter().filter(|options| is_right(options)).count();
        assert!(right > 90, "{right}");
    }
}
