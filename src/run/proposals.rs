//! Networks for a data set and a target from a meta-model, before anything is trained.

use super::site::SpaceSite;
use super::{Fixed, RunError, size, space_of};
use crate::data::Dataset;
use crate::generate::{GenerateError, MetaFile, Scored, TaskView};
use crate::graph::{Cost, deployable};
use crate::search::Site;
use crate::space::{Genotype, MacroSpace, Space, Task};
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

/// Different networks within a target's limits, best first, of `drawn` ones. The space is sized for target and data as
/// `compile` does it.
///
/// # Errors
/// If nothing fits, or the data tell too little.
pub fn propose_networks(
    file: &MetaFile,
    dataset: &Dataset,
    target: &Target,
    drawn: usize,
    seed: u64,
) -> Result<Vec<Proposed>, RunError> {
    let view = view_of(file, dataset)?;
    match file.model.space() {
        Space::Macro(_) => {
            let times = target.operator_times()?;
            let published = space_of(dataset);
            let sized = size(&published, &Fixed::default(), target, times.as_ref(), seed)?;
            let space = MacroSpace::new(sized.size.of(&published))?;
            let mut site = SpaceSite::new(&space, target, times.as_ref());
            let found = propose_in(file, &view, &mut site, drawn, seed)?;
            Ok(proposed(found, |genotype| space.format(genotype), |genotype| site.cost(genotype)))
        }
        other => {
            let task = Task {
                input: dataset.shape(),
                classes: dataset.classes.len(),
                mean: dataset.mean.clone(),
                std: dataset.std.clone(),
            };
            let space = Space::for_task(other.name(), task)?;
            let cost = |genotype: &Genotype| Cost::of(&space.lower(genotype));
            let mut fits = |genotype: &Genotype| {
                let graph = space.lower(genotype);
                let cost = Cost::of(&graph);
                target.lets_in(&cost, target.estimated(&cost))
                    && target.unsupported(&deployable(&graph).graph).is_none()
            };
            let found = file.model.propose(&view, drawn, &mut fits, seed)?;
            Ok(proposed(found, |genotype| space.format(genotype), cost))
        }
    }
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
    let layers = site.space().config().layers.len();
    let cut = |genotype: &Genotype| genotype.first(layers);
    let mut fits = |genotype: &Genotype| site.is_feasible(&cut(genotype));
    let scored = file.model.propose(view, drawn, &mut fits, seed)?;
    let mut seen = std::collections::HashSet::new();
    let cut = scored.into_iter().map(|scored| Scored { genotype: cut(&scored.genotype), ..scored });
    Ok(cut.filter(|scored| seen.insert(scored.genotype.clone())).collect())
}
