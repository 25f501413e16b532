//! A chunk of a stream: entries packed one behind the other.
//!
//! ```text
//!  master:  | live | deleted | number of names | name ... | 0 |
//!  entry:   | flags | ms | seq |                        value ... | pieces |   SAME_FIELDS
//!           | flags | ms | seq | number of fields | name value ... | pieces |  other fields
//! ```
//!
//! Each cell is an element of a packed list. The master names the fields of the chunk's first
//! entry, so an entry with the same fields stores values only; ids are differences to the chunk's
//! first id. `pieces` counts the elements of its entry before it, so that a chunk can be walked
//! from its end. A deleted entry keeps its bytes and has a flag. All this is Redis's layout of a
//! stream's node, without the list's header and terminator, so a payload of DUMP is a copy.
//!
//! Rules: a [`Run`] trusts its bytes; what comes from outside passes [`check`] first. Flags take
//! one byte as an element, and so does a mark of deletion change one byte.
//! Neighbours: `log` owns chunks. Tests: `store/src/tests/stream.rs`.

use pannier_collections::{Encoded, Packed, Piece, Splice};

use super::id::StreamId;

/// Entry flag: it was deleted.
const DELETED: i64 = 1;
/// Entry flag: its fields are those of the master.
const SAME_FIELDS: i64 = 2;
/// Elements of an entry before its fields and values, without the number of fields.
const FIXED: usize = 3;

/// The entries of a chunk, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'c> {
    /// The id of the chunk.
    pub(super) first: StreamId,
    list: Packed<'c>,
    /// Entries that are not deleted.
    pub(super) live: u64,
    /// Entries that are.
    pub(super) deleted: u64,
    names: usize,
    names_at: usize,
    /// Where the first entry starts.
    pub(super) start: usize,
}

/// An entry of a stream, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub struct StreamEntry<'s> {
    /// Its id.
    pub id: StreamId,
    run: Run<'s>,
    flags: i64,
    /// Where its flags stand.
    at: usize,
    /// Where its fields and values start.
    body: usize,
    fields: usize,
    end: usize,
}

impl<'c> Run<'c> {
    /// The entries of the chunk with this id.
    pub(super) fn open(first: StreamId, bytes: &'c [u8]) -> Self {
        let list = Packed::new(bytes);
        let (live, at) = number(list, 0);
        let (deleted, at) = number(list, at);
        let (names, names_at) = number(list, at);
        let (names, live, deleted) = (names as usize, live as u64, deleted as u64);
        let start = skip(list, names_at, names + 1);
        Self { first, list, live, deleted, names, names_at, start }
    }

    /// Where the entries end.
    pub(super) fn end(&self) -> usize {
        self.list.bytes().len()
    }

    /// The entry that starts at `at`; `None` at the end.
    pub(super) fn entry(self, at: usize) -> Option<StreamEntry<'c>> {
        if at >= self.end() {
            return None;
        }
        let (flags, next) = number(self.list, at);
        let (ms, next) = number(self.list, next);
        let (seq, next) = number(self.list, next);
        let same = flags & SAME_FIELDS != 0;
        let (fields, body) = if same { (self.names as i64, next) } else { number(self.list, next) };
        let fields = fields as usize;
        let end = skip(self.list, body, if same { fields + 1 } else { 2 * fields + 1 });
        let id = StreamId {
            ms: self.first.ms.wrapping_add_signed(ms),
            seq: self.first.seq.wrapping_add_signed(seq),
        };
        Some(StreamEntry { id, run: self, flags, at, body, fields, end })
    }

    /// The entry that ends at `at`; `None` at the beginning.
    pub(super) fn entry_before(self, at: usize) -> Option<StreamEntry<'c>> {
        if at <= self.start {
            return None;
        }
        let mut at = self.list.before(at)?;
        let (pieces, _) = number(self.list, at);
        for _ in 0..pieces {
            at = self.list.before(at)?;
        }
        self.entry(at)
    }

    /// The entry with this id, unless it is deleted or was never there.
    pub(super) fn find(self, id: StreamId) -> Option<StreamEntry<'c>> {
        let mut at = self.start;
        while let Some(entry) = self.entry(at) {
            if entry.id >= id {
                return (entry.id == id && !entry.is_deleted()).then_some(entry);
            }
            at = entry.end;
        }
        None
    }

    /// The id of the last entry, deleted or not.
    pub(super) fn last(self) -> StreamId {
        self.entry_before(self.end()).map_or(self.first, |entry| entry.id)
    }

    /// Whether these are the master's names in the same order.
    fn has_names(&self, pairs: &[&[u8]]) -> bool {
        let mut at = self.names_at;
        self.names == pairs.len() / 2
            && pairs.chunks_exact(2).all(|pair| {
                let Some((name, next)) = self.list.get(at) else { return false };
                at = next;
                name == Piece::of(pair[0])
            })
    }
}

impl<'s> StreamEntry<'s> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Whether it has no field, which only an entry from outside may be.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Hands each field with its value to `visit`, in order.
    pub fn for_each(&self, mut visit: impl FnMut(Piece<'s>, Piece<'s>)) {
        let list = self.run.list;
        let same = self.flags & SAME_FIELDS != 0;
        let (mut names, mut at) = (self.run.names_at, self.body);
        for _ in 0..self.fields {
            let from = if same { &mut names } else { &mut at };
            let Some((name, next)) = list.get(*from) else { return };
            *from = next;
            let Some((value, next)) = list.get(at) else { return };
            at = next;
            visit(name, value);
        }
    }

    /// Whether it is marked as deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Where its flags stand in the chunk.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the next entry starts.
    pub(super) fn end(&self) -> usize {
        self.end
    }
}

