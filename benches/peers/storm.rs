//! The storm: a million keys that expire in the same millisecond, and a client that notices.
//!
//! Two figures stand against each other: how soon the dead keys are gone (a server that keeps them
//! pays for them in memory), and how long a request waits while that is done (a server that frees
//! them in one go stalls). One connection asks for a living key, one request a millisecond; another
//! asks DBSIZE every few milliseconds until only the living keys are left.
//!
//! Latency is taken twice. From the sending of a request, as TARGETS has it: a request that waits
//! 30 ms then is one slow request. And from the moment it was due: the 29 requests that should have
//! been sent meanwhile then count as slow too, which is what a crowd of independent clients feels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::client::{Client, encode};
use crate::definition::Storm;
use crate::peer::{Peer, Server};
use crate::result::{Row, Table, Target};
use crate::run::Run;
use crate::timing::{now, pause, poll, unix_ms};

/// Measures the storm, if it was asked for.
pub(crate) fn measure(run: &mut Run) -> Option<Table> {
    let storm = run.definitions.storm.clone().filter(|_| run.wants("storm"))?;
    let (keys, lead_ms, rounds) = if run.quick {
        (storm.quick_keys, storm.quick_lead_ms, 1)
    } else {
        (storm.keys, storm.lead_ms, storm.rounds)
    };
    let mut figures = [run.cells(), run.cells(), run.cells(), run.cells()];
    let mut failed: Vec<_> = run.peers.iter().map(|peer| peer.definition.fixed_reply).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}: storm of {keys} keys", round + 1);
        for peer in run.order(round) {
            if failed[peer] {
                continue;
            }
            match sample(&run.peers[peer], &storm, keys, lead_ms) {
                Ok(felt) => {
                    for (cells, figure) in figures.iter_mut().zip(felt) {
                        cells[peer].samples.push(figure);
                    }
                }
                Err(why) => {
                    failed[peer] = true;
                    figures.iter_mut().for_each(|cells| cells[peer].samples.clear());
                    run.left_out(peer, "storm", why);
                }
            }
        }
    }
    let [gone, p99, max, due_p99] = figures;
    // The targets are the large storm's.
    let most = |most| Some(Target::AtMost(most)).filter(|_| !run.quick);
    let rows = vec![
        Row::new("all gone from DBSIZE after", "ms", gone).target(most(storm.target_gone_ms)),
        Row::new("GET p99 meanwhile", "ms", p99).target(most(storm.target_p99_ms)),
        Row::new("GET max meanwhile", "ms", max).target(most(storm.target_max_ms)),
        Row::new("GET p99 meanwhile, from when it was due", "ms", due_p99),
    ];
    let title = if run.quick {
        "A small storm: 200 k keys that expire in the same millisecond"
    } else {
        "A storm: 1 M keys that expire in the same millisecond"
    };
    Some(Table { title: title.into(), rows })
}

/// Gone after, p99, max, p99 from due, all in milliseconds.
fn sample(peer: &Peer, storm: &Storm, keys: u64, lead_ms: u64) -> Result<[f64; 4]> {
    let server = peer.start()?;
    let mut client = server.client()?;
    let value = pannier_benches::value(0, storm.value_bytes);
    client.fill(LIVING, |index, output| {
        encode(output, &[b"SET".to_vec(), living(index), value.clone()]);
    })?;
    let deadline_ms = unix_ms() + lead_ms;
    let deadline = now() + Duration::from_millis(lead_ms);
    let at = deadline_ms.to_string();
    client.fill(keys, |index, output| {
        let key = pannier_benches::key(index);
        encode(output, &[b"SET", &key[..], &value, b"PXAT", at.as_bytes()]);
    })?;
    client.expect(&["DBSIZE"], (keys + LIVING).to_string())?;
    ensure!(now() + MARGIN < deadline, "the fill took longer than lead_ms ({lead_ms})");
    pause(deadline.saturating_duration_since(now()));
    let felt = weather(&server, &mut client, deadline, Duration::from_millis(storm.limit_ms))?;
    client.expect(&[b"GET", &pannier_benches::key(keys / 2)[..]], "(nil)")?;
    client.expect(&[b"GET", &living(7)[..]], &value)?;
    Ok(felt)
}

/// Asks for living keys from `deadline` on until the dead ones are gone.
fn weather(
    server: &Server,
    client: &mut Client,
    deadline: Instant,
    limit: Duration,
) -> Result<[f64; 4]> {
    let mut watcher = server.client()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let gone = await_gone(&mut watcher, deadline, limit);
            over.store(true, Ordering::Relaxed);
            gone
        });
        let felt = ask_each_millisecond(client, deadline, &over);
        let gone = watch.join().map_err(|_| anyhow!("the watcher of DBSIZE panicked"))??;
        let (mut sent, mut due) = felt?;
        let max = sent.iter().copied().fold(0.0, f64::max);
        Ok([gone, percentile_99(&mut sent), max, percentile_99(&mut due)])
    })
}

/// Milliseconds from the deadline until DBSIZE counts the living keys only.
fn await_gone(watcher: &mut Client, deadline: Instant, limit: Duration) -> Result<f64> {
    let mut left = 0;
    let gone = poll(limit, Duration::from_millis(5), || match watcher.dbsize() {
        Ok(LIVING) => Some(Ok(milliseconds(deadline.elapsed()))),
        Ok(size) => {
            left = size.saturating_sub(LIVING);
            None
        }
        Err(why) => Some(Err(why)),
    });
    gone.with_context(|| {
        format!("DBSIZE still counts {left} dead keys after {} s", limit.as_secs())
    })?
}

/// The latencies of requests from their sending, and from when they were due, in milliseconds.
fn ask_each_millisecond(
    client: &mut Client,
    began: Instant,
    over: &AtomicBool,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut from_sent, mut from_due) = (Vec::new(), Vec::new());
    let mut due = began;
    while !over.load(Ordering::Relaxed) || from_sent.len() < REQUESTS_MIN {
        pause(due.saturating_duration_since(now()));
        let sent = now();
        let reply = client.call(&[b"GET", &living(from_sent.len() as u64 % LIVING)[..]])?;
        ensure!(!reply.is_error(), "{reply}");
        from_sent.push(milliseconds(sent.elapsed()));
        from_due.push(milliseconds(due.elapsed()));
        due += Duration::from_millis(1);
    }
    Ok((from_sent, from_due))
}

fn living(index: u64) -> Vec<u8> {
    format!("living:{index:04}").into_bytes()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn percentile_99(latencies: &mut [f64]) -> f64 {
    latencies.sort_by(f64::total_cmp);
    latencies.get((latencies.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Keys that do not expire, and are asked for.
const LIVING: u64 = 1000;
/// A storm that is over at once still gets a p99 of something.
const REQUESTS_MIN: usize = 200;
/// The fill must be over so long before the deadline.
const MARGIN: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_is_the_least_figure_that_99_of_100_do_not_exceed() {
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile_99(&mut hundred), 99.0);
        assert_eq!(percentile_99(&mut [5.0]), 5.0);
    }
}
