//! Pub/sub: SUBSCRIBE and its kin, PUBLISH, SPUBLISH, PUBSUB.
//!
//! Who is subscribed to what is kept in `pubsub` of the engine. The confirmations are replies of
//! the session's own, in the form of messages, one for each name. Messages that came for a session
//! before it left a name are written before the confirmation says so, because a RESP2 client takes
//! what comes later for the reply to its next command. Inside EXEC they come after the whole
//! reply, as all messages do. Shard channels are a space of their own, and nothing more: there is
//! one shard. Transcripts: `tests/transcripts/pubsub`.

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, flags};
use crate::error::Error;
use crate::pubsub::Space;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[
    SUBSCRIBE,
    UNSUBSCRIBE,
    PSUBSCRIBE,
    PUNSUBSCRIBE,
    SSUBSCRIBE,
    SUNSUBSCRIBE,
    PUBLISH,
    SPUBLISH,
    PUBSUB,
];

const SUBSCRIBE: Command = Command {
    name: "subscribe",
    since: "2.0.0",
    group: Group::PubSub,
    arity: -2,
    flags: SUBSCRIPTION,
    syntax: "channel [channel ...]",
    summary: "Subscribes to channels.",
    complexity: "O(log N) a channel with N the number of subscribers",
    handler: |cx| subscribe(cx, Space::Channel),
    ..Command::DEFAULT
};

const UNSUBSCRIBE: Command = Command {
    name: "unsubscribe",
    since: "2.0.0",
    group: Group::PubSub,
    arity: -1,
    flags: SUBSCRIPTION,
    syntax: "[channel [channel ...]]",
    summary: "Ends subscriptions to channels, without arguments all of them.",
    complexity: "O(log N) a channel with N the number of subscribers",
    handler: |cx| unsubscribe(cx, Space::Channel),
    ..Command::DEFAULT
};

const PSUBSCRIBE: Command = Command {
    name: "psubscribe",
    since: "2.0.0",
    group: Group::PubSub,
    arity: -2,
    flags: SUBSCRIPTION,
    syntax: "pattern [pattern ...]",
    summary: "Subscribes to all channels whose names match patterns.",
    complexity: "O(log N) a pattern with N the number of subscribers",
    handler: |cx| subscribe(cx, Space::Pattern),
    ..Command::DEFAULT
};

const PUNSUBSCRIBE: Command = Command {
    name: "punsubscribe",
    since: "2.0.0",
    group: Group::PubSub,
    arity: -1,
    flags: SUBSCRIPTION,
    syntax: "[pattern [pattern ...]]",
    summary: "Ends subscriptions to patterns, without arguments all of them.",
    complexity: "O(log N) a pattern with N the number of subscribers",
    handler: |cx| unsubscribe(cx, Space::Pattern),
    ..Command::DEFAULT
};

const SSUBSCRIBE: Command = Command {
    name: "ssubscribe",
    since: "7.0.0",
    group: Group::PubSub,
    arity: -2,
    flags: SUBSCRIPTION,
    keys: &[KeySpec::range(1, -1, 1, access::NOT_KEY)],
    syntax: "shardchannel [shardchannel ...]",
    summary: "Subscribes to shard channels.",
    complexity: "O(log N) a channel with N the number of subscribers",
    handler: |cx| subscribe(cx, Space::Shard),
    ..Command::DEFAULT
};

const SUNSUBSCRIBE: Command = Command {
    name: "sunsubscribe",
    since: "7.0.0",
    group: Group::PubSub,
    arity: -1,
    flags: SUBSCRIPTION,
    keys: &[KeySpec::range(1, -1, 1, access::NOT_KEY)],
    syntax: "[shardchannel [shardchannel ...]]",
    summary: "Ends subscriptions to shard channels, without arguments all of them.",
    complexity: "O(log N) a channel with N the number of subscribers",
    handler: |cx| unsubscribe(cx, Space::Shard),
    ..Command::DEFAULT
};

const PUBLISH: Command = Command {
    name: "publish",
    since: "2.0.0",
    group: Group::PubSub,
    arity: 3,
    flags: flags::FAST | flags::LOADING | flags::MAY_REPLICATE | flags::PUBSUB | flags::STALE,
    syntax: "channel message",
    summary: "Sends a message to the subscribers of a channel.",
    complexity: "O(N+M) with N the subscribers of the channel and M the patterns in use",
    handler: publish,
    ..Command::DEFAULT
};

