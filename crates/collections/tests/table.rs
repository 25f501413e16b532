//! The table against a `HashMap`, with hashes good and bad; SCAN's guarantee; random draws.

use std::collections::{HashMap, HashSet};

use pannier_collections::{Entry, NewPayload, Payload, Table, Tagged};
use proptest::prelude::*;

mod steps;
use steps::steps;

/// A key and a value in the 47 bits that an element has below its tag.
#[derive(Clone, Copy, Debug)]
struct Pair(u64);

impl Pair {
    fn new(key: u64, value: u64) -> Self {
        assert!(key < 1 << 24 && value < 1 << 20);
        Self((key + 1) << 21 | value << 1)
    }

    fn key(self) -> u64 {
        (self.0 << 16 >> 37) - 1
    }

    fn value(self) -> u64 {
        self.0 << 43 >> 44
    }

    fn pair(self) -> (u64, u64) {
        (self.key(), self.value())
    }
}

// SAFETY: one word, not 0 because the key has 1 added, and even; nothing else changes the top.
unsafe impl Tagged for Pair {
    fn tag(&self) -> u16 {
        (self.0 >> 48) as u16
    }

    fn set_tag(&mut self, tag: u16) {
        self.0 = self.0 << 16 >> 16 | u64::from(tag) << 48;
    }

    fn address(&self) -> *const u8 {
        std::ptr::null()
    }
}

/// A hash function, and how many different hashes it has at most.
#[derive(Clone, Copy, Debug)]
enum Hash {
    Good,
    /// Three keys of four crowd in a quarter of the hashes: segments of different depth.
    Skewed,
    /// All keys agree in the top bits, so that they share segments until these are very deep.
    LowBits,
    /// Sixteen home buckets take everything.
    Sixteen,
    Constant,
}

impl Hash {
    fn of(self, key: u64) -> u64 {
        let mixed = mix(key);
        match self {
            Self::Good => mixed,
            Self::Skewed => mixed >> if key.is_multiple_of(4) { 0 } else { 2 },
            Self::LowBits => mixed & 0xFFFF_FFFF,
            Self::Sixteen => mixed & 0xF << 60,
            Self::Constant => 0xABCD,
        }
    }
}

fn mix(key: u64) -> u64 {
    let key = (key ^ key >> 31).wrapping_mul(0x7FB5_D329_728E_A185);
    let key = (key ^ key >> 27).wrapping_mul(0x81DA_DEF4_BC2D_D44D);
    key ^ key >> 33
}

/// The table and its naive twin; every step is done to both and compared.
struct Twin {
    hash: Hash,
    table: Table<Pair>,
    model: HashMap<u64, u64>,
    /// The most elements that there ever were.
    peak: usize,
}

impl Twin {
    fn new(hash: Hash) -> Self {
        Self { hash, table: Table::new(), model: HashMap::new(), peak: 0 }
    }

    fn put(&mut self, key: u64, value: u64) {
        let hash = self.hash;
        match self.table.find_mut(hash.of(key), |pair| pair.key() == key) {
            Some(pair) => {
                let tag = pair.tag();
                *pair = Pair::new(key, value);
                pair.set_tag(tag);
            }
            None => {
                let pair = Pair::new(key, value);
                let new = self.table.insert(hash.of(key), pair, |pair| hash.of(pair.key()));
                assert_eq!(new.pair(), (key, value));
            }
        }
        self.model.insert(key, value);
        self.peak = self.peak.max(self.model.len());
        assert_eq!(self.table.len(), self.model.len());
    }

    fn remove(&mut self, key: u64) {
        let hash = self.hash;
        let hash_of = |pair: &Pair| hash.of(pair.key());
        let found = self.table.remove(hash.of(key), |pair| pair.key() == key, hash_of);
        assert_eq!(found.map(Pair::value), self.model.remove(&key));
        assert_eq!(self.table.len(), self.model.len());
    }

