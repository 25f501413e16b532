//! The recorder over real sockets: what counts as a round trip.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use pannier_engine::{Condition, Recording, Tally};
use pannier_server::Running;
use support::{Wire, serve, until};

fn tally(server: &Running) -> (u64, u64) {
    let tally = server.engine().recorder_tally(&Condition::new()).unwrap();
    let Tally { commands, round_trips, .. } = tally;
    (commands, round_trips)
}

#[test]
fn a_pipeline_of_many_reads_is_one_round_trip() {
    let server = serve(&[]);
    server.engine().start_recorder(Recording::default()).unwrap();
    let mut client = Wire::to(&server);
    // 25 bytes a request: no read of a power of two ends between two of them for long.
    let pipeline = "SET key:12345 value:1234\r\n".repeat(9_000);
    client.send(&pipeline[..pipeline.len() - 1]);
    until(|| tally(&server).0 == 8_999);
    client.send(&pipeline[pipeline.len() - 1..]);
    client.expect("+OK\r\n".repeat(9_000));
    let (commands, round_trips) = tally(&server);
    assert_eq!(commands, 9_000);
    // Only where a read happens to end between two requests another one begins.
    assert!(round_trips <= 4, "{round_trips}");
}

#[test]
fn a_request_that_comes_byte_by_byte_is_one_round_trip() {
    let server = serve(&[]);
    server.engine().start_recorder(Recording::default()).unwrap();
    let mut client = Wire::to(&server);
    for byte in b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" {
        client.send([*byte]);
    }
    client.expect("$2\r\nhi\r\n");
    assert_eq!(tally(&server), (1, 1));
    assert_eq!(client.ask("PING"), "+PONG");
    assert_eq!(tally(&server), (2, 2));
}

#[test]
fn what_is_sent_behind_a_request_that_waits_is_recorded_when_it_runs() {
    let server = serve(&[]);
    server.engine().start_recorder(Recording::default()).unwrap();
    let (mut waiting, mut other) = (Wire::to(&server), Wire::to(&server));
    waiting.send("BLPOP k 0\r\nPING\r\n");
    until(|| tally(&server) == (1, 1));
    assert_eq!(other.ask("RPUSH k v"), ":1");
    waiting.expect("*2\r\n$1\r\nk\r\n$1\r\nv\r\n+PONG\r\n");
    assert_eq!(tally(&server), (3, 2));
}
