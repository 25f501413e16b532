//! Payloads of all kinds, whole and damaged: whole ones come back as they were, damaged ones are
//! refused or make a value that is sound.
//!
//! A damaged payload gets a true footer, or only the checksum would be tested. What is restored
//! from it is dumped and restored again and must then be the same bytes, which it is only if what
//! was made is one that the limits permit, without duplicates and with counts that agree.

use std::sync::Arc;

use crc::{CRC_64_REDIS, Crc};
use pannier_persist::{Refused, dump, restore};
use pannier_store::{Age, Keyspace, Limits, Now, Open, Options, Rules};
use proptest::prelude::*;

const NOW: Now = Now { unix_us: 1_700_000_000_000_000, mono_us: 0 };
const DATABASE: usize = 0;

fn keyspace() -> Keyspace {
    let reaper = Arc::new(drop);
    Keyspace::new(Options { shards: 1, databases: 1, seed: 7, now: NOW, reaper })
}

/// The footer of a version behind a body.
fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = [body, &version.to_le_bytes()[..]].concat();
    let checksum = Crc::<u64>::new(&CRC_64_REDIS).checksum(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// Restores a payload under limits and dumps it again; nothing, if nothing of it is alive.
fn through(keyspace: &Keyspace, payload: &[u8], limits: &Limits) -> Result<Vec<u8>, Refused> {
    let made = restore(payload, keyspace.maker(b"k", limits, NOW))?;
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let key = keyspace.key(b"k");
    let mut view = keyspace.open(Open::Keys(&[key]), NOW, Rules::default());
    view.put_aged(DATABASE, key, made, Age::Fresh);
    let found = view.peek(DATABASE, key).expect("it was just put in");
    Ok(dump(found, true))
}

/// Bytes as they are written here, with hexadecimal digits for those that are no text.
fn bodies() -> Vec<(Vec<u8>, u16)> {
    let long = b"{\"name\":\"value\",\"id\":7}".repeat(9);
    let mut plain = vec![4, 3];
    for (field, value) in [("a", "1"), ("b", "12345"), ("c", "hello")] {
        for text in [field, value] {
            plain.push(text.len() as u8);
            plain.extend_from_slice(text.as_bytes());
        }
    }
    let ziplist =
        b"\x0d\x19\x19\0\0\0\x14\0\0\0\x04\0\0\x01f\x03\x01v\x03\x02n1\x04\xC0\x10\x27\xFF";
    vec![
        (b"\x00\x05hello".to_vec(), 10),
        (b"\x00\xC2\x90\xee\xfe\xff".to_vec(), 80),
        (b"\x00\xc3\x09\x40\x64\x01xx\xe0\x57\x00\x01xx".to_vec(), 80),
        ([&b"\x00\x40\xCF"[..], &long].concat(), 11),
        (b"\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81n\x02\x0c\x01\xff".to_vec(), 80),
        (plain, 6),
        (b"\x09\x14\x02\x01f\x01\x00v\x03foo\x05\x02hello\0\0\xFF".to_vec(), 5),
        (ziplist.to_vec(), 9),
        (b"\x0b\x10\x04\0\0\0\x02\0\0\0\x01\0\0\0\x70\x11\x01\0".to_vec(), 10),
        (b"\x0b\x0E\x02\0\0\0\x03\0\0\0\xFE\xFF\x01\0\x70\x11".to_vec(), 6),
        (b"\x14\x0D\x0D\0\0\0\x02\0\x81a\x02\x81b\x02\xFF".to_vec(), 11),
        (b"\x02\x03\x01b\xC0\x05\x01a".to_vec(), 10),
        (STREAM_2.to_vec(), 10),
        (STREAM_3.to_vec(), 11),
        (b"\x12\x02\x02\x0C\x0C\0\0\0\x02\0\x81a\x02\x01\x01\xFF\x01\x05hello".to_vec(), 10),
        (b"\x0E\x01\x10\x10\0\0\0\x0D\0\0\0\x02\0\0\x01f\x03\xF2\xFF".to_vec(), 9),
        (b"\x0A\x10\x10\0\0\0\x0D\0\0\0\x02\0\0\x01f\x03\xF2\xFF".to_vec(), 6),
        (b"\x01\x03\x01b\xC0\x05\x01b".to_vec(), 6),
        // Fields with a deadline in the year 2100, of Valkey and of Redis.
        (timed(0x16, &[b"\x02", b"\x01f\x01v", &LATER, b"\x01g\xC0\x07", &[0xFF; 8]]), 80),
        (timed(0x18, &[&LATER, b"\x02\x01\x01f\x01v\x00\x01g\x01w"]), 12),
        (
            timed(
                0x19,
                &[&LATER, b"\x17\x17\0\0\0\x03\0\x81f\x02\x81v\x02\xF4", &LATER, b"\x09\xFF"],
            ),
            12,
        ),
        (b"\x11\x14\x14\0\0\0\x04\0\x81b\x02\x831.5\x04\x81a\x02\x02\x01\xFF".to_vec(), 10),
        (b"\x05\x02\x01b\0\0\0\0\0\0\xF8\x3F\x01a\0\0\0\0\0\0\xF0\x7F".to_vec(), 8),
        (b"\x03\x03\x01b\x031.5\xC0\x07\xFE\x01a\xFF".to_vec(), 3),
        (
            b"\x0C\x18\x18\0\0\0\x12\0\0\0\x04\0\0\x01f\x03\xF2\x02\x01g\x03\x03\x31.5\xFF"
                .to_vec(),
            9,
        ),
    ]
}

/// Streams as Redis 7.0 and Valkey 9.1 dump them: two nodes' worth of fields, a deleted entry, a
/// group with one entry pending and two consumers.
const STREAM_2: &[u8] =
    b"\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01==\x00\
      \x00\x00\x18\x00\x02\x01\x01\x01\x01\x01\x81a\x02\x00\x01\x02\x01\x00\x01\x00\x01\
      \x81b\x02\x04\x01\x03\x01\x00\x01\x01\x01\x81c\x02\x04\x01\x00\x01\x01\x01\x01\x01\
      \x02\x01\x81z\x02\x81c\x02\x81y\x02\x01\x01\x08\x01\xFF\x02\x02\x02\x01\x01\x01\x02\
      \x03\x01\x01g\x01\x01\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x00\x00\x00\x00\x00\
      \x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01}\x5C\xE6\xFD\xA1\x01\x00\x00\x01\x02\
      \x01c}\x5C\xE6\xFD\xA1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\
      \x00\x00\x00\x00\x01\x01d}\x5C\xE6\xFD\xA1\x01\x00\x00\x00";
const STREAM_3: &[u8] =
    b"\x15\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01==\x00\
      \x00\x00\x18\x00\x02\x01\x01\x01\x01\x01\x81a\x02\x00\x01\x02\x01\x00\x01\x00\x01\
      \x81b\x02\x04\x01\x03\x01\x00\x01\x01\x01\x81c\x02\x04\x01\x00\x01\x01\x01\x01\x01\
      \x02\x01\x81z\x02\x81c\x02\x81y\x02\x01\x01\x08\x01\xFF\x02\x02\x02\x01\x01\x01\x02\
      \x03\x01\x01g\x01\x01\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x00\x00\x00\x00\x00\
      \x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01R\x5C\xE6\xFD\xA1\x01\x00\x00\x01\x02\
      \x01cR\x5C\xE6\xFD\xA1\x01\x00\x00R\x5C\xE6\xFD\xA1\x01\x00\x00\x01\x00\x00\x00\x00\
      \x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01dc\x5C\xE6\xFD\xA1\x01\x00\x00\
      \xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00";

/// A time in the year 2100.
const LATER: [u8; 8] = 4_102_444_800_000u64.to_le_bytes();

fn timed(code: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[code][..], &parts.concat()].concat()
}

