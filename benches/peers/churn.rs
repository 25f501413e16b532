//! Churn: what is left of memory when values have been overwritten by others of all sizes.
//!
//! A cache that lives for weeks overwrites every key many times, and an allocator that cannot use
//! the holes makes the process grow though the data does not. A fresh server is filled, then each
//! step overwrites a key at random with a value of a random size; the harness keeps the sizes, so
//! it knows what is alive. The figures are RSS over the bytes of living keys and values, and what
//! RSS comes back to when the keys are flushed and the server was asked to purge. DBSIZE and the
//! lengths of some values are checked first.

use anyhow::{Result, ensure};

use crate::client::encode;
use crate::definition::Churn;
use crate::memory::resident_at_rest;
use crate::peer::Peer;
use crate::result::{Row, Table};
use crate::run::Run;

/// Measures it, if it was asked for.
pub(crate) fn measure(run: &mut Run) -> Option<Table> {
    let name = "churn: RSS over living keys and values";
    let churn = run.definitions.churn.clone().filter(|_| !run.quick && run.wants(name))?;
    let (mut over_alive, mut flushed) = (run.cells(), run.cells());
    for index in 0..run.peers.len() {
        if run.peers[index].definition.fixed_reply {
            continue;
        }
        eprintln!("churn: {}", run.peers[index].name());
        match sample(&run.peers[index], &churn) {
            Ok((ratio, bytes)) => {
                over_alive[index].samples.push(ratio);
                flushed[index].samples.push(bytes / 1e6);
            }
            Err(why) => run.left_out(index, "churn", why),
        }
    }
    let [least, most] = churn.value_bytes;
    let title = format!(
        "Churn: {} keys, {} random overwrites by values of {least} to {most} bytes",
        churn.keys, churn.overwrites
    );
    let rows = vec![
        Row::new(name, "times", over_alive),
        Row::new("churn: RSS after FLUSHALL and MEMORY PURGE", "MB", flushed),
    ];
    Some(Table { title, rows })
}

/// RSS over what is alive, and RSS in bytes after all is gone.
fn sample(peer: &Peer, churn: &Churn) -> Result<(f64, f64)> {
    let server = peer.start()?;
    let mut client = server.client()?;
    let [least, most] = churn.value_bytes;
    let text = pannier_benches::value(0, most);
    let mut lens = vec![0; usize::try_from(churn.keys)?];
    client.fill(churn.keys + churn.overwrites, |step, output| {
        let drawn = pannier_benches::mix(step);
        let index = if step < churn.keys { step } else { drawn % churn.keys };
        let len = size(drawn >> 32, least, most);
        lens[index as usize] = len;
        encode(output, &[b"SET", &pannier_benches::key(index)[..], &text[..len]]);
    })?;
    client.expect(&["DBSIZE"], churn.keys.to_string())?;
    for index in [0, churn.keys / 2, churn.keys - 1] {
        let len = lens[index as usize].to_string();
        client.expect(&[b"STRLEN", &pannier_benches::key(index)[..]], len)?;
    }
    let alive: usize = lens.iter().map(|len| len + pannier_benches::KEY_LEN).sum();
    let resident = resident_at_rest(&server)? as f64;
    client.expect(&["FLUSHALL"], "OK")?;
    let purged = client.call(&["MEMORY", "PURGE"])?;
    ensure!(!purged.is_error(), "{purged}");
    Ok((resident / alive as f64, resident_at_rest(&server)? as f64))
}

/// A size between the two, each octave as likely as the next; `drawn` has 32 random bits.
fn size(drawn: u64, least: usize, most: usize) -> usize {
    let place = drawn as f64 / f64::from(u32::MAX);
    (least as f64 * (most as f64 / least as f64).powf(place)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_reach_from_the_least_to_the_greatest() {
        assert_eq!(size(0, 16, 4096), 16);
        assert_eq!(size(u64::from(u32::MAX), 16, 4096), 4096);
        assert_eq!(size(u64::from(u32::MAX) / 2, 16, 4096), 255);
    }
}
