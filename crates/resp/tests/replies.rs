//! What the reply writer writes: its exact bytes, and that `decode` and `redis-protocol` read
//! them back as what was meant, deferred lengths and shared values included.

use bytes::Bytes;
use pannier_resp::{Protocol, ProtocolError, Reply, SHARED_MIN, Value, decode};
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode as resp2_decode;
use redis_protocol::resp3::decode::complete::decode as resp3_decode;

fn bytes(reply: &Reply) -> Vec<u8> {
    let (mut slices, mut whole) = (Vec::new(), Vec::new());
    reply.slices(&mut slices);
    slices.iter().for_each(|slice| whole.extend_from_slice(slice));
    assert_eq!(whole.len(), reply.len());
    whole
}

fn written(protocol: Protocol, write: impl FnOnce(&mut Reply)) -> String {
    let mut reply = Reply::new(protocol);
    write(&mut reply);
    String::from_utf8(bytes(&reply)).expect("text")
}

#[test]
fn a_string_is_written_in_place_or_not_at_all() {
    let mut reply = Reply::new(Protocol::Resp2);
    reply.ok();
    let written: Result<(), ()> = reply.bulk_with(3, |out| {
        out.extend_from_slice(b"abc");
        Ok(())
    });
    let failed = reply.bulk_with(9, |out| {
        out.push(b'x');
        Err("no")
    });
    assert_eq!((written, failed), (Ok(()), Err("no")));
    reply.ok();
    assert_eq!(reply.as_slice(), Some(&b"+OK\r\n$3\r\nabc\r\n+OK\r\n"[..]));
}

