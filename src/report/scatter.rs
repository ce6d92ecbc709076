//! Points as a picture: what was predicted against what is true.

use super::svg::escaped;

/// An SVG of points (predicted, true) in a square of one scale, with the line on which both are equal.
pub fn scatter_svg(title: &str, points: &[(f64, f64)]) -> String {
    const SIDE: f64 = 480.0;
    const EDGE: f64 = 40.0;
    let finite = || points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
    let values = || finite().flat_map(|(x, y)| [*x, *y]);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let (low, span) = if low < high { (low, high - low) } else { (0.0, 1.0) };
    let place = |value: f64| EDGE + (value - low) / span * (SIDE - 2.0 * EDGE);
    let dot = |(x, y): &(f64, f64)| {
        format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.5\" fill-opacity=\"0.3\"/>\n", place(*x), SIDE - place(*y))
    };
    let dots: String = finite().map(dot).collect();
    let (near, far, last) = (EDGE, SIDE - EDGE, low + span);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIDE} {SIDE}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{SIDE}\" height=\"{SIDE}\" fill=\"white\"/>\n\
         <path d=\"M{near} {near}V{far}H{far}\" fill=\"none\" stroke=\"black\"/>\n\
         <path d=\"M{near} {far}L{far} {near}\" stroke=\"gray\" stroke-dasharray=\"4\"/>\n\
         <g fill=\"steelblue\">\n{dots}</g>\n\
         <text x=\"{near}\" y=\"24\">{}</text>\n\
         <text x=\"{near}\" y=\"{}\">predicted, {low:.3} to {last:.3}</text>\n\
         <text x=\"28\" y=\"{far}\" transform=\"rotate(-90 28 {far})\">true, {low:.3} to {last:.3}</text>\n</svg>\n",
        escaped(title),
        SIDE - 16.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_of_the_picture_are_the_extremes() {
        let svg = scatter_svg("a < b", &[(0.5, 0.5), (0.9, 0.9), (f64::NAN, 0.1)]);
        assert!(svg.contains("cx=\"40.0\" cy=\"440.0\"") && svg.contains("cx=\"440.0\" cy=\"40.0\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "what is no number is left out");
        assert!(svg.contains("a &lt; b") && svg.contains("0.500 to 0.900"));
        assert!(scatter_svg("", &[]).contains("0.000 to 1.000"));
    }
}
