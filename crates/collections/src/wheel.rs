//! A hierarchical timing wheel over ticks (Varghese and Lauck, 1987), exact to the tick.
//!
//! ```text
//!  tick:  | epoch, 32 bits | level 5: 2 | level 4: 6 | 3: 6 | 2: 6 | 1: 6 | level 0: 6 bits |
//! ```
//!
//! A mark lies at the level of the highest digit in which its tick differs from the present, in
//! the slot that the digit names; a tick of another epoch waits in `far`, by epoch. When time
//! reaches a slot of level 1 or higher its marks fall to lower levels; those of a slot of level 0
//! are due. A bitmap per level finds the next slot without walking empty ones. In milliseconds
//! the levels reach 64 ms, 4 s, 4 min, 4.7 h, 12 and 50 days. Beside each mark lie the low 32
//! bits of its tick: 16 bytes for a mark of 12. A heap costs O(log n) a mark, a hashed wheel with
//! rounds looks at every mark once a turn, a wheel that forgets ticks is late by a slot.
//!
//! Cost: `arm` O(1). A mark falls at most six times, and `advance` counts a fall against its
//! budget like a mark handed out; when the budget is spent time stands still inside the slot. A
//! slot is opened by moving its list, so a million marks at one tick cost no more at once than
//! one. Memory: a level is 3 KiB once used; a list doubles up to 256 marks, then adds 4 KiB.
//!
//! Rules: every mark in a slot or in `far` has a tick after `time`; `falling` and `ready` hold
//! what is left of the slot that starts at `time`; `behind` holds what was armed before `time`,
//! by tick. So nothing is ever due before its tick, even when the clock given steps backwards.
//! An occupied bit is set exactly when the slot's list is not empty.
//! Neighbours: `wheel::list` holds a slot's marks; the store gives them meaning and re-arms
//! those whose key now lives longer. Tests: `tests/wheel.rs`.

mod list;

use std::collections::BTreeMap;
use std::ops::Range;

use self::list::List;
use crate::size_class::allocated;

/// A timing wheel of marks, small values that come back when their tick is reached.
///
/// ```
/// let mut wheel = pannier_collections::Wheel::new(100);
/// wheel.arm(250, 'a');
/// assert_eq!(wheel.advance(249, 10, |_| None), 0);
/// assert_eq!(wheel.advance(250, 10, |mark| { assert_eq!(mark, 'a'); None }), 1);
/// ```
pub struct Wheel<M> {
    time: u64,
    len: usize,
    /// Bytes allocated by lists.
    listed: usize,
    levels: [Option<Box<Level<M>>>; LEVELS],
    far: BTreeMap<u64, List<Timed<M>>>,
    falling: List<Timed<M>>,
    ready: List<Timed<M>>,
    behind: BTreeMap<u64, List<Timed<M>>>,
    sweep: Place,
    /// The number of the mark in the list at `sweep` at which to go on.
    sweep_index: usize,
}

struct Level<M> {
    occupied: u64,
    slots: [List<Timed<M>>; 64],
}

