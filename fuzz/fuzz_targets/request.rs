//! The request parser on any bytes: never a panic, the same outcome however the bytes
//! arrive, and the same commands as `redis-protocol` reads.
//!
//! The first byte of the input chooses limits and the sizes of the pieces. With tight limits the
//! refusals are reached by short inputs. Where `redis-protocol` reads an array of bulk strings
//! and we see an error, the reason must be one of Redis's own rules that it is laxer about: a
//! length with a plus or a leading zero, or other bytes than CR LF behind an argument.
//!
//! Run with `make fuzz` or `cargo fuzz run request`; the same properties are tested on
//! generated inputs in `crates/resp/tests/request_parser.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pannier_resp::{Batch, Limits, Parser, ProtocolError, State};
use redis_protocol::resp2::decode::decode as oracle_decode;
use redis_protocol::resp2::types::OwnedFrame;

type Requests = Vec<Vec<Vec<u8>>>;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, input)) = data.split_first() else { return };
    let tight = choice & 1 == 1;
    let limits = Limits {
        authenticated: choice & 2 == 0,
        bulk_len_max: if tight { 64 } else { 1 << 20 },
        multibulk_max: if tight { 8 } else { 1 << 20 },
        inline_max: if tight { 16 } else { 65_536 },
    };
    let piece = usize::from(choice >> 2) + 1;
    let whole = parse(input, input.len().max(1), &limits, usize::MAX);
    assert_eq!(parse(input, 1, &limits, 1), whole);
    assert_eq!(parse(input, piece, &limits, 2), whole);
    if !tight && limits.authenticated {
        compare(input, &whole);
    }
});

/// Parses the input as it arrives in pieces, as a connection does.
fn parse(
    input: &[u8],
    piece: usize,
    limits: &Limits,
    max: usize,
) -> (Requests, Option<ProtocolError>) {
    let (mut parser, mut batch) = (Parser::new(), Batch::new());
    let (mut requests, mut buf) = (Vec::new(), Vec::new());
    for arrived in input.chunks(piece) {
        buf.extend_from_slice(arrived);
        loop {
            let parsed = parser.parse(&buf, limits, &mut batch, max);
            let owned = |index| batch.request(index, &buf).iter().map(<[u8]>::to_vec).collect();
            requests.extend((0..batch.len()).map(owned));
            batch.clear();
            buf.drain(..parsed.consumed);
            match parsed.state {
                State::Full => {}
                State::NeedMore { .. } => break,
                State::Broken(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

fn compare(input: &[u8], (requests, error): &(Requests, Option<ProtocolError>)) {
    let mut ours = requests.iter();
    let mut rest = input;
    while let Ok(Some((OwnedFrame::Array(frames), len))) = oracle_decode(rest) {
        let bulk = |frame| match frame {
            OwnedFrame::BulkString(bytes) => Some(bytes),
            _ => None,
        };
        let Some(theirs) = frames.into_iter().map(bulk).collect::<Option<Vec<_>>>() else { return };
        rest = &rest[len..];
        if theirs.is_empty() {
            continue;
        }
        match ours.next() {
            Some(request) => assert_eq!(*request, theirs),
            None => {
                use ProtocolError::{InvalidBulkLength, InvalidLineEnd, InvalidMultibulkLength};
                let stricter = [InvalidBulkLength, InvalidLineEnd, InvalidMultibulkLength];
                assert!(error.is_some_and(|e| stricter.contains(&e)), "{error:?} for {theirs:?}");
                return;
            }
        }
    }
}
