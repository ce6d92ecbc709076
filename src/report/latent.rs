//! Pictures of a latent space: its map coloured by a value, and graphs in a row.

use std::fmt::Write;

use super::svg::escaped;

/// A graph to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnGraph {
    /// Name of each node's kind, and the kind.
    pub nodes: Vec<(String, u8)>,
    /// Edges (from, to), from < to.
    pub edges: Vec<(usize, usize)>,
    /// Lines below it.
    pub caption: Vec<String>,
}

/// Colours of kinds, told apart by most eyes (Okabe and Ito, 2008).
const COLOURS: [&str; 8] = ["#bbbbbb", "#dddddd", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00"];
/// Colours of values from the lowest to the highest (viridis).
const SCALE: [(u8, u8, u8); 5] = [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)];

/// An SVG of graphs side by side, nodes from top to bottom; edges that skip nodes bend.
pub fn graphs_svg(title: &str, graphs: &[DrawnGraph]) -> String {
    const WIDTH: f64 = 130.0;
    const STEP: f64 = 44.0;
    const TOP: f64 = 64.0;
    let most = graphs.iter().map(|graph| graph.nodes.len()).max().unwrap_or(0);
    let lines = graphs.iter().map(|graph| graph.caption.len()).max().unwrap_or(0);
    let (width, bottom) = (WIDTH * graphs.len().max(1) as f64 + 20.0, TOP + STEP * most as f64);
    let mut svg = head(width, bottom + 18.0 * lines as f64 + 16.0, title);
    for (at, graph) in graphs.iter().enumerate() {
        let x = 10.0 + WIDTH * (at as f64 + 0.42);
        let y = |node: usize| TOP + STEP * node as f64;
        for (from, to) in &graph.edges {
            let (a, b) = (y(*from) + 11.0, y(*to) - 11.0);
            let bend = if to - from == 1 { 0.0 } else { 30.0 + 8.0 * (to - from) as f64 };
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {a:.1}C{:.1} {a:.1} {:.1} {b:.1} {x:.1} {b:.1}\" fill=\"none\" stroke=\"#555555\"/>",
                x + bend,
                x + bend
            );
        }
        for (node, (name, kind)) in graph.nodes.iter().enumerate() {
            let colour = COLOURS[usize::from(*kind) % COLOURS.len()];
            let light = if matches!(colour, "#0072b2" | "#d55e00" | "#009e73") { "white" } else { "black" };
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"56\" height=\"22\" rx=\"6\" fill=\"{colour}\" stroke=\"#333333\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"{light}\">{}</text>",
                x - 28.0,
                y(node) - 11.0,
                y(node) + 4.0,
                escaped(name)
            );
        }
        for (line, text) in graph.caption.iter().enumerate() {
            let y = bottom + 18.0 * line as f64;
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>", escaped(text));
        }
    }
    svg + "</svg>\n"
}

/// An SVG of points, coloured by their values: low ones drawn first. `axes` name the two directions.
pub fn map_svg(title: &str, axes: (&str, &str), value: &str, points: &[(f64, f64, f64)]) -> String {
    const SIDE: f64 = 560.0;
    const EDGE: f64 = 48.0;
    let mut sorted: Vec<&(f64, f64, f64)> =
        points.iter().filter(|(x, y, v)| x.is_finite() && y.is_finite() && v.is_finite()).collect();
    sorted.sort_by(|a, b| a.2.total_cmp(&b.2));
    let (xs, ys) = (span(sorted.iter().map(|p| p.0)), span(sorted.iter().map(|p| p.1)));
    // The lowest fiftieth of the values shares one colour: a few failures would leave one for all others.
    let lowest = sorted.get(sorted.len() / 50).map_or(0.0, |p| p.2);
    let highest = sorted.last().map_or(1.0, |p| p.2);
    let place = |value: f64, (low, high): (f64, f64)| EDGE + (value - low) / (high - low) * (SIDE - 2.0 * EDGE);
    let mut svg = head(SIDE + 90.0, SIDE, title);
    for (x, y, v) in sorted {
        let share = if highest > lowest { (v - lowest) / (highest - lowest) } else { 0.5 };
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.8\" fill=\"{}\"/>",
            place(*x, xs),
            SIDE - place(*y, ys),
            colour(share)
        );
    }
    const PATCHES: usize = 20;
    for patch in 0..PATCHES {
        let share = patch as f64 / (PATCHES - 1) as f64;
        let y = SIDE - EDGE - (SIDE - 2.0 * EDGE) * (patch + 1) as f64 / PATCHES as f64;
        let height = (SIDE - 2.0 * EDGE) / PATCHES as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{SIDE}\" y=\"{y:.1}\" width=\"14\" height=\"{height:.1}\" fill=\"{}\"/>",
            colour(share)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\">{highest:.4}</text>\n<text x=\"{}\" y=\"{}\">{lowest:.4}</text>\n\
         <text x=\"{SIDE}\" y=\"{}\">{}</text>\n<text x=\"{EDGE}\" y=\"{}\">{}</text>\n\
         <text x=\"20\" y=\"{}\" transform=\"rotate(-90 20 {})\">{}</text>",
        SIDE + 20.0,
        EDGE + 8.0,
        SIDE + 20.0,
        SIDE - EDGE,
        SIDE - 16.0,
        escaped(value),
        SIDE - 16.0,
        escaped(axes.0),
        SIDE - EDGE,
        SIDE - EDGE,
        escaped(axes.1),
    );
    svg + "</svg>\n"
}

fn head(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n<text x=\"16\" y=\"26\" font-size=\"15\">{}</text>\n",
        escaped(title)
    )
}

/// Lowest and highest of some values, never the same.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low < high { (low, high) } else { (low.min(0.0), low.min(0.0) + 1.0) }
}

fn colour(share: f64) -> String {
    let at = share.clamp(0.0, 1.0) * (SCALE.len() - 1) as f64;
    let below = (at as usize).min(SCALE.len() - 2);
    let (a, b, part) = (SCALE[below], SCALE[below + 1], at - below as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_a_dot_for_each_number_and_the_ends_of_the_scale() {
        let points = [(0.0, 0.0, 1.0), (1.0, 2.0, 3.0), (f64::NAN, 0.0, 2.0)];
        let svg = map_svg("a < b", ("first", "second"), "accuracy", &points);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("fill=\"#440154\"") && svg.contains("fill=\"#fde725\""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("3.0000") && svg.contains("1.0000"), "{svg}");
        assert!(map_svg("", ("", ""), "", &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn every_node_and_edge_of_every_graph_is_drawn() {
        let graph = DrawnGraph {
            nodes: vec![("input".to_string(), 0), ("conv".to_string(), 2), ("output".to_string(), 1)],
            edges: vec![(0, 1), (0, 2), (1, 2)],
            caption: vec!["0 %".to_string(), "71.2".to_string()],
        };
        let svg = graphs_svg("way", &[graph.clone(), graph]);
        assert_eq!((svg.matches("rx=\"6\"").count(), svg.matches("<path").count()), (6, 6));
        assert_eq!(svg.matches("71.2").count(), 2);
    }
}
