//! Shapes to search in, and the cells that cover them.
//!
//! A search looks at nine cells, the one around the centre and its neighbours, of a step so
//! chosen that they cover the shape, less those which the shape does not reach. Which cells, and
//! in which order, decides the order of replies that are not sorted, so the choice is Redis's,
//! with its limits: a shape across the 180th meridian is not searched beyond it. Close to a pole or
//! with a wide radius the cells are larger than they need to be, and the exact check decides.
//!
//! A polygon is planar in degrees (ray casting, Franklin's PNPOLY); its centre is the mean of its
//! corners as vectors. Where that lies beyond the map, what Valkey finds depends on what lay in its
//! memory; here it is what is inside.
//!
//! Rules: the arithmetic is that of Redis, operation by operation. Neighbour: `cell`.

use super::{Angle, Cell, EARTH_RADIUS, LATITUDES, LONGITUDES, Point, Span};

/// A shape around a centre.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Its middle, from which distances count.
    pub(crate) center: Point,
    pub(crate) outline: Outline,
    /// Metres in the unit of its lengths.
    pub(crate) unit: f64,
}

/// What a shape looks like.
#[derive(Clone, Debug)]
pub(crate) enum Outline {
    Circle { radius: f64 },
    Rectangle { width: f64, height: f64 },
    Polygon(Vec<Point>),
}

impl Shape {
    /// A polygon, around the middle of its corners.
    pub(crate) fn polygon(corners: Vec<Point>) -> Self {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (corner.longitude.radians(), corner.latitude.radians());
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let longitude = y.atan2(x).degrees();
        let latitude = z.atan2((x * x + y * y).sqrt()).degrees();
        let center = Point { longitude, latitude };
        Self { center, outline: Outline::Polygon(corners), unit: 1.0 }
    }

    /// The distance of a place from the centre, if the place is inside.
    pub(crate) fn distance_to(&self, place: Point) -> Option<f64> {
        let (center, unit) = (self.center, self.unit);
        match &self.outline {
            Outline::Circle { radius } => {
                let distance = center.distance(place);
                // A distance that is no number is not beyond the radius.
                let outside = distance > radius * unit;
                (!outside).then_some(distance)
            }
            Outline::Rectangle { width, height } => {
                let beside = Point { longitude: center.longitude, latitude: place.latitude };
                let outside = place.distance_in_latitude(center) > height * unit / 2.0
                    || place.distance(beside) > width * unit / 2.0;
                (!outside).then(|| center.distance(place))
            }
            Outline::Polygon(corners) => encloses(corners, place).then(|| center.distance(place)),
        }
    }

    /// The cells to look at, in their order.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> {
        let (longitudes, latitudes) = self.bounds();
        // The middle of a polygon around a pole lies beyond the map.
        let latitude = self.center.latitude.clamp(LATITUDES.min, LATITUDES.max);
        let center = Point { latitude, ..self.center };
        let mut step = self.step(longitudes, latitudes);
        let mut cell = Cell::around(center, step);
        // Near the edge of the middle cell its neighbours may be too small to reach.
        let too_small = cell.moved(0, 1).spans().1.max < latitudes.max
            || cell.moved(0, -1).spans().1.min > latitudes.min
            || cell.moved(1, 0).spans().0.max < longitudes.max
            || cell.moved(-1, 0).spans().0.min > longitudes.min;
        if step > 1 && too_small {
            step -= 1;
            cell = Cell::around(center, step);
        }
        let (east_west, north_south) = cell.spans();
        let exact = step >= 2;
        let north = !(exact && north_south.max > latitudes.max);
        let south = !(exact && north_south.min < latitudes.min);
        let east = !(exact && east_west.max > longitudes.max);
        let west = !(exact && east_west.min < longitudes.min);
        let mut before = None;
        NEIGHBOURS.into_iter().enumerate().filter_map(move |(at, (x, y))| {
            let wanted =
                (y < 1 || north) && (y > -1 || south) && (x < 1 || east) && (x > -1 || west);
            if !wanted {
                return None;
            }
            // The largest cells are their own neighbours' neighbours.
            let neighbour = cell.moved(x, y);
            if before == Some(neighbour) {
                return None;
            }
            before = (at > 0).then_some(neighbour);
            Some(neighbour)
        })
    }

    /// Longitudes and latitudes that hold the shape.
    fn bounds(&self) -> (Span, Span) {
        let (width, height) = match &self.outline {
            Outline::Circle { radius } => (self.unit * radius, self.unit * radius),
            Outline::Rectangle { width, height } => {
                (self.unit * width / 2.0, self.unit * height / 2.0)
            }
            Outline::Polygon(corners) => return bounds_of(corners),
        };
        let Point { longitude, latitude } = self.center;
        let north_south = (height / EARTH_RADIUS).degrees();
        // Degrees of longitude are shorter on the side of the pole.
        let far = if latitude < 0.0 { latitude - north_south } else { latitude + north_south };
        let east_west = (width / EARTH_RADIUS / far.radians().cos()).degrees();
        (
            Span { min: longitude - east_west, max: longitude + east_west },
            Span { min: latitude - north_south, max: latitude + north_south },
        )
    }

    /// The smallest cells whose neighbours should still cover the shape.
    fn step(&self, longitudes: Span, latitudes: Span) -> u32 {
        let radius = match &self.outline {
            Outline::Circle { radius } => *radius,
            Outline::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Outline::Polygon(_) => {
                let corner =
                    |longitude, latitude| self.center.distance(Point { longitude, latitude });
                let (west, east) = (longitudes.min, longitudes.max);
                let (south, north) = (latitudes.min, latitudes.max);
                let corners = [
                    corner(west, north),
                    corner(east, north),
                    corner(west, south),
                    corner(east, south),
                ];
                corners.into_iter().fold(0.0, f64::max)
            }
        };
        step_for(radius * self.unit, self.center.latitude)
    }
}

