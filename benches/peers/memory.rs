//! The memory rows: how much a fresh server grows by a key, beside the key and the value.
//!
//! RSS is what the user's machine pays: it counts the table, headers, the allocator's rounding
//! and the half-empty pages, and no server can account it away. Each row starts a server of its
//! own, reads its RSS, fills it over one connection, waits until RSS holds still (a table may go
//! on moving after the last insert) and divides the growth. DBSIZE, a sample value and, where
//! there are deadlines, a sample TTL are checked first.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::client::{Client, encode};
use crate::cpu::resident_bytes;
use crate::definition::Memory;
use crate::peer::{Peer, Server};
use crate::result::{Row, Table, Target};
use crate::run::Run;
use crate::timing::{pause, unix_ms};

/// Measures every memory row that was asked for, and the empty server.
pub(crate) fn measure(run: &mut Run) -> Table {
    let mut rows = Vec::new();
    for memory in run.definitions.memory.clone() {
        if (!run.quick || memory.quick) && run.wants(&memory.name) {
            rows.push(measure_row(run, &memory));
        }
    }
    rows.extend(measure_empty(run));
    Table { title: "Memory: RSS growth per key less key and value".into(), rows }
}

fn measure_row(run: &mut Run, memory: &Memory) -> Row {
    eprintln!("memory: {}", memory.name);
    let mut cells = run.cells();
    for (index, cell) in cells.iter_mut().enumerate() {
        if run.peers[index].definition.fixed_reply {
            continue;
        }
        match growth_per_key(&run.peers[index], memory) {
            Ok(bytes) => cell.samples.push(bytes),
            Err(why) => run.left_out(index, &memory.name, why),
        }
    }
    Row::new(&memory.name, "B", cells).target(Some(Target::AtMost(memory.target_bytes)))
}

fn measure_empty(run: &mut Run) -> Option<Row> {
    let target = run.definitions.empty.as_ref()?.target_megabytes;
    let name = "empty server, RSS";
    if !run.wants(name) {
        return None;
    }
    let mut cells = run.cells();
    for (index, cell) in cells.iter_mut().enumerate() {
        if run.peers[index].definition.fixed_reply {
            continue;
        }
        let resident =
            run.peers[index].start().and_then(|server| Ok(resident_at_rest(&server)? as f64));
        match resident {
            Ok(bytes) => cell.samples.push(bytes / 1e6),
            Err(why) => run.left_out(index, name, why),
        }
    }
    Some(Row::new(name, "MB", cells).target(Some(Target::AtMost(target))))
}

fn growth_per_key(peer: &Peer, memory: &Memory) -> Result<f64> {
    let server = peer.start()?;
    let before = resident_at_rest(&server)?;
    let mut client = server.client()?;
    let began_ms = unix_ms();
    client.fill(memory.keys, |index, output| {
        let key = pannier_benches::key(index);
        let value = pannier_benches::value(index, memory.value_bytes);
        match deadline_ms(memory, index, began_ms) {
            None => encode(output, &[b"SET", &key[..], &value]),
            Some(at) => {
                encode(output, &[b"SET", &key[..], &value, b"PXAT", at.to_string().as_bytes()]);
            }
        }
    })?;
    check(&mut client, memory)?;
    let grown = resident_at_rest(&server)?.saturating_sub(before);
    let payload = pannier_benches::KEY_LEN + memory.value_bytes;
    Ok(grown as f64 / memory.keys as f64 - payload as f64)
}

fn check(client: &mut Client, memory: &Memory) -> Result<()> {
    client.expect(&["DBSIZE"], memory.keys.to_string())?;
    let index = memory.keys / 2;
    let key = pannier_benches::key(index);
    let value = pannier_benches::value(index, memory.value_bytes);
    client.expect(&[b"GET", &key[..]], &value)?;
    let ttl = client.call(&[b"TTL", &key[..]])?.to_string();
    let ttl: i64 = ttl.parse().with_context(|| format!("TTL answered {ttl:?}"))?;
    let right = match memory.ttl_s {
        None => ttl == -1,
        Some([_, longest]) => (1..=longest.cast_signed()).contains(&ttl),
    };
    ensure!(right, "TTL answered {ttl}");
    Ok(())
}

/// Deadlines lie evenly between the two limits, in an order that is not the keys'.
fn deadline_ms(memory: &Memory, index: u64, began_ms: u64) -> Option<u64> {
    let [least, most] = memory.ttl_s?;
    let place = pannier_benches::scattered(index, memory.keys);
    Some(began_ms + least * 1000 + place * (most - least) * 1000 / memory.keys)
}

/// RSS once three readings in a row are within a page of each other.
pub(crate) fn resident_at_rest(server: &Server) -> Result<u64> {
    let mut last = resident_bytes(server.pid())?;
    let mut still = 0;
    for _ in 0..READINGS_MAX {
        pause(Duration::from_millis(100));
        let next = resident_bytes(server.pid())?;
        still = if next.abs_diff(last) <= 4096 { still + 1 } else { 0 };
        last = next;
        if still == 3 {
            return Ok(last);
        }
    }
    bail!("its RSS does not hold still")
}

/// Ten seconds of readings.
const READINGS_MAX: usize = 100;
