//! The request parser against three oracles: itself on split input, the crate
//! `redis-protocol`, and the answers that a valkey-server 9.1 gave to broken requests.

use pannier_resp::{Batch, Limits, OwnedArgs, Parser, ProtocolError, State, split_line};
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode as oracle_decode;
use redis_protocol::resp2::types::OwnedFrame;

/// What came of an input: the requests, how many bytes they took, and the error.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    requests: Vec<Vec<Vec<u8>>>,
    wire_len: usize,
    rest: usize,
    error: Option<ProtocolError>,
}

/// Parses `input` as it arrives in the given pieces, as a connection would.
fn parse(input: &[u8], pieces: &[usize], limits: &Limits, max: usize) -> Outcome {
    let (mut parser, mut batch, mut outcome) = (Parser::new(), Batch::new(), Outcome::default());
    let mut buf = Vec::new();
    let mut arrived = 0;
    let mut steps = pieces.iter().copied().cycle();
    while outcome.error.is_none() && arrived < input.len() {
        let piece = steps.next().unwrap_or(input.len()).clamp(1, input.len() - arrived);
        buf.extend_from_slice(&input[arrived..arrived + piece]);
        arrived += piece;
        loop {
            let parsed = parser.parse(&buf, limits, &mut batch, max);
            assert!(parsed.consumed <= buf.len());
            let mut end = 0;
            for index in 0..batch.len() {
                let args = batch.request(index, &buf);
                assert!(!args.is_empty());
                outcome.requests.push(args.iter().map(<[u8]>::to_vec).collect());
                outcome.wire_len += args.wire_len();
                assert!(batch.end_of(index) >= end + args.wire_len());
                end = batch.end_of(index);
            }
            assert!(end <= parsed.consumed);
            batch.clear();
            buf.drain(..parsed.consumed);
            match parsed.state {
                State::Full => continue,
                State::NeedMore { hint } => assert!(hint > 0),
                State::Broken(error) => outcome.error = Some(error),
            }
            break;
        }
    }
    outcome.rest = input.len() - arrived + buf.len();
    // How much had arrived when an error was seen depends on the pieces.
    if outcome.error.is_some() {
        outcome.rest = 0;
    }
    outcome
}

fn whole(input: &[u8]) -> Outcome {
    parse(input, &[usize::MAX], &Limits::default(), usize::MAX)
}

fn encode(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    requests.iter().flat_map(|arguments| OwnedArgs::new(arguments).encode()).collect()
}

/// The requests at the head of `input` by `redis-protocol`, and the length of each.
fn oracle(input: &[u8]) -> Vec<(Vec<Vec<u8>>, usize)> {
    let mut requests = Vec::new();
    let mut rest = input;
    while let Ok(Some((OwnedFrame::Array(frames), len))) = oracle_decode(rest) {
        let bulk = |frame| match frame {
            OwnedFrame::BulkString(bytes) => Some(bytes),
            _ => None,
        };
        let Some(arguments) = frames.into_iter().map(bulk).collect() else { break };
        requests.push((arguments, len));
        rest = &rest[len..];
    }
    requests
}

fn requests() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let length = prop_oneof![8 => 0_usize..30, 2 => 30_usize..1200, 1 => 9_990_usize..10_010];
    let argument = length.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
    let request = prop::collection::vec(argument, 1..12);
    prop::collection::vec(request, 1..6)
}

/// Bytes that look like the grammar, so that random input gets past its first character.
fn almost_requests() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"*1\r\n$4\r\nPING\r\n".to_vec()),
        Just(b"*2\r\n$1\r\n".to_vec()),
        Just(b"PING\r\n".to_vec()),
        (0_u32..20_000).prop_map(|n| format!("${n}\r\n").into_bytes()),
        (0_u32..12).prop_map(|n| format!("*{n}\r\n").into_bytes()),
        (0_usize..300).prop_map(|n| format!("${n}\r\n{}\r\n", "v".repeat(n)).into_bytes()),
        Just(b"\"".to_vec()),
        Just(b"-1".to_vec()),
        (0_u32..20_000).prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(b"*$\r\n '\"\\x0123456789-a\0".to_vec()).prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn well_formed_requests_are_read_as_by_redis_protocol(
        requests in requests(),
        pieces in prop::collection::vec(1_usize..300, 1..8),
        max in 1_usize..4,
    ) {
        let input = encode(&requests);
        let expected: Vec<_> = oracle(&input).into_iter().map(|(request, _)| request).collect();
        prop_assert_eq!(&expected, &requests);
        let outcome = Outcome { requests, wire_len: input.len(), rest: 0, error: None };
        prop_assert_eq!(&whole(&input), &outcome);
        prop_assert_eq!(&parse(&input, &pieces, &Limits::default(), max), &outcome);
        prop_assert_eq!(&parse(&input, &[1], &Limits::default(), 1), &outcome);
    }

    #[test]
    fn any_bytes_give_the_same_outcome_however_they_arrive(
        input in prop_oneof![almost_requests(), prop::collection::vec(any::<u8>(), 0..80)],
        pieces in prop::collection::vec(1_usize..20, 1..8),
        authenticated: bool,
        inline_max in prop_oneof![Just(65536_usize), 2_usize..40],
    ) {
        let limits =
            Limits { authenticated, inline_max, bulk_len_max: 12_000, ..Limits::default() };
        let outcome = parse(&input, &[usize::MAX], &limits, usize::MAX);
        prop_assert_eq!(&parse(&input, &[1], &limits, 1), &outcome);
        prop_assert_eq!(&parse(&input, &pieces, &limits, 2), &outcome);
    }

    #[test]
    fn what_redis_protocol_reads_as_a_command_is_read_the_same(input in almost_requests()) {
        let outcome = whole(&input);
        let mut ours = outcome.requests.iter();
        for (theirs, _) in oracle(&input).iter().filter(|(request, _)| !request.is_empty()) {
            let Some(request) = ours.next() else {
                // Only what Redis refuses by rule: lengths with a plus or a leading zero.
                prop_assert!(outcome.error.is_some());
                break;
            };
            prop_assert_eq!(request, theirs);
        }
    }
}

