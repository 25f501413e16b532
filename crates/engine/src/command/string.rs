//! Strings: reading and writing whole values. Counters, ranges and bitmaps have files of their
//! own beside this one. Transcripts: `tests/transcripts/string`.

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags, reply_string};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[GET];

const GET: Command = Command {
    name: "get",
    since: "1.0.0",
    group: Group::String,
    arity: 2,
    flags: flags::READONLY | flags::FAST,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns the string value of a key.",
    complexity: "O(1)",
    handler: get,
    ..Command::DEFAULT
};

fn get(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    match cx.view.string(db, key)? {
        None => cx.reply.null(),
        Some(value) => reply_string(cx.reply, value),
    }
    Ok(Done::Replied)
}
