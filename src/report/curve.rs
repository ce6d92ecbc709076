//! How trainings went, as a picture: loss and accuracy by epoch.

use super::svg::{escaped, text_at};
use crate::train::EpochRecord;

/// A training.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// What it is called in the legend; others share one colour and no name.
    pub name: Option<&'a str>,
    /// Its epochs.
    pub records: &'a [EpochRecord],
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const EDGE: f64 = 48.0;
const COLOURS: [&str; 4] = ["steelblue", "darkorange", "seagreen", "indianred"];
const OTHERS: &str = "silver";

/// An SVG of two panels, loss and accuracy by epoch; accuracies on validation images are dashed.
pub fn curve_svg(title: &str, curves: &[Curve]) -> String {
    let last = curves.iter().map(|curve| curve.records.len()).max().unwrap_or(0).max(2);
    let losses = || curves.iter().flat_map(|curve| curve.records.iter().map(|record| record.loss));
    let most = losses().filter(|loss| loss.is_finite()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let loss = Panel { left: 0.0, last, most, name: "loss" };
    let accuracy =
        Panel { left: WIDTH, last, most: 1.0, name: "accuracy (varied training images; dashed: validation)" };
    // The named ones lie on top.
    let (others, named): (Vec<&Curve>, Vec<&Curve>) = curves.iter().partition(|curve| curve.name.is_none());
    let mut lines = String::new();
    let coloured = others.into_iter().map(|curve| (curve, OTHERS)).chain(named.iter().copied().zip(colours()));
    for (curve, colour) in coloured {
        lines += &loss.line(curve, colour, "", |record| Some(record.loss));
        lines += &accuracy.line(curve, colour, "", |record| Some(record.train_accuracy));
        lines += &accuracy.line(curve, colour, " stroke-dasharray=\"5 3\"", |record| record.validation_accuracy);
    }
    let legend: String = named
        .iter()
        .zip(colours())
        .enumerate()
        .map(|(at, (curve, colour))| {
            let y = 20.0 + 16.0 * (at + 1) as f64;
            text_at((EDGE, y), colour, curve.name.unwrap_or_default())
        })
        .collect();
    let top = 28.0 + 16.0 * named.len() as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{EDGE}\" y=\"20\" font-weight=\"bold\">{}</text>\n{legend}\
         <g transform=\"translate(0 {top})\">\n{}{}{lines}</g>\n</svg>\n",
        2.0 * WIDTH,
        HEIGHT + top,
        escaped(title),
        loss.frame(),
        accuracy.frame()
    )
}

fn colours() -> impl Iterator<Item = &'static str> {
    COLOURS.into_iter().cycle()
}

/// A panel from 0 to `most`, over epochs 1 to `last`.
struct Panel {
    left: f64,
    last: usize,
    most: f64,
    name: &'static str,
}

impl Panel {
    fn x(&self, epoch: usize) -> f64 {
        self.left + EDGE + (epoch - 1) as f64 / (self.last - 1) as f64 * (WIDTH - 1.5 * EDGE)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - EDGE - value / self.most * (HEIGHT - 1.5 * EDGE)
    }

    fn frame(&self) -> String {
        let (left, right, bottom, top) = (self.x(1), self.x(self.last), self.y(0.0), self.y(self.most));
        let mut frame =
            format!("<path d=\"M{left:.0} {top:.0}V{bottom:.0}H{right:.0}\" fill=\"none\" stroke=\"black\"/>\n");
        for part in 0..=4 {
            let value = self.most * f64::from(part) / 4.0;
            let y = self.y(value);
            frame += &format!(
                "<path d=\"M{left:.0} {y:.1}H{right:.0}\" stroke=\"gainsboro\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>\n",
                left - 6.0,
                y + 4.0
            );
        }
        frame += &format!(
            "<text x=\"{left:.0}\" y=\"{:.0}\">1</text>\n<text x=\"{right:.0}\" y=\"{:.0}\" text-anchor=\"end\">epoch {}</text>\n",
            bottom + 18.0,
            bottom + 18.0,
            self.last
        );
        frame + &text_at((left, bottom + 34.0), "black", self.name)
    }

    fn line(&self, curve: &Curve, colour: &str, dash: &str, of: impl Fn(&EpochRecord) -> Option<f64>) -> String {
        let known =
            curve.records.iter().filter_map(|record| Some((record.epoch, of(record).filter(|v| v.is_finite())?)));
        let points: Vec<String> =
            known.map(|(epoch, value)| format!("{:.1},{:.1}", self.x(epoch), self.y(value))).collect();
        match points.as_slice() {
            [] => String::new(),
            // A line of one point would not be seen.
            [one] => {
                let (x, y) = one.split_once(',').expect("a point has two coordinates");
                format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"2\" fill=\"{colour}\"/>\n")
            }
            _ => format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"{dash}/>\n",
                points.join(" ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_training_has_its_lines_and_the_extremes_are_at_the_edges() {
        let record = |epoch, loss, train_accuracy, validation_accuracy| EpochRecord {
            epoch,
            loss,
            train_accuracy,
            validation_accuracy,
        };
        let first = [record(1, 2.0, 0.0, Some(0.5)), record(2, 1.0, 0.5, Some(0.75)), record(3, 0.0, 1.0, None)];
        let other = [record(1, f64::NAN, 0.25, None)];
        let curves = [Curve { name: Some("a & b"), records: &first }, Curve { name: None, records: &other }];
        let svg = curve_svg("title", &curves);
        assert!(svg.contains("points=\"48.0,24.0 222.0,138.0 396.0,252.0\""), "loss: {svg}");
        assert!(svg.contains("points=\"468.0,252.0 642.0,138.0 816.0,24.0\""), "accuracy: {svg}");
        assert_eq!((svg.matches("<polyline").count(), svg.matches("stroke-dasharray").count()), (3, 1));
        assert_eq!(svg.matches("<circle").count(), 1, "one epoch is a point, what is no number is left out");
        assert!(svg.contains("a &amp; b") && svg.contains("epoch 3"));
        assert!(curve_svg("", &[]).contains("epoch 2"));
    }
}
