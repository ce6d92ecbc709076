//! One of the search spaces, for those who work with any: search, predictors, tables.

use rand::Rng;

use super::{
    Dag, Enas6, Enas6Config, Genotype, MacroConfig, MacroSpace, MobileNetV3, MobileNetV3Config, NasBench101,
    NasBench101Config, NasBenchMacro, NatsSss, NatsTss, NatsTssConfig, SpaceError, Task,
};
use crate::graph::{Cost, Graph};

/// Widest multiple of the published channels.
const WIDEST: f64 = 16.0;

/// A search space.
#[derive(Debug, Clone, PartialEq)]
pub enum Space {
    /// Layers that sum a chosen set of six operations.
    Macro(MacroSpace),
    /// Cells of up to seven vertices.
    NasBench101(NasBench101),
    /// Eight layers with three choices each.
    NasBenchMacro(NasBenchMacro),
    /// The size space of NATS-Bench.
    NatsSss(NatsSss),
    /// The topology space of NATS-Bench, which is NAS-Bench-201.
    NatsTss(NatsTss),
    /// Six layers of ENAS.
    Enas6(Enas6),
    /// The MobileNetV3 space of Once-for-all.
    MobileNetV3(MobileNetV3),
}

/// The same expression for whichever space it is.
macro_rules! each {
    ($self:ident, $space:ident => $expression:expr) => {
        match $self {
            Space::Macro($space) => $expression,
            Space::NasBench101($space) => $expression,
            Space::NasBenchMacro($space) => $expression,
            Space::NatsSss($space) => $expression,
            Space::NatsTss($space) => $expression,
            Space::Enas6($space) => $expression,
            Space::MobileNetV3($space) => $expression,
        }
    };
}

impl Space {
    /// Names of all spaces.
    pub const NAMES: [&str; 7] =
        ["macro", "nas-bench-101", "nas-bench-macro", "nats-sss", "nats-tss", "enas6", "mobilenet-v3"];

    /// The space of a name, as published.
    ///
    /// # Errors
    /// If no space has this name.
    pub fn named(name: &str) -> Result<Self, SpaceError> {
        match name {
            "macro" => Ok(Space::Macro(MacroSpace::new(MacroConfig::default())?)),
            _ => Space::for_task(name, Task::default()),
        }
    }

    /// The space of a name, as published but for images and classes of one's own.
    ///
    /// # Errors
    /// If no space has this name, or its networks do not suit the images.
    pub fn for_task(name: &str, task: Task) -> Result<Self, SpaceError> {
        Ok(match name {
            "macro" => {
                let Task { input, classes, mean, std } = task;
                Space::Macro(MacroSpace::new(MacroConfig { input, classes, mean, std, ..MacroConfig::default() })?)
            }
            "nas-bench-101" => {
                Space::NasBench101(NasBench101::new(NasBench101Config { task, ..NasBench101Config::default() })?)
            }
            "nas-bench-macro" => Space::NasBenchMacro(NasBenchMacro::new(task)?),
            "nats-sss" => Space::NatsSss(NatsSss::new(task)?),
            "nats-tss" => Space::NatsTss(NatsTss::new(NatsTssConfig { task, ..NatsTssConfig::default() })?),
            "enas6" => Space::Enas6(Enas6::new(Enas6Config { task, ..Enas6Config::default() })?),
            "mobilenet-v3" => {
                Space::MobileNetV3(MobileNetV3::new(MobileNetV3Config { task, ..MobileNetV3Config::default() })?)
            }
            _ => return Err(SpaceError::Unknown { name: name.to_string() }),
        })
    }

    /// The space of a name for images and classes of one's own, its channels multiplied by `width`.
    ///
    /// # Errors
    /// If no space has this name, it has no width, or its networks do not suit the images.
    pub fn scaled(name: &str, width: f64, task: Task) -> Result<Self, SpaceError> {
        let times = |channels: usize, of: usize| ((channels as f64 * width / of as f64).round() as usize).max(1) * of;
        let as_published = Space::for_task(name, task.clone())?;
        if !(width > 0.0 && width <= WIDEST) {
            let reason =
                format!("a width of {width} is not above 0 and at most {WIDEST}\nhint: 0.5 has half the channels");
            return Err(SpaceError::Config { space: as_published.name(), reason });
        }
        if width == 1.0 {
            return Ok(as_published);
        }
        Ok(match as_published {
            Space::Macro(space) => Space::Macro(MacroSpace::new(MacroConfig::scaled(space.config(), width))?),
            Space::NasBench101(_) => {
                let config = NasBench101Config::default();
                Space::NasBench101(NasBench101::new(NasBench101Config { task, stem: times(config.stem, 4), ..config })?)
            }
            Space::NatsTss(_) => {
                let config = NatsTssConfig::default();
                Space::NatsTss(NatsTss::new(NatsTssConfig { task, channels: times(config.channels, 2), ..config })?)
            }
            Space::Enas6(_) => {
                let channels = times(Enas6Config::default().channels, 2);
                Space::Enas6(Enas6::new(Enas6Config { task, channels })?)
            }
            Space::MobileNetV3(_) => Space::MobileNetV3(MobileNetV3::new(MobileNetV3Config { task, width })?),
            Space::NasBenchMacro(_) | Space::NatsSss(_) => {
                let reason = "has no width to change: its networks are as published".to_string();
                return Err(SpaceError::Config { space: as_published.name(), reason });
            }
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Space::Macro(_) => "macro",
            Space::NasBench101(_) => "nas-bench-101",
            Space::NasBenchMacro(_) => "nas-bench-macro",
            Space::NatsSss(_) => "nats-sss",
            Space::NatsTss(_) => "nats-tss",
            Space::Enas6(_) => "enas6",
            Space::MobileNetV3(_) => "mobilenet-v3",
        }
    }

    /// Number of genotypes, as the space counts them.
    pub fn size(&self) -> f64 {
        each!(self, space => space.size())
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        match self {
            Space::Macro(_) => MacroSpace::VOCABULARY,
            Space::NasBench101(space) => space.vocabulary(),
            Space::NasBenchMacro(space) => space.vocabulary(),
            Space::NatsSss(space) => space.vocabulary(),
            Space::NatsTss(space) => space.vocabulary(),
            Space::Enas6(space) => space.vocabulary(),
            Space::MobileNetV3(space) => space.vocabulary(),
        }
    }

    /// Reads a genotype as people write it.
    ///
    /// # Errors
    /// If the text is no genotype of the space.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        each!(self, space => space.parse(text))
    }

