//! A hierarchical timing wheel over ticks (Varghese and Lauck, 1987), exact to the tick.
//!
//! ```text
//!  tick:  | epoch, 32 bits | level 5: 2 | level 4: 6 | 3: 6 | 2: 6 | 1: 6 | level 0: 6 bits |
//! ```
//!
//! A mark lies at the level of the highest digit in which its tick differs from the present, in
//! the slot that the digit names; a tick of another epoch waits in `far`, by epoch. When time
//! reaches a slot its marks are handed out: those of a slot of level 0 are due, the others are due
//! somewhere in the slot's width, and whoever holds what the mark stands for knows when and arms
//! it again for that tick. So the wheel keeps no ticks, and a mark of 8 bytes takes 8.5, where
//! the low half of the tick beside one of 12 made 16 (`benches/wheel`). The price is a look at
//! the marked thing at each level, which also ends stale marks early and files extended ones where
//! they belong. A bitmap per level finds the next slot without walking empty ones. In milliseconds
//! the levels reach 64 ms, 4 s, 4 min, 4.7 h, 12 and 50 days. A heap costs O(log n) a mark, a
//! hashed wheel with rounds looks at every mark once a turn.
//!
//! Cost: `arm` O(1). A mark comes back at most seven times, and `advance` hands out no more than
//! its budget; when it is spent time stands still inside the slot. A slot is opened by moving its
//! list, so a million marks at one tick cost no more at once than one. Memory: a level is 3 KiB
//! once used; a list doubles up to 256 marks, then adds 2 KiB.
//!
//! Rules: every mark in a slot or in `far` was armed for a tick after `time`; `ready` holds what is
//! left of the slot that starts at `time`; `behind` holds what was armed before `time`, by tick.
//! So a mark of level 0 never comes before its tick, even when the clock given steps backwards.
//! An occupied bit is set exactly when the slot's list is not empty.
//! Neighbours: `wheel::list` holds a slot's marks; the store gives them meaning and re-arms
//! those whose key lives longer. Tests: `tests/wheel.rs`.

mod list;

use std::collections::BTreeMap;

use self::list::List;
use crate::size_class::allocated;

/// A timing wheel of marks, small values that come back when their tick is near or reached.
///
/// ```
/// let mut wheel = pannier_collections::Wheel::new(100);
/// wheel.arm(250, 'a');
/// // Time reaches the slot of tick 250; the owner knows that 'a' is not due yet.
/// assert_eq!(wheel.advance(249, 10, |mark| assert_eq!(mark, 'a')), 1);
/// wheel.arm(250, 'a');
/// assert_eq!(wheel.advance(249, 10, |_| unreachable!()), 0);
/// assert_eq!(wheel.advance(250, 10, |mark| assert_eq!(mark, 'a')), 1);
/// ```
pub struct Wheel<M> {
    time: u64,
    len: usize,
    /// Bytes allocated by lists.
    listed: usize,
    levels: [Option<Box<Level<M>>>; LEVELS],
    far: BTreeMap<u64, List<M>>,
    ready: List<M>,
    behind: BTreeMap<u64, List<M>>,
    sweep: Place,
    /// The number of the mark in the list at `sweep` at which to go on.
    sweep_index: usize,
}

struct Level<M> {
    occupied: u64,
    slots: [List<M>; 64],
}

/// Where a list is; in the order in which a sweep visits them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Slot(usize, usize),
    Epoch(u64),
}

impl<M: Copy> Wheel<M> {
    /// An empty wheel whose time is `now`. It allocates nothing before the first mark.
    pub fn new(now: u64) -> Self {
        Self {
            time: now.min(NEVER - 1),
            len: 0,
            listed: 0,
            levels: [const { None }; LEVELS],
            far: BTreeMap::new(),
            ready: List::default(),
            behind: BTreeMap::new(),
            sweep: START,
            sweep_index: 0,
        }
    }

