//! From accuracies to scores of their ranks and back: models of ranks learn the score, so that a few networks that learn
//! nothing do not outweigh all that learn well.

use crate::stats;

/// The accuracies that were fitted, each with the score of its rank.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scores {
    /// (score, accuracy), both rising.
    knots: Vec<(f64, f64)>,
    /// Accuracy per score below the first knot and above the last.
    slopes: (f64, f64),
}

impl Scores {
    /// The scale of these accuracies, and the score of each: the quantile of the normal distribution at its rank (van der
    /// Waerden, 1952).
    pub(super) fn normal(accuracies: &[f64]) -> (Scores, Vec<f64>) {
        let count = accuracies.len() as f64;
        Scores::of(accuracies, |rank| stats::normal_quantile((rank - 0.5) / count))
    }

    /// The same with the square of the share of accuracies up to the rank, standardised: what tells the best apart counts
    /// more than what tells the worst apart.
    pub(super) fn squared(accuracies: &[f64]) -> (Scores, Vec<f64>) {
        let square = |rank: f64| (rank / accuracies.len() as f64).powi(2);
        let squares: Vec<f64> = stats::ranks(accuracies).into_iter().map(square).collect();
        let (mean, deviation) = (stats::mean(&squares), stats::std_dev(&squares));
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        Scores::of(accuracies, |rank| (square(rank) - mean) / deviation)
    }

    fn of(accuracies: &[f64], score: impl Fn(f64) -> f64) -> (Scores, Vec<f64>) {
        let scores: Vec<f64> = stats::ranks(accuracies).into_iter().map(score).collect();
        let mut knots: Vec<(f64, f64)> = scores.iter().copied().zip(accuracies.iter().copied()).collect();
        knots.sort_by(|a, b| a.0.total_cmp(&b.0));
        knots.dedup_by(|a, b| a.0 == b.0);
        let slopes = outer_slopes(&knots);
        (Scores { knots, slopes }, scores)
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
        for (scale, scores) in [Scores::normal(&accuracies), Scores::squared(&accuracies)] {
            for (score, accuracy) in scores.iter().zip(&accuracies) {
                assert!((scale.accuracy(*score) - accuracy).abs() < 1e-12);
            }
            let line: Vec<f64> = (-40..40).map(|step| scale.accuracy(f64::from(step) / 10.0)).collect();
            assert!(line.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn squares_tell_the_best_apart() {
        let (_, scores) = Scores::squared(&[0.1, 0.2, 0.3, 0.4]);
        let steps: Vec<f64> = scores.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps[0] < steps[1] && steps[1] < steps[2], "{scores:?}");
        assert!(scores.iter().sum::<f64>().abs() < 1e-12);
        assert_eq!(Scores::squared(&[0.5; 4]).1, vec![0.0; 4]);
    }

    #[test]
    fn constant_accuracies_stay_constant() {
        let (scale, scores) = Scores::normal(&[0.5; 4]);
        assert_eq!((scores, scale.accuracy(3.0), scale.spread(0.0, 1.0)), (vec![0.0; 4], 0.5, 0.0));
    }
}
