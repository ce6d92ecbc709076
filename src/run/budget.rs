//! A time budget becomes counts, once: how long a training step takes is measured briefly, and from then on the counts and
//! the seed decide.

use super::{Fidelity, Progress, RunError, Watch};
use crate::data::{Dataset, Images};
use crate::measure::Stopwatch;
use crate::nn::Device;
use crate::seed;
use crate::space::{Genotype, MacroConfig, MacroSpace};
use crate::train::{self, Job, TrainConfig};
use crate::units::Millis;

/// What the user asked for; what is absent follows from the budget.
#[derive(Debug, Clone)]
pub struct Requested {
    /// Time for everything.
    pub budget: Millis,
    /// Networks trained cheaply.
    pub trials: Option<usize>,
    /// Epochs of a cheap training.
    pub epochs: Option<usize>,
    /// Epochs of a full training.
    pub full_epochs: Option<usize>,
    /// Training images of a cheap training.
    pub images: Option<usize>,
    /// Whether the deployed network may become narrower for want of time.
    pub narrower: bool,
    /// Networks trained in full.
    pub finalists: Option<usize>,
    /// Whether training may mirror images; grey ones are never mirrored.
    pub mirror: bool,
    /// Whether the winner is trained once more by a teacher.
    pub distils: bool,
    /// Where networks train.
    pub device: Device,
}

/// The counts that follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Networks trained cheaply.
    pub trials: usize,
    /// Best of them trained in full.
    pub finalists: usize,
    /// Others trained in full, to see how cheap training ranks.
    pub references: usize,
    /// Width of the deployed network, relative to the space that was given.
    pub width: f64,
    /// Training of candidates.
    pub cheap: Fidelity,
    /// Training of finalists.
    pub full: Fidelity,
}

impl Plan {
    /// The space as deployed; a head that was asked for stays.
    pub fn space(&self, given: &MacroConfig, head: Option<usize>) -> MacroConfig {
        let scaled = given.scaled(self.width);
        MacroConfig { head: head.unwrap_or(scaled.head), ..scaled }
    }
}

/// Shares of the budget for cheap and for full trainings; the rest is for drawing data, calibration and measuring.
const CHEAP_SHARE: f64 = 0.45;
const FULL_SHARE: f64 = 0.40;
/// Networks trained cheaply within ten minutes; more within more time.
const TRIALS_IN_TEN_MINUTES: f64 = 24.0;
const TEN_MINUTES_MS: f64 = 600_000.0;
/// Widths of the deployed network that are considered, and of the candidate relative to it.
const WIDTHS: [f64; 4] = [1.0, 0.75, 0.5, 0.25];
const CHEAP_WIDTHS: [f64; 2] = [1.0, 0.5];
/// Passes over images (one image once) that a cheap and a full training should have, before the width is lowered.
const CHEAP_PASSES: f64 = 12_000.0;
const FULL_PASSES: f64 = 80_000.0;
/// Full trainings that one with a teacher takes as long as, rounded up: the teacher answers every image too.
const DISTILLED_NETWORKS: usize = 2;
/// Seconds for which training steps are timed at each width.
const TIMED_SECONDS: f64 = 0.5;

