//! BITFIELD: integers of 1 to 64 bits at any bit offset of a string.
//!
//! All operations are read before the first is carried out, so a request that is refused changes
//! nothing. A field is read and written through 16 bytes around it, as one 128-bit number in
//! which bit 0 of the string's part is the most significant. Sums are computed in 128 bits, where
//! nothing overflows, and then fitted into the field.
//!
//! Rules: a write makes room for the farthest field of the request first, even if that field
//! then fails. Only a write that changes the value, or the length, counts as a change.
//! Transcripts: `bitmap/bitfield.txt`, `bitmap/bitfield_ro.txt`.

use pannier_resp::{Reply, parse_i64};
use pannier_store::{Edit, StrBuffer, class};
use smallvec::SmallVec;

use super::bitmap::{BIT_OFFSET, bit_offset, store};
use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[BITFIELD, BITFIELD_RO];

const BITFIELD: Command = Command {
    name: "bitfield",
    since: "3.2.0",
    group: Group::Bitmap,
    arity: -2,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::BITMAP,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE | access::VARIABLE)
        .noted("reads with GET, writes with SET and INCRBY")],
    syntax: "key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] <SET encoding offset \
             value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW WRAP \
             | SAT | FAIL] <SET encoding offset value | INCRBY encoding offset increment> \
             ...]]",
    summary: "Reads, writes and increments integers of any width at any bit offset of a string.",
    complexity: "O(N) with N the number of operations",
    handler: bitfield,
    ..Command::DEFAULT
};

const BITFIELD_RO: Command = Command {
    name: "bitfield_ro",
    since: "6.0.0",
    group: Group::Bitmap,
    arity: -2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::BITMAP,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [GET encoding offset [GET encoding offset ...]]",
    summary: "Reads integers of any width at any bit offset of a string.",
    complexity: "O(N) with N the number of operations",
    handler: bitfield_ro,
    ..Command::DEFAULT
};

/// Where an integer lies in a string, and how wide it is.
#[derive(Clone, Copy, Debug)]
struct Field {
    offset: u64,
    width: u32,
    signed: bool,
}

/// What happens when a value does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Its low bits are kept.
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increase(i64, Overflow),
}

struct Operation {
    field: Field,
    action: Action,
}

type Operations = SmallVec<[Operation; 4]>;

impl Field {
    fn parse(encoding: &[u8], offset: &[u8], bytes_max: usize) -> Result<Self, Error> {
        const INVALID: Error = Error::new(
            "ERR Invalid bitfield type. Use something like i16 u8. \
             Note that u64 is not supported but i64 is.",
        );
        let (signed, width) = match encoding {
            [b'i', width @ ..] => (true, width),
            [b'u', width @ ..] => (false, width),
            _ => return Err(INVALID),
        };
        let max = if signed { 64 } else { 63 };
        let width = parse_i64(width).filter(|n| (1..=max).contains(n)).ok_or(INVALID)?;
        let offset = match offset {
            [b'#', number @ ..] => {
                let offset = parse_i64(number).and_then(|number| number.checked_mul(width));
                bit_offset(
                    itoa::Buffer::new().format(offset.ok_or(BIT_OFFSET)?).as_bytes(),
                    bytes_max,
                )?
            }
            offset => bit_offset(offset, bytes_max)?,
        };
        Ok(Self { offset, width: width as u32, signed })
    }

    /// How long a string must be to hold it.
    fn bytes_end(self) -> usize {
        (self.offset + u64::from(self.width)).div_ceil(8) as usize
    }

    /// The 16 bytes from the one on in which it begins, and how far it is from their right end.
    fn window(self, bytes: &[u8]) -> (u128, u32) {
        let bytes = bytes.get((self.offset / 8) as usize..).unwrap_or_default();
        let mut window = [0; 16];
        let len = bytes.len().min(16);
        window[..len].copy_from_slice(&bytes[..len]);
        (u128::from_be_bytes(window), 128 - (self.offset % 8) as u32 - self.width)
    }

    /// Its bits, right-aligned.
    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// The value that these bits stand for.
    fn value(self, bits: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed { ((bits << unused) as i64) >> unused } else { (bits & self.mask()) as i64 }
    }

    fn read(self, bytes: &[u8]) -> i64 {
        let (window, shift) = self.window(bytes);
        self.value((window >> shift) as u64)
    }

    /// Writes a value into a string that is long enough.
    fn write(self, bytes: &mut [u8], value: i64) {
        let (window, shift) = self.window(bytes);
        let cleared = window & !(u128::from(self.mask()) << shift);
        let window = cleared | u128::from(value as u64 & self.mask()) << shift;
        let range = (self.offset / 8) as usize..self.bytes_end();
        let len = range.len();
        bytes[range].copy_from_slice(&window.to_be_bytes()[..len]);
    }

    /// The smallest and the greatest value.
    fn limits(self) -> (i128, i128) {
        let half = 1i128 << (self.width - 1);
        if self.signed { (-half, half - 1) } else { (0, 2 * half - 1) }
    }

