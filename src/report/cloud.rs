//! Points as a picture: what something costs against what it gives, some of them named.

use super::svg::{escaped, text_at};

/// Points with a name in the legend.
#[derive(Debug, Clone, Copy)]
pub struct Marked<'a> {
    /// The name.
    pub name: &'a str,
    /// Where it is.
    pub point: (f64, f64),
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 440.0;
const EDGE: f64 = 64.0;
const COLOURS: [&str; 3] = ["crimson", "darkorange", "seagreen"];
/// Share of the range that stays free on each side.
const MARGIN: f64 = 0.05;

/// An SVG of `points` (x, y) and of `marked` ones on top, larger and in colour. Axes say what they show, with the unit.
pub fn cloud_svg(title: &str, (x_name, y_name): (&str, &str), points: &[(f64, f64)], marked: &[Marked]) -> String {
    let all = || points.iter().copied().chain(marked.iter().map(|marked| marked.point)).filter(is_finite);
    let (x, y) =
        (Axis::of(all().map(|p| p.0), EDGE, WIDTH - EDGE / 2.0), Axis::of(all().map(|p| p.1), HEIGHT - EDGE, EDGE));
    let mut shapes = String::new();
    for (px, py) in points.iter().filter(|point| is_finite(point)) {
        shapes += &format!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"steelblue\" fill-opacity=\"0.5\"/>\n",
            x.place(*px),
            y.place(*py)
        );
    }
    for (at, (marked, colour)) in marked.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        let legend = 20.0 + 16.0 * (at + 1) as f64;
        if is_finite(&marked.point) {
            let (px, py) = (x.place(marked.point.0), y.place(marked.point.1));
            shapes += &format!("<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"6\" fill=\"{colour}\" stroke=\"black\"/>\n");
        }
        shapes += &text_at((EDGE, legend), colour, marked.name);
    }
    let ticks: String = (0..=4).map(|part| tick(&x, &y, f64::from(part) / 4.0)).collect();
    let (left, right, bottom, top) = (EDGE, WIDTH - EDGE / 2.0, HEIGHT - EDGE, EDGE);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{EDGE}\" y=\"20\" font-weight=\"bold\">{}</text>\n\
         <path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n{ticks}\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\n\
         <text x=\"14\" y=\"{:.0}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {:.0})\">{}</text>\n{shapes}</svg>\n",
        escaped(title),
        (left + right) / 2.0,
        HEIGHT - 16.0,
        escaped(x_name),
        (top + bottom) / 2.0,
        (top + bottom) / 2.0,
        escaped(y_name)
    )
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// A range of values and the pixels it goes from and to.
struct Axis {
    low: f64,
    span: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let margin = if low < high { (high - low) * MARGIN } else { 0.5 };
        Axis { low: low - margin, span: high - low + 2.0 * margin, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / self.span * (self.to - self.from)
    }

    /// The value at a share of the axis.
    fn at(&self, share: f64) -> f64 {
        self.low + share * self.span
    }
}

fn tick(x: &Axis, y: &Axis, share: f64) -> String {
    let (at_x, at_y) = (x.at(share), y.at(share));
    format!(
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{at_x:.2}</text>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{at_y:.1}</text>\n",
        x.place(at_x),
        HEIGHT - EDGE + 18.0,
        EDGE - 6.0,
        y.place(at_y) + 4.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_points_lie_on_top_and_what_is_no_number_is_left_out() {
        let points = [(1.0, 10.0), (2.0, 30.0), (f64::NAN, 1.0)];
        let svg = cloud_svg("a < b", ("x", "y"), &points, &[Marked { name: "found", point: (3.0, 20.0) }]);
        assert_eq!(svg.matches("r=\"3\"").count(), 2, "{svg}");
        assert!(svg.find("r=\"6\"") > svg.rfind("r=\"3\"") && svg.contains(">found</text>"));
        assert!(
            svg.contains("a &lt; b") && svg.contains("<text x=\"64\" y=\"394\" text-anchor=\"middle\">0.90</text>"),
            "{svg}"
        );
        assert!(cloud_svg("", ("", ""), &[], &[]).contains("</svg>"));
    }
}
