//! The wheel against a `BTreeMap`: exact ticks, budgets, re-arming, sweeps, a clock set back.

use std::collections::{BTreeSet, HashMap};

use pannier_collections::Wheel;
use proptest::prelude::*;

mod steps;
use steps::steps;

/// The wheel and its naive twin: each mark is a number, with the tick it is armed for.
struct Twin {
    wheel: Wheel<u32>,
    model: HashMap<u32, u64>,
    /// The same by tick.
    order: BTreeSet<(u64, u32)>,
    now: u64,
    next: u32,
    /// How often a mark came before its tick.
    falls: u64,
}

impl Twin {
    fn new(now: u64) -> Self {
        let (model, order) = (HashMap::new(), BTreeSet::new());
        Self { wheel: Wheel::new(now), model, order, now, next: 0, falls: 0 }
    }

    fn arm(&mut self, tick: u64) {
        self.wheel.arm(tick, self.next);
        self.model.insert(self.next, tick);
        self.order.insert((tick, self.next));
        self.next += 1;
        self.check();
    }

    /// As the store does it: a mark that comes before its tick is armed again for its tick, and
    /// every third that is due is armed again `again` ticks later. Returns whether all due came.
    fn advance(&mut self, now: u64, budget: usize, again: u64) -> bool {
        self.now = now;
        let mut left = budget;
        loop {
            let mut reached = Vec::new();
            let handed = self.wheel.advance(now, left.min(1_000), |mark| reached.push(mark));
            assert_eq!(handed, reached.len());
            assert!(handed <= left, "{handed} marks with a budget of {left}");
            left -= handed;
            for mark in reached {
                let tick = self.model[&mark];
                if tick > now {
                    self.falls += 1;
                    self.wheel.arm(tick, mark);
                    continue;
                }
                self.model.remove(&mark);
                self.order.remove(&(tick, mark));
                if mark % 3 == 0 && again > 0 {
                    let later = now.saturating_add(again);
                    self.wheel.arm(later, mark);
                    self.model.insert(mark, later);
                    self.order.insert((later, mark));
                }
            }
            if handed == 0 || left == 0 {
                break;
            }
        }
        self.check();
        let next = self.wheel.next_due();
        let done = self.order.first().is_none_or(|&(tick, _)| tick > now);
        assert!(done || next.is_some_and(|next| next <= now), "work is left, but not shown");
        if budget == usize::MAX {
            assert!(done, "a mark is late");
            assert!(next.is_none_or(|next| next > now));
        }
        done
    }

    /// Drops the marks for which `keep` is false, a few at a time.
    fn sweep(&mut self, budget: usize, keep: impl Fn(u32) -> bool) {
        let waiting = self.model.len();
        let (mut looked, mut dropped) = (0, 0);
        loop {
            let (model, order) = (&mut self.model, &mut self.order);
            let step = self.wheel.sweep(budget, |mark| {
                if !keep(mark) {
                    let tick = model.remove(&mark).expect("a mark is dropped once");
                    order.remove(&(tick, mark));
                }
                keep(mark)
            });
            assert!(step.0 <= budget && step.1 <= step.0);
            looked += step.0;
            dropped += step.1;
            if step.0 < budget {
                break;
            }
        }
        assert!(looked <= waiting && dropped == waiting - self.model.len());
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.is_empty(), self.model.is_empty());
        if let Some(&(first, _)) = self.order.first().filter(|(tick, _)| *tick < u64::MAX) {
            let bound = self.wheel.next_due().expect("something is due one day");
            assert!(bound <= first, "next_due {bound} is after the first mark at {first}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Arm(u64),
    ArmMany(u64, u16),
    ArmPast(u64),
    Advance(u64),
    AdvanceBy(u64, usize, u64),
    TurnBack(u64),
    Sweep(usize, u32),
}

/// Distances of every magnitude, so that every level, epochs and slot borders are met.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3_u64,
        (0..44_u32, any::<u64>()).prop_map(|(bits, random)| (1 << bits) + random % (1 << bits)),
        (0..44_u32).prop_map(|bits| (1 << bits) - 1),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => distance().prop_map(Step::Arm),
        2 => (distance(), 1..700_u16).prop_map(|(distance, len)| Step::ArmMany(distance, len)),
        1 => distance().prop_map(Step::ArmPast),
        3 => distance().prop_map(Step::Advance),
        3 => (distance(), 0..100_usize, distance())
            .prop_map(|(distance, budget, again)| Step::AdvanceBy(distance, budget, again)),
        1 => distance().prop_map(Step::TurnBack),
        1 => (1..50_usize, 1..5_u32).prop_map(|(budget, part)| Step::Sweep(budget, part)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(steps(400) as u32))]

    #[test]
    fn the_wheel_does_what_a_sorted_map_does(
        start in prop_oneof![Just(0), Just(1_700_000_000_000), any::<u64>()],
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut twin = Twin::new(start);
        for step in steps {
            match step {
                Step::Arm(distance) => twin.arm(twin.now.saturating_add(distance)),
                Step::ArmMany(distance, len) => {
                    (0..len).for_each(|_| twin.arm(twin.now.saturating_add(distance)));
                }
                Step::ArmPast(distance) => twin.arm(twin.now.saturating_sub(distance)),
                Step::Advance(distance) => {
                    let now = twin.now.saturating_add(distance).min(u64::MAX - 1);
                    twin.advance(now, usize::MAX, 0);
                }
                Step::AdvanceBy(distance, budget, again) => {
                    let now = twin.now.saturating_add(distance).min(u64::MAX - 1);
                    twin.advance(now, budget, again);
                }
                Step::TurnBack(distance) => {
                    twin.advance(twin.now.saturating_sub(distance), usize::MAX, 0);
                }
                Step::Sweep(budget, part) => twin.sweep(budget, |mark| mark % part == 0),
            }
        }
        // Whatever is left comes, each in its turn, and nothing twice.
        twin.advance(u64::MAX - 1, usize::MAX, 0);
        prop_assert!(twin.order.first().is_none_or(|&(tick, _)| tick == u64::MAX));
    }
}