    /// Writes what [`Space::parse`] reads.
    pub fn format(&self, genotype: &Genotype) -> String {
        each!(self, space => space.format(genotype))
    }

    /// The one genotype that stands for all of the same network.
    pub fn canonical(&self, genotype: &Genotype) -> Genotype {
        match self {
            Space::NasBench101(space) => space.canonical(genotype),
            Space::NasBenchMacro(space) => space.canonical(genotype),
            Space::NatsTss(space) => space.canonical(genotype),
            Space::Macro(_) | Space::NatsSss(_) | Space::Enas6(_) | Space::MobileNetV3(_) => genotype.clone(),
        }
    }

    /// A random genotype.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        each!(self, space => space.sample(rng))
    }

    /// A changed genotype: each part with probability `rate`, at least one.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        each!(self, space => space.mutate(genotype, rate, rng))
    }

    /// A genotype of two parents.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        each!(self, space => space.cross(a, b, rng))
    }

    /// The predictor's picture.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        each!(self, space => space.dag(genotype))
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    ///
    /// # Errors
    /// If it is not.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        match self {
            Space::Macro(space) => space.decode(dag),
            Space::NasBench101(space) => space.genotype_of(dag),
            Space::NasBenchMacro(space) => space.genotype_of(dag),
            Space::NatsSss(space) => space.genotype_of(dag),
            Space::NatsTss(space) => space.genotype_of(dag),
            Space::Enas6(space) => space.genotype_of(dag),
            Space::MobileNetV3(space) => space.genotype_of(dag),
        }
    }

    /// Columns for simple predictors: log10 of MACs, then the genotype as numbers from 0 to 1.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        each!(self, space => space.features(genotype, cost))
    }

    /// The network.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        each!(self, space => space.lower(genotype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn every_space_draws_canonical_networks_that_its_text_its_dag_and_its_graph_agree_on() {
        for name in Space::NAMES {
            let space = Space::named(name).unwrap();
            let mut rng = seed::stream(1, "test", 0);
            let (mut a, b) = (space.sample(&mut rng), space.sample(&mut rng));
            for _ in 0..20 {
                let mutant = space.mutate(&a, 0.1, &mut rng);
                assert_ne!(mutant, a, "{name}");
                for genotype in [&space.cross(&mutant, &b, &mut rng), &mutant] {
                    assert_eq!(space.canonical(genotype), *genotype, "{name}");
                    assert_eq!(space.parse(&space.format(genotype)).as_ref(), Ok(genotype), "{name}");
                    let dag = space.dag(genotype);
                    assert_eq!(space.genotype_of(&dag).as_ref(), Ok(genotype), "{name}");
                    assert!(dag.kinds.iter().all(|kind| usize::from(*kind) < space.vocabulary()), "{name}");
                }
                let graph = space.lower(&mutant);
                assert_eq!(
                    space.features(&mutant, &Cost::of(&graph)).len(),
                    space.features(&b, &Cost::default()).len()
                );
                a = mutant;
            }
        }
    }

    #[test]
    fn every_space_takes_a_task_of_odd_sizes() {
        let mut rng = seed::stream(2, "test", 0);
        for name in Space::NAMES {
            let task = Task { input: crate::graph::Shape::new(1, 27, 21), classes: 3, mean: vec![0.5], std: vec![0.3] };
            let space = Space::for_task(name, task).unwrap();
            let graph = space.lower(&space.sample(&mut rng));
            assert_eq!(graph.output_shape().elements(), 3, "{name}");
        }
    }

    #[test]
    fn a_space_that_does_not_exist_is_refused_with_those_that_do() {
        assert!(Space::named("nats").unwrap_err().to_string().contains("nats-tss"));
    }
}
