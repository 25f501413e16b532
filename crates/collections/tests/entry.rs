//! The entry against a plain struct, over all sizes at which its layout changes.

use std::rc::Rc;

use pannier_collections::{Entry, NewPayload, Payload, Tagged, allocated};
use proptest::prelude::*;

mod steps;
use steps::steps;

/// An object that can be counted: every living one holds a clone of `alive`.
#[derive(Debug, Clone, PartialEq)]
struct Object {
    alive: Rc<()>,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Int(i64),
    Bytes(Vec<u8>),
    Object(Object),
}

/// The entry and its naive twin.
struct Twin {
    alive: Rc<()>,
    entry: Entry<Object>,
    key: Vec<u8>,
    value: Value,
    deadline: Option<u64>,
    access: u32,
    flags: u8,
    stamp: u8,
    tag: u16,
}

impl Twin {
    fn new(key: Vec<u8>, value: Plan, deadline: Option<u64>) -> Self {
        let alive = Rc::new(());
        let value = value.make(&alive);
        let entry = Entry::new(&key, payload_of(&value), deadline);
        Self { alive, entry, key, value, deadline, access: 0, flags: 0, stamp: 0, tag: 0 }
    }

    fn check(&mut self) {
        assert_eq!(self.entry.key(), self.key);
        assert_eq!(self.entry.deadline(), self.deadline);
        assert_eq!(self.entry.access(), self.access);
        assert_eq!(self.entry.flags(), self.flags);
        assert_eq!(self.entry.tag(), self.tag);
        if self.deadline.is_some() {
            assert_eq!(self.entry.stamp(), self.stamp, "a stamp is kept with a deadline");
        }
        let objects = match (&self.value, self.entry.payload()) {
            (Value::Int(number), Payload::Int(found)) => {
                assert_eq!(*number, found);
                0
            }
            (Value::Bytes(bytes), Payload::Bytes(found)) => {
                assert_eq!(bytes, found);
                0
            }
            (Value::Object(object), Payload::Object(found)) => {
                assert_eq!(object, found);
                2
            }
            (expected, _) => panic!("expected {expected:?}"),
        };
        assert_eq!(Rc::strong_count(&self.alive), 1 + objects, "an object leaked");
        assert_eq!(self.entry.bytes_mut().is_some(), matches!(self.value, Value::Bytes(_)));
        assert_eq!(self.entry.object_mut().is_some(), objects == 2);
        let value = match &self.value {
            Value::Int(_) => 8,
            Value::Bytes(bytes) => bytes.len(),
            Value::Object(_) => size_of::<Object>(),
        };
        let deadline = if self.deadline.is_some() { 8 } else { 0 };
        let used = 8 + deadline + self.key.len() + value;
        let footprint = self.entry.footprint();
        assert_eq!(footprint, allocated(footprint), "a whole size class");
        assert!(used <= footprint && footprint <= 5 * allocated(used + 16), "{used} {footprint}");
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Set(plan) => {
                self.value = plan.make(&self.alive);
                self.entry.set_payload(payload_of(&self.value));
            }
            Step::Twin(plan) => {
                self.value = plan.make(&self.alive);
                self.entry = self.entry.twin(payload_of(&self.value));
            }
            Step::Resize(len) => {
                let done = self.entry.resize_bytes(len);
                assert_eq!(done, matches!(self.value, Value::Bytes(_)));
                if let Value::Bytes(bytes) = &mut self.value {
                    bytes.resize(len, 0);
                }
            }
            Step::Fill(byte) => {
                if let (Some(bytes), Value::Bytes(twin)) = (self.entry.bytes_mut(), &mut self.value)
                {
                    bytes.fill(byte);
                    twin.fill(byte);
                }
                if let (Some(object), Value::Object(twin)) =
                    (self.entry.object_mut(), &mut self.value)
                {
                    object.text.push('x');
                    twin.text.push('x');
                }
            }
            Step::Deadline(deadline) => {
                if self.deadline.is_none() {
                    self.entry.set_deadline(deadline);
                    self.entry.set_stamp(self.stamp);
                }
                self.deadline = deadline;
                self.entry.set_deadline(deadline);
            }
            Step::Notes(access, low) => {
                (self.access, self.flags) = (access, low as u8 & 15);
                (self.stamp, self.tag) = (low as u8, low);
                self.entry.set_access(access);
                self.entry.set_flags(self.flags);
                self.entry.set_stamp(self.stamp);
                self.entry.set_tag(self.tag);
            }
        }
    }
}

