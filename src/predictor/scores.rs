//! From accuracies to normal scores and back: models of ranks learn the score, so that a few networks that learn nothing do
//! not outweigh all that learn well.

use crate::stats;

/// The accuracies that were fitted, each with the quantile of the normal distribution at its rank (van der Waerden, 1952).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NormalScores {
    /// (score, accuracy), both rising.
    knots: Vec<(f64, f64)>,
    /// Accuracy per score below the first knot and above the last.
    slopes: (f64, f64),
}

impl NormalScores {
    /// The scale of these accuracies, and the score of each.
    pub(super) fn of(accuracies: &[f64]) -> (NormalScores, Vec<f64>) {
        let count = accuracies.len() as f64;
        let score = |rank: f64| stats::normal_quantile((rank - 0.5) / count);
        let scores: Vec<f64> = stats::ranks(accuracies).into_iter().map(score).collect();
        let mut knots: Vec<(f64, f64)> = scores.iter().copied().zip(accuracies.iter().copied()).collect();
        knots.sort_by(|a, b| a.0.total_cmp(&b.0));
        knots.dedup_by(|a, b| a.0 == b.0);
        let slopes = outer_slopes(&knots);
        (NormalScores { knots, slopes }, scores)
    }

    /// The accuracy of a score: between knots on a line, outside on the line of the outer tenth. Never falls with the
    /// score, and rises wherever accuracies differed.
    pub(super) fn accuracy(&self, score: f64) -> f64 {
        let above = self.knots.partition_point(|(knot, _)| *knot < score);
        let Some((high_score, high)) = self.knots.get(above) else {
            let (last_score, last) = self.knots[self.knots.len() - 1];
            return last + (score - last_score) * self.slopes.1;
        };
        let Some((low_score, low)) = above.checked_sub(1).map(|below| self.knots[below]) else {
            return high + (score - high_score) * self.slopes.0;
        };
        low + (high - low) * (score - low_score) / (high_score - low_score)
    }

    /// The spread of an accuracy whose score has this mean and spread.
    pub(super) fn spread(&self, mean: f64, spread: f64) -> f64 {
        (self.accuracy(mean + spread) - self.accuracy(mean - spread)) / 2.0
    }
}

fn outer_slopes(knots: &[(f64, f64)]) -> (f64, f64) {
    let last = knots.len() - 1;
    let reach = (knots.len() / 10).max(1).min(last);
    let slope = |(a, b): ((f64, f64), (f64, f64))| if b.0 > a.0 { (b.1 - a.1) / (b.0 - a.0) } else { 0.0 };
    (slope((knots[0], knots[reach])), slope((knots[last - reach], knots[last])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_go_back_to_accuracies_and_keep_their_order() {
        let accuracies = [0.1, 0.9, 0.91, 0.5, 0.91, 0.92];
        let (scale, scores) = NormalScores::of(&accuracies);
        for (score, accuracy) in scores.iter().zip(&accuracies) {
            assert!((scale.accuracy(*score) - accuracy).abs() < 1e-12);
        }
        let line: Vec<f64> = (-40..40).map(|step| scale.accuracy(f64::from(step) / 10.0)).collect();
        assert!(line.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn constant_accuracies_stay_constant() {
        let (scale, scores) = NormalScores::of(&[0.5; 4]);
        assert_eq!((scores, scale.accuracy(3.0), scale.spread(0.0, 1.0)), (vec![0.0; 4], 0.5, 0.0));
    }
}
