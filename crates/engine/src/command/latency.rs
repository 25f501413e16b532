//! LATENCY: spikes by event, and the distribution of execution times by command.
//!
//! The samples are kept by `latency`, the distributions by `stats`. The report and the graph are
//! made here, from the samples. Transcripts: `tests/transcripts/server`.

use std::fmt::Write;

use super::row::{Command, Context, Done, Group, flags};
use super::table::Resolved;
use crate::error::Error;
use crate::latency::Event;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[LATENCY];

/// Columns and rows of a graph.
const GRAPH_WIDTH: usize = 80;
const GRAPH_ROWS: u64 = 4;

const LATENCY: Command = Command {
    name: "latency",
    since: "2.8.13",
    group: Group::Server,
    arity: -2,
    syntax: "",
    summary: "Looks at latency spikes and at the distribution of execution times.",
    complexity: "depends on the sub-command",
    subcommands: &[
        LATENCY_DOCTOR,
        LATENCY_GRAPH,
        LATENCY_HELP,
        LATENCY_HISTOGRAM,
        LATENCY_HISTORY,
        LATENCY_LATEST,
        LATENCY_RESET,
    ],
    ..Command::DEFAULT
};

const LATENCY_DOCTOR: Command = Command {
    name: "latency|doctor",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "",
    summary: "Explains the observed latency spikes in words.",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: latency_doctor,
    ..Command::DEFAULT
};

const LATENCY_GRAPH: Command = Command {
    name: "latency|graph",
    since: "2.8.13",
    group: Group::Server,
    arity: 3,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "event",
    summary: "Draws the samples of an event as text.",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: latency_graph,
    ..Command::DEFAULT
};

const LATENCY_HELP: Command = Command {
    name: "latency|help",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: latency_help,
    ..Command::DEFAULT
};

const LATENCY_HISTOGRAM: Command = Command {
    name: "latency|histogram",
    since: "7.0.0",
    group: Group::Server,
    arity: -2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "[command [command ...]]",
    summary: "Tells how execution times of commands are distributed.",
    complexity: "O(N) with N the number of commands",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: latency_histogram,
    ..Command::DEFAULT
};

const LATENCY_HISTORY: Command = Command {
    name: "latency|history",
    since: "2.8.13",
    group: Group::Server,
    arity: 3,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "event",
    summary: "Lists the samples of an event.",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: latency_history,
    ..Command::DEFAULT
};

const LATENCY_LATEST: Command = Command {
    name: "latency|latest",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "",
    summary: "Lists the newest sample of every event.",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: latency_latest,
    ..Command::DEFAULT
};

const LATENCY_RESET: Command = Command {
    name: "latency|reset",
    since: "2.8.13",
    group: Group::Server,
    arity: -2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "[event [event ...]]",
    summary: "Forgets the samples of events.",
    complexity: "O(1)",
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    handler: latency_reset,
    ..Command::DEFAULT
};

/// An argument as text.
fn name<'a>(cx: &Context<'a>, at: usize) -> std::borrow::Cow<'a, str> {
    String::from_utf8_lossy(cx.arg(at))
}

fn latency_latest(cx: &mut Context<'_>) -> Result<Done, Error> {
    let events = cx.engine.latency.all();
    cx.reply.array(events.len());
    for (name, event) in events {
        let (time_s, ms) = event.samples.back().copied().unwrap_or_default();
        cx.reply.array(6);
        cx.reply.bulk(name.as_bytes());
        for n in [time_s, ms, event.max_ms, event.sum_ms, event.count] {
            cx.reply.integer(n as i64);
        }
    }
    Ok(Done::Replied)
}

fn latency_history(cx: &mut Context<'_>) -> Result<Done, Error> {
    let event = cx.engine.latency.event(&name(cx, 2)).unwrap_or_default();
    cx.reply.array(event.samples.len());
    for (time_s, ms) in event.samples {
        cx.reply.array(2);
        cx.reply.integer(time_s as i64);
        cx.reply.integer(ms as i64);
    }
    Ok(Done::Replied)
}

fn latency_reset(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut forgotten = 0;
    if cx.args.len() == 2 {
        forgotten = cx.engine.latency.reset(None);
    }
    for at in 2..cx.args.len() {
        forgotten += cx.engine.latency.reset(Some(&name(cx, at)));
    }
    cx.int(forgotten as i64)
}

