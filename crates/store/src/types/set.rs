//! Sets: distinct strings in no order.
//!
//! ```text
//!  intset     packed: a sorted run     up to `set_integers` members, all integers
//!  listpack   packed: one by one       up to `set_entries` members of `set_value` bytes
//!  hashtable  a table (`LargeSet`)     the rest
//! ```
//!
//! Which of them a set is follows Redis's rules, because OBJECT ENCODING shows it and DUMP carries
//! it: a set begins as what its first member and the number that is announced suggest
//! ([`SetMut::prepare`]); an intset that gets another string becomes a listpack if that has room
//! for all, one that gets too many integers a hash table; nothing turns back, except that what
//! SPOP leaves of a large set may be packed again ([`SetMut::pop_some`]), and that an intersection
//! of integers is stored as an intset.
//!
//! Neighbours: `set_large` for the table, `set_sample` for random members, `set_algebra` for
//! several sets at once. Tests: `src/tests/set.rs`, and the transcripts of the group `set`.

use std::ops::ControlFlow;

use pannier_collections::{Encoded, Exchange, Intset, Packed, Payload, Piece, canonical_integer};

use super::set_large::LargeSet;
use super::{Body, Collection, Opened, PACKED_COUNT_MAX, packed};
use crate::value::{INTEGERS, Kind, Object};

/// The type set.
#[derive(Debug)]
pub enum Set {}

impl Collection for Set {
    const KIND: Kind = Kind::Set;
    type Ref<'v> = SetRef<'v>;
    type Mut<'v> = SetMut<'v>;

