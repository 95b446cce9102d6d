//! Growth as a picture: two panels beside each other, both axes logarithmic, so that a line of slope one is what grows
//! in step. SVG under `docs/`.
#![allow(clippy::unwrap_used, reason = "a bench has no one to hand an error to")]

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

/// Colours that are told apart by people who do not see all of them (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// One line.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// The same one for the same thing in both panels.
    pub(crate) colour: usize,
    pub(crate) points: Vec<(f64, f64)>,
}

/// One panel.
pub(crate) struct Panel {
    pub(crate) up: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// Writes `docs/growth-NAME.svg`.
pub(crate) fn write(name: &str, across: &str, panels: &[Panel; 2]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(format!("growth-{name}.svg"));
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (1_100, 460)).into_drawing_area();
        area.fill(&WHITE).unwrap();
        for (area, panel) in area.split_evenly((1, 2)).iter().zip(panels) {
            draw(area, across, panel);
        }
        area.present().unwrap();
    }
    std::fs::write(path, text).unwrap();
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, across: &str, panel: &Panel) {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let span = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x, y) = (span(|p| p.0), span(|p| p.1));
    // Room for the legend above the highest line.
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0 * 0.7..y.1 * 30.0).log_scale())
        .unwrap();
    chart.configure_mesh().x_desc(across).y_desc(panel.up).light_line_style(WHITE).draw().unwrap();
    for line in panel.lines.iter().filter(|line| !line.points.is_empty()) {
        let style = COLOURS[line.colour % COLOURS.len()].stroke_width(2);
        let series = chart.draw_series(LineSeries::new(line.points.iter().copied(), style)).unwrap();
        series.label(line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    let labels = &mut chart.configure_series_labels();
    let labels = labels.position(SeriesLabelPosition::UpperLeft).label_font(("sans-serif", 12));
    labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw().unwrap();
}
