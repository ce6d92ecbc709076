//! A time budget becomes counts, once: how long a training step takes is measured briefly, and from then on the counts and
//! the seed decide.

use super::{Fidelity, Longer, Progress, RunError, SpaceSite, Watch, trained_at_once};
use crate::data::{Dataset, Images};
use crate::graph::Graph;
use crate::measure::Stopwatch;
use crate::nn::Device;
use crate::search::Site;
use crate::seed;
use crate::space::{Genotype, MacroConfig, MacroSpace};
use crate::target::{LatencyModel, Target};
use crate::train::{self, Job, TrainConfig, TrainError, Trained};
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
    /// Training images of a full training.
    pub full_images: Option<usize>,
    /// Epochs of the winner's second training, 0 for none.
    pub retrain_epochs: Option<usize>,
    /// Training images of a cheap training.
    pub images: Option<usize>,
    /// Whether the deployed network may become narrower for want of time.
    pub narrower: bool,
    /// Networks trained in full.
    pub finalists: Option<usize>,
    /// Whether training may mirror images; grey ones are never mirrored.
    pub mirror: bool,
    /// Whether the winner has a teacher when it is trained once more.
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
    /// The winner's second training, if there is one.
    pub retrain: Option<Longer>,
}

impl Plan {
    /// The space as deployed; a head that was asked for stays.
    pub fn space(&self, given: &MacroConfig, head: Option<usize>) -> MacroConfig {
        let scaled = given.scaled(self.width);
        MacroConfig { head: head.unwrap_or(scaled.head), ..scaled }
    }
}

/// Shares of the budget for cheap trainings, for full ones and for the winner's second; the rest is for drawing data,
/// calibration and measuring.
const CHEAP_SHARE: f64 = 0.20;
const FULL_SHARE: f64 = 0.15;
const RETRAIN_SHARE: f64 = 0.50;
/// Networks trained cheaply within ten minutes; more within more time.
const TRIALS_IN_TEN_MINUTES: f64 = 16.0;
const TEN_MINUTES_MS: f64 = 600_000.0;
/// Widths of the deployed network that are considered, and of the candidate relative to it.
const WIDTHS: [f64; 4] = [1.0, 0.75, 0.5, 0.25];
const CHEAP_WIDTHS: [f64; 2] = [1.0, 0.5];
/// Passes over images (one image once) that a cheap training and the winner's last should have, before the width is lowered.
const CHEAP_PASSES: f64 = 12_000.0;
const LAST_PASSES: f64 = 80_000.0;
/// Epochs from which on a cheap training shifts its images. One that sees an image five times has no use for five versions of
/// it: without, it is three points better on CIFAR-10 and on built-in images (benches/README.md).
const SHIFTED_FROM: usize = 10;
/// Trainings that one with a teacher takes as long as, rounded up: the teacher answers every image too.
const TAUGHT_NETWORKS: usize = 2;
/// How much longer than a finalist's training the winner's second one is, to be worth it.
const WORTH_RETRAINING: f64 = 1.5;
/// Seconds for which training steps are timed at each width.
const TIMED_SECONDS: f64 = 0.5;
/// Networks within the limits of which one is timed, and random ones among which they are looked for.
const TIMED_OF: usize = 24;
const DRAWN: usize = 1200;