fn latency_graph(cx: &mut Context<'_>) -> Result<Done, Error> {
    let name = name(cx, 2);
    let Some(event) = cx.engine.latency.event(&name) else {
        return Err(Error::text(format!("ERR No samples available for event '{name}'")));
    };
    let text = graph(&name, &event, cx.now.unix_s());
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

/// A bar for every sample, and below it its age, read downwards.
fn graph(name: &str, event: &Event, now_s: u64) -> String {
    let samples = event.samples.iter().rev().take(GRAPH_WIDTH).rev();
    let samples: Vec<(u64, u64)> = samples.copied().collect();
    let high = samples.iter().map(|(_, ms)| *ms).max().unwrap_or(0);
    let low = samples.iter().map(|(_, ms)| *ms).min().unwrap_or(0);
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.max_ms,
        "-".repeat(GRAPH_WIDTH)
    );
    let steps = GRAPH_ROWS * 3;
    let height = |ms: u64| 1 + (ms - low) * (steps - 1) / (high - low).max(1);
    for row in (0..GRAPH_ROWS).rev() {
        for (_, ms) in &samples {
            text.push(match height(*ms).saturating_sub(row * 3) {
                0 => ' ',
                1 => '_',
                2 => 'o',
                _ => '#',
            });
        }
        text.push('\n');
    }
    text.push('\n');
    let ages: Vec<String> = samples.iter().map(|(at, _)| age(now_s.saturating_sub(*at))).collect();
    for line in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        for age in &ages {
            text.push(age.chars().nth(line).unwrap_or(' '));
        }
        text.push('\n');
    }
    text
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

fn latency_doctor(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut text = String::new();
    let events = cx.engine.latency.all();
    if cx.config.latency_monitor_threshold == 0 && events.is_empty() {
        text.push_str(
            "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> \
             turns it on; choose the delay that your application would notice.\n",
        );
    } else if events.is_empty() {
        text.push_str("No latency spike was observed.\n");
    } else {
        text.push_str("Latency spikes were observed.\n\n");
        for (number, (name, event)) in events.iter().enumerate() {
            spikes(&mut text, number + 1, name, event);
        }
        text.push_str(
            "\nSLOWLOG GET lists the commands that took long. Commands over many keys or large \
             values hold up everyone else while they run.\n",
        );
    }
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

fn spikes(text: &mut String, number: usize, name: &str, event: &Event) {
    let n = event.samples.len() as u64;
    let sum: u64 = event.samples.iter().map(|(_, ms)| ms).sum();
    let mean = sum / n.max(1);
    let deviation: u64 = event.samples.iter().map(|(_, ms)| ms.abs_diff(mean)).sum();
    let first = event.samples.front().map_or(0, |(at, _)| *at);
    let last = event.samples.back().map_or(0, |(at, _)| *at);
    let period = last.saturating_sub(first) as f64 / n.max(1) as f64;
    let _ = writeln!(
        text,
        "{number}. {name}: {n} spikes (mean {mean} ms, mean deviation {} ms, one every \
         {period:.2} s). The worst ever took {} ms.",
        deviation / n.max(1),
        event.max_ms,
    );
}

fn latency_histogram(cx: &mut Context<'_>) -> Result<Done, Error> {
    let totals = cx.engine.stats.totals([0; 5]);
    let table = &cx.engine.commands;
    let mut rows: Vec<Resolved> = Vec::new();
    if cx.args.len() == 2 {
        rows.extend(table.rows());
    }
    for at in 2..cx.args.len() {
        let Some(found) = table.find(cx.arg(at)) else { continue };
        rows.push(found);
        let subs = 1..=found.command.subcommands.len();
        rows.extend(
            subs.map(|i| found.id + i as u16).map(|id| Resolved { command: table.row(id), id }),
        );
    }
    rows.retain(|row| totals.commands[usize::from(row.id)].recorded() > 0);
    cx.reply.map(rows.len());
    for row in rows {
        let stats = &totals.commands[usize::from(row.id)];
        cx.reply.bulk(row.command.name.as_bytes());
        cx.reply.map(2);
        cx.reply.bulk(b"calls");
        cx.reply.integer(stats.recorded() as i64);
        cx.reply.bulk(b"histogram_usec");
        let steps = powers(stats.buckets());
        cx.reply.map(steps.len());
        for (us, n) in steps {
            cx.reply.integer(us as i64);
            cx.reply.integer(n as i64);
        }
    }
    Ok(Done::Replied)
}

/// Cumulative counts at the powers of two where they grow. The bounds are those that Redis shows,
/// which are powers of two of 1.024 µs and the width of a bucket: 1, 2, 4, 8, 16, 33, 66, 132.
fn powers(buckets: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut sum = 0;
    for (top, n) in buckets {
        sum += n;
        let bound = (top.max(1).next_power_of_two() * 1032 - 1) / 1000;
        match steps.last_mut() {
            Some((held, count)) if *held == bound => *count = sum,
            _ => steps.push((bound, sum)),
        }
    }
    steps
}

fn latency_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "DOCTOR",
        "    The observed spikes in words, with advice.",
        "GRAPH <event>",
        "    The samples of an event as a picture.",
        "HISTOGRAM [<command> ...]",
        "    How often each command took at most so many microseconds.",
        "HISTORY <event>",
        "    The samples of an event: time and milliseconds.",
        "LATEST",
        "    For every event: time, newest and largest sample, sum and number.",
        "RESET [<event> ...]",
        "    Forget the samples of these events, or of all.",
    ])
}
