//! Networks for a data set and a target from a meta-model, before anything is trained.

use super::site::SpaceSite;
use super::{Fixed, RunError, size, space_of, task_of};
use crate::data::Dataset;
use crate::generate::{GenerateError, MetaFile, Scored, TaskView};
use crate::graph::{Cost, deployable};
use crate::search::Site;
use crate::seed;
use crate::space::{Genotype, MacroSpace, Space};
use crate::target::Target;

/// A network that a meta-model proposes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The network, as the space writes it.
    pub network: String,
    /// Its score.
    pub scored: Scored,
    /// Its cost for the data and the target.
    pub cost: Cost,
}

/// The meta-model that comes with netwright.
///
/// # Errors
/// If this netwright was built without it.
pub fn shipped_model() -> Result<MetaFile, RunError> {
    const BYTES: &[u8] = include_bytes!("../../models/meta-macro.safetensors");
    Ok(MetaFile::from_bytes(BYTES, "models/meta-macro.safetensors")?)
}

/// Networks for a data set and a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    /// The size of the space that they are of, in words.
    pub size: String,
    /// Different networks within the limits, best first.
    pub networks: Vec<Proposed>,
}

/// What is asked of a meta-model.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose limits are kept.
    pub target: &'a Target,
    /// Width multiplier; the widest one that leaves enough networks within the limits if absent.
    pub width: Option<f64>,
    /// Different networks to draw.
    pub drawn: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// Networks within a target's limits. The space is sized for target and data as `compile` does it; of spaces other than
/// `macro` only the width is lowered.
///
/// # Errors
/// If nothing fits, or the data tell too little.
pub fn propose_networks(file: &MetaFile, dataset: &Dataset, asked: &Asked) -> Result<Proposals, RunError> {
    let view = view_of(file, dataset)?;
    let Asked { target, width, drawn, seed } = *asked;
    match file.model.space() {
        Space::Macro(_) => {
            let times = target.operator_times()?;
            let published = space_of(dataset);
            let fixed = Fixed { width, ..Fixed::default() };
            let sized = size(&published, &fixed, target, times.as_ref(), seed)?;
            let space = MacroSpace::new(sized.size.of(&published))?;
            let mut site = SpaceSite::new(&space, target, times.as_ref());
            let found = propose_in(file, &view, &mut site, drawn, seed)?;
            let networks = proposed(found, |genotype| space.format(genotype), |genotype| site.cost(genotype));
            Ok(Proposals { size: sized.size.describe(), networks })
        }
        other => {
            let (space, width) = scaled_for(other.name(), dataset, asked)?;
            let mut fits = |genotype: &Genotype| fits(&space, target, genotype);
            let found = file.model.propose(&view, drawn, &|genotype| genotype, &mut fits, seed)?;
            let cost = |genotype: &Genotype| Cost::of(&space.lower(genotype));
            let networks = proposed(found, |genotype| space.format(genotype), cost);
            Ok(Proposals { size: format!("width {width}, images of {}", dataset.shape()), networks })
        }
    }
}

/// Widths that are tried, random networks of each, and how many of them are enough within the limits.
const WIDTHS: [f64; 7] = [1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1];
const SAMPLED: usize = 100;
const ENOUGH: usize = 10;

/// A space at the width that was asked for, or at the widest of which a tenth is within the limits; if there is none, at the
/// one of which most is.
fn scaled_for(name: &str, dataset: &Dataset, asked: &Asked) -> Result<(Space, f64), RunError> {
    let task = task_of(dataset);
    if let Some(width) = asked.width {
        return Ok((Space::scaled(name, width, task)?, width));
    }
    let mut best = (0, Space::for_task(name, task.clone())?, WIDTHS[0]);
    for width in WIDTHS {
        // Some spaces have no width, and the narrowest have no channels left.
        let Ok(space) = Space::scaled(name, width, task.clone()) else { break };
        let mut rng = seed::stream(asked.seed, "width of proposals", 0);
        let sample: Vec<Genotype> = (0..SAMPLED).map(|_| space.sample(&mut rng)).collect();
        let within = sample.iter().filter(|genotype| fits(&space, asked.target, genotype)).count();
        if within > best.0 {
            best = (within, space, width);
        }
        if within >= ENOUGH {
            break;
        }
    }
    Ok((best.1, best.2))
}

fn fits(space: &Space, target: &Target, genotype: &Genotype) -> bool {
    let graph = space.lower(genotype);
    let cost = Cost::of(&graph);
    target.lets_in(&cost, target.estimated(&cost)) && target.unsupported(&deployable(&graph).graph).is_none()
}

fn proposed(
    found: Vec<Scored>,
    format: impl Fn(&Genotype) -> String,
    mut cost: impl FnMut(&Genotype) -> Cost,
) -> Vec<Proposed> {
    let proposed =
        |scored: Scored| Proposed { network: format(&scored.genotype), cost: cost(&scored.genotype), scored };
    found.into_iter().map(proposed).collect()
}

/// The data set as the model sees it.
///
/// # Errors
/// If the data tell too little, or the model knows no images.
pub fn view_of(file: &MetaFile, dataset: &Dataset) -> Result<TaskView, RunError> {
    let net = file.features.as_ref().ok_or(GenerateError::OtherClasses)?;
    Ok(net.view(dataset)?)
}

/// Networks of a site, best first. Where the site has fewer layers than the model's space, they have only the first ones.
///
/// # Errors
/// If the model does not know such data.
pub fn propose_in(
    file: &MetaFile,
    view: &TaskView,
    site: &mut SpaceSite,
    drawn: usize,
    seed: u64,
) -> Result<Vec<Scored>, RunError> {
    let Space::Macro(whole) = file.model.space() else {
        return Err(RunError::Config(format!(
            "the model proposes networks of space `{}`, not `macro`",
            file.card.space
        )));
    };
    let layers = site.space().config().layers.len();
    let cut = |genotype: &Genotype| genotype.first(layers);
    // Layers that are not there must not decide: they are the same in all networks.
    let normal = |genotype: Genotype| whole.padded(&cut(&genotype));
    let mut fits = |genotype: &Genotype| site.is_feasible(&cut(genotype));
    let scored = file.model.propose(view, drawn, &normal, &mut fits, seed)?;
    Ok(scored.into_iter().map(|scored| Scored { genotype: cut(&scored.genotype), ..scored }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BuiltIn;

    #[test]
    fn spaces_are_made_narrower_for_small_devices() {
        let dataset = Dataset::built_in(&BuiltIn { seed: 1, train: 32, validation: 16, test: 16 });
        let width = |limits: &str, name: &str, width: Option<f64>| {
            let target = Target::parse(&format!("name: small\nlimits: {limits}\n"), "test").unwrap();
            let asked = Asked { target: &target, width, drawn: 1, seed: 1 };
            scaled_for(name, &dataset, &asked).map(|(_, width)| width)
        };
        assert_eq!(width("{macs: 1 G}", "mobilenet-v3", None).unwrap(), 1.0);
        let narrow = width("{macs: 10 M}", "mobilenet-v3", None).unwrap();
        assert!(narrow < 1.0, "{narrow}");
        assert_eq!(width("{macs: 10 M}", "mobilenet-v3", Some(0.75)).unwrap(), 0.75);
        assert_eq!(width("{macs: 500 K}", "nats-sss", None).unwrap(), 1.0);
        assert!(width("{macs: 500 K}", "nats-sss", Some(0.5)).is_err());
    }
}
