//! Members alone at every length where their form changes, and in a table against a `HashMap`.

use std::collections::HashMap;

use pannier_collections::{Member, Table, Tagged, allocated};

mod steps;
use steps::steps;

#[test]
fn a_member_gives_back_what_it_was_made_of_at_every_length() {
    for len in (0..300).chain([4096, 65_535, 65_536, 1 << 20]) {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8 ^ 0x5A).collect();
        let mut plain = Member::new((), &bytes);
        let mut scored = Member::new(0.5, &bytes);
        for tag in [0, 1, 0xFFFF, 0x8000] {
            plain.set_tag(tag);
            scored.set_tag(tag);
            scored.set_payload(f64::from(tag) - 0.25);
            assert_eq!((plain.tag(), plain.bytes()), (tag, &bytes[..]));
            assert_eq!((scored.tag(), scored.bytes()), (tag, &bytes[..]));
            assert_eq!(scored.payload(), f64::from(tag) - 0.25);
            let copy = scored.clone();
            assert_eq!((copy.tag(), copy.payload()), (0, scored.payload()));
            assert_eq!(copy.bytes(), bytes);
            assert_ne!(copy.address(), scored.address());
        }
        let prefix = if len < 255 { 1 } else { 5 };
        assert_eq!(plain.footprint(), allocated(prefix + len));
        assert_eq!(scored.footprint(), allocated(8 + prefix + len));
        assert_eq!((plain.len(), plain.is_empty()), (len, len == 0));
    }
}

#[test]
fn payloads_of_any_size_and_alignment_are_kept() {
    let pair = Member::new((1_u8, 2_u64), b"pair");
    assert_eq!((pair.payload(), pair.bytes()), ((1, 2), &b"pair"[..]));
    let odd = Member::new([1_u8, 2, 3], b"odd");
    assert_eq!((odd.payload(), odd.bytes()), ([1, 2, 3], &b"odd"[..]));
    assert_eq!(odd.footprint(), 8);
}

#[test]
fn members_in_a_table_are_the_pairs_of_a_map() {
    let hash = |bytes: &[u8]| {
        let sum = bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(*byte));
        sum.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    };
    let hash_of = |member: &Member<u32>| hash(member.bytes());
    let mut rng = fastrand::Rng::with_seed(0x5E7);
    let mut table: Table<Member<u32>> = Table::new();
    let mut model: HashMap<Vec<u8>, u32> = HashMap::new();
    for step in 0..steps(200_000) {
        let name = rng.u32(..2000);
        let long = if name.is_multiple_of(50) { 400 } else { name as usize % 30 };
        let bytes = [&name.to_le_bytes()[..], &vec![b'x'; long]].concat();
        let same = |member: &Member<u32>| member.bytes() == bytes;
        if rng.bool() {
            let payload = rng.u32(..);
            match table.find_mut(hash(&bytes), same) {
                Some(member) => member.set_payload(payload),
                None => {
                    table.insert(hash(&bytes), Member::new(payload, &bytes), hash_of);
                }
            }
            model.insert(bytes, payload);
        } else {
            let removed = table.remove(hash(&bytes), same, hash_of);
            assert_eq!(removed.map(|member| member.payload()), model.remove(&bytes));
        }
        if step % 1000 == 0 {
            assert_eq!(table.len(), model.len());
            for member in table.iter() {
                assert_eq!(model.get(member.bytes()), Some(&member.payload()));
            }
        }
    }
}

#[test]
fn members_can_be_dropped_on_another_thread() {
    let members: Vec<_> = (0..100_u8).map(|n| Member::new(n, &[n; 40])).collect();
    let sum = std::thread::spawn(move || members.iter().map(|m| m.bytes()[0] as u32).sum::<u32>());
    assert_eq!(sum.join().unwrap(), (0..100).sum());
}
