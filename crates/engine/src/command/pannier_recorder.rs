//! PANNIER RECORDER: what clients have sent, for tests.
//!
//! START clears; STOP keeps what there is. GET and COUNT take the same conditions as START, so a
//! test may record everything and ask about a part of it. See `recorder` and `condition` of the
//! engine. Transcript: `server/pannier-recorder`.

use super::pannier_fault::natural;
use super::row::{Command, Context, Done, Group, flags};
use crate::args::{self, Options};
use crate::condition::Condition;
use crate::error::Error;
use crate::recorder::{Recording, Tally};

pub(super) const PANNIER_RECORDER: Command = Command {
    name: "pannier|recorder",
    since: "0.1.0",
    group: Group::Server,
    arity: -3,
    flags: flags::ADMIN | flags::NOSCRIPT | flags::LOADING | flags::STALE,
    syntax: "<START [ENTRIES entries] [BYTES bytes] [COMMAND command [COMMAND command ...]] \
             [KEY pattern] [ID client-id] [NAME client-name] [USER username] | STOP | CLEAR | \
             GET [COMMAND command [COMMAND command ...]] [KEY pattern] [ID client-id] \
             [NAME client-name] [USER username] | COUNT [COMMAND command [COMMAND command ...]] \
             [KEY pattern] [ID client-id] [NAME client-name] [USER username]>",
    summary: "Records what clients send, and in how many round trips.",
    complexity: "O(N) with N the number of requests recorded",
    handler: pannier_recorder,
    ..Command::DEFAULT
};

fn pannier_recorder(cx: &mut Context<'_>) -> Result<Done, Error> {
    let alone = cx.args.len() == 3;
    if cx.is(2, "START") {
        let recording = read(Options::new(cx.args, 3), true)?;
        cx.engine.start_recorder(recording)?;
        cx.ok()
    } else if cx.is(2, "STOP") && alone {
        let was_on = cx.engine.stop_recorder();
        cx.int(i64::from(was_on))
    } else if cx.is(2, "CLEAR") && alone {
        let kept = cx.engine.clear_recorder();
        cx.int(kept as i64)
    } else if cx.is(2, "GET") {
        let condition = read(Options::new(cx.args, 3), false)?.condition;
        get(cx, &condition)
    } else if cx.is(2, "COUNT") {
        let condition = read(Options::new(cx.args, 3), false)?.condition;
        let Tally { commands, round_trips, lost } = cx.engine.recorder_tally(&condition)?;
        cx.reply.map(3);
        for (name, n) in [("commands", commands), ("round-trips", round_trips), ("lost", lost)] {
            cx.reply.bulk(name.as_bytes());
            cx.reply.integer(n as i64);
        }
        Ok(Done::Replied)
    } else {
        Err(Error::SYNTAX)
    }
}

fn get(cx: &mut Context<'_>, condition: &Condition) -> Result<Done, Error> {
    let found = cx.engine.recorded(condition)?;
    cx.reply.array(found.len());
    for one in found {
        let numbers = [
            ("number", one.number),
            ("round-trip", one.round_trip),
            ("time-us", one.time_us),
            ("client", one.client),
            ("database", one.database as u64),
        ];
        cx.reply.map(numbers.len() + 2);
        for (name, n) in numbers {
            cx.reply.bulk(name.as_bytes());
            cx.reply.integer(n as i64);
        }
        cx.reply.bulk(b"name");
        cx.reply.bulk(one.name.as_bytes());
        cx.reply.bulk(b"args");
        cx.reply.array(one.args.len());
        one.args.iter().for_each(|arg| cx.reply.bulk(arg));
    }
    Ok(Done::Replied)
}

/// Reads conditions, and how much is kept where that is `bounded`.
fn read(mut words: Options<'_>, bounded: bool) -> Result<Recording, Error> {
    let mut recording = Recording::default();
    while let Some(word) = words.next() {
        if recording.condition.accept(word, &mut words)? {
            continue;
        }
        let value = words.value()?;
        let max = if bounded && args::is(word, "ENTRIES") {
            &mut recording.entries_max
        } else if bounded && args::is(word, "BYTES") {
            &mut recording.bytes_max
        } else {
            return Err(Error::SYNTAX);
        };
        *max = usize::try_from(natural(value)?).map_err(|_| Error::OUT_OF_RANGE)?;
    }
    Ok(recording)
}
