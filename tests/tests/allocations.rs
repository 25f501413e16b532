//! Whether a request allocates: it must not, on the paths that caches live on.
//!
//! A whole server runs in this process, over TCP, with an allocator that counts. Each kind of
//! request is sent some thousand times, alone and in pipelines; the client's side uses buffers made
//! before. What the server does by itself meanwhile (its periodic work, a few times a second)
//! allocates a little, so the bound is one allocation in a hundred requests, and not none.
//!
//! Rules: one test function, because everything in the process is counted. Values have a length
//! that does not change, as a growing entry needs a new block.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;

use pannier::Server;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests that are counted, of each kind.
const REQUESTS: usize = 20_000;

/// Requests and their replies; every reply to one request is the same.
const KINDS: [(&str, &str); 12] = [
    ("GET text", "$5\r\nhello\r\n"),
    ("GET number", "$2\r\n41\r\n"),
    ("GET missing", "$-1\r\n"),
    ("SET text hello", "+OK\r\n"),
    ("SET number 41", "+OK\r\n"),
    ("SET brief value PX 100000000", "+OK\r\n"),
    ("INCRBY zero 0", ":0\r\n"),
    ("EXPIRE text 1000", ":1\r\n"),
    ("PERSIST number", ":0\r\n"),
    ("EXISTS text", ":1\r\n"),
    ("MGET text number", "*2\r\n$5\r\nhello\r\n$2\r\n41\r\n"),
    ("PING", "+PONG\r\n"),
];

fn wire(request: &str) -> Vec<u8> {
    let words: Vec<&str> = request.split(' ').collect();
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

/// Sends the request so often, `pipeline` at once, and checks the replies.
fn send(client: &mut TcpStream, (request, reply): (&str, &str), pipeline: usize, times: usize) {
    let burst = wire(request).repeat(pipeline);
    let expected = reply.as_bytes().repeat(pipeline);
    let mut received = vec![0; expected.len()];
    for _ in 0..times / pipeline {
        client.write_all(&burst).expect("the server reads");
        client.read_exact(&mut received).expect("the server answers");
        assert_eq!(received, expected, "{request}");
    }
}

fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let counted = region.change();
    counted.allocations + counted.reallocations
}

#[test]
fn everyday_requests_allocate_nothing() {
    // One thread has one shard, two have eight.
    for threads in [1, 2] {
        on_threads(threads);
    }
}

fn on_threads(threads: usize) {
    let server = Server::builder().threads(threads).start().expect("a server");
    let mut client = TcpStream::connect(server.addr().expect("an address")).expect("a connection");
    client.set_nodelay(true).expect("an option of the socket");
    send(&mut client, ("SET zero 0", "+OK\r\n"), 1, 1);
    for kind in ["SET text hello", "SET number 41"] {
        send(&mut client, (kind, "+OK\r\n"), 1, 1);
    }
    for pipeline in [1, 16, 100] {
        for kind in KINDS {
            // The first ones make what stays: buffers, histograms, the wheel's levels.
            send(&mut client, kind, pipeline, 200);
            // A machine that is busy with other things lets the server's own clockwork, which does
            // allocate, have a larger share of some rounds; requests would allocate in each.
            let mut round = || allocations(|| send(&mut client, kind, pipeline, REQUESTS));
            let made = (0..3).map(|_| round()).find(|made| *made < REQUESTS / 100);
            assert!(made.is_some(), "{} at pipeline {pipeline} allocates", kind.0);
        }
    }
    // What does allocate is counted.
    let question = ("CONFIG GET maxentries", "*2\r\n$10\r\nmaxentries\r\n$1\r\n0\r\n");
    assert!(allocations(|| send(&mut client, question, 1, REQUESTS)) >= REQUESTS);
}
