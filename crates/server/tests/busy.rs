//! One worker whose thread is kept by a script: another thread stands in for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::{Wire, serve, until};

const BUSY: &str = "-BUSY Valkey is busy running a script. You can only call SCRIPT KILL or \
                    SHUTDOWN NOSAVE.";

#[test]
fn others_are_served_while_a_script_keeps_the_only_thread() {
    let server = serve(&[("threads", "1"), ("busy-reply-threshold", "20")]);
    let (mut script, mut other) = (Wire::to(&server), Wire::to(&server));
    let mut idle = Wire::to(&server);
    assert_eq!(idle.ask("PING"), "+PONG");
    for _ in 0..5 {
        script.send("EVAL \"while true do end\" 0\r\n");
        // Answered from the first moment on which the server is known to be busy.
        until(|| other.ask("PING") == BUSY);
        // Whole pipelines, halves of requests, and who only comes now.
        other.send("PING\r\n".repeat(1_000));
        other.expect(format!("{BUSY}\r\n").repeat(1_000));
        other.send("*1\r\n$4\r\nPI");
        let mut late = Wire::to(&server);
        assert_eq!(late.ask("GET k"), BUSY);
        drop(Wire::to(&server));
        assert_eq!(late.ask("SCRIPT KILL"), "+OK");
        assert!(script.line().contains("killed by user"));
        other.send("NG\r\n");
        other.expect("+PONG\r\n");
        // Everybody's own thread serves them again, and is woken for them.
        for _ in 0..100 {
            for client in [&mut script, &mut other, &mut late, &mut idle] {
                assert_eq!(client.ask("PING"), "+PONG");
            }
        }
    }
}

#[test]
fn a_script_that_wrote_ends_with_the_server() {
    let server = serve(&[("threads", "1"), ("busy-reply-threshold", "20")]);
    let (mut script, mut other) = (Wire::to(&server), Wire::to(&server));
    script.send("EVAL \"redis.call('set', 'k', 'v') while true do end\" 0\r\n");
    until(|| other.ask("PING") == BUSY);
    assert!(other.ask("SCRIPT KILL").starts_with("-UNKILLABLE "));
    drop(other);
    server.end();
}
