//! Geometry on the globe, as the geo commands need it: cells, distances, shapes.
//!
//! A place is kept as the score of a sorted set: 26 bits of longitude and 26 of latitude,
//! interleaved, so that places of one square [`Cell`] have neighbouring scores, and a search is a
//! few ranges of scores ([`Shape::cells`]) followed by exact checks ([`Shape::distance_to`]). A
//! 52-bit integer is exact in the double that a score is.
//!
//! The earth is a sphere of Redis's radius and distances are haversines, in the same order of
//! operations, so that the digits are the same. Latitudes end at the edge of the web's Mercator
//! projection, beyond which nothing can be stored.
//!
//! Rules: angles are degrees, lengths are metres unless a unit stands beside them. Nothing here
//! knows a command or a key. Neighbours: `command::geo` and `command::geo_search`. Tests below,
//! and the transcripts of the group `geo`.

mod cell;
mod shape;

pub(crate) use cell::Cell;
pub(crate) use shape::{Outline, Shape};

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

impl Point {
    /// The place, if it is within what can be stored.
    pub(crate) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let inside = LONGITUDES.contains(longitude) && LATITUDES.contains(latitude);
        inside.then_some(Self { longitude, latitude })
    }

    /// The great-circle distance.
    pub(crate) fn distance(self, other: Self) -> f64 {
        let half = (other.longitude.radians() - self.longitude.radians()) / 2.0;
        let v = half.sin();
        if v.abs() <= SAME_LONGITUDE {
            return self.distance_in_latitude(other);
        }
        let (from, to) = (self.latitude.radians(), other.latitude.radians());
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    /// The distance as if both were on one meridian.
    fn distance_in_latitude(self, other: Self) -> f64 {
        EARTH_RADIUS * (other.latitude.radians() - self.latitude.radians()).abs()
    }
}

/// Degrees and radians with Redis's factor, whose last digit is not that of `f64::to_radians`.
trait Angle {
    fn radians(self) -> f64;
    fn degrees(self) -> f64;
}

impl Angle for f64 {
    fn radians(self) -> f64 {
        self * RADIANS_A_DEGREE
    }

    fn degrees(self) -> f64 {
        self / RADIANS_A_DEGREE
    }
}

/// Numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    min: f64,
    max: f64,
}

impl Span {
    const fn contains(self, at: f64) -> bool {
        self.min <= at && at <= self.max
    }

    /// The middle, which is never outside of `limits`.
    fn middle_within(self, limits: Self) -> f64 {
        ((self.min + self.max) / 2.0).clamp(limits.min, limits.max)
    }
}

const LONGITUDES: Span = Span { min: -180.0, max: 180.0 };
const LATITUDES: Span = Span { min: -85.051_128_78, max: 85.051_128_78 };

const RADIANS_A_DEGREE: f64 = std::f64::consts::PI / 180.0;
/// The quadratic mean radius of WGS 84.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Sine of half a difference in longitude that counts as none: 6 nm.
const SAME_LONGITUDE: f64 = 1e-15;