    fn find(&self, key: u64) {
        let hash = self.hash.of(key);
        self.table.prefetch(hash);
        self.table.prefetch_values(hash);
        let found = self.table.find(hash, |pair| pair.key() == key);
        assert_eq!(found.map(|pair| pair.value()), self.model.get(&key).copied());
    }

    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.table.retain(|pair| keep(pair.key()));
        self.model.retain(|&key, _| keep(key));
    }

    /// Everything that must hold between two steps, the expensive part of it too.
    fn check(&mut self) {
        let mut all: Vec<(u64, u64)> = self.table.iter().map(|pair| pair.pair()).collect();
        let order: Vec<u64> = all.iter().map(|pair| self.hash.of(pair.0)).collect();
        let (mut position, mut scanned) = (0, Vec::new());
        loop {
            let (from, before) = (position, scanned.len());
            position = self.table.scan(position, |pair| scanned.push(pair.pair()));
            // What this call visited lies between the two positions.
            let point = |position| position << (64 - Table::<Pair>::POSITION_BITS);
            let end = if position == 0 { u64::MAX } else { point(position) - 1 };
            let mut visited = order[before..scanned.len()].iter();
            assert!(visited.all(|hash| (point(from)..=end).contains(hash)));
            if position == 0 {
                break;
            }
        }
        assert_eq!(scanned, all);
        let changed: Vec<(u64, u64)> = self.table.iter_mut().map(|pair| pair.pair()).collect();
        assert_eq!(changed, all);
        all.sort_unstable();
        let mut expected: Vec<(u64, u64)> =
            self.model.iter().map(|(&key, &value)| (key, value)).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);

        let shape = self.table.shape();
        assert_eq!(shape.len, self.model.len());
        assert_eq!(shape.chains.iter().sum::<usize>(), shape.buckets);
        assert!(shape.segments <= shape.directory);
        assert!(shape.directory <= (self.peak / 64).max(1), "{shape:?}");
        if let Hash::Good = self.hash {
            assert!(shape.directory <= (shape.len / 32).max(1), "{shape:?}");
            // In proportion to what the table has grown to and shrunk from, step by step.
            assert!(shape.len < 500 || shape.buckets * 7 > shape.len, "{shape:?}");
        }
        if shape.longest_chain < 15 {
            let links = |len: usize| match len {
                0..=8 => 0,
                9..=11 => 1,
                _ => 1 + (len - 11).div_ceil(3),
            };
            let overflow: usize = (0..15).map(|len| shape.chains[len] * links(len)).sum();
            assert_eq!(shape.overflow_buckets, overflow);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64),
    Remove(u64),
    Find(u64),
    PutMany(u64, u64),
    RemoveMany(u64, u64),
    Retain(u64),
    Clear,
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..4000_u64;
    prop_oneof![
        8 => key.clone().prop_map(Step::Put),
        8 => key.clone().prop_map(Step::Remove),
        4 => key.clone().prop_map(Step::Find),
        4 => (key.clone(), 1..1500_u64).prop_map(|(from, len)| Step::PutMany(from, len)),
        4 => (key.clone(), 1..1500_u64).prop_map(|(from, len)| Step::RemoveMany(from, len)),
        1 => (1..8_u64).prop_map(Step::Retain),
        1 => Just(Step::Clear),
        2 => Just(Step::Check),
    ]
}