#[test]
fn a_request_split_at_every_byte_is_the_same_request() {
    let input = b"*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$0\r\n\r\n\r\n\
        PING a \"b c\"\r\n*0\r\n*1\r\n$4\r\nPING\r\n";
    let expected = whole(input);
    assert_eq!(expected.requests.len(), 3);
    for cut in 1..input.len() {
        let outcome = parse(input, &[cut, usize::MAX], &Limits::default(), usize::MAX);
        assert_eq!(outcome, expected, "cut at {cut}");
    }
}

#[test]
fn full_is_reported_only_while_bytes_remain() {
    let input = b"*1\r\n$4\r\nPING\r\n".repeat(3);
    let (mut parser, mut batch) = (Parser::new(), Batch::new());
    let parsed = parser.parse(&input, &Limits::default(), &mut batch, 2);
    assert_eq!((parsed.consumed, parsed.state, batch.len()), (28, State::Full, 2));
    let parsed = parser.parse(&input[28..], &Limits::default(), &mut batch, 1);
    assert_eq!((parsed.consumed, parsed.state), (14, State::NeedMore { hint: 1 }));
}

#[test]
fn before_authentication_one_request_is_delivered_at_a_time() {
    let input = b"*1\r\n$4\r\nPING\r\n*11\r\n";
    let limits = Limits { authenticated: false, ..Limits::default() };
    let (mut parser, mut batch) = (Parser::new(), Batch::new());
    let parsed = parser.parse(input, &limits, &mut batch, 100);
    assert_eq!((parsed.consumed, parsed.state, batch.len()), (14, State::Full, 1));
    batch.clear();
    let parsed = parser.parse(&input[14..], &Limits::default(), &mut batch, 100);
    assert_eq!(parsed.state, State::NeedMore { hint: 1 });
}

#[test]
fn the_hint_is_what_the_argument_lacks() {
    let (mut parser, mut batch) = (Parser::new(), Batch::new());
    let input = b"*1\r\n$100000\r\nabc";
    let parsed = parser.parse(input, &Limits::default(), &mut batch, 1);
    assert_eq!(parsed.state, State::NeedMore { hint: 99_999 });
    assert!(parser.is_mid_request());
}

/// A client that announces much and sends little costs what it sent.
#[test]
fn a_huge_count_reserves_nothing() {
    let outcome = whole(b"*2147483647\r\n$1\r\na\r\n$536870912\r\n");
    assert_eq!((outcome.requests.len(), outcome.error), (0, None));
}

/// 200,000 arguments in 1.4 million pieces: quadratic work would take an hour.
#[test]
fn a_large_request_arriving_byte_by_byte_costs_linear_time() {
    let mut input = b"*200001\r\n$3\r\nDEL\r\n".to_vec();
    (0..200_000).for_each(|_| input.extend_from_slice(b"$1\r\nk\r\n"));
    let (mut parser, mut batch) = (Parser::new(), Batch::new());
    for end in 0..input.len() {
        let parsed = parser.parse(&input[..end], &Limits::default(), &mut batch, 1);
        assert_eq!(parsed.consumed, 0);
    }
    let parsed = parser.parse(&input, &Limits::default(), &mut batch, 1);
    assert_eq!((parsed.consumed, batch.len()), (input.len(), 1));
    assert_eq!(batch.request(0, &input).len(), 200_001);
    assert_eq!(batch.request(0, &input).from(200_000).get(0), b"k");
    // And a line that never ends is refused at its limit.
    let line = vec![b'a'; 65_537];
    assert_eq!(whole(&line[1..]).error, None);
    assert_eq!(parse(&line, &[1], &Limits::default(), 1).error, Some(ProtocolError::TooBigInline));
}

