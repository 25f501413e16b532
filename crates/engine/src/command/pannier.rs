//! PANNIER: the tools for tests that no other server has, over the wire.
//!
//! The container exists only where the directive `test-mode` is on (`Command::test_only`): a
//! client that could roll the data back, or make requests fail, has no place in production, so
//! there the name is unknown to dispatch, COMMAND and ACL alike, and not merely refused. The
//! directive is for the start alone, for the same reason.
//!
//! Rules: each tool is first a method of the engine, and its sub-command here only reads words and
//! replies. Its row stands in a file of its own, `pannier_<tool>`, and is listed here. What is
//! neither `HELP` nor harmless is `flags::ADMIN`.
//! Transcripts: `tests/transcripts/server/pannier-*`, and `limits/test-mode-no` for its absence.

use super::pannier_checkpoint::{
    PANNIER_CHECKPOINT, PANNIER_CHECKPOINTS, PANNIER_RELEASE, PANNIER_ROLLBACK,
};
use super::pannier_clock::PANNIER_CLOCK;
use super::pannier_fault::PANNIER_FAULT;
use super::pannier_recorder::PANNIER_RECORDER;
use super::row::{Command, Context, Done, Group, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[PANNIER];

const PANNIER: Command = Command {
    name: "pannier",
    since: "0.1.0",
    group: Group::Server,
    arity: -2,
    syntax: "",
    summary: "Tools for tests.",
    complexity: "depends on the sub-command",
    test_only: true,
    subcommands: &[
        PANNIER_CHECKPOINT,
        PANNIER_CHECKPOINTS,
        PANNIER_CLOCK,
        PANNIER_FAULT,
        PANNIER_HELP,
        PANNIER_RECORDER,
        PANNIER_RELEASE,
        PANNIER_ROLLBACK,
    ],
    ..Command::DEFAULT
};

const PANNIER_HELP: Command = Command {
    name: "pannier|help",
    since: "0.1.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: pannier_help,
    ..Command::DEFAULT
};

fn pannier_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "CHECKPOINT [<name>]",
        "    Remember all data, scripts, functions and parameters as they are; reply an id.",
        "CHECKPOINTS",
        "    The checkpoints that are active, the latest last, and what they keep.",
        "CLOCK [FREEZE | RESUME | SET <unix-ms> | ADVANCE <ms>]",
        "    Stop the time, let it go on, set it or move it on; reply how the clock stands.",
        "FAULT ADD <fault> [<condition> ...] | LIST | DEL <id> ... | CLEAR",
        "    Make requests or connections fail. Faults: DELAY <milliseconds>, ERROR <message>,",
        "    DROP BEFORE|AFTER, CUT <bytes>, REFUSE. Conditions: COMMAND <name>, KEY <pattern>,",
        "    ID <client-id>, NAME <client-name>, USER <username>, PROBABILITY <p>, SEED <seed>,",
        "    COUNT <count>.",
        "RECORDER START [<condition> ...] | STOP | GET [<condition> ...] | COUNT | CLEAR",
        "    Record what clients send, and in how many round trips. START also takes",
        "    ENTRIES <n> and BYTES <n>: how much is kept.",
        "RELEASE [<id> | <name>]",
        "    Give up a checkpoint, by default the latest. The data stay as they are.",
        "ROLLBACK [<id> | <name>] [CONFIG]",
        "    Bring data, scripts and functions back to a checkpoint, by default the latest; with",
        "    CONFIG the parameters, too. The checkpoint stays, later ones are given up.",
    ])
}