    /// Lets `mark` come back at `tick` at the latest, or at the next `advance` when that is not in
    /// the future. A mark at `u64::MAX` never comes back.
    #[inline]
    pub fn arm(&mut self, tick: u64, mark: M) {
        self.len += 1;
        let differing = tick ^ self.time;
        let list = if tick < self.time {
            self.behind.entry(tick).or_default()
        } else if differing == 0 {
            &mut self.ready
        } else if differing > LOW {
            self.far.entry(tick >> LOW_BITS).or_default()
        } else {
            let level = (differing.ilog2() / DIGIT_BITS) as usize;
            let slot = digit(tick, level);
            let level = self.levels[level].get_or_insert_with(Box::default);
            level.occupied |= 1 << slot;
            &mut level.slots[slot]
        };
        self.listed += list.push(mark);
    }

    /// Moves time to `now` and hands out at most `budget` marks whose slot has been reached.
    /// Whoever is given one that is not due yet arms it again, for its tick, which is after `now`;
    /// when that tick comes it is handed out once more, and at most six times before. Returns how
    /// many marks were handed out.
    ///
    /// When the budget does not suffice time stops at the slot that was not emptied, and
    /// `next_due` says so. A `now` before the wheel's time does not turn it back: marks after
    /// `now` wait until it is reached again.
    pub fn advance(&mut self, now: u64, budget: usize, mut reached: impl FnMut(M)) -> usize {
        let now = now.min(NEVER - 1);
        let mut handed = 0;
        while handed < budget {
            if let Some(mark) = self.pop_due(now) {
                handed += 1;
                self.len -= 1;
                reached(mark);
                continue;
            }
            if now < self.time {
                break;
            }
            match self.next_slot() {
                Some((start, place)) if start <= now => self.open(start, place),
                _ => {
                    self.time = now;
                    break;
                }
            }
        }
        handed
    }

    /// Looks at up to `budget` waiting marks, going on where the last call stopped, and drops
    /// those for which `keep` is false. Returns how many it looked at and how many it dropped;
    /// fewer than `budget` looked at means that a pass over all marks has ended.
    pub fn sweep(&mut self, budget: usize, mut keep: impl FnMut(M) -> bool) -> (usize, usize) {
        let (mut looked, mut dropped) = (0, 0);
        while looked < budget {
            let Some(place) = self.place_from(self.sweep) else {
                (self.sweep, self.sweep_index) = (START, 0);
                break;
            };
            if place != self.sweep {
                (self.sweep, self.sweep_index) = (place, 0);
            }
            let index = self.sweep_index;
            let Some(list) = self.list_mut(place) else { unreachable!("just found") };
            let Some(&mut mark) = list.get_mut(index) else {
                (self.sweep, self.sweep_index) = (place.next(), 0);
                continue;
            };
            looked += 1;
            if keep(mark) {
                self.sweep_index += 1;
            } else {
                dropped += 1;
                let (freed, empty) = (list.remove(index), list.is_empty());
                self.len -= 1;
                self.listed -= freed;
                if empty {
                    self.vacate(place);
                }
            }
        }
        (looked, dropped)
    }

    /// Lets the next sweep begin at a waiting mark that `draw` chooses: a random list, and there
    /// a random mark.
    pub fn seek(&mut self, draw: u64) {
        let place = Place::Slot((draw >> 6) as usize % LEVELS, draw as usize & 63);
        let found = self.place_from(place).or_else(|| self.place_from(START));
        let Some(place) = found else { return };
        let len = self.list_mut(place).map_or(1, |list| list.len().max(1));
        (self.sweep, self.sweep_index) = (place, (draw >> 32) as usize % len);
    }

    /// Drops all marks and frees their memory; time stays.
    pub fn clear(&mut self) {
        *self = Self::new(self.time);
    }

    /// Marks held, stale ones too.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no mark is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The earliest tick at which `advance` could hand something out. No mark is due before it.
    pub fn next_due(&self) -> Option<u64> {
        let behind = self.behind.keys().next().copied();
        let ahead = if self.ready.is_empty() {
            self.next_slot().map(|(start, _)| start)
        } else {
            Some(self.time)
        };
        behind.or(ahead).filter(|&tick| tick != NEVER)
    }

    /// Bytes allocated by the wheel. O(1).
    pub fn footprint(&self) -> usize {
        let levels = self.levels.iter().flatten().count() * allocated(size_of::<Level<M>>());
        levels + self.listed + (self.far.len() + self.behind.len()) * BRANCH
    }

