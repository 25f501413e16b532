//! Searching for places: around a place or a member, in a circle, a rectangle or a polygon.
//!
//! A shape is a few ranges of scores (`crate::geo`); what lies in them is checked one by one, and
//! what is inside is noted with its distance, borrowed from where it lies. COUNT without ANY needs
//! only the nearest so many: they are selected in linear time and only they are sorted. A result
//! that is stored is built whole before it replaces what the destination held, which may be the
//! source.
//!
//! GEORADIUS and GEORADIUSBYMEMBER are the older forms; their `_RO` variants only read. The words
//! are read by `geo_query`. Transcripts: `tests/transcripts/geo`.

use pannier_resp::{Args, Reply};
use pannier_store::{Piece, ScoreRange, SortedSet, SortedSetRef, class};

use super::geo::{reply_distance, reply_place};
use super::geo_query::{Dialect, Order, Query};
use super::keys::{Begin, Find, KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::is;
use crate::error::Error;
use crate::geo::{Cell, Point, Shape};

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[GEORADIUS, GEORADIUSBYMEMBER, GEORADIUSBYMEMBER_RO, GEORADIUS_RO, GEOSEARCH, GEOSEARCHSTORE];

const RADIUS_COMPLEXITY: &str = "O(N+log(M)) with N the number of members in the square around \
    the circle and M the number of all members";

const SHAPE_COMPLEXITY: &str = "O(N+log(M)) with N the number of members in the square around \
    the shape and M the number of all members";

const GEORADIUS: Command = Command {
    name: "georadius",
    since: "3.2.0",
    group: Group::Geo,
    arity: -6,
    flags: flags::DENYOOM | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::GEO,
    keys: &[
        KeySpec::one(1, access::RO | access::ACCESS),
        stored_after("STORE", 6),
        stored_after("STOREDIST", 6),
    ],
    destination: Some(radius_destination),
    syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
    summary: "Searches for places around a place, and may store what it finds.",
    complexity: RADIUS_COMPLEXITY,
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS`")),
    handler: georadius,
    ..Command::DEFAULT
};

const GEORADIUSBYMEMBER: Command = Command {
    name: "georadiusbymember",
    since: "3.2.0",
    group: Group::Geo,
    arity: -5,
    flags: flags::DENYOOM | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::GEO,
    keys: &[
        KeySpec::one(1, access::RO | access::ACCESS),
        stored_after("STORE", 5),
        stored_after("STOREDIST", 5),
    ],
    destination: Some(radius_destination),
    syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
    summary: "Searches for places around a member, and may store what it finds.",
    complexity: RADIUS_COMPLEXITY,
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    deprecated: Some((
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`",
    )),
    handler: georadiusbymember,
    ..Command::DEFAULT
};

const GEORADIUSBYMEMBER_RO: Command = Command {
    name: "georadiusbymember_ro",
    since: "3.2.10",
    group: Group::Geo,
    arity: -5,
    flags: flags::READONLY,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC]",
    summary: "Searches for places around a member.",
    complexity: RADIUS_COMPLEXITY,
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    deprecated: Some(("6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`")),
    handler: georadiusbymember_ro,
    ..Command::DEFAULT
};

const GEORADIUS_RO: Command = Command {
    name: "georadius_ro",
    since: "3.2.10",
    group: Group::Geo,
    arity: -6,
    flags: flags::READONLY,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC]",
    summary: "Searches for places around a place.",
    complexity: RADIUS_COMPLEXITY,
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    deprecated: Some(("6.2.0", "`GEOSEARCH` with `BYRADIUS`")),
    handler: georadius_ro,
    ..Command::DEFAULT
};

const GEOSEARCH: Command = Command {
    name: "geosearch",
    since: "6.2.0",
    group: Group::Geo,
    arity: -7,
    flags: flags::READONLY,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [FROMMEMBER member | FROMLONLAT longitude latitude] \
             <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> | \
             BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> \
             [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    summary: "Searches for places in a circle, a rectangle or a polygon.",
    complexity: SHAPE_COMPLEXITY,
    history: &[
        ("7.0.0", "Added support for uppercase unit names."),
        ("9.0.0", "Added support for `BYPOLYGON`."),
    ],
    handler: geosearch,
    ..Command::DEFAULT
};

const GEOSEARCHSTORE: Command = Command {
    name: "geosearchstore",
    since: "6.2.0",
    group: Group::Geo,
    arity: -8,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::GEO,
    keys: &[
        KeySpec::one(1, access::OW | access::UPDATE),
        KeySpec::one(2, access::RO | access::ACCESS),
    ],
    syntax: "destination source [FROMMEMBER member | FROMLONLAT longitude latitude] \
             <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> | \
             BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> \
             [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
    summary: "Stores the places in a circle, a rectangle or a polygon under another key.",
    complexity: SHAPE_COMPLEXITY,
    history: &[
        ("7.0.0", "Added support for uppercase unit names."),
        ("9.0.0", "Added support for `BYPOLYGON`."),
    ],
    handler: geosearchstore,
    ..Command::DEFAULT
};

/// The key after a word that a search may have.
const fn stored_after(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        access: access::OW | access::UPDATE | access::VARIABLE,
        notes: "",
    }
}