/// Measures and decides.
///
/// # Errors
/// If a requested count makes no run.
pub fn plan(
    requested: &Requested,
    space: &MacroConfig,
    within: (&Target, Option<&LatencyModel>),
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
    let asked = [requested.epochs, requested.full_epochs, requested.images, requested.full_images];
    if finalists == 0 || asked.contains(&Some(0)) {
        return config("epochs, images and finalists must be at least 1");
    }
    let mut timed = |width: f64, example: Example| -> Result<f64, RunError> {
        let space = MacroSpace::new(space.scaled(width))?;
        let graph = space.lower(&example.network(&space, within, seed));
        let together = match example {
            Example::Candidate => {
                trained_at_once(&requested.device, &space.lower(&space.largest()), TrainConfig::default().batch)?
            }
            Example::Common | Example::Large => 1,
        };
        let rate = images_per_second(&graph, &dataset.train, seed, &requested.device, together)?;
        watch(Progress::Note(format!("training {example} at width {}: {rate:.0} images/s", space.config().width)));
        Ok(rate)
    };
    let seconds = requested.budget.0 / 1e3;
    let passes = |share: f64, networks: usize, rate: f64| share * seconds * rate / networks as f64;
    let shares = Shares::of(requested, finalists + references);
    let mut width = WIDTHS[0];
    let mut full_rate = timed(width, Example::Common)?;
    if requested.narrower && requested.full_epochs.is_none() {
        for narrower in &WIDTHS[1..] {
            if shares.last * seconds * full_rate >= LAST_PASSES {
                break;
            }
            width = *narrower;
            full_rate = timed(width, Example::Common)?;
        }
    }
    let mut relative = CHEAP_WIDTHS[0];
    let mut cheap_passes = passes(CHEAP_SHARE, trials, timed(width, Example::Candidate)?);
    if cheap_passes < CHEAP_PASSES {
        relative = CHEAP_WIDTHS[1];
        cheap_passes = passes(CHEAP_SHARE, trials, timed(width * relative, Example::Candidate)?);
    }
    let available = dataset.train.len();
    // Digits and letters are other digits and letters in the mirror, and they come in grey.
    let mirror = requested.mirror && dataset.shape().channels > 1;
    let with_mirror = |mut fidelity: Fidelity| {
        fidelity.train.mirror = mirror;
        fidelity
    };
    let cheap = fidelity(relative, cheap_passes, requested.epochs, requested.images, available, 5);
    let cheap = unshifted_if_short(cheap);
    let full_passes = passes(shares.full, finalists + references, full_rate);
    let full = fidelity(1.0, full_passes, requested.full_epochs, requested.full_images, available, shares.full_epochs);
    let last_rate = if shares.free { timed(width, Example::Large)? } else { full_rate };
    let retrain = shares.retraining(requested, &full, shares.last * seconds * last_rate, available);
    Ok(Plan { trials, finalists, references, width, cheap: with_mirror(cheap), full: with_mirror(full), retrain })
}

/// How the time for trainings of the deployed width is divided.
struct Shares {
    /// Whether the time decides on the winner's second training.
    free: bool,
    /// Share of the budget for all full trainings of finalists.
    full: f64,
    /// Share of the budget for the last training of one network.
    last: f64,
    /// Epochs for which a finalist's images are chosen.
    full_epochs: usize,
}

impl Shares {
    fn of(requested: &Requested, networks: usize) -> Self {
        let free = requested.full_epochs.is_none() && requested.retrain_epochs.is_none();
        let taught = if requested.distils { TAUGHT_NETWORKS as f64 } else { 1.0 };
        match free {
            true => Shares { free, full: FULL_SHARE, last: RETRAIN_SHARE / taught, full_epochs: 5 },
            false => {
                let full = FULL_SHARE + RETRAIN_SHARE;
                Shares { free, full, last: full / networks as f64, full_epochs: 10 }
            }
        }
    }

    /// The winner's second training: as asked for, or if there is time for one that is worth it.
    fn retraining(&self, requested: &Requested, full: &Fidelity, passes: f64, available: usize) -> Option<Longer> {
        if let Some(epochs) = requested.retrain_epochs {
            return (epochs > 0).then_some(Longer { epochs, images: available });
        }
        let longer = fidelity(1.0, passes, None, None, available, 10);
        let longer = Longer { epochs: longer.train.epochs, images: longer.images };
        let worth =
            (longer.epochs * longer.images) as f64 >= WORTH_RETRAINING * (full.train.epochs * full.images) as f64;
        (self.free && worth).then_some(longer)
    }
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

/// The same without shifted images if it has few epochs.
fn unshifted_if_short(mut fidelity: Fidelity) -> Fidelity {
    if fidelity.train.epochs < SHIFTED_FROM {
        fidelity.train.shift = 0;
    }
    fidelity
}

/// The network whose training is timed.
#[derive(Clone, Copy)]
enum Example {
    /// As large as [`Example::Common`], trained beside others as candidates are.
    Candidate,
    /// Larger than five of six: what a search finds is larger than what it starts with.
    Common,
    /// The largest of two dozen: a winner may be larger still.
    Large,
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Example::Candidate => "candidates",
            Example::Common => "a common network",
            Example::Large => "a large network",
        })
    }
}