    /// Takes a mark that was armed for a tick before the wheel's time, up to `now`, or one of the
    /// slot that starts at that time.
    fn pop_due(&mut self, now: u64) -> Option<M> {
        if let Some(mut entry) = self.behind.first_entry()
            && *entry.key() <= now
        {
            let (mark, freed) = entry.get_mut().pop()?;
            self.listed -= freed;
            if entry.get().is_empty() {
                entry.remove();
            }
            return Some(mark);
        }
        if now < self.time {
            return None;
        }
        let (mark, freed) = self.ready.pop()?;
        self.listed -= freed;
        Some(mark)
    }

    /// The next occupied slot and the tick at which it starts. What is on a lower level comes
    /// first, because it lies in the part of the next level's slot that time is in.
    fn next_slot(&self) -> Option<(u64, Place)> {
        for (number, level) in self.levels.iter().enumerate() {
            if let Some(level) = level
                && level.occupied != 0
            {
                let slot = level.occupied.trailing_zeros() as usize;
                let shift = number as u32 * DIGIT_BITS;
                let above = (self.time & LOW) >> shift >> DIGIT_BITS << DIGIT_BITS;
                let low = (above | slot as u64) << shift;
                return Some((self.time & !LOW | low, Place::Slot(number, slot)));
            }
        }
        let (&epoch, _) = self.far.first_key_value()?;
        Some((epoch << LOW_BITS, Place::Epoch(epoch)))
    }

    /// Moves time to the start of a slot, whose marks are ready then.
    fn open(&mut self, start: u64, place: Place) {
        self.time = start;
        self.ready = self.list_mut(place).map(std::mem::take).unwrap_or_default();
        self.vacate(place);
    }

    /// The first list that is not empty, from `place` on in the order of places.
    fn place_from(&self, place: Place) -> Option<Place> {
        let epoch = match place {
            Place::Slot(first, slot) => {
                for number in first..LEVELS {
                    let from = if number == first { slot } else { 0 };
                    let Some(level) = &self.levels[number] else { continue };
                    let occupied = level.occupied >> from << from;
                    if occupied != 0 {
                        let slot = occupied.trailing_zeros() as usize;
                        return Some(Place::Slot(number, slot));
                    }
                }
                0
            }
            Place::Epoch(epoch) => epoch,
        };
        self.far.range(epoch..).next().map(|(&epoch, _)| Place::Epoch(epoch))
    }

    fn list_mut(&mut self, place: Place) -> Option<&mut List<M>> {
        match place {
            Place::Slot(level, slot) => Some(&mut self.levels[level].as_mut()?.slots[slot]),
            Place::Epoch(epoch) => self.far.get_mut(&epoch),
        }
    }

    /// Notes that the list at `place` is empty now.
    fn vacate(&mut self, place: Place) {
        match place {
            Place::Slot(level, slot) => {
                if let Some(level) = &mut self.levels[level] {
                    level.occupied &= !(1 << slot);
                }
            }
            Place::Epoch(epoch) => {
                self.far.remove(&epoch);
            }
        }
    }
}

impl Place {
    fn next(self) -> Self {
        match self {
            Self::Slot(level, 63) if level + 1 == LEVELS => Self::Epoch(0),
            Self::Slot(level, 63) => Self::Slot(level + 1, 0),
            Self::Slot(level, slot) => Self::Slot(level, slot + 1),
            Self::Epoch(epoch) => Self::Epoch(epoch + 1),
        }
    }
}

impl<M> Default for Level<M> {
    fn default() -> Self {
        Self { occupied: 0, slots: std::array::from_fn(|_| List::default()) }
    }
}

#[inline]
fn digit(tick: u64, level: usize) -> usize {
    ((tick & LOW) >> (level as u32 * DIGIT_BITS)) as usize & 63
}

const START: Place = Place::Slot(0, 0);
const NEVER: u64 = u64::MAX;
const LEVELS: usize = 6;
const DIGIT_BITS: u32 = 6;
const LOW_BITS: u32 = u32::BITS;
const LOW: u64 = u32::MAX as u64;
/// What an epoch costs in a B-tree, about: its key and list, and its part of a half-full node.
const BRANCH: usize = 96;

const _: () = assert!(LEVELS as u32 * DIGIT_BITS >= LOW_BITS, "the levels cover an epoch");