const SPUBLISH: Command = Command {
    name: "spublish",
    since: "7.0.0",
    group: Group::PubSub,
    arity: 3,
    flags: flags::FAST | flags::LOADING | flags::MAY_REPLICATE | flags::PUBSUB | flags::STALE,
    keys: &[KeySpec::one(1, access::NOT_KEY)],
    syntax: "shardchannel message",
    summary: "Sends a message to the subscribers of a shard channel.",
    complexity: "O(N) with N the subscribers of the channel",
    handler: spublish,
    ..Command::DEFAULT
};

const PUBSUB: Command = Command {
    name: "pubsub",
    since: "2.8.0",
    group: Group::PubSub,
    arity: -2,
    syntax: "",
    summary: "Tells who is subscribed to what.",
    complexity: "depends on the sub-command",
    subcommands: &[
        PUBSUB_CHANNELS,
        PUBSUB_HELP,
        PUBSUB_NUMPAT,
        PUBSUB_NUMSUB,
        PUBSUB_SHARDCHANNELS,
        PUBSUB_SHARDNUMSUB,
    ],
    ..Command::DEFAULT
};

const PUBSUB_CHANNELS: Command = Command {
    name: "pubsub|channels",
    since: "2.8.0",
    group: Group::PubSub,
    arity: -2,
    flags: flags::LOADING | flags::PUBSUB | flags::STALE,
    syntax: "[pattern]",
    summary: "Lists the channels that have subscribers.",
    complexity: "O(N) with N the number of channels",
    handler: |cx| channels(cx, Space::Channel),
    ..Command::DEFAULT
};

const PUBSUB_HELP: Command = Command {
    name: "pubsub|help",
    since: "6.2.0",
    group: Group::PubSub,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: help,
    ..Command::DEFAULT
};

const PUBSUB_NUMPAT: Command = Command {
    name: "pubsub|numpat",
    since: "2.8.0",
    group: Group::PubSub,
    arity: 2,
    flags: flags::LOADING | flags::PUBSUB | flags::STALE,
    syntax: "",
    summary: "Tells how many patterns have subscribers.",
    complexity: "O(1)",
    handler: numpat,
    ..Command::DEFAULT
};

const PUBSUB_NUMSUB: Command = Command {
    name: "pubsub|numsub",
    since: "2.8.0",
    group: Group::PubSub,
    arity: -2,
    flags: flags::LOADING | flags::PUBSUB | flags::STALE,
    syntax: "[channel [channel ...]]",
    summary: "Tells how many subscribers channels have.",
    complexity: "O(N) with N the number of channels asked about",
    handler: |cx| numsub(cx, Space::Channel),
    ..Command::DEFAULT
};

const PUBSUB_SHARDCHANNELS: Command = Command {
    name: "pubsub|shardchannels",
    since: "7.0.0",
    group: Group::PubSub,
    arity: -2,
    flags: flags::LOADING | flags::PUBSUB | flags::STALE,
    syntax: "[pattern]",
    summary: "Lists the shard channels that have subscribers.",
    complexity: "O(N) with N the number of shard channels",
    handler: |cx| channels(cx, Space::Shard),
    ..Command::DEFAULT
};

const PUBSUB_SHARDNUMSUB: Command = Command {
    name: "pubsub|shardnumsub",
    since: "7.0.0",
    group: Group::PubSub,
    arity: -2,
    flags: flags::LOADING | flags::PUBSUB | flags::STALE,
    syntax: "[shardchannel [shardchannel ...]]",
    summary: "Tells how many subscribers shard channels have.",
    complexity: "O(N) with N the number of channels asked about",
    handler: |cx| numsub(cx, Space::Shard),
    ..Command::DEFAULT
};

/// Flags of all commands that change subscriptions.
const SUBSCRIPTION: u32 = flags::LOADING | flags::NOSCRIPT | flags::PUBSUB | flags::STALE;

