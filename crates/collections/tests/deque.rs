//! Lists against a vector of byte strings.

use pannier_collections::{Deque, NodeLimit, Packed, Piece};

mod steps;
use steps::steps;

fn string(random: &mut fastrand::Rng) -> Vec<u8> {
    let lens = [0, 1, 2, 5, 30, 64, 200, 1_000, 4_000, 5_000, 9_000];
    match random.u8(..10) {
        0..4 => random.u8(..30).to_string().into_bytes(),
        4..7 => vec![b'a' + random.u8(..3); random.usize(..4)],
        7..9 => vec![b'x'; lens[random.usize(..6)]],
        _ => (0..lens[random.usize(..lens.len())]).map(|_| random.u8(..)).collect(),
    }
}

fn all(list: &Deque) -> Vec<Vec<u8>> {
    let mut held = Vec::new();
    list.visit(0, |piece| {
        held.push(piece.to_vec());
        true
    });
    held
}

fn check(list: &Deque, twin: &[Vec<u8>], random: &mut fastrand::Rng) {
    list.assert_sound();
    assert_eq!(list.len(), twin.len());
    assert_eq!(all(list), twin);
    let from = random.usize(..=twin.len());
    let stop = random.usize(1..20);
    let mut some = Vec::new();
    list.visit(from, |piece| {
        some.push(piece.to_vec());
        some.len() < stop
    });
    assert_eq!(some, twin[from..(from + stop).min(twin.len())]);
    let mut back = Vec::new();
    list.visit_back(from, |piece| {
        back.push(piece.to_vec());
        true
    });
    back.reverse();
    assert_eq!(back, if from < twin.len() { &twin[..=from] } else { &[] });
    let index = random.usize(..=twin.len());
    assert_eq!(list.get(index).map(Piece::to_vec).as_ref(), twin.get(index));
}

/// Removes at most `most` equals from a side.
fn remove_equal(twin: &mut Vec<Vec<u8>>, needle: &[u8], most: usize, back: bool) -> usize {
    if back {
        twin.reverse();
    }
    let mut left = most;
    twin.retain(|held| {
        let goes = left > 0 && held == needle;
        left -= usize::from(goes);
        !goes
    });
    if back {
        twin.reverse();
    }
    most - left
}

fn step(list: &mut Deque, twin: &mut Vec<Vec<u8>>, limit: &NodeLimit, random: &mut fastrand::Rng) {
    let (new, index) = (string(random), random.usize(..=twin.len()));
    let few = random.usize(..4);
    match random.u8(..100) {
        0..20 => {
            list.push_front(&new, limit);
            twin.insert(0, new);
        }
        20..40 => {
            list.push_back(&new, limit);
            twin.push(new);
        }
        40..47 => {
            list.drop_front(few);
            twin.drain(..few.min(twin.len()));
        }
        47..54 => {
            list.drop_back(few);
            twin.truncate(twin.len().saturating_sub(few));
        }
        54..80 => {
            let after = random.bool();
            assert_eq!(list.insert(index, &new, after, limit), index < twin.len());
            if index < twin.len() {
                twin.insert(index + usize::from(after), new);
            }
        }
        80..90 => {
            assert_eq!(list.replace(index, &new, limit), index < twin.len());
            if let Some(held) = twin.get_mut(index) {
                *held = new;
            }
        }
        90..99 => {
            let needle = random.choice(twin.iter()).cloned().unwrap_or(new);
            let (most, back) = (few.max(1) * few.max(1), random.bool());
            let removed = list.remove_equal(Piece::of(&needle), most, back);
            assert_eq!(removed, remove_equal(twin, &needle, most, back));
        }
        _ if random.u8(..4) == 0 => {
            let n = random.usize(..=twin.len());
            list.drop_front(n);
            twin.drain(..n);
        }
        _ => *list = list.clone(),
    }
}

