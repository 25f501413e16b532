//! A table as a drawing: a group of horizontal bars for each row, a bar for each peer.
//!
//! Horizontal, because a row's name is long and must be read without turning the head. A table of
//! one unit is drawn in that unit; one whose rows differ by orders of magnitude is drawn as ratios
//! to the reference, so that its bar is 1 everywhere. A black mark shows the target where a row has
//! one. The SVG is plotters' (its svg back end alone, without fonts: the reader's are used), on
//! white, so that it can be read on a dark page too. Neighbour: `page` decides what is drawn.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::chart::{ChartBuilder, ChartContext, SeriesLabelPosition};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    BLACK, Cartesian2d, Color, EmptyElement, IntoDrawingArea, IntoFont, PathElement, RGBColor,
    Rectangle, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One row: its name, a figure for each peer that has one, what is to be reached.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) bars: Vec<Option<f64>>,
    pub(crate) target: Option<f64>,
}

/// A whole drawing.
pub(crate) struct Drawing {
    pub(crate) title: String,
    /// What the axis counts.
    pub(crate) unit: String,
    pub(crate) peers: Vec<String>,
    /// The place of the subject among the peers.
    pub(crate) subject: Option<usize>,
    pub(crate) groups: Vec<Group>,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Drawing {
    /// Writes it as an SVG file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut svg = String::new();
        self.draw(&mut svg)?;
        fs::write(path, svg).with_context(|| path.display().to_string())
    }

    fn draw(&self, svg: &mut String) -> Result<()> {
        let slots = self.groups.len() * self.slots();
        let height = (slots as u32 + LEGEND_SLOTS) * SLOT_PX + FRAME_PX;
        let root = SVGBackend::with_string(svg, (WIDTH_PX, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart: Chart<'_, '_> = ChartBuilder::on(&root)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .margin_right(56)
            .x_label_area_size(40)
            .y_label_area_size(self.names_px())
            .build_cartesian_2d(0.0..self.most() * 1.05, -f64::from(LEGEND_SLOTS)..slots as f64)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh().disable_y_axis().x_desc(&self.unit).x_labels(8);
        mesh.max_light_lines(0).bold_line_style(BLACK.mix(0.12)).draw()?;
        for peer in 0..self.peers.len() {
            self.bars(&mut chart, peer)?;
        }
        self.names_and_targets(&mut chart)?;
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::LowerRight).border_style(BLACK.mix(0.3));
        legend.background_style(WHITE.mix(0.9)).label_font(font(13)).draw()?;
        root.present()?;
        Ok(())
    }

    fn bars(&self, chart: &mut Chart<'_, '_>, peer: usize) -> Result<()> {
        let colour = self.colour(peer);
        let bars: Vec<_> = self
            .groups
            .iter()
            .enumerate()
            .filter_map(|(row, group)| Some((self.top(row) - peer as f64, group.bars[peer]?)))
            .collect();
        chart
            .draw_series(bars.iter().map(|&(top, value)| {
                Rectangle::new([(0.0, top - 0.92), (value, top - 0.08)], colour.filled())
            }))?
            .label(&self.peers[peer])
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled()));
        chart.draw_series(bars.iter().map(|&(top, value)| {
            let style = font(11).pos(Pos::new(HPos::Left, VPos::Center));
            EmptyElement::at((value, top - 0.5)) + Text::new(figure(value), (4, 0), style)
        }))?;
        Ok(())
    }

    fn names_and_targets(&self, chart: &mut Chart<'_, '_>) -> Result<()> {
        let peers = self.peers.len() as f64;
        chart.draw_series(self.groups.iter().enumerate().map(|(row, group)| {
            let style = font(13).pos(Pos::new(HPos::Right, VPos::Center));
            let middle = self.top(row) - peers / 2.0;
            EmptyElement::at((0.0, middle)) + Text::new(group.name.clone(), (-8, 0), style)
        }))?;
        let marks: Vec<_> = self
            .groups
            .iter()
            .enumerate()
            .filter_map(|(row, group)| Some((self.top(row), group.target?)))
            .collect();
        if marks.is_empty() {
            return Ok(());
        }
        chart
            .draw_series(marks.into_iter().map(|(top, target)| {
                PathElement::new([(target, top), (target, top - peers)], BLACK.stroke_width(2))
            }))?
            .label("target")
            .legend(|(x, y)| {
                PathElement::new([(x + 7, y - 6), (x + 7, y + 6)], BLACK.stroke_width(2))
            });
        Ok(())
    }

    /// Places of a group: one for each peer, one between groups.
    fn slots(&self) -> usize {
        self.peers.len() + 1
    }

    /// The upper edge of a group; the axis counts upwards.
    fn top(&self, row: usize) -> f64 {
        ((self.groups.len() - row) * self.slots()) as f64 - 0.5
    }

    fn most(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let targets = self.groups.iter().filter_map(|group| group.target.as_ref());
        bars.chain(targets).copied().fold(f64::MIN_POSITIVE, f64::max)
    }

    /// Room for the names; a letter is some seven pixels wide in most fonts.
    fn names_px(&self) -> u32 {
        self.groups.iter().map(|group| group.name.len() as u32).max().unwrap_or(0) * 7 + 12
    }

    fn colour(&self, peer: usize) -> RGBColor {
        if self.subject == Some(peer) { SUBJECT } else { OTHERS[peer % OTHERS.len()] }
    }
}

fn font(px: u32) -> TextStyle<'static> {
    ("sans-serif", px).into_font().color(&BLACK)
}

/// Three significant digits.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        at if at >= 100.0 => format!("{value:.0}"),
        at if at >= 10.0 => format!("{value:.1}"),
        at if at >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

const WIDTH_PX: u32 = 860;
const SLOT_PX: u32 = 15;
/// Left free below the bars for the legend.
const LEGEND_SLOTS: u32 = 5;
/// The caption, the axis and the margins.
const FRAME_PX: u32 = 100;
const SUBJECT: RGBColor = RGBColor(0x1b, 0x6e, 0x5a);
const OTHERS: [RGBColor; 4] = [
    RGBColor(0xc9, 0x6b, 0x5c),
    RGBColor(0x7a, 0x86, 0xc4),
    RGBColor(0xd9, 0xa4, 0x41),
    RGBColor(0x99, 0x99, 0x99),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_name_and_target_is_drawn() {
        let group = |name: &str, bars: [Option<f64>; 2], target| Group {
            name: name.into(),
            bars: bars.into(),
            target,
        };
        let drawing = Drawing {
            title: "Server CPU time".into(),
            unit: "of valkey's".into(),
            peers: vec!["redis".into(), "pannier".into()],
            subject: Some(1),
            groups: vec![
                group("GET, pipeline 16", [Some(1.46), Some(0.437)], Some(0.5)),
                group("SET, pipeline 16", [None, Some(0.612)], None),
            ],
        };
        let mut svg = String::new();
        drawing.draw(&mut svg).unwrap();
        for text in ["GET, pipeline 16", "SET, pipeline 16", "1.46", "0.437", "0.612", "target"] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }
}