fn hash() -> impl Strategy<Value = Hash> {
    prop_oneof![
        4 => Just(Hash::Good),
        2 => Just(Hash::Skewed),
        1 => Just(Hash::LowBits),
        1 => Just(Hash::Sixteen),
        1 => Just(Hash::Constant),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(steps(200) as u32))]

    #[test]
    fn the_table_does_what_a_hash_map_does(
        hash in hash(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut twin = Twin::new(hash);
        for (number, step) in steps.into_iter().enumerate() {
            let number = number as u64;
            match step {
                Step::Put(key) => twin.put(key, number),
                Step::Remove(key) => twin.remove(key),
                Step::Find(key) => twin.find(key),
                Step::PutMany(from, len) => {
                    (from..from + len).for_each(|key| twin.put(key, number));
                }
                Step::RemoveMany(from, len) => (from..from + len).for_each(|key| twin.remove(key)),
                Step::Retain(modulus) => twin.retain(|key| key % modulus == 0),
                Step::Clear => {
                    twin.table.clear();
                    twin.model.clear();
                    assert_eq!(twin.table.footprint(), 0);
                }
                Step::Check => twin.check(),
            }
        }
        twin.check();
    }

    #[test]
    fn a_scan_returns_whatever_is_there_from_its_start_to_its_end(
        seed: u64,
        before in 0..6000_u64,
        during in prop::collection::vec((any::<bool>(), 1..1200_u64, 1..40_u32), 1..12),
    ) {
        // Keys below `before` that are multiples of 5 stay all the time; the others come and go.
        let hash = |key: u64| mix(key ^ seed);
        let stays = |key: u64| key.is_multiple_of(5) && key < before;
        let mut table = Table::new();
        for key in 0..before {
            table.insert(hash(key), Pair::new(key, 0), |pair| hash(pair.key()));
        }
        let (mut position, mut seen, mut next) = (0, HashSet::new(), before);
        let mut changes = during.into_iter().cycle();
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0.. {
            prop_assert!(round < 1_000_000, "the scan must end");
            let (grow, len, pause) = changes.next().unwrap_or((true, 1, 1));
            for _ in 0..if round < 60 { len } else { 0 } {
                if grow {
                    table.insert(hash(next), Pair::new(next, 0), |pair| hash(pair.key()));
                    next += 1;
                } else {
                    let key = random.u64(..next.max(1));
                    if !stays(key) {
                        let hash_of = |pair: &Pair| hash(pair.key());
                        table.remove(hash(key), |pair| pair.key() == key, hash_of);
                    }
                }
            }
            if !grow && len > 900 {
                table.retain(|pair| stays(pair.key()) || pair.key() % 16 == 0);
            }
            for _ in 0..pause {
                position = table.scan(position, |pair| { seen.insert(pair.key()); });
                if position == 0 {
                    break;
                }
            }
            if position == 0 {
                break;
            }
        }
        prop_assert!((0..before).filter(|&key| stays(key)).all(|key| seen.contains(&key)));
    }
}

#[test]
fn a_long_run_of_random_steps_agrees_with_a_hash_map() {
    long_run(Hash::Good);
    long_run(Hash::Skewed);
}

fn long_run(hash: Hash) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut twin = Twin::new(hash);
    let steps = steps(2_000_000);
    for step in 0..steps {
        // Tides: the table grows to some ten thousand elements and shrinks again, four times.
        let rising = (step / (steps / 8).max(1)).is_multiple_of(2);
        let key = random.u64(..30_000);
        match random.u8(..10) {
            0 => twin.find(key),
            draw if (draw < 8) == rising => twin.put(key, step % 1000),
            _ => twin.remove(key),
        }
        if step % (steps / 40).max(1) == 0 {
            twin.check();
        }
    }
    twin.retain(|_| false);
    twin.check();
    assert_eq!(twin.table.shape().buckets, 1, "an emptied table is small again");
    assert_eq!(twin.table.shape().directory, 1);
}

#[test]
fn a_flooded_bucket_is_slow_but_works_and_does_not_recurse() {
    let mut table = Table::new();
    let len = if cfg!(miri) { 2_000 } else { 300_000_u64 };
    for key in 0..len {
        table.insert(0x1234, Pair::new(key, 1), |_| 0x1234);
    }
    let shape = table.shape();
    assert_eq!((shape.len, shape.longest_chain), (len as usize, len as usize));
    assert!(shape.directory * 64 <= len as usize, "the directory stays in proportion: {shape:?}");
    assert!(table.find(0x1234, |pair| pair.key() == 17).is_some());
    assert!(table.random(|| 0).is_some());
    for key in (0..len).rev().take(500) {
        let removed = table.remove(0x1234, |pair| pair.key() == key, |_| 0x1234);
        assert_eq!(removed.map(Pair::key), Some(key));
    }
    table.retain(|pair| pair.key() < 1000);
    assert_eq!(table.len(), 1000);
    drop(table);
}

