//! Places: sorted sets whose scores are cells of the globe (see `crate::geo`).
//!
//! Nothing in a sorted set says that its scores are places, so every sorted set is one to these
//! commands and ZREM removes from it. Coordinates are printed with seventeen decimals less
//! trailing zeros, distances with four, as Redis prints them. Searching is in `geo_search`.
//! Transcripts: `tests/transcripts/geo`.

use std::io::Write;

use pannier_resp::{Protocol, Reply, parse_f64};
use pannier_store::{SortedSet, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::is;
use crate::error::Error;
use crate::geo::{Cell, Point};

/// The family's rows.
pub(super) const ROWS: &[Command] = &[GEOADD, GEODIST, GEOHASH, GEOPOS];

const GEOADD: Command = Command {
    name: "geoadd",
    since: "3.2.0",
    group: Group::Geo,
    arity: -5,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
    summary: "Adds places to a sorted set.",
    complexity: "O(log(N)) for each place, with N the number of members",
    history: &[("6.2.0", "Added the `CH`, `NX` and `XX` options.")],
    handler: geoadd,
    ..Command::DEFAULT
};

const GEODIST: Command = Command {
    name: "geodist",
    since: "3.2.0",
    group: Group::Geo,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key member1 member2 [M | KM | FT | MI]",
    summary: "Returns the distance between two places.",
    complexity: "O(1)",
    handler: geodist,
    ..Command::DEFAULT
};

const GEOHASH: Command = Command {
    name: "geohash",
    since: "3.2.0",
    group: Group::Geo,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [member [member ...]]",
    summary: "Returns places as geohash strings.",
    complexity: "O(1) for each member",
    handler: geohash,
    ..Command::DEFAULT
};

const GEOPOS: Command = Command {
    name: "geopos",
    since: "3.2.0",
    group: Group::Geo,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::GEO,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [member [member ...]]",
    summary: "Returns the coordinates of places.",
    complexity: "O(1) for each member",
    handler: geopos,
    ..Command::DEFAULT
};

/// The place that two arguments state.
pub(super) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Point, Error> {
    let longitude = parse_f64(longitude).ok_or(Error::NOT_FLOAT)?;
    let latitude = parse_f64(latitude).ok_or(Error::NOT_FLOAT)?;
    Point::new(longitude, latitude).ok_or_else(|| {
        Error::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// Metres in a unit.
pub(super) fn unit(word: &[u8]) -> Result<f64, Error> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    const UNKNOWN: Error = Error::new("ERR unsupported unit provided. please use M, KM, FT, MI");
    UNITS.iter().find(|(name, _)| is(word, name)).map(|(_, metres)| *metres).ok_or(UNKNOWN)
}

fn geoadd(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (mut only_new, mut only_old, mut count_changed) = (false, false, false);
    let mut at = 2;
    while at < cx.args.len() {
        match cx.arg(at) {
            word if is(word, "nx") => only_new = true,
            word if is(word, "xx") => only_old = true,
            word if is(word, "ch") => count_changed = true,
            _ => break,
        }
        at += 1;
    }
    let left = cx.args.len() - at;
    if left == 0 || !left.is_multiple_of(3) || only_new && only_old {
        return Err(Error::SYNTAX);
    }
    // A mistake in the last place keeps the first from being added.
    for at in (at..cx.args.len()).step_by(3) {
        place(cx.arg(at), cx.arg(at + 1))?;
    }
    let (db, key, args, limits) = (cx.db(), cx.key(1), cx.args, cx.config.limits());
    let (mut added, mut changed) = (0, 0);
    let dirty = cx.view.dirty();
    cx.view.change::<SortedSet, _>(db, key, (&limits, !only_old), |set| {
        for at in (at..args.len()).step_by(3) {
            let Ok(place) = place(args.get(at), args.get(at + 1)) else { continue };
            let score = Cell::score_of(place) as f64;
            set.update(args.get(at + 2), |old| match old {
                None if !only_old => {
                    added += 1;
                    Some(score)
                }
                Some(old) if !only_new && old != score => {
                    changed += 1;
                    Some(score)
                }
                _ => None,
            });
        }
    })?;
    cx.notify_since(dirty, class::SORTED_SET, "zadd", key);
    cx.int(if count_changed { added + changed } else { added })
}

fn geodist(cx: &mut Context<'_>) -> Result<Done, Error> {
    let metres = match cx.args.len() {
        4 => 1.0,
        5 => unit(cx.arg(4))?,
        _ => return Err(Error::SYNTAX),
    };
    let (db, key, members) = (cx.db(), cx.key(1), [cx.arg(2), cx.arg(3)]);
    let set = cx.view.read_as::<SortedSet>(db, key)?;
    let places = members.map(|member| Some(Cell::place_of(set?.score(member)?)));
    match places {
        [Some(a), Some(b)] => reply_distance(cx.reply, a.distance(b) / metres),
        _ => cx.reply.null(),
    }
    Ok(Done::Replied)
}

fn geohash(cx: &mut Context<'_>) -> Result<Done, Error> {
    each_member(cx, |reply, place| match place {
        Some(place) => reply.bulk(&Cell::geohash(place)),
        None => reply.null(),
    })
}

fn geopos(cx: &mut Context<'_>) -> Result<Done, Error> {
    each_member(cx, |reply, place| match place {
        Some(place) => reply_place(reply, place),
        None => reply.null_array(),
    })
}

/// Replies an array of what `write` says of each member's place.
fn each_member(
    cx: &mut Context<'_>,
    write: impl Fn(&mut Reply, Option<Point>),
) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let set = cx.view.read_as::<SortedSet>(db, key)?;
    cx.reply.array(cx.args.len() - 2);
    for member in cx.args.iter().skip(2) {
        let score = set.and_then(|set| set.score(member));
        write(cx.reply, score.map(Cell::place_of));
    }
    Ok(Done::Replied)
}

/// Writes both coordinates.
pub(super) fn reply_place(reply: &mut Reply, place: Point) {
    reply.array(2);
    reply_coordinate(reply, place.longitude);
    reply_coordinate(reply, place.latitude);
}

/// Writes a coordinate with seventeen decimals, less trailing zeros.
fn reply_coordinate(reply: &mut Reply, degrees: f64) {
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    let room = rest.len();
    // A coordinate has at most three digits before the point.
    let written = write!(rest, "{degrees:.17}").map_or(0, |()| room - rest.len());
    let zeros = buffer[..written].iter().rev().take_while(|digit| **digit == b'0').count();
    let text = buffer[..written - zeros].strip_suffix(b".").unwrap_or(&buffer[..written - zeros]);
    let text = if text == b"-0" { b"0" } else { text };
    match reply.protocol() {
        Protocol::Resp2 => reply.bulk(text),
        Protocol::Resp3 => {
            reply.raw(b",");
            reply.raw(text);
            reply.raw(b"\r\n");
        }
    }
}

/// Writes a distance with four decimals.
pub(super) fn reply_distance(reply: &mut Reply, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even();
    // What is no number shows as what x86 makes of it.
    let scaled = if scaled.abs() < i64::MAX as f64 { scaled as i64 } else { i64::MIN };
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, part) = (scaled.unsigned_abs() / 10_000, scaled.unsigned_abs() % 10_000);
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    let room = rest.len();
    let written = write!(rest, "{sign}{whole}.{part:04}").map_or(0, |()| room - rest.len());
    reply.bulk(&buffer[..written]);
}
