//! CONFIG: reading and changing the parameters of a running server.
//!
//! The module `config` knows the parameters; here is only what makes a change take effect: under
//! one lock a new snapshot is made from the present one and put into force
//! (`Engine::reconfigure`). Transcripts: `tests/transcripts/server`.

use std::sync::Arc;

use super::row::{Command, Context, Done, Flags, Group, Opens, flags};
use crate::config::{Config, find};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[CONFIG];

const FOR_ADMINISTRATORS: Flags = flags::ADMIN | flags::NOSCRIPT | flags::LOADING | flags::STALE;

const CONFIG: Command = Command {
    name: "config",
    since: "2.0.0",
    group: Group::Server,
    arity: -2,
    summary: "Reads and changes the server's parameters.",
    complexity: "Depends on subcommand.",
    subcommands: &[CONFIG_GET, CONFIG_HELP, CONFIG_RESETSTAT, CONFIG_REWRITE, CONFIG_SET],
    ..Command::DEFAULT
};

const CONFIG_GET: Command = Command {
    name: "config|get",
    since: "2.0.0",
    group: Group::Server,
    arity: -3,
    flags: FOR_ADMINISTRATORS,
    syntax: "parameter [parameter ...]",
    summary: "Tells the values in effect of the parameters that match any of the patterns.",
    complexity: "O(N) when N is the number of configuration parameters provided",
    history: &[("7.0.0", "Accepts several patterns in one call.")],
    handler: config_get,
    ..Command::DEFAULT
};

const CONFIG_HELP: Command = Command {
    name: "config|help",
    since: "5.0.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    summary: "Lists the sub-commands.",
    handler: config_help,
    ..Command::DEFAULT
};

const CONFIG_RESETSTAT: Command = Command {
    name: "config|resetstat",
    opens: Opens::Each,
    since: "2.0.0",
    group: Group::Server,
    arity: 2,
    flags: FOR_ADMINISTRATORS,
    summary: "Sets the statistics that INFO reports back to zero.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: config_resetstat,
    ..Command::DEFAULT
};

const CONFIG_REWRITE: Command = Command {
    name: "config|rewrite",
    since: "2.8.0",
    group: Group::Server,
    arity: 2,
    flags: FOR_ADMINISTRATORS,
    summary: "Writes the values in effect into the configuration file.",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: config_rewrite,
    ..Command::DEFAULT
};

const CONFIG_SET: Command = Command {
    name: "config|set",
    since: "2.0.0",
    group: Group::Server,
    arity: -4,
    flags: FOR_ADMINISTRATORS,
    syntax: "parameter value [parameter value ...]",
    summary: "Changes parameters of the running server, all of them or none.",
    complexity: "O(N) when N is the number of configuration parameters provided",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    history: &[("7.0.0", "Accepts several parameters in one call.")],
    handler: config_set,
    ..Command::DEFAULT
};

fn config_get(cx: &mut Context<'_>) -> Result<Done, Error> {
    let patterns: Vec<&[u8]> = cx.args.from(2).iter().collect();
    let found = cx.config.matching(&patterns);
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    Ok(Done::Replied)
}

fn config_set(cx: &mut Context<'_>) -> Result<Done, Error> {
    let words: Vec<&[u8]> = cx.args.from(2).iter().collect();
    if words.len() % 2 == 1 {
        return Err(Error::SYNTAX);
    }
    let pairs: Vec<_> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let engine = cx.engine;
    let _configuring = engine.configuring.lock();
    let old = engine.config();
    let mut new = Config::clone(&old);
    new.set_live(&pairs, cx.session.local).map_err(Error::text)?;
    let new = Arc::new(new);
    let refused = |reason: String| {
        let name = culprit(&pairs, &old, &new);
        Error::text(format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
        ))
    };
    engine.reconfigure(&old, &new).map_err(refused)?;
    cx.reply.ok();
    Ok(Done::Trim)
}

/// The first of the parameters that a change of configuration really changed.
fn culprit(pairs: &[(&[u8], &[u8])], old: &Config, new: &Config) -> &'static str {
    let known = pairs.iter().filter_map(|(name, _)| find(&String::from_utf8_lossy(name)));
    let mut changed = known.filter(|(parameter, _)| parameter.text(old) != parameter.text(new));
    changed.next().map_or("", |(_, name)| name)
}

fn config_resetstat(cx: &mut Context<'_>) -> Result<Done, Error> {
    let stats = cx.view.stats();
    cx.engine.stats.reset(stats.counts());
    cx.engine.compressor.reset_rejected();
    cx.engine.scripts.reset_evicted();
    cx.ok()
}

fn config_rewrite(cx: &mut Context<'_>) -> Result<Done, Error> {
    let rewritten = cx.engine.host.rewrite_config(cx.config);
    rewritten.map_err(|reason| Error::text(format!("ERR {reason}")))?;
    cx.ok()
}

fn config_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "GET <pattern> [<pattern> ...]",
        "    The parameters whose names match a pattern, with their values.",
        "RESETSTAT",
        "    Start the statistics of INFO from zero again.",
        "REWRITE",
        "    Bring the configuration file up to what is in force.",
        "SET <parameter> <value> [<parameter> <value> ...]",
        "    Change parameters, all of them or none.",
    ])
}
