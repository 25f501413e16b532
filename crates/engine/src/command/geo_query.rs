//! The words of a search for places: where, what shape, which order, what to tell.
//!
//! Five commands share one grammar of which each allows a part ([`Dialect`]). Words are checked
//! as they come, so that the first mistake is the one that is told; members that stand for a
//! place are looked up on the way, because a member that is missing is a mistake of its place in
//! the line. Only a missing key is no mistake: all words are still read.
//!
//! Neighbour: `geo_search` does what is read here.

use pannier_resp::{Args, parse_f64, parse_i64};
use pannier_store::SortedSetRef;

use super::geo::{place, unit};
use crate::args::{Options, integer, is};
use crate::error::{Error, quoted};
use crate::geo::{Cell, Outline, Point, Shape};

/// Which words a command knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// GEORADIUS: the place and the radius come first.
    Radius,
    /// GEORADIUSBYMEMBER: the member and the radius come first.
    RadiusByMember,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

/// A search, read from its words.
pub(super) struct Query {
    /// What to search in; none when the key is missing and the words did not say.
    pub(super) shape: Option<Shape>,
    pub(super) order: Option<Order>,
    /// How many results, 0 for all.
    pub(super) count: usize,
    /// Whether any so many will do.
    pub(super) any: bool,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_place: bool,
    /// The position of the key to store under.
    pub(super) store: Option<usize>,
    /// Distances are stored as scores, not cells.
    pub(super) store_distances: bool,
}

/// The order of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// What has been said so far.
struct Reader<'a> {
    dialect: Dialect,
    /// STORE and STOREDIST are allowed.
    may_store: bool,
    set: Option<SortedSetRef<'a>>,
    center: Option<Point>,
    /// FROMMEMBER or FROMLONLAT.
    from: Option<From>,
    outline: Option<(Outline, f64)>,
    polygon: Option<Shape>,
    query: Query,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Member,
    Place,
}

impl Query {
    /// Reads the words of a command; `set` is what its key holds.
    pub(super) fn read(
        args: Args<'_>,
        (dialect, may_store): (Dialect, bool),
        set: Option<SortedSetRef<'_>>,
    ) -> Result<Self, Error> {
        let query = Self {
            shape: None,
            order: None,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_place: false,
            store: (dialect == Dialect::SearchStore).then_some(1),
            store_distances: false,
        };
        let (center, from, outline, polygon) = (None, None, None, None);
        let mut reader = Reader { dialect, may_store, set, center, from, outline, polygon, query };
        let first = reader.head(args)?;
        let mut words = Options::new(args, first);
        while let Some(word) = words.next() {
            let at = args.len() - words.left() - 1;
            reader.word(word, at, &mut words)?;
        }
        reader.finish(args.get(0))
    }
}

