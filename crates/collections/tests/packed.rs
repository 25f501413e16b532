//! Packed lists against a vector of byte strings.

use pannier_collections::{Encoded, Entry, NewPayload, Packed, Payload, Piece, Splice};

mod steps;
use steps::steps;

fn check(bytes: &[u8], twin: &[Vec<u8>]) {
    let (list, count) = Packed::check(bytes).expect("a sound list");
    assert_eq!(count, twin.len());
    let forward: Vec<_> = list.iter().map(Piece::to_vec).collect();
    assert_eq!(forward, twin);
    let mut backward: Vec<_> = list.iter().rev().map(Piece::to_vec).collect();
    backward.reverse();
    assert_eq!(backward, twin);
    let sum: usize = list.iter().map(Piece::encoded_len).sum();
    assert_eq!(sum, bytes.len());
}

fn string(random: &mut fastrand::Rng) -> Vec<u8> {
    if random.bool() {
        let number = random.i64(..) >> random.u32(..64);
        return number.to_string().into_bytes();
    }
    let lens = [0, 1, 5, 62, 63, 64, 65, 120, 127, 128, 4_094, 4_096, 16_383, 70_000];
    let at = if random.u8(..20) == 0 { random.usize(..lens.len()) } else { random.usize(..6) };
    (0..lens[at]).map(|_| random.u8(..)).collect()
}

#[test]
fn random_edits_agree_with_a_vector() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut list, mut twin) = (Vec::new(), Vec::<Vec<u8>>::new());
    for _ in 0..steps(60_000) {
        let index = random.usize(..=twin.len());
        let at = Packed::new(&list).offset(index).unwrap_or(list.len());
        let back = twin.len().checked_sub(index + 1);
        assert_eq!(back.and_then(|back| Packed::new(&list).offset_back(back)).unwrap_or(at), at);
        let removed = random.usize(..3).min(twin.len() - index);
        let end = Packed::new(&list).offset(index + removed).unwrap_or(list.len());
        let few = if twin.len() > 60 { 1 } else { 3 };
        let added: Vec<_> = (0..random.usize(..few)).map(|_| string(&mut random)).collect();
        let slices: Vec<_> = added.iter().map(Vec::as_slice).collect();
        list.exchange(at, end - at, Encoded::of(&slices).as_bytes());
        twin.splice(index..index + removed, added);
        check(&list, &twin);
        if let Some(some) = random.choice(&twin) {
            let first = twin.iter().position(|held| held == some).expect("it is there");
            let found = Packed::new(&list).find(Piece::of(some), 1);
            assert_eq!(found, Packed::new(&list).offset(first));
        }
    }
}

#[test]
fn an_entry_is_spliced_as_a_vector_is() {
    let mut random = fastrand::Rng::with_seed(6);
    let mut entry = Entry::<()>::new(b"key", NewPayload::Bytes(b""), None);
    let mut twin = Vec::new();
    for step in 0..steps(300_000) {
        let at = random.usize(..=twin.len());
        let removed = random.usize(..=(twin.len() - at).min(40));
        let longest = if twin.len() > 3_000 { 10 } else { 60 };
        let added: Vec<u8> = (0..random.usize(..longest)).map(|_| random.u8(..)).collect();
        assert!(entry.splice_bytes(at, removed, &added));
        twin.exchange(at, removed, &added);
        if step % 1_000 == 0 {
            twin.clear();
            let len = entry.bytes_mut().map_or(0, |bytes| bytes.len());
            entry.splice_bytes(0, len, &[]);
            entry.set_deadline((step % 2_000 == 0).then_some(step));
        }
        assert_eq!(entry.payload(), Payload::Bytes(&twin));
        assert!(
            entry.footprint() <= 2 * (twin.len() + 48),
            "{} for {}",
            entry.footprint(),
            twin.len()
        );
    }
    let other = entry.rekeyed(&[b'k'; 300]);
    assert_eq!((other.key(), other.payload()), (&[b'k'; 300][..], Payload::Bytes(&twin)));
}

#[test]
fn an_int_is_not_spliced() {
    assert!(!Entry::<()>::new(b"key", NewPayload::Int(1), None).splice_bytes(0, 0, b"x"));
}

#[test]
fn broken_bytes_are_refused() {
    let mut list = Encoded::of(&[b"one", b"2", &[b'x'; 200]]).as_bytes().to_vec();
    assert!(Packed::check(&list).is_some());
    for len in 1..list.len() {
        let whole = [4 + 1, 4 + 1 + 2].contains(&len);
        assert_eq!(Packed::check(&list[..len]).is_some(), whole, "cut at {len}");
    }
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..steps(100_000) {
        let at = random.usize(..list.len());
        let held = list[at];
        list[at] = random.u8(..);
        // Whatever it says, it does not read outside.
        if let Some((sound, count)) = Packed::check(&list) {
            assert_eq!(sound.iter().count(), count);
        }
        list[at] = held;
    }
    assert!(Packed::check(&[0xF5, 1]).is_none());
    assert!(Packed::check(&[0xF0, 255, 255, 255, 255, 1]).is_none());
}
