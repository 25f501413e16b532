//! Commands about the connection itself: AUTH, HELLO, PING, ECHO, SELECT, RESET, QUIT.
//! CLIENT has a file of its own. Transcripts: `tests/transcripts/connection`.

use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[PING];

const PING: Command = Command {
    name: "ping",
    since: "1.0.0",
    group: Group::Connection,
    arity: -1,
    flags: flags::FAST,
    categories: categories::CONNECTION,
    syntax: "[message]",
    summary: "Answers PONG, or the message, to show that the server is alive.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: ping,
    ..Command::DEFAULT
};

fn ping(cx: &mut Context<'_>) -> Result<Done, Error> {
    match cx.args.len() {
        1 => cx.reply.simple("PONG"),
        2 => cx.reply.bulk(cx.args.get(1)),
        _ => return Err(Error::arity("ping")),
    }
    Ok(Done::Replied)
}
