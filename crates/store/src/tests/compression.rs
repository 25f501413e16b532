//! A compressed value is what it was, wherever it goes and whatever is asked.

use super::{START_MS, keyspace, recount, with};
use crate::value::{self, Item};
use crate::{Compressor, Deadline, Encoding, Keyspace, NewValue, Str, StrBuffer};

/// A compressor that keeps everything.
fn compressor() -> Compressor {
    let compressor = Compressor::default();
    compressor.keep_all();
    compressor
}

fn set(keyspace: &Keyspace, name: &[u8], bytes: &[u8]) {
    let stored = compressor().compress(bytes, 2).expect("all is kept");
    with(keyspace, name, START_MS, |view, key| {
        view.set(0, key, NewValue::Compressed(&stored), Deadline::Clear);
    });
}

/// Looks at a value, and whether it is compressed.
fn get(keyspace: &Keyspace, name: &[u8]) -> (Vec<u8>, bool) {
    with(keyspace, name, START_MS, |view, key| {
        let value = view.string(0, key).expect("a string").expect("a key");
        (value.to_vec(), matches!(value, Str::Compressed(_)))
    })
}

fn encoding(keyspace: &Keyspace, name: &[u8]) -> Encoding {
    with(keyspace, name, START_MS, |view, key| view.peek(0, key).expect("a key").encoding())
}

#[test]
fn a_compressed_value_shows_the_length_the_bytes_and_the_encoding_of_the_plain_one() {
    let keyspace = keyspace(2);
    for len in [1, 44, 45, 1000, 16_384, 16_385, 300_000] {
        let bytes: Vec<u8> = (0..len).map(|i| b'a' + (i % 23) as u8).collect();
        set(&keyspace, b"compressed", &bytes);
        with(&keyspace, b"plain", START_MS, |view, key| {
            view.set(0, key, NewValue::of(&bytes), Deadline::Clear);
        });
        assert_eq!(get(&keyspace, b"compressed"), (bytes.clone(), true));
        assert_eq!(get(&keyspace, b"plain"), (bytes.clone(), false));
        assert_eq!(encoding(&keyspace, b"compressed"), encoding(&keyspace, b"plain"), "{len}");
        with(&keyspace, b"compressed", START_MS, |view, key| {
            let value = view.string(0, key).expect("a string").expect("a key");
            assert_eq!(value.len(), len);
            let mut buffer = StrBuffer::new();
            assert!(value.head(10, &mut buffer).starts_with(&bytes[..len.min(10)]));
        });
        recount(&keyspace);
    }
}

#[test]
fn it_stays_compressed_under_another_name_and_in_a_copy() {
    let keyspace = keyspace(1);
    let bytes = b"0123456789".repeat(5000);
    set(&keyspace, b"a", &bytes);
    with(&keyspace, b"a", START_MS, |view, a| {
        let (b, c) = (view.key(b"another name"), view.key(b"c"));
        let copy = view.copy(0, a).expect("a key");
        view.put(1, b, copy);
        let taken = view.take(0, a).expect("a key");
        view.put(0, c, taken);
        let copied = view.string(1, b).expect("a string").expect("a key");
        assert!(matches!(copied, Str::Compressed(_)));
        assert_eq!(copied.to_vec(), bytes);
        let sums = view.compression();
        assert_eq!((sums.values, sums.before), (2, 2 * bytes.len()));
        assert!(sums.after < sums.before / 50);
    });
    assert_eq!(get(&keyspace, b"c"), (bytes, true));
    recount(&keyspace);
}

#[test]
fn what_is_changed_in_place_is_inflated_once_and_stays_so() {
    let keyspace = keyspace(1);
    for len in [100, 16_384, 16_385, 100_000] {
        let mut bytes = vec![b'x'; len];
        set(&keyspace, b"k", &bytes);
        for _ in 0..3 {
            with(&keyspace, b"k", START_MS, |view, key| {
                let mut edit = view.edit(0, key).expect("a string").expect("a key");
                let old = edit.string().len();
                edit.bytes(old + 1, |bytes| bytes[old] = b'y');
            });
            bytes.push(b'y');
            assert_eq!(get(&keyspace, b"k"), (bytes.clone(), false));
            recount(&keyspace);
        }
        assert_eq!(encoding(&keyspace, b"k"), Encoding::Raw);
    }
    // An integer over it, and a compressed value over that.
    set(&keyspace, b"k", b"forty-two");
    with(&keyspace, b"k", START_MS, |view, key| {
        view.edit(0, key).expect("a string").expect("a key").set_int(42);
    });
    assert_eq!(get(&keyspace, b"k"), (b"42".to_vec(), false));
    set(&keyspace, b"k", b"forty-two");
    assert_eq!(get(&keyspace, b"k"), (b"forty-two".to_vec(), true));
    recount(&keyspace);
}

#[test]
fn a_damaged_value_reads_as_zeros_of_its_length() {
    let mut item =
        Item::new(b"k", pannier_collections::NewPayload::Bytes(b"\x05\0\0\0hello"), None);
    item.set_flags(value::COMPRESSED);
    let value = Str::of(&item).expect("a string");
    assert_eq!((value.len(), value.to_vec()), (5, vec![0; 5]));
    let mut reply = b"before".to_vec();
    let Str::Compressed(string) = value else { panic!("flagged as compressed") };
    assert!(string.inflate_into(&mut reply, 5).is_err());
    assert_eq!(reply, b"before");
    value::inflate(&mut item);
    assert_eq!(Str::of(&item).expect("a string").to_vec(), [0; 5]);
    assert_eq!(item.flags(), 0);
}