fn payload_of(value: &Value) -> NewPayload<'_, Object> {
    match value {
        Value::Int(number) => NewPayload::Int(*number),
        Value::Bytes(bytes) => NewPayload::Bytes(bytes),
        Value::Object(object) => NewPayload::Object(object.clone()),
    }
}

#[derive(Clone, Debug)]
enum Plan {
    Int(i64),
    Bytes(usize, u8),
    Object,
}

impl Plan {
    fn make(self, alive: &Rc<()>) -> Value {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::Bytes(len, byte) => Value::Bytes(vec![byte; len]),
            Self::Object => {
                Value::Object(Object { alive: Rc::clone(alive), text: "object".to_owned() })
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(Plan),
    Twin(Plan),
    Resize(usize),
    Fill(u8),
    Deadline(Option<u64>),
    Notes(u32, u16),
}

/// Mostly short, and often about 255 and 512 bytes, where a block changes its form.
fn len() -> impl Strategy<Value = usize> {
    // Miri is too slow for long ones; the other tests have a few.
    let rare = if cfg!(miri) { 0 } else { 2 };
    prop_oneof![
        6 => 0..200_usize,
        2 => 200..270_usize,
        2 => 440..520_usize,
        rare => 520..5_000_usize,
        rare => 65_480..65_560_usize,
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        any::<i64>().prop_map(Plan::Int),
        (len(), any::<u8>()).prop_map(|(len, byte)| Plan::Bytes(len, byte)),
        Just(Plan::Object),
    ]
}

/// On both sides of 2^56, from which on a block is wide.
fn deadline() -> impl Strategy<Value = Option<u64>> {
    prop::option::of((any::<u64>(), 0..64_u32).prop_map(|(random, bits)| random >> bits))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => plan().prop_map(Step::Set),
        1 => plan().prop_map(Step::Twin),
        3 => len().prop_map(Step::Resize),
        1 => any::<u8>().prop_map(Step::Fill),
        2 => deadline().prop_map(Step::Deadline),
        1 => any::<(u32, u16)>().prop_map(|(access, low)| Step::Notes(access, low)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(steps(2_000) as u32))]

    #[test]
    fn an_entry_does_what_a_struct_does(
        key in len(),
        value in plan(),
        deadline in deadline(),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let key: Vec<u8> = (0..key).map(|at| at as u8).collect();
        let mut twin = Twin::new(key, value, deadline);
        twin.check();
        for step in steps {
            twin.step(step);
            twin.check();
        }
        drop(twin.value);
        drop(twin.entry);
        prop_assert_eq!(Rc::strong_count(&twin.alive), 1);
    }
}

#[test]
fn a_long_run_of_random_steps_agrees_with_a_struct() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut twin = Twin::new(b"key".to_vec(), Plan::Int(1), None);
    for _ in 0..steps(1_500_000) {
        let len = if random.u8(..200) == 0 { random.usize(..70_000) } else { random.usize(..700) };
        let plan = match random.u8(..3) {
            0 => Plan::Int(random.i64(..)),
            1 => Plan::Bytes(len, random.u8(..)),
            _ => Plan::Object,
        };
        twin.step(match random.u8(..7) {
            0 | 1 => Step::Set(plan),
            6 => Step::Twin(plan),
            2 => Step::Resize(len),
            3 => Step::Fill(random.u8(..)),
            4 => Step::Deadline(random.bool().then(|| random.u64(..) >> random.u32(..32))),
            _ => Step::Notes(random.u32(..), random.u16(..)),
        });
        twin.check();
    }
}

