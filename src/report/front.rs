//! The Pareto front of a run as a picture: accuracy against each cost.

use plotters::coord::Shift;
use plotters::prelude::*;

/// A network of a run, with what the front is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its number on the front, if it is on it.
    pub row: Option<usize>,
    /// Whether it is what the report is about.
    pub is_chosen: bool,
    /// Accuracy on the validation images.
    pub accuracy: f64,
    /// Whether that is after full training.
    pub is_full: bool,
    /// Multiply-accumulates, in millions.
    pub macs_m: f64,
    /// Peak activation RAM in KiB.
    pub peak_ram_kib: f64,
    /// Latency in milliseconds.
    pub latency_ms: Option<f64>,
}

/// Size of a panel in pixels.
const PANEL: (u32, u32) = (380, 340);
const CAPTION_HEIGHT: u32 = 56;
const ON_FRONT: RGBColor = RGBColor(70, 130, 180);
const CHOSEN: RGBColor = RGBColor(255, 140, 0);
const OTHERS: RGBColor = RGBColor(176, 176, 176);

/// An SVG with a panel for MACs, for peak RAM, and for latency if any is known. A network on the front is best in some
/// trade of all of them, so in one panel it may lie below others.
///
/// # Errors
/// If the picture cannot be drawn, as text for people.
pub fn front_svg(title: &str, chosen: &str, points: &[Point]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, title, chosen, points).map_err(|error| error.to_string())?;
    Ok(svg)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A cost of a network, if it is known.
type CostOf = fn(&Point) -> Option<f64>;

fn draw(svg: &mut String, title: &str, chosen: &str, points: &[Point]) -> Drawn {
    let costs: [(&str, CostOf); 3] = [
        ("MACs in millions", |p| Some(p.macs_m)),
        ("peak RAM in KiB", |p| Some(p.peak_ram_kib)),
        ("latency in ms", |p| p.latency_ms),
    ];
    let known: Vec<&(&str, CostOf)> =
        costs.iter().filter(|(_, of)| points.iter().any(|point| of(point).is_some())).collect();
    let panels = known.len().max(1);
    let root = SVGBackend::with_string(svg, (PANEL.0 * panels as u32, PANEL.1 + CAPTION_HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let (caption, below) = root.split_vertically(CAPTION_HEIGHT);
    caption.draw(&Text::new(title.to_string(), (12, 8), ("sans-serif", 18)))?;
    legend(&caption, chosen)?;
    for (area, (name, cost)) in below.split_evenly((1, panels)).iter().zip(known) {
        panel(area, name, *cost, points)?;
    }
    root.present()?;
    Ok(())
}

fn legend(area: &Area, chosen: &str) -> Drawn {
    let entries = [
        (ON_FRONT, true, "on the front, trained in full"),
        (ON_FRONT, false, "on the front, trained cheaply"),
        (CHOSEN, true, chosen),
        (OTHERS, false, "other trials"),
    ];
    for ((colour, is_full, name), x) in entries.into_iter().zip([18, 210, 408, 540]) {
        area.draw(&Circle::new((x, 40), 4, style(colour, is_full)))?;
        area.draw(&Text::new(name, (x + 9, 34), ("sans-serif", 14)))?;
    }
    Ok(())
}

/// A disc for what was trained in full, a ring for what was not.
fn style(colour: RGBColor, is_full: bool) -> ShapeStyle {
    if is_full { colour.filled() } else { colour.stroke_width(2) }
}

fn panel(area: &Area, name: &str, cost: CostOf, points: &[Point]) -> Drawn {
    let placed: Vec<(f64, f64, &Point)> =
        points.iter().filter_map(|p| Some((cost(p)?, p.accuracy * 100.0, p))).collect();
    let (left, right) = span(placed.iter().map(|(x, ..)| *x));
    let (bottom, top) = span(placed.iter().map(|(_, y, _)| *y));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(left..right, bottom..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(6)
        .y_labels(6)
        .x_desc(name)
        .y_desc("validation accuracy, %")
        .draw()?;
    // The chosen network lies on top, then the front.
    let mut ordered = placed;
    ordered.sort_by_key(|(_, _, point)| (point.is_chosen, point.row.is_some()));
    for (x, y, point) in ordered {
        let (colour, size) = match (point.is_chosen, point.row) {
            (true, _) => (CHOSEN, 5),
            (false, Some(_)) => (ON_FRONT, 4),
            (false, None) => (OTHERS, 3),
        };
        chart.plotting_area().draw(&Circle::new((x, y), size, style(colour, point.is_full)))?;
        if let Some(row) = point.row {
            let number = EmptyElement::at((x, y)) + Text::new(row.to_string(), (6, -15), ("sans-serif", 14));
            chart.plotting_area().draw(&number)?;
        }
    }
    Ok(())
}

/// From the least to the most with some room around.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    match least <= most {
        true => {
            let room = ((most - least) * 0.08).max(most.abs() * 1e-3).max(1e-6);
            (least - room, most + room)
        }
        false => (0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_in_every_panel_and_rows_have_their_numbers() {
        let point = |row, is_chosen, latency_ms| Point {
            row,
            is_chosen,
            accuracy: 0.5,
            is_full: is_chosen,
            macs_m: 3.0,
            peak_ram_kib: 100.0,
            latency_ms,
        };
        let legend = 4;
        let points = [point(Some(41), true, None), point(Some(42), false, None), point(None, false, None)];
        let svg = front_svg("a < b", "winner", &points).unwrap();
        assert_eq!(svg.matches("<circle").count(), legend + 2 * 3, "no latency, no panel for it: {svg}");
        assert_eq!((svg.matches("\n41\n").count(), svg.matches("\n42\n").count()), (2, 2), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("winner") && !svg.contains("latency"));
        let svg = front_svg("", "", &[point(None, false, Some(2.0))]).unwrap();
        assert!(svg.contains("latency in ms") && !svg.contains("NaN"));
        front_svg("", "", &[]).unwrap();
    }
}
