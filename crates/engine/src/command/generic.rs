//! Keys of any type: existence, removal, names. Expiry, scanning and databases have files of
//! their own beside this one. Transcripts: `tests/transcripts/generic`.

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[DEL];

const DEL: Command = Command {
    name: "del",
    since: "1.0.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, access::RM | access::DELETE)],
    syntax: "key [key ...]",
    summary: "Removes keys, whatever they hold.",
    complexity: "O(N) with N the number of keys, and the size of each value",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: del,
    ..Command::DEFAULT
};

fn del(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    let mut removed = 0;
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        removed += i64::from(cx.view.remove(db, key));
    }
    cx.int(removed)
}