#[test]
fn fields_that_are_due_are_left_out() {
    let keyspace = keyspace();
    let past = 1_000u64.to_le_bytes();
    let all = timed(0x16, &[b"\x01", b"\x01f\x01v", &past]);
    assert_eq!(through(&keyspace, &sealed(&all, 80), &Limits::default()), Ok(Vec::new()));
    let one = timed(0x16, &[b"\x02", b"\x01f\x01v", &past, b"\x01g\x01w", &[0xFF; 8]]);
    let left = through(&keyspace, &sealed(&one, 80), &Limits::default());
    let packed = b"\x10\x0D\x0D\0\0\0\x02\0\x81g\x02\x81w\x02\xFF";
    assert_eq!(left, Ok(sealed(packed, 10)));
    // The type has another meaning under Redis's versions, and no time lies before the epoch.
    assert_eq!(through(&keyspace, &sealed(&one, 12), &Limits::default()), Err(Refused::Value));
    let negative = timed(0x16, &[b"\x01", b"\x01f\x01v", &(-5i64).to_le_bytes()]);
    let refused = through(&keyspace, &sealed(&negative, 80), &Limits::default());
    assert_eq!(refused, Err(Refused::Value));
}

#[test]
fn whole_payloads_come_back() {
    let keyspace = keyspace();
    for (body, version) in bodies() {
        let payload = sealed(&body, version);
        let dumped = through(&keyspace, &payload, &Limits::default());
        let dumped = dumped.unwrap_or_else(|why| panic!("{why}: {body:02x?}"));
        let again = through(&keyspace, &dumped, &Limits::default());
        assert_eq!(again.as_ref(), Ok(&dumped), "{body:02x?}");
    }
}