#[test]
fn every_mark_comes_at_exactly_its_tick() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut twin = Twin::new(1_000_000);
    let len = steps(20_000);
    for _ in 0..len {
        twin.arm(1_000_000 + random.u64(..100) * random.u64(..1000));
    }
    // One tick at a time: a mark that is not late and not early is exact.
    for now in 1_000_000..1_100_000 {
        twin.advance(now, usize::MAX, 0);
    }
    assert!(twin.model.is_empty());
    assert!(twin.falls <= 3 * len, "{} falls: ticks this near lie on three levels", twin.falls);
}

#[test]
fn a_long_run_of_random_steps_agrees_with_a_sorted_map() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut twin = Twin::new(1_700_000_000_000);
    for _ in 0..steps(1_000_000) {
        let stride = random.u64(..) >> random.u32(30..64);
        // Seldom, or the marks armed again and again would be all that happens.
        let again = if random.u8(..16) == 0 { random.u64(..5_000) } else { 0 };
        match random.u8(..10) {
            0 => _ = twin.advance(twin.now + stride, usize::MAX, again),
            1 => _ = twin.advance(twin.now + stride, random.usize(..30), again),
            _ => twin.arm(twin.now + (random.u64(..) >> random.u32(20..64))),
        }
    }
    twin.sweep(1_000, |mark| mark % 2 == 0);
    // Ever longer strides to the end of time.
    while !twin.model.is_empty() {
        let stride = (twin.now / 64).max(1);
        twin.advance(twin.now + stride, usize::MAX, 0);
    }
    assert!(twin.wheel.next_due().is_none());
}

#[test]
fn a_million_marks_at_one_tick_come_within_the_budget() {
    let len = steps(1_000_000);
    let mut wheel = Wheel::new(0);
    for mark in 0..len {
        wheel.arm(86_400_000, mark);
    }
    let held = wheel.footprint();
    assert!(held < len as usize * 83 / 10 + 40_000, "{held} bytes for marks of 8");
    let (mut calls, mut due) = (0, 0);
    let mut turn = Vec::new();
    for now in [0, 86_399_999, 86_400_000] {
        loop {
            turn.clear();
            let handed = wheel.advance(now, 1_000, |mark| turn.push(mark));
            assert!(handed == turn.len() && handed <= 1_000);
            calls += 1;
            if now < 86_400_000 {
                turn.iter().for_each(|&mark| wheel.arm(86_400_000, mark));
            } else {
                due += handed as u64;
            }
            if handed == 0 {
                break;
            }
            assert!(wheel.next_due().is_none_or(|next| next <= 86_400_000));
        }
    }
    assert_eq!(due, len);
    assert!(calls <= 7 * len / 1_000 + 20, "each mark falls at most six times");
    assert!(wheel.is_empty() && wheel.next_due().is_none());
    assert!(wheel.footprint() < 40_000, "lists are freed: {}", wheel.footprint());
    wheel.clear();
    assert_eq!(wheel.footprint(), 0);
}

#[test]
fn a_sweep_looks_at_every_waiting_mark_once_a_pass() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut wheel = Wheel::new(77);
    for mark in 0..5_000_usize {
        wheel.arm(78 + (random.u64(..) >> random.u32(20..64)), mark);
    }
    let mut seen = vec![0; 5_000];
    loop {
        let (looked, _) = wheel.sweep(64, |mark| {
            seen[mark] += 1;
            mark % 2 == 0
        });
        if looked < 64 {
            break;
        }
    }
    assert!(seen.iter().all(|&times| times == 1));
    assert_eq!(wheel.len(), 2_500);
    assert_eq!(wheel.sweep(10, |_| true), (10, 0), "the next pass begins");
    assert_eq!(Wheel::<u8>::new(0).sweep(10, |_| true), (0, 0));
}

#[test]
fn a_mark_armed_for_the_past_comes_at_once_and_one_at_the_end_of_time_never() {
    let mut wheel = Wheel::new(10);
    wheel.arm(3, 'a');
    assert_eq!(wheel.next_due(), Some(3));
    assert_eq!(wheel.advance(20, usize::MAX, |mark| assert_eq!(mark, 'a')), 1);
    wheel.arm(21, 'b');
    assert_eq!(wheel.advance(20, usize::MAX, |_| ()), 0);
    assert_eq!(wheel.advance(21, usize::MAX, |mark| assert_eq!(mark, 'b')), 1);
    // Time does not turn back: what lies between `now` and the wheel's time waits.
    wheel.arm(15, 'c');
    assert_eq!(wheel.advance(14, usize::MAX, |_| ()), 0);
    assert_eq!(wheel.advance(15, usize::MAX, |mark| assert_eq!(mark, 'c')), 1);
    wheel.arm(u64::MAX, 'z');
    while wheel.advance(u64::MAX, usize::MAX, |_| ()) > 0 {
        wheel.arm(u64::MAX, 'z');
    }
    assert_eq!(wheel.len(), 1, "u64::MAX is never");
}