/// The step for a search of so many metres at a latitude.
fn step_for(mut radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return 26;
    }
    let mut step = 1;
    while radius < MERCATOR_MAX {
        radius *= 2.0;
        step += 1;
    }
    step -= 2;
    // Cells are narrower towards the poles.
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, 26).unsigned_abs()
}

/// Longitudes and latitudes that hold all corners.
fn bounds_of(corners: &[Point]) -> (Span, Span) {
    let mut longitudes = Span { min: LONGITUDES.max, max: LONGITUDES.min };
    let mut latitudes = Span { min: LATITUDES.max, max: LATITUDES.min };
    for corner in corners {
        longitudes.min = longitudes.min.min(corner.longitude);
        longitudes.max = longitudes.max.max(corner.longitude);
        latitudes.min = latitudes.min.min(corner.latitude);
        latitudes.max = latitudes.max.max(corner.latitude);
    }
    (longitudes, latitudes)
}

/// Whether a place is inside a polygon: a ray from it crosses an odd number of sides.
fn encloses(corners: &[Point], place: Point) -> bool {
    let Some(mut before) = corners.last() else { return false };
    let mut inside = false;
    for corner in corners {
        let crossing = || {
            (before.longitude - corner.longitude) * (place.latitude - corner.latitude)
                / (before.latitude - corner.latitude)
                + corner.longitude
        };
        let spans = (corner.latitude > place.latitude) != (before.latitude > place.latitude);
        inside ^= spans && place.longitude < crossing();
        before = corner;
    }
    inside
}

/// Columns east and rows north of the cells to look at, the middle first.
const NEIGHBOURS: [(i32, i32); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// Half the width of the projected map, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

#[cfg(test)]
mod tests {
    use super::*;

    fn near(rng: &mut fastrand::Rng, center: Point, degrees: f64) -> Point {
        let mut offset = || (rng.f64() * 2.0 - 1.0) * degrees;
        Point {
            longitude: center.longitude + offset(),
            latitude: (center.latitude + offset()).clamp(LATITUDES.min, LATITUDES.max),
        }
    }

    #[test]
    fn what_is_inside_lies_in_exactly_one_of_the_cells() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut inside = 0;
        for round in 0..20_000 {
            let center =
                Point { longitude: rng.f64() * 200.0 - 100.0, latitude: rng.f64() * 140.0 - 70.0 };
            let degrees = 10_f64.powf(rng.f64() * 5.0 - 4.0);
            let unit = [1.0, 1000.0, 0.3048, 1609.34][round % 4];
            let mut length = || rng.f64() * degrees * 100_000.0 / unit;
            let shape = match round % 3 {
                0 => Shape { center, outline: Outline::Circle { radius: length() }, unit },
                1 => {
                    let (width, height) = (length(), length());
                    Shape { center, outline: Outline::Rectangle { width, height }, unit }
                }
                _ => Shape::polygon((0..5).map(|_| near(&mut rng, center, degrees)).collect()),
            };
            let cells: Vec<(f64, f64)> = shape.cells().map(Cell::scores).collect();
            for _ in 0..5 {
                let score = Cell::score_of(near(&mut rng, center, degrees)) as f64;
                if shape.distance_to(Cell::place_of(score)).is_some() {
                    let found = cells.iter().filter(|(from, to)| (*from..*to).contains(&score));
                    assert_eq!(found.count(), 1, "{shape:?} {score}");
                    inside += 1;
                }
            }
        }
        assert!(inside > 5_000, "{inside}");
    }

    #[test]
    fn distances_are_those_of_redis() {
        let palermo = Cell::place_of(3_479_099_956_230_698.0);
        let catania = Cell::place_of(3_479_447_370_796_909.0);
        assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
        assert_eq!(palermo.distance(palermo), 0.0);
    }

    #[test]
    fn the_widest_search_looks_at_every_cell_once() {
        let center = Point { longitude: 10.0, latitude: 10.0 };
        let shape = Shape { center, outline: Outline::Circle { radius: 3e7 }, unit: 1.0 };
        let cells: Vec<Cell> = shape.cells().collect();
        assert_eq!(cells.len(), 4);
        let all: f64 = cells.iter().map(|cell| cell.scores().1 - cell.scores().0).sum();
        assert_eq!(all, (1_u64 << 52) as f64);
    }

    #[test]
    fn a_polygon_encloses_what_is_between_its_sides() {
        let corners = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0)];
        let corners = corners.map(|(longitude, latitude)| Point { longitude, latitude });
        let inside = |longitude, latitude| encloses(&corners, Point { longitude, latitude });
        assert!(inside(1.0, 1.0) && inside(3.5, 3.0) && inside(0.5, 3.0));
        assert!(!inside(2.0, 2.0) && !inside(-1.0, 1.0) && !inside(5.0, 1.0) && !inside(2.0, 5.0));
    }
}