#[test]
fn random_changes_agree_with_a_vector() {
    let limits = [
        NodeLimit::of(-1, 0),
        NodeLimit::of(-5, 0),
        NodeLimit::of(1, 0),
        NodeLimit::of(4, 0),
        NodeLimit::of(128, 200),
        NodeLimit::of(-2, 2),
        NodeLimit::NONE,
    ];
    for (seed, limit) in limits.iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let (mut list, mut twin) = (Deque::new(), Vec::<Vec<u8>>::new());
        for _ in 0..steps(6_000) {
            step(&mut list, &mut twin, limit, &mut random);
            check(&list, &twin, &mut random);
        }
        // The limit may change under a list.
        for _ in 0..steps(1_000) {
            let limit = &limits[random.usize(..limits.len() - 1)];
            step(&mut list, &mut twin, limit, &mut random);
            check(&list, &twin, &mut random);
        }
    }
}

#[test]
fn many_nodes_in_the_middle_agree_with_a_vector() {
    let limit = NodeLimit::of(1, 0);
    let mut random = fastrand::Rng::with_seed(9);
    let (mut list, mut twin) = (Deque::new(), Vec::<Vec<u8>>::new());
    for round in 0..steps(3_000) {
        let index = random.usize(..=twin.len());
        let new = random.u8(..60).to_string().into_bytes();
        if list.insert(index, &new, false, &limit) {
            twin.insert(index, new);
        } else {
            list.push_back(&new, &limit);
            twin.push(new);
        }
        if round % 97 == 96 {
            let needle = random.u8(..60).to_string().into_bytes();
            let back = random.bool();
            let removed = list.remove_equal(Piece::of(&needle), usize::MAX, back);
            assert_eq!(removed, remove_equal(&mut twin, &needle, usize::MAX, back));
            check(&list, &twin, &mut random);
        }
    }
    for digit in 0..60_u8 {
        let needle = digit.to_string().into_bytes();
        list.remove_equal(Piece::of(&needle), usize::MAX, digit % 2 == 0);
        remove_equal(&mut twin, &needle, usize::MAX, false);
        check(&list, &twin, &mut random);
    }
    assert!(list.is_empty());
}

#[test]
fn a_node_holds_what_the_limit_says() {
    let of = |size, strings: &[&[u8]]| {
        let mut list = Deque::new();
        strings.iter().for_each(|string| list.push_back(string, &NodeLimit::of(size, 0)));
        list.nodes()
    };
    let long = [b'x'; 8_193];
    assert_eq!(of(3, &[&b"a"[..]; 9]), 3);
    assert_eq!(of(0, &[&b"a"[..]; 9]), 9);
    assert_eq!(of(-1, &[&long[..2_000]; 4]), 2);
    assert_eq!(of(-2, &[&long[..2_000]; 4]), 1);
    assert_eq!(of(-2, &[b"a", &long, b"b", b"c"]), 3);
}

#[test]
fn a_queue_holds_no_more_than_it_needs() {
    let limit = NodeLimit::of(-2, 0);
    let mut list = Deque::new();
    for n in 0..steps(200_000) {
        list.push_front(n.to_string().repeat(3).as_bytes(), &limit);
        if n > 1_000 {
            list.drop_back(1);
        }
    }
    list.assert_sound();
    assert!(list.footprint() < 64 << 10, "{}", list.footprint());
    list.drop_back(list.len() - 1);
    assert!(list.footprint() < 2 << 10, "{}", list.footprint());
}

#[test]
fn one_node_becomes_a_list_and_is_given_back() {
    let packed = pannier_collections::Encoded::of(&[b"a", b"17", b"c"]);
    let list = Deque::from_packed(packed.as_bytes(), 3);
    list.assert_sound();
    let (bytes, count) = list.only_run().expect("one node");
    assert_eq!((bytes, count), (packed.as_bytes(), 3));
    assert_eq!(Packed::check(bytes).map(|(_, count)| count), Some(3));
    assert!(Deque::from_packed(&[], 0).only_run().is_none());
}