    fn read(body: Body<'_>) -> SetRef<'_> {
        let payload = body.item.payload();
        match (packed(body.item), payload) {
            (Some((list, count)), Payload::Bytes([INTEGERS, ..])) => {
                SetRef::Integers(Intset::new(list.bytes(), count))
            }
            (Some((list, count)), _) => SetRef::Packed { list, count },
            (None, Payload::Object(Object::Set(large))) => SetRef::Large(large),
            (None, _) => SetRef::Packed { list: Packed::new(&[]), count: 0 },
        }
    }

    fn open(opened: Opened<'_>) -> SetMut<'_> {
        SetMut { opened }
    }
}

/// A set, to be read.
#[derive(Clone, Copy)]
pub enum SetRef<'v> {
    #[doc(hidden)]
    Integers(Intset<'v>),
    #[doc(hidden)]
    Packed { list: Packed<'v>, count: usize },
    #[doc(hidden)]
    Large(&'v LargeSet),
}

impl<'v> SetRef<'v> {
    /// Number of members.
    pub fn len(self) -> usize {
        match self {
            Self::Integers(integers) => integers.len(),
            Self::Packed { count, .. } => count,
            Self::Large(large) => large.len(),
        }
    }

    /// Whether it has no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether it is a sorted run of integers.
    pub const fn is_intset(self) -> bool {
        matches!(self, Self::Integers(_))
    }

    /// Whether a string is a member.
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            Self::Integers(integers) => {
                canonical_integer(member).is_some_and(|number| integers.contains(number))
            }
            Self::Packed { list, .. } => list.find(Piece::of(member), 1).is_some(),
            Self::Large(large) => large.contains(large.hash(member), member),
        }
    }

    /// Hands every member to `visit`, in no particular order.
    pub fn for_each(self, mut visit: impl FnMut(Piece<'v>)) {
        let _ = self.try_for_each(|member| {
            visit(member);
            ControlFlow::<()>::Continue(())
        });
    }

    /// Hands the members to `visit`, in no particular order, until it breaks.
    pub fn try_for_each<B>(
        self,
        mut visit: impl FnMut(Piece<'v>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self {
            Self::Integers(integers) => integers.iter().map(Piece::Int).try_for_each(visit),
            Self::Packed { list, .. } => list.iter().try_for_each(&mut visit),
            Self::Large(large) => large.try_for_each(visit),
        }
    }

    /// Visits members from a position on, until about `count` were looked at, and returns where
    /// to go on, or 0 at the end. A packed set is visited whole. At most `10 * count` empty
    /// buckets are crossed in one call.
    pub fn scan(self, position: u64, count: usize, mut visit: impl FnMut(Piece<'_>)) -> u64 {
        let Self::Large(large) = self else {
            self.for_each(visit);
            return 0;
        };
        let (mut position, mut seen) = (position, 0);
        for _ in 0..count.saturating_mul(10) {
            position = large.scan(position, |member| {
                seen += 1;
                visit(member);
            });
            if position == 0 || seen >= count {
                break;
            }
        }
        position
    }
}

/// A set, to be changed.
pub struct SetMut<'v> {
    pub(super) opened: Opened<'v>,
}

impl SetMut<'_> {
    /// The set as it is now.
    pub fn as_ref(&self) -> SetRef<'_> {
        Set::read(self.opened.body())
    }

    /// Chooses the form before `adding` members are added, of which `first` is the first.
    pub fn prepare(&mut self, first: &[u8], adding: usize) {
        let limits = self.opened.limits;
        let (integers, strings) = (adding <= limits.set_integers, adding <= limits.set_entries);
        let fits = match self.as_ref() {
            SetRef::Packed { count: 0, .. } => {
                if integers && canonical_integer(first).is_some() {
                    return self.opened.pack(INTEGERS, 0, &[]);
                }
                strings
            }
            SetRef::Packed { .. } => strings,
            SetRef::Integers(_) => integers,
            SetRef::Large(_) => true,
        };
        if !fits {
            self.enlarge();
        }
    }

    /// An empty set begins as one of integers, whatever comes.
    pub fn prepare_integers(&mut self) {
        debug_assert!(self.as_ref().is_empty(), "a set with members has its form");
        self.opened.pack(INTEGERS, 0, &[]);
    }

    /// Makes it large ahead of many members, whatever the limits say.
    pub fn make_large(&mut self) {
        if self.opened.packed().is_some() {
            self.enlarge();
        }
    }

    /// Adds a member; false when it is there.
    pub fn add(&mut self, member: &[u8]) -> bool {
        let limits = self.opened.limits;
        let added = match self.as_ref() {
            SetRef::Large(_) => self.large().is_some_and(|large| large.add(member)),
            SetRef::Integers(integers) => match canonical_integer(member) {
                Some(number) => {
                    let exchange = integers.insertion(number);
                    let len = integers.len() + 1;
                    exchange.is_some_and(|exchange| {
                        self.exchange(&exchange, 1);
                        if len > limits.set_integers.min(PACKED_COUNT_MAX) {
                            self.enlarge();
                        }
                        true
                    })
                }
                None => {
                    let longest = longest_digits(integers).max(member.len());
                    if integers.len() < self.entries_max() && longest <= limits.set_value {
                        self.pack_as_strings();
                        self.push(member);
                    } else {
                        self.enlarge_with(member);
                    }
                    true
                }
            },
            SetRef::Packed { list, count } => {
                let new = list.find(Piece::of(member), 1).is_none();
                if new && count < self.entries_max() && member.len() <= limits.set_value {
                    self.push(member);
                } else if new {
                    self.enlarge_with(member);
                }
                new
            }
        };
        self.opened.count(u64::from(added));
        added
    }

    /// Removes a member; false when there was none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = match self.as_ref() {
            SetRef::Large(_) => self.large().is_some_and(|large| large.remove(member)),
            SetRef::Integers(integers) => {
                let number = canonical_integer(member);
                let exchange = number.and_then(|number| integers.removal(number));
                exchange.is_some_and(|exchange| {
                    self.exchange(&exchange, -1);
                    true
                })
            }
            SetRef::Packed { list, .. } => {
                let at = list.find(Piece::of(member), 1);
                let range = at.map(|at| (at, list.skip(at).unwrap_or(at)));
                range.map(|(at, end)| self.opened.splice(at, end - at, &[], -1)).is_some()
            }
        };
        self.opened.count(u64::from(removed));
        removed
    }

    /// A set that holds nothing but integers becomes an intset if it has few enough of them.
    pub fn pack_integers(&mut self) {
        let set = self.as_ref();
        if set.len() > self.opened.limits.set_integers.min(PACKED_COUNT_MAX)
            || matches!(set, SetRef::Integers(_))
        {
            return;
        }
        let mut numbers = Vec::with_capacity(set.len());
        set.for_each(|member| {
            numbers.extend(match member {
                Piece::Int(number) => Some(number),
                Piece::Bytes(bytes) => canonical_integer(bytes),
            });
        });
        if numbers.len() < set.len() {
            return;
        }
        numbers.sort_unstable();
        self.opened.pack(INTEGERS, 0, &[]);
        for number in numbers {
            let SetRef::Integers(integers) = self.as_ref() else { return };
            if let Some(exchange) = integers.insertion(number) {
                self.exchange(&exchange, 1);
            }
        }
    }

    /// Members that a packed set of strings may have.
    pub(super) fn entries_max(&self) -> usize {
        self.opened.limits.set_entries.min(PACKED_COUNT_MAX)
    }

    pub(super) fn exchange(&mut self, exchange: &Exchange, grown: isize) {
        self.opened.splice(exchange.at, exchange.removed, &exchange.added, grown);
    }

    pub(super) fn large(&mut self) -> Option<&mut LargeSet> {
        match self.opened.item.object_mut() {
            Some(Object::Set(large)) => Some(large),
            _ => None,
        }
    }

    /// Appends a member that is not there to a packed set of strings.
    fn push(&mut self, member: &[u8]) {
        let end = self.opened.packed().map_or(0, |(list, _)| list.bytes().len());
        self.opened.splice(end, 0, Encoded::of(&[member]).as_bytes(), 1);
    }

    /// The set becomes a packed one of strings.
    pub(super) fn pack_as_strings(&mut self) {
        let set = self.as_ref();
        let (mut encoded, count) = (Encoded::new(), set.len());
        set.for_each(|member| {
            encoded.push(match member {
                Piece::Bytes(bytes) => Piece::of(bytes),
                number @ Piece::Int(_) => number,
            });
        });
        self.opened.pack(Kind::Set.tag(), count, encoded.as_bytes());
    }

    fn enlarge_with(&mut self, member: &[u8]) {
        self.enlarge();
        if let Some(large) = self.large() {
            large.add(member);
        }
    }

    fn enlarge(&mut self) {
        let mut large = LargeSet::new(self.opened.hasher);
        self.as_ref().for_each(|member| {
            large.add(member.as_bytes(&mut itoa::Buffer::new()));
        });
        self.opened.enlarge(Object::Set(Box::new(large)));
    }
}

/// The most digits that an integer of the set has, its sign included.
fn longest_digits(integers: Intset<'_>) -> usize {
    let ends = [integers.get(0), integers.iter().next_back()];
    ends.iter().flatten().map(|end| Piece::Int(*end).len()).max().unwrap_or(0)
}