/// A mark with the low half of its tick; the high half follows from where it lies.
#[derive(Clone, Copy)]
struct Timed<M> {
    low: u32,
    mark: M,
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
            falling: List::default(),
            ready: List::default(),
            behind: BTreeMap::new(),
            sweep: START,
            sweep_index: 0,
        }
    }

    /// Lets `mark` come back at `tick`, or at the next `advance` when that is not in the future.
    /// A mark at `u64::MAX` never comes back.
    #[inline]
    pub fn arm(&mut self, tick: u64, mark: M) {
        self.len += 1;
        self.put(tick, mark);
    }

    /// Moves time to `now` and hands out at most `budget` marks whose tick has been reached; a
    /// mark that falls to a lower level counts too. `due` returns `Some(later)` to arm the mark
    /// again, at the earliest for the tick after `now`. Returns how many marks were handed out.
    ///
    /// When the budget does not suffice time stops at the slot that was not emptied, and
    /// `next_due` says so. A `now` before the wheel's time does not turn it back: marks after
    /// `now` wait until it is reached again.
    pub fn advance(
        &mut self,
        now: u64,
        budget: usize,
        mut due: impl FnMut(M) -> Option<u64>,
    ) -> usize {
        let now = now.min(NEVER - 1);
        let (mut left, mut handed) = (budget, 0);
        while left > 0 {
            if let Some(mark) = self.pop_due(now) {
                handed += 1;
                self.len -= 1;
                if let Some(later) = due(mark) {
                    self.arm(later.max(now + 1), mark);
                }
            } else if now < self.time {
                break;
            } else if let Some((timed, freed)) = self.falling.pop() {
                self.listed -= freed;
                self.put(self.time & !LOW | u64::from(timed.low), timed.mark);
            } else {
                match self.next_slot() {
                    Some((start, place)) if start <= now => self.open(start, place),
                    _ => {
                        self.time = now;
                        break;
                    }
                }
                continue;
            }
            left -= 1;
        }
        handed
    }

    /// Looks at up to `budget` waiting marks, going on where the last call stopped, and drops
    /// those for which `keep` is false. It is given the mark and the ticks that it may be armed
    /// for (exactly one here). Returns how many it looked at and how many it dropped; fewer than
    /// `budget` looked at means that a pass over all marks has ended.
    pub fn sweep(
        &mut self,
        budget: usize,
        mut keep: impl FnMut(M, Range<u64>) -> bool,
    ) -> (usize, usize) {
        let (mut looked, mut dropped) = (0, 0);
        while looked < budget {
            let Some((place, base)) = self.place_from(self.sweep) else {
                (self.sweep, self.sweep_index) = (START, 0);
                break;
            };
            if place != self.sweep {
                (self.sweep, self.sweep_index) = (place, 0);
            }
            let index = self.sweep_index;
            let Some(list) = self.list_mut(place) else { unreachable!("just found") };
            let Some(&mut Timed { low, mark }) = list.get_mut(index) else {
                (self.sweep, self.sweep_index) = (place.next(), 0);
                continue;
            };
            looked += 1;
            let tick = base | u64::from(low);
            if keep(mark, tick..tick.saturating_add(1)) {
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

    /// The earliest tick at which `advance` could have something to do: a mark due, or one to
    /// fall to a lower level. No mark is due before it.
    pub fn next_due(&self) -> Option<u64> {
        let open = !self.ready.is_empty() || !self.falling.is_empty();
        let behind = self.behind.keys().next().copied();
        let ahead = if open { Some(self.time) } else { self.next_slot().map(|(start, _)| start) };
        behind.or(ahead).filter(|&tick| tick != NEVER)
    }

    /// Bytes allocated by the wheel. O(1).
    pub fn footprint(&self) -> usize {
        let levels = self.levels.iter().flatten().count() * allocated(size_of::<Level<M>>());
        levels + self.listed + (self.far.len() + self.behind.len()) * BRANCH
    }

    /// Puts a mark where it belongs by the present time.
    fn put(&mut self, tick: u64, mark: M) {
        let timed = Timed { low: (tick & LOW) as u32, mark };
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
        self.listed += list.push(timed);
    }

    /// Takes a mark whose tick is at most `now` and at most the wheel's time.
    fn pop_due(&mut self, now: u64) -> Option<M> {
        if let Some(mut entry) = self.behind.first_entry()
            && *entry.key() <= now
        {
            let (timed, freed) = entry.get_mut().pop()?;
            self.listed -= freed;
            if entry.get().is_empty() {
                entry.remove();
            }
            return Some(timed.mark);
        }
        if now < self.time {
            return None;
        }
        let (timed, freed) = self.ready.pop()?;
        self.listed -= freed;
        Some(timed.mark)
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

    /// Moves time to the start of a slot, whose marks are due now or fall.
    fn open(&mut self, start: u64, place: Place) {
        self.time = start;
        let list = self.list_mut(place).map(std::mem::take).unwrap_or_default();
        self.vacate(place);
        if let Place::Slot(0, _) = place {
            self.ready = list;
        } else {
            self.falling = list;
        }
    }

    /// The first list that is not empty, from `place` on in the order of places, and the high
    /// half of its ticks.
    fn place_from(&self, place: Place) -> Option<(Place, u64)> {
        let epoch = match place {
            Place::Slot(first, slot) => {
                for number in first..LEVELS {
                    let from = if number == first { slot } else { 0 };
                    let Some(level) = &self.levels[number] else { continue };
                    let occupied = level.occupied >> from << from;
                    if occupied != 0 {
                        let slot = occupied.trailing_zeros() as usize;
                        return Some((Place::Slot(number, slot), self.time & !LOW));
                    }
                }
                0
            }
            Place::Epoch(epoch) => epoch,
        };
        let (&epoch, _) = self.far.range(epoch..).next()?;
        Some((Place::Epoch(epoch), epoch << LOW_BITS))
    }

    fn list_mut(&mut self, place: Place) -> Option<&mut List<Timed<M>>> {
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