#[test]
fn the_header_takes_eight_bytes_and_sixteen_in_large_blocks() {
    let footprint = |key: usize, value: usize, deadline| {
        Entry::<String>::new(&vec![0; key], NewPayload::Bytes(&vec![1; value]), deadline)
            .footprint()
    };
    assert_eq!(footprint(24, 32, None), 64);
    assert_eq!(footprint(24, 33, None), 80);
    assert_eq!(footprint(24, 24, Some(1)), 64);
    assert_eq!(footprint(24, 32, Some((1 << 56) - 1)), 80);
    assert_eq!(footprint(24, 40, Some(1 << 56)), 96, "a wide block for a large deadline");
    assert_eq!(footprint(0, 0, None), 16);
    assert_eq!(footprint(255, 249, None), 512);
    assert_eq!(footprint(255, 250, None), 640);
    assert_eq!(footprint(256, 240, None), 512, "a wide block for a long key");
    assert_eq!(footprint(256, 241, None), 640);
    assert_eq!(footprint(20, (1 << 16) - 36, None), 1 << 16);
    assert_eq!(footprint(20, (1 << 16) - 35, None), 80 << 10);
    let int = Entry::<String>::new(&[0; 16], NewPayload::Int(7), None);
    assert_eq!(int.footprint(), 32);
}

#[test]
fn a_key_may_be_longer_than_64_kib() {
    let key = vec![b'k'; 100_000];
    let mut entry = Entry::new(&key, NewPayload::Object("value".to_owned()), None);
    entry.set_deadline(Some(5));
    entry.set_payload(NewPayload::Bytes(b"short"));
    assert_eq!((entry.key(), entry.payload()), (&key[..], Payload::Bytes(b"short")));
    assert_eq!(entry.deadline(), Some(5));
}

#[test]
fn appends_and_cuts_reallocate_seldom() {
    let mut entry = Entry::<String>::new(b"log", NewPayload::Bytes(b""), None);
    let (mut moves, mut footprint) = (0, entry.footprint());
    let len = if cfg!(miri) { 200 } else { 4 << 20 };
    for len in (1..len).chain((0..len).rev()) {
        assert!(entry.resize_bytes(len));
        moves += usize::from(entry.footprint() != footprint);
        footprint = entry.footprint();
    }
    assert!(moves < 60, "{moves} reallocations");
    assert!(footprint <= 64, "cutting gives memory back: {footprint}");
    // Around one length there is no thrashing, wherever it lies.
    for len in (0..if cfg!(miri) { 300 } else { 3_000 }).step_by(7) {
        entry.resize_bytes(len + 1);
        let before = entry.footprint();
        entry.resize_bytes(len);
        entry.resize_bytes(len + 1);
        assert_eq!(entry.footprint(), before);
    }
}

#[test]
fn objects_of_any_size_and_alignment_are_held() {
    let mut wide = Entry::new(b"odd", NewPayload::Object(u128::MAX), None);
    for deadline in [Some(1), None, Some(2)] {
        wide.set_deadline(deadline);
        assert_eq!(wide.payload(), Payload::Object(&u128::MAX));
        assert!(std::ptr::from_mut(wide.object_mut().expect("an object")).is_aligned());
    }
    let mut none = Entry::new(b"nothing", NewPayload::Object(()), None);
    assert_eq!(none.payload(), Payload::Object(&()));
    none.set_payload(NewPayload::Int(-1));
    assert_eq!(none.payload(), Payload::Int(-1));
    assert_eq!(format!("{none:?}").matches("Int(-1)").count(), 1);
}

#[test]
fn a_panicking_drop_frees_the_block() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }
    let mut entry = Entry::new(b"key", NewPayload::Object(Bomb), None);
    let replace = std::panic::AssertUnwindSafe(|| drop(entry.set_payload(NewPayload::Int(1))));
    assert!(std::panic::catch_unwind(replace).is_err());
    assert!(matches!(entry.payload(), Payload::Int(1)));
    entry.set_payload(NewPayload::Object(Bomb));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(entry))).is_err());
}

#[test]
fn an_entry_is_sent_and_shared_like_its_object() {
    fn check<T: Send + Sync>() {}
    check::<Entry<String>>();
    let entry = Entry::<String>::new(b"key", NewPayload::Bytes(b"value"), None);
    let thread = std::thread::spawn(move || entry.key().to_vec());
    assert_eq!(thread.join().expect("the thread ends"), b"key");
}