/// Each input was sent to a valkey-server 9.1.2, which answered with this error and closed.
#[test]
fn broken_requests_get_the_real_servers_errors() {
    let cases: &[(&[u8], &str)] = &[
        (b"*3\r\n$3\r\nSET\r\n$-1\r\n", "invalid bulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*-x\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1 \r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*\x00\r\n", "invalid multibulk length"),
        (b"*1\x00\r\n", "invalid multibulk length"),
        (b"*1\n$4\nPING\n*1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        (b"*1\rX$4\r\nPING\r\n", "invalid CRLF in request"),
        (b"*x\rX", "invalid CRLF in request"),
        (b"*3000000000\rX", "invalid CRLF in request"),
        (b"*-1\rX", "invalid CRLF in request"),
        (b"*\r\r\n", "invalid CRLF in request"),
        (b"*1\r\n$4\rXPING\r\n", "invalid CRLF in request"),
        (b"*1\r\n$x\rX", "invalid CRLF in request"),
        (b"*1\r\n$4\r\nPINGxx", "invalid CRLF in request"),
        (b"*2\r\n$4\r\nPINGx\n$1", "invalid CRLF in request"),
        (b"*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n\x00\r\n", "expected '$', got '\0'"),
        (b"*1\r\nx\rX", "expected '$', got 'x'"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$4\x00\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999999\r\n", "invalid bulk length"),
        (b"ECHO \"a\r\n", "unbalanced quotes in request"),
        (b"ECHO \"a\nb\"\r\n", "unbalanced quotes in request"),
    ];
    for (input, expected) in cases {
        let error = whole(input).error.expect("an error");
        assert_eq!(
            error.message(),
            format!("Protocol error: {expected}"),
            "{}",
            input.escape_ascii()
        );
    }
    let error = whole(b"*1\r\n\xff\r\n").error.expect("an error");
    assert_eq!(&error.wire_text()[..], b"Protocol error: expected '$', got '\xff'");
}

#[test]
fn lines_over_64_kib_are_refused_by_their_kind() {
    let line = |head: &[u8], len: usize| [head, &vec![b'1'; len]].concat();
    let cases = [
        (line(b"*", 65_535), None),
        (line(b"*", 65_536), Some(ProtocolError::TooBigMultibulkCount)),
        (line(b"*1\r\n$", 65_535), None),
        (line(b"*1\r\n$", 65_536), Some(ProtocolError::TooBigBulkCount)),
        (line(b"1", 65_535), None),
        (line(b"1", 65_536), Some(ProtocolError::TooBigInline)),
        (line(b"\0", 65_536), Some(ProtocolError::TooBigInline)),
    ];
    for (input, error) in cases {
        assert_eq!(whole(&input).error, error);
        assert_eq!(parse(&input, &[16_384], &Limits::default(), 1).error, error);
    }
    let longest = [vec![b'a'; 65_536], b"\r\n".to_vec()].concat();
    assert_eq!(whole(&longest).error, Some(ProtocolError::TooBigInline));
    assert_eq!(whole(&longest[1..]).requests.len(), 1);
}

/// As a valkey-server 9.1.2 with `requirepass` answered.
#[test]
fn limits_are_tighter_before_authentication() {
    let limits = Limits { authenticated: false, ..Limits::default() };
    let cases: &[(&[u8], Option<ProtocolError>)] = &[
        (b"*10\r\n", None),
        (b"*11\r\n", Some(ProtocolError::UnauthenticatedMultibulkLength)),
        (b"*3000000000\r\n", Some(ProtocolError::InvalidMultibulkLength)),
        (b"*1\r\n$16384\r\n", None),
        (b"*1\r\n$16385\r\n", Some(ProtocolError::UnauthenticatedBulkLength)),
        (b"*1\r\n$600000000\r\n", Some(ProtocolError::InvalidBulkLength)),
        (b"PING a a a a a a a a a a a a a a a\r\n", None),
    ];
    for (input, error) in cases {
        assert_eq!(parse(input, &[usize::MAX], &limits, 9).error, *error);
    }
}

#[test]
fn empty_requests_are_skipped_and_nothing_else_is() {
    let ping = "*1\r\n$4\r\nPING\r\n";
    for skipped in ["*0\r\n", "*-5\r\n", "*-1\r\n", "\r\n", "\n", "\n\n\n", "   \r\n", "\x0b\r\n"] {
        let outcome = whole(format!("{skipped}{ping}").as_bytes());
        assert_eq!((outcome.requests, outcome.rest), (vec![vec![b"PING".to_vec()]], 0));
    }
    // A NUL hides the rest of a line, as the real server searches for its end.
    assert_eq!(whole(b"PING\0\r\nPING\r\n").requests.len(), 0);
    assert_eq!(whole(b"''\r\n").requests, [[b""]]);
    assert_eq!(whole(b" *1\r\n").requests, [[b"*1"]]);
    assert_eq!(whole(b"PING\nPING\r\n").requests.len(), 2);
}

proptest! {
    #[test]
    fn a_typed_line_has_the_words_that_were_quoted_into_it(
        words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..5)
    ) {
        let quote = |word: &Vec<u8>| -> String {
            let bytes = word.iter().map(|byte| format!("\\x{byte:02x}"));
            format!("\"{}\"", bytes.collect::<String>())
        };
        let line = words.iter().map(quote).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(split_line(line.as_bytes()).unwrap(), words);
    }
}