fn subscribe(cx: &mut Context<'_>, space: Space) -> Result<Done, Error> {
    // The other two may stand in a transaction, because they always could.
    if space == Space::Shard && cx.session.in_exec {
        return Err(Error::new("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    let kind = ["subscribe", "psubscribe", "ssubscribe"][space as usize];
    let mut held = cx.session.subscriptions.take().unwrap_or_default();
    for at in 1..cx.args.len() {
        let name = cx.arg(at);
        cx.engine.pubsub.subscribe(&cx.session.client, &mut held, (space, name));
        confirm(cx, (kind, space), Some(name), held.counts());
    }
    cx.session.subscriptions = Some(held);
    Ok(Done::Replied)
}

fn unsubscribe(cx: &mut Context<'_>, space: Space) -> Result<Done, Error> {
    let kind = ["unsubscribe", "punsubscribe", "sunsubscribe"][space as usize];
    let mut held = cx.session.subscriptions.take().unwrap_or_default();
    let named: Vec<Box<[u8]>> = match cx.args.len() {
        1 => held.names(space),
        _ => cx.args.iter().skip(1).map(Box::from).collect(),
    };
    for name in &named {
        cx.engine.pubsub.unsubscribe(&cx.session.client, &mut held, (space, name));
        if !cx.session.in_exec {
            cx.session.mailbox().take_pushes(cx.reply, usize::MAX);
        }
        confirm(cx, (kind, space), Some(name), held.counts());
    }
    if named.is_empty() {
        confirm(cx, (kind, space), None, held.counts());
    }
    cx.session.subscriptions = Some(held).filter(|held| held.counts() != [0; 3]);
    Ok(Done::Replied)
}

/// Writes the confirmation for one name.
fn confirm(
    cx: &mut Context<'_>,
    (kind, space): (&str, Space),
    name: Option<&[u8]>,
    [channels, patterns, shards]: [usize; 3],
) {
    let count = if space == Space::Shard { shards } else { channels + patterns };
    cx.reply.push(3);
    cx.reply.bulk(kind.as_bytes());
    match name {
        Some(name) => cx.reply.bulk(name),
        None => cx.reply.null(),
    }
    cx.reply.integer(count as i64);
}

fn publish(cx: &mut Context<'_>) -> Result<Done, Error> {
    // Inside EXEC: what has happened to keys is told before.
    cx.view.hand_over();
    cx.engine.deliver();
    let limits = &cx.config.client_output_buffer_limit;
    let receivers = cx.engine.pubsub.publish(cx.arg(1), cx.arg(2), limits);
    cx.int(receivers as i64)
}

fn spublish(cx: &mut Context<'_>) -> Result<Done, Error> {
    let limits = &cx.config.client_output_buffer_limit;
    let receivers = cx.engine.pubsub.publish_shard(cx.arg(1), cx.arg(2), limits);
    cx.int(receivers as i64)
}

fn channels(cx: &mut Context<'_>, space: Space) -> Result<Done, Error> {
    let pattern = match cx.args.len() {
        2 => None,
        3 => Some(cx.arg(2)),
        _ => {
            let word = String::from_utf8_lossy(cx.arg(1));
            return Err(Error::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB \
                 HELP."
            )));
        }
    };
    let names = cx.engine.pubsub.in_use(space, pattern);
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name));
    Ok(Done::Replied)
}

fn numsub(cx: &mut Context<'_>, space: Space) -> Result<Done, Error> {
    // A flat array under RESP3, too.
    cx.reply.array(2 * (cx.args.len() - 2));
    for name in cx.args.iter().skip(2) {
        cx.reply.bulk(name);
        cx.reply.integer(cx.engine.pubsub.subscribers(space, name) as i64);
    }
    Ok(Done::Replied)
}

fn numpat(cx: &mut Context<'_>) -> Result<Done, Error> {
    let count = cx.engine.pubsub.len(Space::Pattern);
    cx.int(count as i64)
}

fn help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "CHANNELS [<pattern>]",
        "    The channels that have subscribers, all or those that match the pattern.",
        "NUMPAT",
        "    How many patterns have subscribers.",
        "NUMSUB [<channel> ...]",
        "    How many subscribers each channel has; those of patterns do not count.",
        "SHARDCHANNELS [<pattern>]",
        "    The shard channels that have subscribers.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    How many subscribers each shard channel has.",
    ])
}