#[test]
fn whatever_is_cut_off_is_missed() {
    let keyspace = keyspace();
    for (body, version) in bodies() {
        for len in 0..body.len() {
            let payload = sealed(&body[..len], version);
            let refused = through(&keyspace, &payload, &Limits::default());
            assert_eq!(refused, Err(Refused::Value), "{len} of {body:02x?}");
        }
        let longer = sealed(&[&body[..], b"\0"].concat(), version);
        assert_eq!(through(&keyspace, &longer, &Limits::default()), Err(Refused::Value));
    }
}

#[test]
fn footers_must_be_true() {
    let keyspace = keyspace();
    let body = b"\x00\x05hello";
    for version in [0, 1, 5, 10, 11, 12, 80] {
        assert!(through(&keyspace, &sealed(body, version), &Limits::default()).is_ok());
    }
    for version in [13, 79, 81, 255, u16::MAX] {
        let refused = through(&keyspace, &sealed(body, version), &Limits::default());
        assert_eq!(refused, Err(Refused::Footer), "{version}");
    }
    let payload = sealed(body, 10);
    for len in 0..payload.len() {
        let refused = through(&keyspace, &payload[..len], &Limits::default());
        assert_eq!(refused, Err(Refused::Footer));
    }
    for bit in 0..8 * payload.len() {
        let mut damaged = payload.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let refused = through(&keyspace, &damaged, &Limits::default());
        assert_eq!(refused, Err(Refused::Footer), "bit {bit}");
    }
}