#[test]
fn no_step_up_or_down_is_soon_reversed() {
    let mut twin = Twin::new(Hash::Good);
    let buckets = |twin: &Twin| twin.table.shape().buckets;
    // At every size of the first segments: after a step up some go and come, again and again.
    for rung in [64, 80, 96, 112, 128, 208] {
        while buckets(&twin) < rung {
            twin.put(twin.model.len() as u64, 0);
        }
        let (stays, len) = (buckets(&twin), twin.model.len() as u64);
        for _ in 0..20 {
            (len - 20..len).for_each(|key| twin.remove(key));
            assert_eq!(buckets(&twin), stays);
            (len - 20..len).for_each(|key| twin.put(key, key));
            assert_eq!(buckets(&twin), stays);
        }
    }
    // After a step down some come and go.
    for rung in [112, 96, 80, 64, 32] {
        while buckets(&twin) > rung {
            twin.remove(twin.model.len() as u64 - 1);
        }
        let stays = buckets(&twin);
        for round in 0..20 {
            let keys = 100_000 + round * 20..100_020 + round * 20;
            keys.clone().for_each(|key| twin.put(key, 0));
            assert_eq!(buckets(&twin), stays);
            keys.for_each(|key| twin.remove(key));
            assert_eq!(buckets(&twin), stays);
        }
    }
}

#[test]
fn the_table_is_well_filled_at_any_number_of_elements() {
    let mut table = Table::new();
    let mut bytes = Vec::new();
    for key in 0..steps(400_000) {
        table.insert(mix(key), Pair::new(key, 0), |pair| mix(pair.key()));
        if key > 4_000 && key % 1_000 == 0 {
            bytes.push(table.footprint() as f64 / table.len() as f64);
        }
    }
    let mean = bytes.iter().sum::<f64>() / bytes.len() as f64;
    let worst = bytes.iter().fold(0.0_f64, |worst, &bytes| worst.max(bytes));
    assert!(bytes.is_empty() || (mean < 12.2 && worst < 13.5), "{mean} at most {worst}");
}

#[test]
fn random_draws_are_nearly_uniform() {
    let mut random = fastrand::Rng::with_seed(3);
    for len in [1_u64, 2, 5, 40, 300, 700, 3_000, 4_700, 3_001] {
        let mut table = Table::new();
        let hash = |key| if len == 3_001 { Hash::Skewed.of(key) } else { mix(key) };
        for key in 0..len {
            table.insert(hash(key), Pair::new(key, 0), |pair| hash(pair.key()));
        }
        let expected = 400.0;
        let mut counts = vec![0_u32; len as usize];
        let (mut draws, total) = (0_u64, len * 400);
        for _ in 0..total {
            let drawn = table.random(|| {
                draws += 1;
                random.u64(..)
            });
            counts[drawn.expect("the table is not empty").key() as usize] += 1;
        }
        // Chains longer than twelve are drawn less often: by a third in the worst case here.
        assert!(counts.iter().all(|count| (220..=520).contains(count)), "{len}: {counts:?}");
        let longest = table.shape().longest_chain;
        let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
        let chi_square = counts.iter().map(square).sum::<f64>();
        let free = len as f64 - 1.0;
        let bound = free + 6.0 * (2.0 * free).sqrt() + 1e-9;
        assert!(longest > 12 || chi_square <= bound, "{len}: {chi_square}");
        assert!(draws < total * 20, "{len}: {draws} draws for {total} elements");
    }
}

#[test]
fn random_finds_the_last_element_of_a_table_that_was_emptied_unevenly() {
    let mut table = Table::new();
    for key in 0..20_000_u64 {
        table.insert(mix(key), Pair::new(key, 0), |pair| mix(pair.key()));
    }
    let last = 4_711;
    for key in (0..20_000).filter(|&key| key != last) {
        table.remove(mix(key), |pair| pair.key() == key, |pair| mix(pair.key()));
    }
    let mut random = fastrand::Rng::with_seed(1);
    assert_eq!(table.random(|| random.u64(..)).map(|pair| pair.key()), Some(last));
    let stuck = table.random(|| 0).map(|pair| pair.key());
    assert_eq!(stuck, Some(last), "even by a generator stuck at 0");
    assert!(Table::<Pair>::new().random(|| 0).is_none());
}

#[test]
fn any_number_is_a_scan_position() {
    let mut table = Table::new();
    assert_eq!(table.scan(12_345, |_: &Pair| unreachable!()), 0);
    for key in 0..3_000_u64 {
        table.insert(mix(key), Pair::new(key, 0), |pair| mix(pair.key()));
    }
    for position in [1, 1 << 39, (1 << 40) - 1, 1 << 40, u64::MAX] {
        let next = table.scan(position, |_| {});
        assert!(next < 1 << 40 && (next == 0 || next > position & ((1 << 40) - 1)));
    }
}