#[test]
fn each_kind_of_reply_has_the_bytes_of_its_protocol() {
    type Write = fn(&mut Reply);
    let cases: &[(Write, &str, &str)] = &[
        (|r| r.ok(), "+OK\r\n", "+OK\r\n"),
        (|r| r.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
        (|r| r.error("ERR no"), "-ERR no\r\n", "-ERR no\r\n"),
        (|r| r.integer(0), ":0\r\n", ":0\r\n"),
        (|r| r.integer(-1), ":-1\r\n", ":-1\r\n"),
        (|r| r.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
        (|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (|r| r.bulk(b"ab"), "$2\r\nab\r\n", "$2\r\nab\r\n"),
        (|r| r.bulk_integer(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n"),
        (|r| r.null(), "$-1\r\n", "_\r\n"),
        (|r| r.null_array(), "*-1\r\n", "_\r\n"),
        (|r| r.array(10), "*10\r\n", "*10\r\n"),
        (|r| r.array(999), "*999\r\n", "*999\r\n"),
        (|r| r.array(1000), "*1000\r\n", "*1000\r\n"),
        (|r| r.map(60), "*120\r\n", "%60\r\n"),
        (|r| r.set(2), "*2\r\n", "~2\r\n"),
        (|r| r.push(3), "*3\r\n", ">3\r\n"),
        (|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
        (|r| r.boolean(true), ":1\r\n", "#t\r\n"),
        (|r| r.boolean(false), ":0\r\n", "#f\r\n"),
        (|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
        (|r| r.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        (|r| r.raw(b":5\r\n"), ":5\r\n", ":5\r\n"),
    ];
    for (write, resp2, resp3) in cases {
        assert_eq!(written(Protocol::Resp2, write), *resp2);
        assert_eq!(written(Protocol::Resp3, write), *resp3);
    }
    assert_eq!(written(Protocol::Resp3, |r| r.attribute(1)), "|1\r\n");
}

#[test]
fn an_error_is_one_line_whatever_it_quotes() {
    let reply = |text: &[u8]| written(Protocol::Resp2, |r| r.error_bytes(text));
    assert_eq!(reply(b"ERR a\r\nb\n\r\n"), "-ERR a  b\r\n");
    assert_eq!(reply(b""), "-\r\n");
    let error = ProtocolError::ExpectedBulk(b'\n');
    assert_eq!(
        written(Protocol::Resp2, |r| r.protocol_error(&error)),
        "-ERR Protocol error: expected '$', got ' '\r\n"
    );
}

#[test]
fn cutting_takes_back_copied_shared_and_deferred_parts() {
    let mut reply = Reply::new(Protocol::Resp2);
    reply.shared(vec![b'a'; SHARED_MIN].into());
    reply.integer(1);
    let before = bytes(&reply);
    let mark = reply.mark();
    let _deferred = reply.deferred();
    reply.shared(vec![b'b'; SHARED_MIN].into());
    reply.bulk(b"half");
    assert_eq!(reply.len_since(mark), reply.len() - before.len());
    reply.cut(mark);
    assert_eq!((reply.len(), bytes(&reply)), (before.len(), before.clone()));
    assert_eq!(reply.starts_with_error_at(mark), None);
    reply.error("WRONGTYPE no");
    assert_eq!(reply.starts_with_error_at(mark), Some(&b"WRONGTYPE no"[..]));
    let deferred = reply.deferred();
    reply.fill_array(deferred, 0);
    assert_eq!(bytes(&reply), [&before[..], b"-WRONGTYPE no\r\n*0\r\n"].concat());
}

#[test]
fn of_a_reply_any_number_of_bytes_can_be_kept() {
    let build = |reply: &mut Reply| {
        reply.integer(1);
        reply.shared(vec![b'a'; SHARED_MIN].into());
        let mark = reply.mark();
        reply.bulk(b"before");
        reply.shared(vec![b'b'; SHARED_MIN].into());
        reply.bulk(b"behind");
        mark
    };
    let mut whole = Reply::new(Protocol::Resp2);
    let mark = build(&mut whole);
    let (all, len) = (bytes(&whole), whole.len_since(mark));
    for kept in [0, 1, 11, 12, 13, 20, len - 13, len - 12, len - 1, len, len + 1] {
        let mut reply = Reply::new(Protocol::Resp2);
        let mark = build(&mut reply);
        reply.keep(mark, kept);
        assert_eq!(bytes(&reply), all[..all.len() - len + kept.min(len)], "{kept}");
        assert_eq!(reply.len_since(mark), kept.min(len));
    }
}

#[test]
fn large_values_go_by_reference_and_small_ones_by_copy() {
    let value = Bytes::from(vec![b'x'; SHARED_MIN]);
    let mut reply = Reply::new(Protocol::Resp2);
    reply.shared(value.clone());
    reply.shared(value.slice(1..));
    let mut slices = Vec::new();
    reply.slices(&mut slices);
    assert_eq!(slices.len(), 3);
    assert_eq!(slices[1].as_ptr(), value.as_ptr());
    assert!(reply.as_slice().is_none());
    reply.clear();
    assert!(reply.is_empty() && reply.as_slice() == Some(&[]));
}

/// A reply as a tree, to be written in either protocol and read back.
fn trees() -> impl Strategy<Value = Value> {
    let text = "[a-z ]{0,12}";
    let leaf = prop_oneof![
        text.prop_map(Value::Simple),
        text.prop_map(|text| Value::Error(format!("ERR {text}"))),
        any::<i64>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bulk),
        (SHARED_MIN - 2..SHARED_MIN + 2).prop_map(|len| Value::Bulk(vec![b'\r'; len])),
        (30_000_usize..40_000).prop_map(|len| Value::Bulk(vec![b'x'; len])),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(|d: f64| Value::Double(format!("{}", (d * 8.0).trunc() / 8.0))),
        "[1-9][0-9]{20,30}".prop_map(Value::BigNumber),
        text.prop_map(|text| Value::Verbatim("txt".into(), text.into_bytes())),
    ];
    // `redis-protocol` hashes keys and members, so they are no aggregates and no doubles.
    let key = any::<i64>().prop_map(Value::Integer);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let key = key.clone();
        let many = prop::collection::vec(inner.clone(), 0..6);
        let pairs = prop::collection::vec((key.clone(), inner), 0..4);
        prop_oneof![
            many.prop_map(Value::Array),
            prop::collection::vec(key, 0..6).prop_map(Value::Set),
            pairs.prop_map(Value::Map)
        ]
    })
}

fn write(reply: &mut Reply, value: &Value, deferred: bool) {
    match value {
        Value::Simple(text) => reply.simple(text),
        Value::Error(text) => reply.error(text),
        Value::Integer(n) => reply.integer(*n),
        Value::Bulk(bytes) => reply.shared(bytes.clone().into()),
        Value::Null => reply.null(),
        Value::Boolean(b) => reply.boolean(*b),
        Value::Double(text) => reply.double(text.parse().expect("a double")),
        Value::BigNumber(digits) => reply.big_number(digits),
        Value::Verbatim(format, text) => reply.verbatim(format, text),
        Value::Array(values) | Value::Set(values) => {
            let is_set = matches!(value, Value::Set(_));
            let place = deferred.then(|| reply.deferred());
            match is_set {
                _ if deferred => {}
                true => reply.set(values.len()),
                false => reply.array(values.len()),
            }
            values.iter().for_each(|value| write(reply, value, deferred));
            match place {
                Some(place) if is_set => reply.fill_set(place, values.len()),
                Some(place) => reply.fill_array(place, values.len()),
                None => {}
            }
        }
        Value::Map(pairs) => {
            let place = deferred.then(|| reply.deferred());
            if !deferred {
                reply.map(pairs.len());
            }
            for (key, value) in pairs {
                write(reply, key, deferred);
                write(reply, value, deferred);
            }
            if let Some(place) = place {
                reply.fill_map(place, pairs.len());
            }
        }
        other => unreachable!("{other:?} is not generated"),
    }
}

fn encoded(value: &Value, protocol: Protocol, deferred: bool) -> Vec<u8> {
    let mut reply = Reply::new(protocol);
    write(&mut reply, value, deferred);
    bytes(&reply)
}

proptest! {
    #[test]
    fn what_is_written_in_resp3_is_read_back(tree in trees()) {
        let wire = encoded(&tree, Protocol::Resp3, false);
        prop_assert_eq!(decode(&wire), Ok(Some((tree, wire.len()))));
        let (_, len) = resp3_decode(&wire).unwrap().unwrap();
        prop_assert_eq!(len, wire.len());
    }

    #[test]
    fn what_is_written_in_resp2_is_one_resp2_frame(tree in trees()) {
        let wire = encoded(&tree, Protocol::Resp2, false);
        let (_, len) = resp2_decode(&wire).unwrap().unwrap();
        prop_assert_eq!(len, wire.len());
        let (_, len) = decode(&wire).unwrap().unwrap();
        prop_assert_eq!(len, wire.len());
    }

    #[test]
    fn a_deferred_length_gives_the_same_bytes(tree in trees()) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            prop_assert!(encoded(&tree, protocol, true) == encoded(&tree, protocol, false));
        }
    }

    #[test]
    fn part_of_a_reply_is_no_reply(tree in trees(), part in 0.0..1.0) {
        let wire = encoded(&tree, Protocol::Resp3, false);
        let cut = (wire.len() as f64 * part) as usize;
        prop_assert_eq!(decode(&wire[..cut]), Ok(None));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        input in prop::collection::vec(
            prop::sample::select(b"+-:$*_%~,#(=>|!0123\r\na".to_vec()), 0..60
        )
    ) {
        if let Ok(Some((_, len))) = decode(&input) {
            prop_assert!(len <= input.len());
        }
    }
}

#[test]
fn attributes_pushes_and_blob_errors_are_read() {
    let attributes = vec![(Value::Simple("a".into()), Value::Integer(1))];
    let value = Value::Attribute(attributes, Box::new(Value::Boolean(true)));
    assert_eq!(decode(b"|1\r\n+a\r\n:1\r\n#t\r\n"), Ok(Some((value, 16))));
    let push = Value::Push(vec![Value::Error("ERR x".into()), Value::NullArray]);
    assert_eq!(decode(b">2\r\n!5\r\nERR x\r\n*-1\r\n"), Ok(Some((push, 20))));
    assert!(decode(&b"*1\r\n".repeat(1000)).is_err());
    assert!(decode(b"*99999999999999\r\n").is_ok_and(|value| value.is_none()));
    for malformed in ["x\r\n", ":a\r\n", "$1\r\nabc", "#x\r\n", "=2\r\nab\r\n", "_a\r\n", "+a\rb"] {
        assert!(decode(malformed.as_bytes()).is_err(), "{malformed:?}");
    }
}