/// A new chunk's master for an entry with these fields.
pub(super) fn begin(bytes: &mut Vec<u8>, pairs: &[&[u8]]) {
    for head in [0, 0, (pairs.len() / 2) as i64] {
        Piece::Int(head).append_to(bytes);
    }
    for pair in pairs.chunks_exact(2) {
        Piece::of(pair[0]).append_to(bytes);
    }
    Piece::Int(0).append_to(bytes);
}

/// Appends an entry to the chunk with the id `first`.
pub(super) fn append(bytes: &mut Vec<u8>, first: StreamId, id: StreamId, pairs: &[&[u8]]) {
    let run = Run::open(first, bytes);
    let (same, live) = (run.has_names(pairs), run.live);
    let fields = pairs.len() / 2;
    let mut head = Encoded::new();
    head.push(Piece::Int(if same { SAME_FIELDS } else { 0 }));
    head.push(Piece::Int(id.ms.wrapping_sub(first.ms) as i64));
    head.push(Piece::Int(id.seq.wrapping_sub(first.seq) as i64));
    if !same {
        head.push(Piece::Int(fields as i64));
    }
    bytes.extend_from_slice(head.as_bytes());
    for pair in pairs.chunks_exact(2) {
        if !same {
            Piece::of(pair[0]).append_to(bytes);
        }
        Piece::of(pair[1]).append_to(bytes);
    }
    let pieces = if same { FIXED + fields } else { FIXED + 1 + 2 * fields };
    Piece::Int(pieces as i64).append_to(bytes);
    put_number(bytes, 0, live as i64 + 1);
}

/// Marks the entries whose flags stand at these places as deleted.
pub(super) fn mark_deleted(bytes: &mut Vec<u8>, first: StreamId, places: &[usize]) {
    let run = Run::open(first, bytes);
    let (live, deleted, marked) = (run.live as i64, run.deleted as i64, places.len() as i64);
    for at in places {
        bytes[*at] |= DELETED as u8;
    }
    let second = skip(Packed::new(bytes), 0, 1);
    put_number(bytes, second, deleted + marked);
    put_number(bytes, 0, live - marked);
}

/// Whether bytes from outside are a chunk with this id: the counts are right, the ids ascend from
/// the chunk's own on. Gives the number of live entries and the last id.
pub(super) fn check(first: StreamId, bytes: &[u8]) -> Option<(u64, StreamId)> {
    let (list, count) = Packed::check(bytes)?;
    let mut pieces = Checked { list, at: 0, left: count };
    let (live, deleted, names) = (pieces.count()?, pieces.count()?, pieces.count()?);
    pieces.skip(names)?;
    if pieces.number()? != 0 {
        return None;
    }
    let (mut found_live, mut found_deleted, mut last) = (0, 0, None);
    while pieces.left > 0 {
        let (at, before) = (pieces.at, pieces.left);
        let flags = pieces.number()?;
        if !(0..=DELETED | SAME_FIELDS).contains(&flags) || bytes[at] != flags as u8 {
            return None;
        }
        let id = StreamId {
            ms: first.ms.checked_add_signed(pieces.number()?)?,
            seq: first.seq.wrapping_add_signed(pieces.number()?),
        };
        let fields =
            if flags & SAME_FIELDS != 0 { names } else { pieces.count()?.checked_mul(2)? };
        pieces.skip(fields)?;
        let told = pieces.count()?;
        if told != before - pieces.left - 1 || id < first || last.is_some_and(|last| id <= last) {
            return None;
        }
        last = Some(id);
        if flags & DELETED != 0 { found_deleted += 1 } else { found_live += 1 }
    }
    let right = found_live == live && found_deleted == deleted;
    last.filter(|_| right).map(|last| (live as u64, last))
}

/// The elements of a list from outside, taken one by one.
struct Checked<'a> {
    list: Packed<'a>,
    at: usize,
    left: usize,
}

impl Checked<'_> {
    fn number(&mut self) -> Option<i64> {
        match self.list.get(self.at)? {
            (Piece::Int(number), next) => {
                (self.at, self.left) = (next, self.left - 1);
                Some(number)
            }
            (Piece::Bytes(_), _) => None,
        }
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.left = self.left.checked_sub(count)?;
        self.at = skip(self.list, self.at, count);
        Some(())
    }
}

/// The integer at `at`, and where the next element starts.
fn number(list: Packed<'_>, at: usize) -> (i64, usize) {
    match list.get(at) {
        Some((Piece::Int(number), next)) => (number, next),
        Some((Piece::Bytes(_), next)) => (0, next),
        None => (0, at),
    }
}

/// Where the element so many behind the one at `at` starts.
fn skip(list: Packed<'_>, at: usize, count: usize) -> usize {
    (0..count).fold(at, |at, _| list.skip(at).unwrap_or(at))
}

/// Puts an integer in place of the one at `at`; mostly it takes as many bytes.
fn put_number(bytes: &mut Vec<u8>, at: usize, number: i64) {
    let old = skip(Packed::new(bytes), at, 1) - at;
    let mut encoded = Encoded::new();
    encoded.push(Piece::Int(number));
    let new = encoded.as_bytes();
    if new.len() == old {
        bytes[at..at + old].copy_from_slice(new);
    } else {
        bytes.exchange(at, old, new);
    }
}