#[test]
fn an_empty_table_allocates_nothing_and_prefetch_is_harmless() {
    let mut table = Table::new();
    assert_eq!(table.footprint(), 0);
    table.prefetch(1);
    table.prefetch_values(1);
    table.insert(mix(1), Pair::new(1, 0), |pair| mix(pair.key()));
    table.prefetch(mix(1));
    table.prefetch_values(mix(1));
    assert!(table.footprint() < 256, "{}", table.footprint());
}

#[test]
fn entries_that_move_in_memory_stay_where_they_are_found() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut table: Table<Entry<String>> = Table::new();
    let mut model: HashMap<u64, (usize, Option<u64>)> = HashMap::new();
    let hash_of = |entry: &Entry<String>| mix(number(entry.key()));
    let steps = steps(400_000);
    for step in 0..steps {
        let rising = (step / (steps / 6).max(1)).is_multiple_of(2);
        let key = random.u64(..20_000);
        let (hash, name) = (mix(key), key.to_be_bytes());
        let (len, text) = (random.usize(..200), "x".repeat(random.usize(..9)));
        let deadline = random.bool().then(|| random.u64(..) >> random.u32(..32));
        let found = table.find_mut(hash, |entry| entry.key() == name);
        assert_eq!(found.is_some(), model.contains_key(&key));
        match (found, random.u8(..10)) {
            (Some(entry), 0..5) => {
                let (old, at) = model[&key];
                assert_eq!((entry_len(entry), entry.deadline()), (old, at));
                let new = match random.u8(..3) {
                    0 => NewPayload::Bytes(&vec![1; len][..]),
                    1 => NewPayload::Object(text),
                    _ => NewPayload::Int(7),
                };
                entry.set_payload(new);
                entry.set_deadline(deadline);
                entry.resize_bytes(len);
                model.insert(key, (entry_len(entry), deadline));
            }
            (None, 0..9) if rising => {
                let entry = Entry::new(&name, NewPayload::Object(text.clone()), deadline);
                table.insert(hash, entry, hash_of);
                model.insert(key, (text.len(), deadline));
            }
            (Some(_), _) if !rising => {
                let removed = table.remove(hash, |entry| entry.key() == name, hash_of);
                let expected = model.remove(&key);
                assert_eq!(removed.map(|entry| (entry_len(&entry), entry.deadline())), expected);
            }
            _ => {}
        }
        assert_eq!(table.len(), model.len());
    }
    let mut all: Vec<u64> = table.iter().map(|entry| number(entry.key())).collect();
    all.sort_unstable();
    let mut expected: Vec<u64> = model.into_keys().collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

fn number(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.try_into().expect("keys here are eight bytes"))
}

fn entry_len(entry: &Entry<String>) -> usize {
    match entry.payload() {
        Payload::Int(_) => 8,
        Payload::Bytes(bytes) => bytes.len(),
        Payload::Object(text) => text.len(),
    }
}

#[test]
fn an_element_replaced_by_hand_is_lost_to_lookups_but_not_to_the_table() {
    // Its tag is gone; a link between buckets must not be mistaken for it, nor it for a link.
    let mut table: Table<Entry<String>> = Table::new();
    for key in 0..200_u64 {
        let entry = Entry::new(&key.to_be_bytes(), NewPayload::Int(0), None);
        table.insert(mix(key) >> 6, entry, |entry| mix(number(entry.key())) >> 6);
    }
    assert!(table.shape().overflow_buckets > 0);
    for (key, entry) in table.iter_mut().enumerate() {
        *entry = Entry::new(&(key as u64).to_be_bytes(), NewPayload::Int(1), None);
    }
    assert_eq!(table.iter().filter(|entry| entry.payload() == Payload::Int(1)).count(), 200);
    for key in 0..200_u64 {
        assert!(table.find(mix(key) >> 6, |_| true).is_none());
    }
    table.retain(|entry| number(entry.key()).is_multiple_of(2));
    assert_eq!((table.len(), table.iter().count()), (100, 100));
}
