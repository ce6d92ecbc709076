//! Regret against queries as a picture.

use plotters::prelude::*;

/// One strategy: mean and standard deviation of the regret after each query.
#[derive(Debug, Clone, PartialEq)]
pub struct RegretLine {
    /// Its name.
    pub name: String,
    /// (mean, standard deviation), the first one after one query.
    pub regret: Vec<(f64, f64)>,
}

/// Size of the picture in pixels.
const SIZE: (u32, u32) = (760, 480);

/// An SVG with a line for each strategy and a band of one standard deviation; the scale of the regret is logarithmic.
///
/// # Errors
/// If the picture cannot be drawn, as text for people.
pub fn regret_svg(title: &str, unit: &str, lines: &[RegretLine]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, title, unit, lines).map_err(|error| error.to_string())?;
    Ok(svg)
}

fn draw(svg: &mut String, title: &str, unit: &str, lines: &[RegretLine]) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.iter().flat_map(|line| &line.regret).filter(|(mean, _)| mean.is_finite());
    let most = all().map(|(mean, deviation)| mean + deviation).fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    // A regret of zero has no place on a logarithmic scale: what is below a thousandth of the most lies on the lower edge.
    let least = all().map(|(mean, _)| *mean).filter(|mean| *mean > most / 1e3).fold(most, f64::min) / 2.0;
    let queries = lines.iter().map(|line| line.regret.len()).max().unwrap_or(1).max(2);

    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(1f64..queries as f64, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("queries")
        .y_desc(format!("regret in {unit}, mean ± sd"))
        .y_label_formatter(&|value| format!("{value:.1e}"))
        .draw()?;
    for (index, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let places = || (1..).map(f64::from).zip(&line.regret);
        let clamp = |value: f64| value.clamp(least, most);
        let above = places().map(|(query, (mean, deviation))| (query, clamp(mean + deviation)));
        let below = places().map(|(query, (mean, deviation))| (query, clamp(mean - deviation)));
        let band: Vec<(f64, f64)> = above.chain(below.collect::<Vec<_>>().into_iter().rev()).collect();
        chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.12).filled())))?;
        let means = places().map(|(query, (mean, _))| (query, clamp(*mean)));
        chart
            .draw_series(LineSeries::new(means, colour.stroke_width(2)))?
            .label(line.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    let legend_at = SeriesLabelPosition::LowerLeft;
    chart.configure_series_labels().position(legend_at).background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_has_its_line_and_a_regret_of_zero_is_drawn_too() {
        let line = |name: &str, regret: &[(f64, f64)]| RegretLine { name: name.into(), regret: regret.to_vec() };
        let lines = [line("one & only", &[(5.0, 1.0), (1.0, 1.0), (0.0, 0.0)]), line("two", &[(5.0, 0.0); 3])];
        let svg = regret_svg("a < b", "points", &lines).unwrap();
        assert_eq!(svg.matches("<polygon").count(), 2, "{svg}");
        assert!(svg.contains("one &amp; only") && svg.contains("a &lt; b") && svg.contains("regret in points"));
        assert!(!svg.contains("NaN"));
        regret_svg("", "points", &[]).unwrap();
        regret_svg("", "points", &[line("flat", &[(0.0, 0.0)])]).unwrap();
    }
}
