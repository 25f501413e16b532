//! Hashes against a map, packed and large, with the sums recounted.

use std::collections::HashMap;

use super::{START_MS, keyspace, recount, with};
use crate::types::Limits;
use crate::{Encoding, Hash, WrongType};

#[test]
fn random_fields_agree_with_a_map() {
    let mut random = fastrand::Rng::with_seed(3);
    let keyspace = keyspace(2);
    let limits = Limits { hash_entries: 12, ..Limits::default() };
    let mut twin = HashMap::new();
    let mut seen = [false; 2];
    for step in 0..20_000 {
        let field = random.u8(..20).to_string().repeat(random.usize(1..3)).into_bytes();
        let longest = if random.u8(..200) == 0 { 100 } else { 30 };
        let value = vec![b'v'; random.usize(..longest)];
        with(&keyspace, b"hash", START_MS, |view, key| {
            if random.bool() {
                let new = view
                    .change::<Hash, _>(0, key, (&limits, true), |hash| hash.set(&field, &value));
                let old = twin.insert(field, value);
                assert_eq!(new, Ok(Some(old.is_none())));
            } else {
                let removed =
                    view.change::<Hash, _>(0, key, (&limits, false), |hash| hash.remove(&field));
                let known = !twin.is_empty();
                assert_eq!(removed, Ok(known.then(|| twin.remove(&field).is_some())));
            }
            // Now and then all go, and with them the key.
            if step % 500 == 0 {
                let fields: Vec<_> = twin.drain().map(|(field, _)| field).collect();
                let _ = view.change::<Hash, _>(0, key, (&limits, false), |hash| {
                    assert!(fields.iter().all(|field| hash.remove(field)));
                });
            }
            assert_eq!(view.contains(0, key), !twin.is_empty());
            let Ok(Some(hash)) = view.read_as::<Hash>(0, key) else { return };
            assert_eq!(hash.len(), twin.len());
            let mut held = HashMap::new();
            hash.for_each(|field, value| {
                held.insert(field.to_vec(), value.to_vec());
            });
            assert_eq!(held, twin);
            assert!(twin.iter().all(|(field, value)| {
                hash.get(field).is_some_and(|piece| piece.to_vec() == *value)
            }));
            let encoding = view.peek(0, key).map(|found| found.encoding());
            seen[usize::from(encoding == Some(Encoding::Hashtable))] = true;
        });
        recount(&keyspace);
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_hash_is_no_string_and_a_string_no_hash() {
    let keyspace = keyspace(1);
    let limits = Limits::default();
    super::set(&keyspace, b"string", None, START_MS);
    with(&keyspace, b"string", START_MS, |view, key| {
        let changed = view.change::<Hash, _>(0, key, (&limits, true), |hash| hash.set(b"f", b"v"));
        assert_eq!(changed, Err(WrongType));
        assert!(view.read_as::<Hash>(0, key).is_err());
    });
    with(&keyspace, b"hash", START_MS, |view, key| {
        view.change::<Hash, _>(0, key, (&limits, true), |hash| hash.set(b"f", b"v")).expect("new");
        assert!(view.string(0, key).is_err());
        assert!(view.edit(0, key).is_err());
    });
}