/// Where the key stands under which GEORADIUS stores: behind the last STORE or STOREDIST.
fn radius_destination(args: Args<'_>) -> Option<usize> {
    let (mut at, mut found) = (5, None);
    while at + 1 < args.len() {
        let word = args.get(at);
        if is(word, "store") || is(word, "storedist") {
            found = Some(at + 1);
            at += 1;
        }
        at += 1;
    }
    found
}

fn georadius(cx: &mut Context<'_>) -> Result<Done, Error> {
    search(cx, 1, (Dialect::Radius, true))
}

fn georadius_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    search(cx, 1, (Dialect::Radius, false))
}

fn georadiusbymember(cx: &mut Context<'_>) -> Result<Done, Error> {
    search(cx, 1, (Dialect::RadiusByMember, true))
}

fn georadiusbymember_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    search(cx, 1, (Dialect::RadiusByMember, false))
}

fn geosearch(cx: &mut Context<'_>) -> Result<Done, Error> {
    search(cx, 1, (Dialect::Search, false))
}

fn geosearchstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    search(cx, 2, (Dialect::SearchStore, false))
}

/// A place that was found.
struct Hit<'v> {
    member: Piece<'v>,
    score: f64,
    place: Point,
    distance: f64,
}

fn search(cx: &mut Context<'_>, source: usize, dialect: (Dialect, bool)) -> Result<Done, Error> {
    let (db, source) = (cx.db(), cx.key(source));
    let found = cx.view.read_as::<SortedSet>(db, source)?.is_some();
    // Found again in a view that is only read, so that a result can be made beside it.
    let set = cx.view.again(db, source).filter(|_| found);
    let set = set.map(|found| found.collection::<SortedSet>()).transpose()?;
    let query = Query::read(cx.args, dialect, set)?;
    let (hits, unit) = match (set, &query.shape) {
        (Some(set), Some(shape)) => (hits(set, shape, &query), shape.unit),
        _ => (Vec::new(), 1.0),
    };
    let Some(destination) = query.store else {
        cx.reply.array(hits.len());
        hits.iter().for_each(|hit| reply_hit(cx.reply, hit, unit, &query));
        return Ok(Done::Replied);
    };
    let (destination, limits, stored) = (cx.key(destination), cx.config.limits(), hits.len());
    let made = cx.view.make::<SortedSet>(destination, &limits, |result| {
        let mut digits = itoa::Buffer::new();
        let longest = hits.iter().map(|hit| hit.member.as_bytes(&mut digits).len()).max();
        result.expect(stored, longest.unwrap_or(0));
        for hit in &hits {
            let score = if query.store_distances { hit.distance / unit } else { hit.score };
            result.put(hit.member.as_bytes(&mut digits), |_| Some(score));
        }
    });
    let searches = matches!(dialect.0, Dialect::Search | Dialect::SearchStore);
    let event = if searches { "geosearchstore" } else { "georadiusstore" };
    match made {
        Some(made) => {
            cx.view.put_elements(db, destination, made, stored);
            cx.notify(class::SORTED_SET, event, destination);
        }
        None if cx.view.remove(db, destination) => {
            cx.notify(class::GENERIC, "del", destination);
        }
        None => {}
    }
    cx.int(stored as i64)
}

/// What lies in a shape, in the order asked for and no more than asked for.
fn hits<'v>(set: SortedSetRef<'v>, shape: &Shape, query: &Query) -> Vec<Hit<'v>> {
    let mut hits = Vec::new();
    let limit = if query.any { query.count } else { usize::MAX };
    'cells: for cell in shape.cells() {
        let (min, max) = cell.scores();
        let ranks = set.by_score(ScoreRange { min, max, above_min: false, below_max: true });
        for (member, score) in set.range(ranks) {
            if hits.len() >= limit {
                break 'cells;
            }
            let place = Cell::place_of(score);
            if let Some(distance) = shape.distance_to(place) {
                hits.push(Hit { member, score, place, distance });
            }
        }
    }
    let count = if query.count == 0 { hits.len() } else { query.count.min(hits.len()) };
    let Some(order) = query.order else {
        hits.truncate(count);
        return hits;
    };
    let compare = |a: &Hit<'_>, b: &Hit<'_>| {
        let nearer = a.distance.partial_cmp(&b.distance).unwrap_or(std::cmp::Ordering::Equal);
        if order == Order::Ascending { nearer } else { nearer.reverse() }
    };
    if count < hits.len() {
        hits.select_nth_unstable_by(count, compare);
        hits.truncate(count);
    }
    hits.sort_by(compare);
    hits
}

/// Writes a member, alone or with what was asked for.
fn reply_hit(reply: &mut Reply, hit: &Hit<'_>, unit: f64, query: &Query) {
    let Query { with_distance, with_hash, with_place, .. } = *query;
    let extras = [with_distance, with_hash, with_place].iter().filter(|asked| **asked).count();
    if extras > 0 {
        reply.array(1 + extras);
    }
    reply.bulk(hit.member.as_bytes(&mut itoa::Buffer::new()));
    if with_distance {
        reply_distance(reply, hit.distance / unit);
    }
    if with_hash {
        reply.integer(hit.score as i64);
    }
    if with_place {
        reply_place(reply, hit.place);
    }
}
