//! What was measured, before anyone prints it: tables of rows, a cell per peer, samples per cell.
//!
//! A cell holds every round's sample and not only its median, because a ratio is taken round by
//! round: absolute figures of a shared machine drift by a third within an hour, and two servers
//! measured within the same few seconds drift together. The median of the rounds' ratios is
//! steadier than the ratio of two medians. `report` and `record` read this model; a drawing would
//! as well.

use crate::definition;

/// One table of TARGETS: rows of the same kind.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// One measured quantity.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Larger is better (operations a second); else smaller is.
    pub(crate) more_is_better: bool,
    pub(crate) target: Option<Target>,
    /// In the order of the peers.
    pub(crate) cells: Vec<Cell>,
}

/// What the subject is to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times the reference's figure.
    Ratio(f64),
    /// At most so much, in the row's unit.
    AtMost(f64),
    /// At least so much, in the row's unit.
    AtLeast(f64),
    /// No worse than the best peer's.
    AsBest,
}

/// The samples of one peer, one a round; none where it could not be measured.
#[derive(Clone, Default)]
pub(crate) struct Cell {
    pub(crate) samples: Vec<f64>,
}

/// Who takes part, and who is which.
pub(crate) struct Field {
    pub(crate) peers: Vec<Contestant>,
}

/// A peer as the tables name it.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) reference: bool,
    pub(crate) subject: bool,
    /// Its figures are a limit, not a competitor's.
    pub(crate) fixed_reply: bool,
}

impl Contestant {
    pub(crate) fn new(definition: &definition::Peer, version: &str) -> Self {
        Self {
            name: definition.name.clone(),
            version: version.to_owned(),
            reference: definition.reference,
            subject: definition.subject,
            fixed_reply: definition.fixed_reply,
        }
    }
}

impl Cell {
    pub(crate) fn median(&self) -> Option<f64> {
        median(self.samples.clone())
    }

    pub(crate) fn least(&self) -> Option<f64> {
        self.samples.iter().copied().reduce(f64::min)
    }

    pub(crate) fn most(&self) -> Option<f64> {
        self.samples.iter().copied().reduce(f64::max)
    }

    /// The median of the rounds' ratios to `other`.
    pub(crate) fn ratio(&self, other: &Self) -> Option<f64> {
        median(self.samples.iter().zip(&other.samples).map(|(mine, its)| mine / its).collect())
    }
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, cells: Vec<Cell>) -> Self {
        Self { name: name.into(), unit, more_is_better: false, target: None, cells }
    }

    pub(crate) fn target(mut self, target: Option<Target>) -> Self {
        self.target = target;
        self
    }

    pub(crate) fn more_is_better(mut self) -> Self {
        self.more_is_better = true;
        self
    }

    /// The ratio of the peer at `index` to the reference.
    pub(crate) fn ratio(&self, field: &Field, index: usize) -> Option<f64> {
        let reference = field.peers.iter().position(|peer| peer.reference)?;
        self.cells.get(index)?.ratio(self.cells.get(reference)?)
    }

    /// Whether the subject reached the target; `None` without a target, a subject or a figure.
    pub(crate) fn reached(&self, field: &Field) -> Option<bool> {
        let subject = field.peers.iter().position(|peer| peer.subject)?;
        let mine = self.cells.get(subject)?.median()?;
        Some(match self.target? {
            Target::Ratio(most) => self.ratio(field, subject)? <= most,
            Target::AtMost(most) => mine <= most,
            Target::AtLeast(least) => mine >= least,
            Target::AsBest => mine <= self.best_of_others(field)?,
        })
    }

    fn best_of_others(&self, field: &Field) -> Option<f64> {
        let others = self.cells.iter().zip(&field.peers);
        others
            .filter(|(_, peer)| !peer.subject && !peer.fixed_reply)
            .filter_map(|(cell, _)| cell.median())
            .reduce(f64::min)
    }
}

/// The middle of `samples`, or the mean of the two middle ones.
fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let upper = samples.len() / 2;
    let high = *samples.get(upper)?;
    Some(if samples.len() % 2 == 1 { high } else { (samples[upper - 1] + high) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(samples: &[f64]) -> Cell {
        Cell { samples: samples.to_vec() }
    }

    fn field() -> Field {
        let peer = |name: &str, reference, subject| Contestant {
            name: name.into(),
            version: String::new(),
            reference,
            subject,
            fixed_reply: false,
        };
        Field { peers: vec![peer("reference", true, false), peer("subject", false, true)] }
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round_so_that_drift_cancels() {
        // The machine becomes twice as slow in the last round, for both.
        let row = Row::new("r", "us", vec![cell(&[2.0, 2.0, 4.0]), cell(&[1.0, 1.0, 2.0])]);
        assert_eq!(row.ratio(&field(), 1), Some(0.5));
    }

    #[test]
    fn a_target_is_reached_at_its_edge_and_unknown_without_a_figure() {
        let row = |samples: &[f64], target| {
            Row::new("r", "us", vec![cell(&[2.0]), cell(samples)]).target(Some(target))
        };
        assert_eq!(row(&[1.0], Target::Ratio(0.5)).reached(&field()), Some(true));
        assert_eq!(row(&[1.1], Target::Ratio(0.5)).reached(&field()), Some(false));
        assert_eq!(row(&[2.0], Target::AsBest).reached(&field()), Some(true));
        assert_eq!(row(&[2.0], Target::AtMost(1.9)).reached(&field()), Some(false));
        assert_eq!(row(&[2.0], Target::AtLeast(2.0)).reached(&field()), Some(true));
        assert_eq!(row(&[1.9], Target::AtLeast(2.0)).reached(&field()), Some(false));
        assert_eq!(row(&[], Target::AtMost(1.9)).reached(&field()), None);
    }
}