/// Measures and decides.
///
/// # Errors
/// If a requested count makes no run.
pub fn plan(
    requested: &Requested,
    space: &MacroConfig,
    dataset: &Dataset,
    seed: u64,
    watch: Watch,
) -> Result<Plan, RunError> {
    let config = |text: &str| Err(RunError::Config(text.to_string()));
    let trials = requested.trials.unwrap_or_else(|| trials_within(requested.budget));
    let finalists = requested.finalists.unwrap_or(3).min(trials);
    let references = 2.min(trials - finalists.min(trials));
    if trials < 4 {
        return config("a search needs at least 4 trials\nhint: `--trials 24`");
    }
    if finalists == 0 || requested.epochs == Some(0) || requested.full_epochs == Some(0) || requested.images == Some(0)
    {
        return config("epochs, images and finalists must be at least 1");
    }
    let mut rate = |width: f64| -> Result<f64, RunError> {
        let rate = images_per_second(&space.scaled(width), &dataset.train, seed, &requested.device)?;
        watch(Progress::Note(format!("training at width {}: {rate:.0} images/s", space.width * width)));
        Ok(rate)
    };
    let seconds = requested.budget.0 / 1e3;
    let passes = |share: f64, networks: usize, rate: f64| share * seconds * rate / networks as f64;
    let full_networks = finalists + references + if requested.distils { DISTILLED_NETWORKS } else { 0 };

    let mut width = WIDTHS[0];
    let mut full_passes = passes(FULL_SHARE, full_networks, rate(width)?);
    if requested.narrower && requested.full_epochs.is_none() {
        for narrower in &WIDTHS[1..] {
            if full_passes >= FULL_PASSES {
                break;
            }
            width = *narrower;
            full_passes = passes(FULL_SHARE, full_networks, rate(width)?);
        }
    }
    let mut relative = CHEAP_WIDTHS[0];
    let mut cheap_passes = passes(CHEAP_SHARE, trials, rate(width)?);
    if cheap_passes < CHEAP_PASSES {
        relative = CHEAP_WIDTHS[1];
        cheap_passes = passes(CHEAP_SHARE, trials, rate(width * relative)?);
    }
    let available = dataset.train.len();
    // Digits and letters are other digits and letters in the mirror, and they come in grey.
    let mirror = requested.mirror && dataset.shape().channels > 1;
    let with_mirror = |mut fidelity: Fidelity| {
        fidelity.train.mirror = mirror;
        fidelity
    };
    let cheap = fidelity(relative, cheap_passes, requested.epochs, requested.images, available, 5);
    let full = fidelity(1.0, full_passes, requested.full_epochs, None, available, 10);
    Ok(Plan { trials, finalists, references, width, cheap: with_mirror(cheap), full: with_mirror(full) })
}

fn trials_within(budget: Millis) -> usize {
    let scale = (budget.0 / TEN_MINUTES_MS).sqrt();
    (TRIALS_IN_TEN_MINUTES * scale).round().clamp(8.0, 120.0) as usize
}

/// Divides passes into epochs and images: all images if there is time for `few` epochs, else fewer images.
fn fidelity(
    width: f64,
    passes: f64,
    epochs: Option<usize>,
    images: Option<usize>,
    available: usize,
    few: usize,
) -> Fidelity {
    let smallest = 256.min(available);
    let images = match (images, epochs) {
        (Some(images), _) => images.min(available),
        (None, epochs) => {
            let images = passes / epochs.unwrap_or(few) as f64;
            (images as usize).clamp(smallest, available)
        }
    };
    let epochs = epochs.unwrap_or_else(|| ((passes / images as f64).round() as usize).clamp(2, 60));
    Fidelity { width, images, train: TrainConfig { epochs, ..TrainConfig::default() } }
}

/// Images that a training of a typical network of the space gets through in a second.
fn images_per_second(space: &MacroConfig, images: &Images, seed: u64, device: &Device) -> Result<f64, RunError> {
    let space = MacroSpace::new(space.clone())?;
    let graph = space.lower(&typical(&space, seed));
    let config = TrainConfig { epochs: 1, ..TrainConfig::default() };
    // A GPU takes longer to begin than to train on a few batches.
    let batches = if matches!(device, Device::Cpu) { 2 } else { 200 };
    let few: Vec<usize> = (0..images.len().min(batches * config.batch)).collect();
    let few = images.select(&few);
    let job = Job { graph: &graph, images: &few, config: &config, seed, checkpoint: None };
    let train = || train::train_on(device, &job, &mut |_| {});
    train()?;
    let (clock, mut seen) = (Stopwatch::start(), 0);
    while clock.seconds() < TIMED_SECONDS {
        train()?;
        seen += few.len();
    }
    Ok(seen as f64 / clock.seconds())
}

/// The network with the median cost of a random sample.
fn typical(space: &MacroSpace, seed: u64) -> Genotype {
    let mut rng = seed::stream(seed, "typical", 0);
    let mut memo = Default::default();
    let mut sample: Vec<Genotype> = (0..25).map(|_| space.sample(&mut rng)).collect();
    sample.sort_by_key(|genotype| space.cost(genotype, &mut memo).macs);
    sample.swap_remove(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken_and_the_rest_follows() {
        let free = fidelity(1.0, 40_000.0, None, None, 8_000, 5);
        assert_eq!((free.images, free.train.epochs), (8_000, 5));
        let short = fidelity(1.0, 10_000.0, None, None, 8_000, 5);
        assert_eq!((short.images, short.train.epochs), (2_000, 5));
        let asked = fidelity(1.0, 10_000.0, Some(2), None, 8_000, 5);
        assert_eq!((asked.images, asked.train.epochs), (5_000, 2));
        assert_eq!(trials_within(Millis(TEN_MINUTES_MS)), 24);
        assert_eq!(trials_within(Millis(60_000.0)), 8);
    }
}