    /// Fits a sum into the field; `None` if it fails.
    fn fit(self, sum: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.limits();
        if (min..=max).contains(&sum) {
            return Some(sum as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.value(sum as u64)),
            Overflow::Saturate => Some(sum.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }

    /// The number that SET's argument stands for: an unsigned field takes it as unsigned. In a
    /// signed one, what lies further below the greatest value than an `i64` can tell saturates
    /// upwards in Redis, as if it were too great; clients see that, so it is kept.
    fn argument(self, value: i64) -> i128 {
        let max = self.limits().1;
        if !self.signed {
            i128::from(value as u64)
        } else if self.width < 64 && max - i128::from(value) > i128::from(i64::MAX) {
            i128::from(value) + (1 << 64)
        } else {
            i128::from(value)
        }
    }
}

fn bitfield(cx: &mut Context<'_>) -> Result<Done, Error> {
    let operations = parse(cx)?;
    if operations.iter().all(|operation| matches!(operation.action, Action::Get)) {
        read(cx, &operations)
    } else {
        write(cx, &operations)
    }
}

fn bitfield_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    let operations = parse(cx)?;
    if operations.iter().all(|operation| matches!(operation.action, Action::Get)) {
        read(cx, &operations)
    } else {
        Err(Error::new("ERR BITFIELD_RO only supports the GET subcommand"))
    }
}

fn parse(cx: &Context<'_>) -> Result<Operations, Error> {
    let bytes_max = cx.config.proto_max_bulk_len;
    let mut operations = Operations::new();
    let mut overflow = Overflow::Wrap;
    let mut options = Options::new(cx.args, 2);
    while let Some(word) = options.next() {
        if is(word, "OVERFLOW") && options.has_value() {
            overflow = match options.value()? {
                kind if is(kind, "WRAP") => Overflow::Wrap,
                kind if is(kind, "SAT") => Overflow::Saturate,
                kind if is(kind, "FAIL") => Overflow::Fail,
                _ => return Err(Error::new("ERR Invalid OVERFLOW type specified")),
            };
            continue;
        }
        let make: Option<fn(i64, Overflow) -> Action> = match word {
            word if is(word, "GET") && options.left() >= 2 => None,
            word if is(word, "SET") && options.left() >= 3 => Some(Action::Set),
            word if is(word, "INCRBY") && options.left() >= 3 => Some(Action::Increase),
            _ => return Err(Error::SYNTAX),
        };
        let field = Field::parse(options.value()?, options.value()?, bytes_max)?;
        let action = match make {
            None => Action::Get,
            Some(make) => make(integer(options.value()?)?, overflow),
        };
        operations.push(Operation { field, action });
    }
    Ok(operations)
}

fn read(cx: &mut Context<'_>, operations: &[Operation]) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let value = cx.view.string(db, key)?;
    let mut buffer = StrBuffer::new();
    let bytes = value.as_ref().map_or(&[][..], |value| value.as_bytes(&mut buffer));
    cx.reply.array(operations.len());
    for operation in operations {
        cx.reply.integer(operation.field.read(bytes));
    }
    Ok(Done::Replied)
}

/// A string under change: that of a key, or one that becomes a new key's.
trait Target {
    fn read(&self, field: Field) -> i64;
    fn write(&mut self, field: Field, value: i64);
}

impl Target for Vec<u8> {
    fn read(&self, field: Field) -> i64 {
        field.read(self)
    }

    fn write(&mut self, field: Field, value: i64) {
        field.write(self, value);
    }
}

/// A key's string, which is lengthened to `len` by the first change; each is counted.
struct Existing<'e> {
    edit: Edit<'e>,
    len: usize,
    grows: bool,
}

impl Target for Existing<'_> {
    fn read(&self, field: Field) -> i64 {
        field.read(self.edit.string().as_bytes(&mut StrBuffer::new()))
    }

    fn write(&mut self, field: Field, value: i64) {
        if self.grows || self.read(field) != value {
            self.edit.bytes(self.len, |bytes| field.write(bytes, value));
        }
    }
}

fn write(cx: &mut Context<'_>, operations: &[Operation]) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let writes = operations.iter().filter(|operation| !matches!(operation.action, Action::Get));
    let len = writes.map(|operation| operation.field.bytes_end()).max().unwrap_or(0);
    let dirty = cx.view.dirty();
    let Some(edit) = cx.view.edit(db, key)? else {
        let mut bytes = vec![0; len];
        cx.reply.array(operations.len());
        operations.iter().for_each(|operation| operation.run(&mut bytes, cx.reply));
        store(&mut cx.view, db, key, bytes);
        cx.notify(class::STRING, "setbit", key);
        return Ok(Done::Replied);
    };
    let grows = edit.string().len() < len;
    let mut target = Existing { edit, len, grows };
    cx.reply.array(operations.len());
    operations.iter().for_each(|operation| operation.run(&mut target, cx.reply));
    if target.edit.string().len() < len {
        target.edit.bytes(len, |_| ());
    }
    drop(target);
    if cx.view.dirty() > dirty {
        cx.notify(class::STRING, "setbit", key);
    }
    Ok(Done::Replied)
}

impl Operation {
    /// Carries it out and replies its result: what was there before SET, what is there after
    /// INCRBY, nil if it failed.
    fn run(&self, target: &mut impl Target, reply: &mut Reply) {
        let field = self.field;
        let old = target.read(field);
        let (sum, overflow) = match self.action {
            Action::Get => return reply.integer(old),
            Action::Set(value, overflow) => (field.argument(value), overflow),
            Action::Increase(by, overflow) => (i128::from(old) + i128::from(by), overflow),
        };
        let Some(new) = field.fit(sum, overflow) else { return reply.null() };
        target.write(field, new);
        reply.integer(if matches!(self.action, Action::Set(..)) { old } else { new });
    }
}