impl Reader<'_> {
    /// Reads what comes before the options; says where these begin.
    fn head(&mut self, args: Args<'_>) -> Result<usize, Error> {
        let radius_at = match self.dialect {
            Dialect::Search => return Ok(2),
            Dialect::SearchStore => return Ok(3),
            Dialect::Radius => {
                self.center = Some(place(args.get(2), args.get(3))?);
                4
            }
            Dialect::RadiusByMember if self.set.is_none() => return Ok(5),
            Dialect::RadiusByMember => {
                self.center = self.member(args.get(2))?;
                3
            }
        };
        self.outline = Some(circle(args.get(radius_at), args.get(radius_at + 1))?);
        Ok(radius_at + 2)
    }

    /// The place of a member; nothing when there is no key.
    fn member(&self, member: &[u8]) -> Result<Option<Point>, Error> {
        let Some(set) = self.set else { return Ok(None) };
        match set.score(member) {
            Some(score) => Ok(Some(Cell::place_of(score))),
            None => {
                let member = quoted(member, usize::MAX);
                Err(Error::text(format!("ERR member {member} does not exist")))
            }
        }
    }

    fn word(&mut self, word: &[u8], at: usize, words: &mut Options<'_>) -> Result<(), Error> {
        let left = words.left();
        let searches = matches!(self.dialect, Dialect::Search | Dialect::SearchStore);
        let query = &mut self.query;
        if is(word, "withdist") {
            query.with_distance = true;
        } else if is(word, "withhash") {
            query.with_hash = true;
        } else if is(word, "withcoord") {
            query.with_place = true;
        } else if is(word, "any") {
            query.any = true;
        } else if is(word, "asc") {
            query.order = Some(Order::Ascending);
        } else if is(word, "desc") {
            query.order = Some(Order::Descending);
        } else if is(word, "count") && left > 0 {
            let count = integer(words.value()?)?;
            query.count = usize::try_from(count).unwrap_or(0);
            if query.count == 0 {
                return Err(Error::new("ERR COUNT must be > 0"));
            }
        } else if (is(word, "store") || is(word, "storedist"))
            && left > 0
            && self.may_store
            && !searches
        {
            words.value()?;
            query.store = Some(at + 1);
            query.store_distances = is(word, "storedist");
        } else if is(word, "storedist") && self.dialect == Dialect::SearchStore {
            query.store_distances = true;
        } else if searches {
            return self.search_word(word, words);
        } else {
            return Err(Error::SYNTAX);
        }
        Ok(())
    }

    /// Reads a word that only GEOSEARCH and GEOSEARCHSTORE know.
    fn search_word(&mut self, word: &[u8], words: &mut Options<'_>) -> Result<(), Error> {
        let left = words.left();
        let shape_free = self.polygon.is_none() && self.outline.is_none();
        let is_circle = matches!(self.outline, Some((Outline::Circle { .. }, _)));
        let is_rectangle = matches!(self.outline, Some((Outline::Rectangle { .. }, _)));
        let no_polygon = self.polygon.is_none();
        if is(word, "frommember") && left > 0 && self.from != Some(From::Place) && no_polygon {
            let member = words.value()?;
            self.center = self.member(member)?;
            self.from = Some(From::Member);
        } else if is(word, "fromlonlat")
            && left > 1
            && self.from != Some(From::Member)
            && no_polygon
        {
            self.center = Some(place(words.value()?, words.value()?)?);
            self.from = Some(From::Place);
        } else if is(word, "byradius") && left > 1 && (shape_free || is_circle) {
            self.outline = Some(circle(words.value()?, words.value()?)?);
        } else if is(word, "bybox") && left > 2 && (shape_free || is_rectangle) {
            self.outline = Some(rectangle([words.value()?, words.value()?, words.value()?])?);
        } else if is(word, "bypolygon") && left > 1 && self.outline.is_none() && self.from.is_none()
        {
            self.polygon = Some(polygon(words)?);
        } else {
            return Err(Error::SYNTAX);
        }
        Ok(())
    }

    /// Checks what no single word can.
    fn finish(self, name: &[u8]) -> Result<Query, Error> {
        let Self { dialect, center, outline, polygon, mut query, .. } = self;
        let searches = matches!(dialect, Dialect::Search | Dialect::SearchStore);
        if query.store.is_some() && (query.with_distance || query.with_hash || query.with_place) {
            let what = match dialect {
                Dialect::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(Error::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let exactly = |what: &str| {
            let name = quoted(name, usize::MAX);
            Err(Error::text(format!("ERR exactly one of {what} can be specified for {name}")))
        };
        if searches && self.from.is_none() && polygon.is_none() {
            return exactly("FROMMEMBER or FROMLONLAT");
        }
        if searches && outline.is_none() && polygon.is_none() {
            return exactly("BYRADIUS, BYBOX and BYPOLYGON");
        }
        if query.any && query.count == 0 {
            return Err(Error::new("ERR the ANY argument requires COUNT argument"));
        }
        let around = center.zip(outline);
        query.shape = polygon
            .or_else(|| around.map(|(center, (outline, unit))| Shape { center, outline, unit }));
        if query.count > 0 && !query.any && query.order.is_none() {
            // The nearest so many.
            query.order = Some(Order::Ascending);
        }
        Ok(query)
    }
}

/// A radius and its unit.
fn circle(radius: &[u8], word: &[u8]) -> Result<(Outline, f64), Error> {
    let radius = parse_f64(radius).ok_or(Error::new("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(Error::new("ERR radius cannot be negative"));
    }
    Ok((Outline::Circle { radius }, unit(word)?))
}

/// A width, a height and their unit.
fn rectangle([width, height, word]: [&[u8]; 3]) -> Result<(Outline, f64), Error> {
    let width = parse_f64(width).ok_or(Error::new("ERR need numeric width"))?;
    let height = parse_f64(height).ok_or(Error::new("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::new("ERR height or width cannot be negative"));
    }
    Ok((Outline::Rectangle { width, height }, unit(word)?))
}

/// A number of corners, and the corners.
fn polygon(words: &mut Options<'_>) -> Result<Shape, Error> {
    const NOT_A_NUMBER: Error = Error::new("ERR invalid number of vertices");
    const TOO_FEW: Error = Error::new("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
    let count =
        parse_i64(words.value()?).and_then(|n| i32::try_from(n).ok()).ok_or(NOT_A_NUMBER)?;
    let count = usize::try_from(count).unwrap_or(0);
    if count < 3 || words.left() < 2 * count {
        return Err(TOO_FEW);
    }
    let corners = (0..count).map(|_| place(words.value()?, words.value()?));
    Ok(Shape::polygon(corners.collect::<Result<_, _>>()?))
}