#[test]
fn values_that_no_command_makes_are_refused() {
    let refused: &[&[u8]] = &[
        b"",
        b"\x06",
        b"\xFF",
        // No field, one without its value, one that is there twice.
        b"\x04\x00",
        b"\x10\x07\x07\0\0\0\0\0\xFF",
        b"\x10\x0A\x0A\0\0\0\x01\0\x81f\x02\xFF",
        b"\x10\x13\x13\0\0\0\x04\0\x81f\x02\x81v\x02\x81f\x02\x81v\x02\xFF",
        b"\x04\x02\x01f\x01v\x01f\x01w",
        // Integers out of order, twice, of no width, of another count; none.
        b"\x0b\x0C\x02\0\0\0\x02\0\0\0\x02\0\x01\0",
        b"\x0b\x0C\x02\0\0\0\x02\0\0\0\x02\0\x02\0",
        b"\x0b\x0C\x03\0\0\0\x02\0\0\0\x02\0\x03\0",
        b"\x0b\x0C\x02\0\0\0\x03\0\0\0\x02\0\x03\0",
        b"\x0b\x08\x02\0\0\0\0\0\0\0",
        b"\x02\x00",
        b"\x02\x02\x01a\x01a",
        b"\x02\x02\xC0\x05\xC0\x05",
        b"\x14\x07\x07\0\0\0\0\0\xFF",
        b"\x14\x0D\x0D\0\0\0\x02\0\x81a\x02\x81a\x02\xFF",
        // No element, in no node, in an empty one; a node of no kind.
        b"\x01\0",
        b"\x12\0",
        b"\x12\x01\x02\x07\x07\0\0\0\0\0\xFF",
        b"\x12\x01\x03\x01a",
        // No member, one without a score, twice, with a score that is none.
        b"\x05\0",
        b"\x11\x07\x07\0\0\0\0\0\xFF",
        b"\x11\x0A\x0A\0\0\0\x01\0\x81f\x02\xFF",
        b"\x11\x12\x12\0\0\0\x04\0\x81f\x02\x01\x01\x81f\x02\x01\x01\xFF",
        b"\x11\x0D\x0D\0\0\0\x02\0\x81f\x02\x81x\x02\xFF",
        b"\x11\x0F\x0F\0\0\0\x02\0\x81f\x02\x83nan\x04\xFF",
        b"\x05\x01\x01f\0\0\0\0\0\0\xF8\x7F",
        b"\x05\x02\x01f\0\0\0\0\0\0\0\0\x01f\0\0\0\0\0\0\0\0",
        b"\x03\x01\x01f\xFD",
        b"\x03\x01\x01f\x00",
        // What is pending without an owner, and owned without being pending.
        b"\x13\0\0\0\0\0\0\0\0\0\x01\x01g\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
          \0\0\0\0\0\0\0\0\x01\0",
        b"\x13\0\0\0\0\0\0\0\0\0\x01\x01g\0\0\0\0\x01\x01c\0\0\0\0\0\0\0\0\x01\
          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        // A count that asks for all memory there is.
        b"\x04\x81\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01f\x01v",
        b"\x00\xC3\x04\x81\0\0\0\xFF\xFF\xFF\xFF\xFF\x01xxx",
    ];
    let keyspace = keyspace();
    for body in refused {
        for limits in [Limits::default(), tight()] {
            let outcome = through(&keyspace, &sealed(body, 10), &limits);
            assert_eq!(outcome, Err(Refused::Value), "{body:02x?}");
        }
    }
}

/// Limits under which nothing is packed.
fn tight() -> Limits {
    Limits {
        hash_entries: 0,
        set_entries: 0,
        set_integers: 0,
        sorted_set_entries: 0,
        list_size: 1,
        ..Limits::default()
    }
}

/// One change of a body.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..4096usize;
    prop_oneof![
        (at.clone(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at.clone(), prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x80), Just(0xFE)])
            .prop_map(|(at, byte)| Change::Set(at, byte)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at.clone().prop_map(Change::Remove),
        (at, 1..20usize).prop_map(|(at, len)| Change::Repeat(at, len)),
    ]
}

fn apply(body: &mut Vec<u8>, change: &Change) {
    let len = body.len().max(1);
    match *change {
        Change::Flip(at, bit) => body[at % len] ^= 1 << bit,
        Change::Set(at, byte) => body[at % len] = byte,
        Change::Insert(at, byte) => body.insert(at % len, byte),
        Change::Remove(at) if body.len() > 1 => drop(body.remove(at % len)),
        Change::Remove(_) => {}
        Change::Repeat(at, some) => {
            let from = at % len;
            let to = (from + some).min(body.len());
            body.extend_from_within(from..to);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn damaged_payloads_are_refused_or_harmless(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..4),
        packs in any::<bool>(),
    ) {
        let (mut body, version) = which.get(&bodies()).clone();
        changes.iter().for_each(|change| apply(&mut body, change));
        let limits = if packs { Limits::default() } else { tight() };
        let keyspace = keyspace();
        let dumped = through(&keyspace, &sealed(&body, version), &limits);
        if let Ok(dumped) = dumped && !dumped.is_empty() {
            let len = dumped.len();
            // The other way packed: the elements must survive that, too.
            let other = if packs { tight() } else { Limits::default() };
            let middle = through(&keyspace, &dumped, &other);
            let middle = middle.unwrap_or_else(|why| panic!("{why}: {body:02x?}"));
            let again = through(&keyspace, &middle, &limits);
            let again = again.unwrap_or_else(|why| panic!("{why}: {body:02x?}"));
            prop_assert_eq!(again.len(), len);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_harmless(
        body in prop::collection::vec(any::<u8>(), 0..300),
        code in 0..30u8,
    ) {
        let mut body = body;
        if let Some(first) = body.first_mut() {
            *first = code;
        }
        let _ = through(&keyspace(), &sealed(&body, 12), &Limits::default());
    }
}
