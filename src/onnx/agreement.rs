//! Whether a file as tract runs it gives the answers of the trained network.

use rayon::prelude::*;

use super::{OnnxError, Runnable};

/// Largest relative difference of logits that passes: float rounding in a network of some tens of layers stays below
/// a hundredth of it.
pub const MAX_RELATIVE_DIFFERENCE: f64 = 1e-4;

/// Two best reference logits that are closer than this are a tie: rounding may decide it either way.
pub const NEAR_TIE: f32 = 2e-4;

/// How far tract's logits are from the reference, over a set of images.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Agreement {
    /// Images compared.
    pub images: usize,
    /// Over all images, the largest of `max |logit - reference| / max(1, max |reference|)`. A logit that is not a
    /// number counts as the largest number there is.
    pub max_relative_difference: f64,
    /// Images whose best class differs from the reference, near ties excepted.
    pub disagreements: usize,
    /// Images whose two best reference logits are closer than [`NEAR_TIE`].
    pub near_ties: usize,
}

impl Agreement {
    /// Whether the file may stand for the trained network.
    pub fn passes(&self) -> bool {
        self.max_relative_difference <= MAX_RELATIVE_DIFFERENCE && self.disagreements == 0
    }

    fn and(self, other: Agreement) -> Agreement {
        Agreement {
            images: self.images + other.images,
            max_relative_difference: self.max_relative_difference.max(other.max_relative_difference),
            disagreements: self.disagreements + other.disagreements,
            near_ties: self.near_ties + other.near_ties,
        }
    }

    /// The agreement on one image.
    fn of(logits: &[f32], reference: &[f32]) -> Agreement {
        let largest = reference.iter().fold(1.0f32, |largest, r| largest.max(r.abs()));
        let difference = logits.iter().zip(reference).map(|(a, b)| f64::from((a - b).abs() / largest)).fold(
            0.0f64,
            |worst, difference| match difference.is_nan() {
                true => f64::MAX,
                false => worst.max(difference),
            },
        );
        let (best, margin) = top(reference);
        let near_tie = margin < NEAR_TIE;
        Agreement {
            images: 1,
            max_relative_difference: difference.min(f64::MAX),
            disagreements: usize::from(!near_tie && top(logits).0 != best),
            near_ties: usize::from(near_tie),
        }
    }
}

/// Index of the largest logit, and how far it is ahead of the second.
fn top(logits: &[f32]) -> (usize, f32) {
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
    let second = (0..logits.len()).filter(|i| *i != best).map(|i| logits[i]).fold(f32::NEG_INFINITY, f32::max);
    (best, logits.get(best).map_or(0.0, |logit| logit - second))
}

/// Compares tract's logits with reference logits (images, classes), image by image and in parallel. `image(i)` gives
/// the values of image `i`.
pub fn agreement<I: AsRef<[f32]>>(
    runnable: &Runnable,
    image: impl Fn(usize) -> I + Sync,
    reference: &[f32],
) -> Result<Agreement, OnnxError> {
    let classes = runnable.outputs().max(1);
    if !reference.len().is_multiple_of(classes) {
        return Err(OnnxError::Model(format!(
            "answers with {classes} values, which do not divide {} reference logits",
            reference.len()
        )));
    }
    let one = |(i, reference): (usize, &[f32])| Ok(Agreement::of(&runnable.run(image(i).as_ref())?, reference));
    reference.par_chunks(classes).enumerate().map(one).try_reduce(Agreement::default, |a, b| Ok(a.and(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_agrees_and_another_class_does_not() {
        let reference = [1.0, 20.0, -3.0];
        assert!(Agreement::of(&[1.0, 20.001, -3.0], &reference).passes());
        assert!(!Agreement::of(&[1.0, 20.1, -3.0], &reference).passes());
        let wrong = Agreement::of(&[21.0, 20.0, -3.0], &reference);
        assert_eq!((wrong.disagreements, wrong.max_relative_difference), (1, 1.0));
    }

    #[test]
    fn a_near_tie_may_go_either_way() {
        let tie = Agreement::of(&[0.5001, 0.5], &[0.5, 0.50005]);
        assert_eq!((tie.disagreements, tie.near_ties), (0, 1));
    }

    #[test]
    fn a_logit_that_is_not_a_number_never_agrees() {
        assert!(!Agreement::of(&[f32::NAN, 2.0], &[1.0, 2.0]).passes());
        assert!(!Agreement::of(&[1.0, f32::INFINITY], &[1.0, 2.0]).passes());
    }
}
