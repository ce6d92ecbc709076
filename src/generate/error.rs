//! What goes wrong in this room.

use crate::space::SpaceError;

/// Why there is no model or no proposal.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A space without a codec, or a text that is no network of the space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// Graphs of too many nodes.
    #[error("graphs of {nodes} nodes are too large, a latent space holds up to {most}\nhint: use fewer layers")]
    TooLarge {
        /// Nodes of a graph.
        nodes: usize,
        /// Nodes at most.
        most: usize,
    },
    /// Not enough to learn from.
    #[error("{found} networks are too few to fit a latent space\nhint: give {needed} or more")]
    TooFew {
        /// Networks given.
        found: usize,
        /// Networks needed.
        needed: usize,
    },
    /// Not enough data sets to learn from.
    #[error(
        "{found} tasks are too few to learn from\nhint: label networks on {needed} or more, with differences among them"
    )]
    FewTasks {
        /// Tasks given.
        found: usize,
        /// Tasks needed.
        needed: usize,
    },
    /// On most data sets, networks were labelled alike.
    #[error(
        "of {of} tasks only {found} have networks that differ by more than chance: too few to learn from\nhint: train longer \
         or on more images, or label {needed} or more tasks on which networks differ"
    )]
    AlikeTasks {
        /// Tasks with differences.
        found: usize,
        /// Tasks given.
        of: usize,
        /// Tasks needed.
        needed: usize,
    },
    /// Hardly any images.
    #[error(
        "{found} training images tell too little of a data set\nhint: give {needed} or more, beside those that are set apart for \
         validation and test"
    )]
    FewImages {
        /// Images given.
        found: usize,
        /// Images needed.
        needed: usize,
    },
    /// A data set without anything to tell apart.
    #[error("{found} class leaves nothing to tell apart\nhint: give a data set of two classes or more")]
    FewClasses {
        /// Its classes.
        found: usize,
    },
    /// A data set of classes that the model was not made for.
    #[error("the model was fitted to classes of another kind")]
    OtherClasses,
    /// A complexity that has no logarithm.
    #[error("the complexity {value} of network {index} is not a positive number")]
    Complexity {
        /// Its place among the examples.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Weights that are no longer numbers.
    #[error("the fit diverged in pass {epoch}\nhint: lower the step size with `--learning-rate`")]
    Diverged {
        /// The pass, from 1.
        epoch: usize,
    },
    /// The name of no climber.
    #[error("`{0}` does not climb\nhint: choose one of sgd, momentum, adam")]
    UnknownClimber(String),
    /// A file that holds no model.
    #[error(
        "`{origin}` is not a model: {reason}\nhint: make one with `netwright latent fit` or `netwright generate fit`"
    )]
    NotAModel {
        /// The file.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A model of another version.
    #[error(
        "`{origin}` has schema version {found}, this netwright reads {expected}\nhint: fit it again with this netwright"
    )]
    Version {
        /// The file.
        origin: String,
        /// Its version.
        found: String,
        /// The version that can be read.
        expected: u32,
    },
}
