//! Cells: squares of a map that is halved again and again, in both directions.
//!
//! A cell of step n is one of 2^n by 2^n. Its number interleaves the n bits of its column with
//! those of its row, the column's first, so that a cell's number begins with that of the cell
//! around it. Step 26 is a place: a cell half a metre wide.
//!
//! Rules: scores that no place has (a sorted set may hold any) decode to some place, the same as
//! in Redis. Neighbour: `shape` chooses cells.

use super::{LATITUDES, LONGITUDES, Point, Span};

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Column and row, interleaved.
    bits: u64,
    step: u32,
}

impl Cell {
    /// The cell of a step around a place.
    pub(super) fn around(place: Point, step: u32) -> Self {
        Self::on_map(place, step, LATITUDES)
    }

    fn on_map(place: Point, step: u32, latitudes: Span) -> Self {
        let index = |at: f64, span: Span| {
            let part = (at - span.min) / (span.max - span.min);
            (part * (1_u64 << step) as f64) as u32
        };
        let row = index(place.latitude, latitudes);
        let column = index(place.longitude, LONGITUDES);
        Self { bits: spread(row) | spread(column) << 1, step }
    }

    /// The score of a place.
    pub(crate) fn score_of(place: Point) -> u64 {
        Self::around(place, STEP_MAX).bits
    }

    /// The place of a score.
    pub(crate) fn place_of(score: f64) -> Point {
        let (longitudes, latitudes) = Self { bits: truncated(score), step: STEP_MAX }.spans();
        Point {
            longitude: longitudes.middle_within(LONGITUDES),
            latitude: latitudes.middle_within(LATITUDES),
        }
    }

    /// The scores of the places in it: from the first up to the second, which is not in it.
    pub(crate) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEP_MAX - self.step);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    /// Longitudes and latitudes of it.
    pub(super) fn spans(self) -> (Span, Span) {
        let span = |index: u32, limits: Span| {
            let edge = |index: u32| {
                let part = f64::from(index) / (1_u64 << self.step) as f64;
                limits.min + part * (limits.max - limits.min)
            };
            Span { min: edge(index), max: edge(index.wrapping_add(1)) }
        };
        (span(gather(self.bits >> 1), LONGITUDES), span(gather(self.bits), LATITUDES))
    }

    /// The cell so many columns east and rows north: -1, 0 or 1. The map is round in both.
    pub(super) fn moved(self, east: i32, north: i32) -> Self {
        // The place at 180 degrees is one column off the map, until it moves.
        let by = |index: u32, by: i32| match by {
            0 => index,
            _ => index.wrapping_add_signed(by) & (u32::MAX >> (32 - self.step)),
        };
        let (column, row) = (by(gather(self.bits >> 1), east), by(gather(self.bits), north));
        Self { bits: spread(row) | spread(column) << 1, step: self.step }
    }

    /// The standard geohash of a place: eleven characters, of which the last is always `0`, since
    /// there are 52 bits. Its map reaches from pole to pole.
    pub(crate) fn geohash(place: Point) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Self::on_map(place, STEP_MAX, Span { min: -90.0, max: 90.0 }).bits;
        let mut text = [b'0'; 11];
        for (at, character) in text.iter_mut().take(10).enumerate() {
            *character = ALPHABET[(bits >> (2 * STEP_MAX as usize - 5 * (at + 1)) & 31) as usize];
        }
        text
    }
}

/// Puts the bits of a number at the even places.
const fn spread(x: u32) -> u64 {
    let x = x as u64;
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// Takes the bits at the even places.
const fn gather(x: u64) -> u32 {
    let x = x & 0x5555_5555_5555_5555;
    let x = (x | x >> 1) & 0x3333_3333_3333_3333;
    let x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// A score as an integer, as x86 converts it: what is out of range has only the top bit.
fn truncated(score: f64) -> u64 {
    const TOP: u64 = 1 << 63;
    let signed = |x: f64| match x {
        _ if x.abs() < TOP as f64 => (x as i64).cast_unsigned(),
        _ => TOP,
    };
    if score < TOP as f64 { signed(score) } else { signed(score - TOP as f64) ^ TOP }
}

/// The step of a place.
const STEP_MAX: u32 = 26;

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };

    #[test]
    fn scores_and_geohashes_are_those_of_redis() {
        assert_eq!(Cell::score_of(PALERMO), 3_479_099_956_230_698);
        assert_eq!(&Cell::geohash(Cell::place_of(3_479_099_956_230_698.0)), b"sqc8b49rny0");
        let place = Cell::place_of(3_479_099_956_230_698.0);
        assert_eq!(format!("{:.17}", place.longitude), "13.36138933897018433");
        assert_eq!(format!("{:.17}", place.latitude), "38.11555639549629859");
    }

    #[test]
    fn a_place_comes_back_within_half_a_metre() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let place = Point {
                longitude: rng.f64() * 360.0 - 180.0,
                latitude: (rng.f64() * 2.0 - 1.0) * LATITUDES.max,
            };
            let score = Cell::score_of(place);
            assert!(score < 1 << 52);
            assert!(place.distance(Cell::place_of(score as f64)) < 0.5, "{place:?}");
            for step in 1..=STEP_MAX {
                let (from, to) = Cell::around(place, step).scores();
                assert!((from..to).contains(&(score as f64)), "{place:?} at {step}");
            }
        }
    }

    #[test]
    fn neighbours_touch() {
        let mut rng = fastrand::Rng::with_seed(2);
        for _ in 0..1_000 {
            let place =
                Point { longitude: rng.f64() * 300.0 - 150.0, latitude: rng.f64() * 120.0 - 60.0 };
            let cell = Cell::around(place, rng.u32(4..=STEP_MAX));
            let (longitudes, latitudes) = cell.spans();
            assert_eq!(cell.moved(1, 0).spans().0.min, longitudes.max);
            assert_eq!(cell.moved(-1, 0).spans().0.max, longitudes.min);
            assert_eq!(cell.moved(0, 1).spans().1.min, latitudes.max);
            assert_eq!(cell.moved(0, -1).spans().1.max, latitudes.min);
            assert_eq!(cell.moved(1, -1).moved(-1, 1), cell);
        }
        let corner = Cell::around(Point { longitude: 180.0 - 1e-9, latitude: -80.0 }, 4);
        assert_eq!(corner.moved(1, 0).spans().0.min, -180.0);
        assert_eq!(corner.moved(0, -1).spans().1.max, LATITUDES.max);
    }

    #[test]
    fn any_score_is_some_place() {
        for score in [-1.0, f64::INFINITY, f64::NEG_INFINITY, 1e19, 1e300, -1e300, 0.5] {
            let place = Cell::place_of(score);
            assert!(Point::new(place.longitude, place.latitude).is_some(), "{score}");
        }
    }
}