impl Example {
    /// Such a network among those that the target lets in.
    fn network(self, space: &MacroSpace, within: (&Target, Option<&LatencyModel>), seed: u64) -> Genotype {
        let mut site = SpaceSite::new(space, within.0, within.1);
        let mut rng = seed::stream(seed, "expected", 0);
        let drawn: Vec<Genotype> = (0..DRAWN).map(|_| space.sample(&mut rng)).collect();
        let mut sample: Vec<&Genotype> =
            drawn.iter().filter(|genotype| site.is_feasible(genotype)).take(TIMED_OF).collect();
        // A limit on latency lets nothing in before this machine's operators are timed.
        if sample.is_empty() {
            sample = drawn.iter().take(TIMED_OF).collect();
        }
        sample.sort_by_key(|genotype| site.cost(genotype).macs);
        let place = match self {
            Example::Candidate | Example::Common => sample.len() * 5 / 6,
            Example::Large => sample.len() - 1,
        };
        sample[place].clone()
    }
}

/// Images that so many trainings of this network at once get through in a second, all together.
fn images_per_second(
    graph: &Graph,
    images: &Images,
    seed: u64,
    device: &Device,
    together: usize,
) -> Result<f64, RunError> {
    let config = TrainConfig { epochs: 1, ..TrainConfig::default() };
    // To begin takes as long as to train on a few batches, on a GPU on a hundred.
    let batches = if matches!(device, Device::Cpu) { 12 } else { 200 };
    let few: Vec<usize> = (0..images.len().min(batches * config.batch)).collect();
    let few = images.select(&few);
    let jobs = vec![Job { graph, images: &few, config: &config, seed, checkpoint: None }; together];
    let train = || {
        let trained = train::train_many(device, &jobs, together, &mut |_, _| {});
        trained.into_iter().collect::<Result<Vec<Trained>, TrainError>>()
    };
    train()?;
    let (clock, mut seen) = (Stopwatch::start(), 0);
    while clock.seconds() < TIMED_SECONDS {
        train()?;
        seen += together * few.len();
    }
    Ok(seen as f64 / clock.seconds())
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
        let long = fidelity(1.0, 0.0, Some(10), Some(500), 8_000, 5);
        let shifts = [short, long].map(|fidelity| unshifted_if_short(fidelity).train.shift);
        assert_eq!(shifts, [0, TrainConfig::default().shift]);
        assert_eq!(trials_within(Millis(TEN_MINUTES_MS)), 16);
        assert_eq!(trials_within(Millis(60_000.0)), 8);
    }

    #[test]
    fn networks_that_fit_are_timed_if_there_are_any() {
        let space = MacroSpace::new(MacroConfig::default()).expect("the published space");
        let macs = |example: Example, limit: &str| {
            let target =
                Target::parse(&format!("name: small\nlimits:\n  macs: {limit}\n"), "test").expect("it is valid");
            let genotype = example.network(&space, (&target, None), 1);
            space.cost(&genotype, &mut Default::default()).macs
        };
        let [common, large, any] = [(Example::Common, "11 M"), (Example::Large, "11 M"), (Example::Large, "1 K")]
            .map(|(example, limit)| macs(example, limit));
        assert!(common < large && large <= 11_000_000, "{common} {large}");
        assert!(any > 11_000_000, "{any}");
    }

    #[test]
    fn the_winner_is_trained_once_more_if_that_is_asked_for_or_there_is_time() {
        let free = Requested {
            budget: Millis(TEN_MINUTES_MS),
            trials: None,
            epochs: None,
            full_epochs: None,
            full_images: None,
            retrain_epochs: None,
            images: None,
            narrower: true,
            finalists: None,
            mirror: true,
            distils: false,
            device: Device::Cpu,
        };
        let full = fidelity(1.0, 20_000.0, None, None, 8_000, 5);
        let retraining =
            |requested: &Requested, passes: f64| Shares::of(requested, 5).retraining(requested, &full, passes, 8_000);
        assert_eq!(retraining(&free, 120_000.0), Some(Longer { epochs: 15, images: 8_000 }));
        assert_eq!(retraining(&free, 25_000.0), None, "hardly longer than the finalists' trainings");
        let asked = |full_epochs, retrain_epochs| Requested { full_epochs, retrain_epochs, ..free.clone() };
        assert_eq!(retraining(&asked(Some(3), None), 120_000.0), None);
        assert_eq!(retraining(&asked(None, Some(0)), 120_000.0), None);
        let fixed = Some(Longer { epochs: 4, images: 8_000 });
        assert_eq!(retraining(&asked(Some(3), Some(4)), 120_000.0), fixed);
        // All the time for trainings of the deployed width goes to the finalists if no other follows.
        let shares = [&free, &asked(None, Some(0))].map(|requested| Shares::of(requested, 5).full);
        assert_eq!(shares, [FULL_SHARE, FULL_SHARE + RETRAIN_SHARE]);
    }
}
