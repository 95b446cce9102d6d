//! The plot of a study as SVG.

use plotters::prelude::*;

use super::{Line, Row, Study, StudyError};

/// Colours that are told apart by people who do not see all of them (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(0, 0, 0),
];

/// The lines of a study in one picture.
///
/// # Errors
/// There is no point to draw, or drawing failed.
pub fn svg(study: &dyn Study, rows: &[Row]) -> Result<String, StudyError> {
    let lines = study.lines(rows);
    let mut text = String::new();
    draw(&mut text, study, &lines)
        .map_err(|why| StudyError::Plot { study: study.name(), why: why.to_string() })?;
    Ok(text)
}

fn draw(text: &mut String, study: &dyn Study, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let (across, up) = bounds(lines).ok_or("there is no point to draw")?;
    let (horizontal, vertical) = study.axes();
    let area = SVGBackend::with_string(text, (900, 540)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .caption(study.name(), ("sans-serif", 20))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(across.0..across.1, up.0..up.1)?;
    chart.configure_mesh().x_desc(horizontal).y_desc(vertical).light_line_style(WHITE).draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        let series = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        series.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}

type Bounds = ((f64, f64), (f64, f64));

/// Smallest and largest value on both axes, a little apart where they are one.
fn bounds(lines: &[Line]) -> Option<Bounds> {
    let points = || lines.iter().flat_map(|line| &line.points);
    points().next()?;
    let span = |of: fn(&(f64, f64)) -> f64| {
        let values = points().map(of);
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if high - low > 0.0 { (low, high) } else { (low - 1.0, high + 1.0) }
    };
    Some((span(|p| p.0), span(|p| p.1)))
}
