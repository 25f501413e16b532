//! BITOP: strings combined bit by bit.
//!
//! The sources are held at once (a long one by reference, a short one copied) and the result is
//! made block by block, each of which stays in the first-level cache while one source after the
//! other is folded into it. Folding whole strings instead would move the result through memory
//! once a source. Shorter sources, and keys that do not exist, count as if followed by zeros.
//!
//! DIFF, DIFF1, ANDOR and ONE are Redis 8.2's. Transcript: `bitmap/bitop.txt`.

use std::ops::Range;

use bytes::Bytes;
use pannier_store::{Str, class};
use smallvec::SmallVec;

use super::bitmap::store;
use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::is;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[BITOP];

const BITOP: Command = Command {
    name: "bitop",
    since: "2.6.0",
    group: Group::Bitmap,
    arity: -4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::BITMAP,
    keys: &[
        KeySpec::one(2, access::OW | access::UPDATE),
        KeySpec::range(3, -1, 1, access::RO | access::ACCESS),
    ],
    syntax: "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
    summary: "Combines strings bit by bit and stores the result.",
    complexity: "O(N) with N the sum of the lengths of the sources",
    handler: bitop,
    ..Command::DEFAULT
};

/// What is done with the bits of the sources X, Y1, Y2, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number.
    Xor,
    /// Not set in X, the only source.
    Not,
    /// Set in X and in no Y.
    Diff,
    /// Set in any Y and not in X.
    Diff1,
    /// Set in X and in any Y.
    AndOr,
    /// Set in exactly one.
    One,
}

impl Operation {
    const NAMES: [(&str, Self); 8] = [
        ("AND", Self::And),
        ("OR", Self::Or),
        ("XOR", Self::Xor),
        ("NOT", Self::Not),
        ("DIFF", Self::Diff),
        ("DIFF1", Self::Diff1),
        ("ANDOR", Self::AndOr),
        ("ONE", Self::One),
    ];

    /// The operation of that name, which must take so many sources.
    fn parse(word: &[u8], sources: usize) -> Result<Self, Error> {
        let named = Self::NAMES.iter().find(|(name, _)| is(word, name));
        let (name, operation) = *named.ok_or(Error::SYNTAX)?;
        let wanted = match operation {
            Self::Not if sources != 1 => "a single source key",
            Self::Diff | Self::Diff1 | Self::AndOr if sources < 2 => "at least two source keys",
            _ => return Ok(operation),
        };
        Err(Error::text(format!("ERR BITOP {name} must be called with {wanted}.")))
    }

    /// Makes one block of the result; `first` is X's part of it and `others` are the Ys'.
    fn block<'s>(
        self,
        block: &mut [u8],
        first: &[u8],
        others: impl Iterator<Item = &'s [u8]>,
        scratch: &mut [u8],
    ) {
        match self {
            Self::And => {
                copy(block, first);
                others.for_each(|other| fold_all(block, other, |a, b| a & b));
            }
            Self::Or => {
                copy(block, first);
                others.for_each(|other| fold(block, other, |a, b| a | b));
            }
            Self::Xor => {
                copy(block, first);
                others.for_each(|other| fold(block, other, |a, b| a ^ b));
            }
            Self::Not => {
                block.fill(u8::MAX);
                fold(block, first, |a, b| a & !b);
            }
            Self::Diff => {
                copy(block, first);
                others.for_each(|other| fold(block, other, |a, b| a & !b));
            }
            Self::Diff1 => {
                others.for_each(|other| fold(block, other, |a, b| a | b));
                fold(block, first, |a, b| a & !b);
            }
            Self::AndOr => {
                others.for_each(|other| fold(block, other, |a, b| a | b));
                fold_all(block, first, |a, b| a & b);
            }
            Self::One => {
                copy(block, first);
                // Bits that were seen more than once.
                let repeated = &mut scratch[..block.len()];
                repeated.fill(0);
                for other in others {
                    fold_repeated(repeated, block, other);
                    fold(block, other, |a, b| a | b);
                }
                fold(block, repeated, |a, b| a & !b);
            }
        }
    }
}

fn bitop(cx: &mut Context<'_>) -> Result<Done, Error> {
    let operation = Operation::parse(cx.arg(1), cx.args.len() - 3)?;
    let db = cx.db();
    let mut sources: SmallVec<[Bytes; 8]> = SmallVec::new();
    for at in 3..cx.args.len() {
        let key = cx.key(at);
        sources.push(match cx.view.string(db, key)? {
            None => Bytes::new(),
            Some(Str::Large(bytes)) => bytes.clone(),
            Some(value) => Bytes::from(value.to_vec()),
        });
    }
    let result = combine(operation, &sources);
    // The references must be gone before the result is changed in place.
    drop(sources);
    let (key, len) = (cx.key(2), result.len());
    if len == 0 {
        if cx.view.remove(db, key) {
            cx.notify(class::GENERIC, "del", key);
        }
    } else {
        store(&mut cx.view, db, key, result);
        cx.notify(class::STRING, "set", key);
    }
    cx.int(len as i64)
}

/// The result, as long as the longest source.
fn combine(operation: Operation, sources: &[Bytes]) -> Vec<u8> {
    let len = sources.iter().map(Bytes::len).max().unwrap_or(0);
    let mut result = vec![0; len];
    let mut scratch = [0; BLOCK];
    let [first, others @ ..] = sources else { return result };
    for (number, block) in result.chunks_mut(BLOCK).enumerate() {
        let (from, to) = (number * BLOCK, number * BLOCK + block.len());
        let part =
            |source: &'_ Bytes| -> Range<usize> { from.min(source.len())..to.min(source.len()) };
        let others = others.iter().map(|other| &other[part(other)]);
        operation.block(block, &first[part(first)], others, &mut scratch);
    }
    result
}

/// Puts a source's part into a block of zeros.
fn copy(block: &mut [u8], part: &[u8]) {
    block[..part.len()].copy_from_slice(part);
}

/// Folds a source's part into a block, word by word; what the part lacks is zeros and changes
/// nothing.
fn fold(block: &mut [u8], part: &[u8], f: impl Fn(u64, u64) -> u64) {
    let block = &mut block[..part.len()];
    let (words, rest) = block.as_chunks_mut::<8>();
    let (part_words, part_rest) = part.as_chunks::<8>();
    for (a, b) in words.iter_mut().zip(part_words) {
        *a = f(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    for (a, b) in rest.iter_mut().zip(part_rest) {
        *a = f(u64::from(*a), u64::from(*b)) as u8;
    }
}

/// The same where the zeros that the part lacks clear what is in the block.
fn fold_all(block: &mut [u8], part: &[u8], f: impl Fn(u64, u64) -> u64) {
    fold(block, part, f);
    block[part.len()..].fill(0);
}

/// Notes which bits of a part the block has already.
fn fold_repeated(repeated: &mut [u8], block: &[u8], part: &[u8]) {
    for ((repeated, seen), b) in repeated.iter_mut().zip(block).zip(part) {
        *repeated |= seen & b;
    }
}

/// Bytes of the result made at a time: a quarter of a usual first-level cache, so that the block,
/// the scratch block and a source's part fit in it.
const BLOCK: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a bit of the result is set, from which sources have it set.
    fn expected(operation: Operation, first: bool, others: &[bool]) -> bool {
        let set = usize::from(first) + others.iter().filter(|bit| **bit).count();
        let any = others.contains(&true);
        match operation {
            Operation::And => set == others.len() + 1,
            Operation::Or => set > 0,
            Operation::Xor => set % 2 == 1,
            Operation::Not => !first,
            Operation::Diff => first && !any,
            Operation::Diff1 => !first && any,
            Operation::AndOr => first && any,
            Operation::One => set == 1,
        }
    }

    #[test]
    fn every_operation_agrees_with_one_bit_at_a_time() {
        let mut rng = fastrand::Rng::with_seed(11);
        for round in 0..200 {
            let len_max = if round % 20 == 0 { 3 * BLOCK } else { 40 };
            let mut source = || {
                let len = rng.usize(..len_max);
                Bytes::from_iter(std::iter::repeat_with(|| rng.u8(..)).take(len))
            };
            let sources = [source(), source(), source(), source()];
            for (name, operation) in Operation::NAMES {
                let n = if operation == Operation::Not { 1 } else { 2 + round % 3 };
                let result = combine(operation, &sources[..n]);
                assert_eq!(Some(result.len()), sources[..n].iter().map(Bytes::len).max());
                for (at, byte) in result.iter().enumerate() {
                    for mask in (0..8).map(|bit| 1 << bit) {
                        let bits: Vec<bool> = sources[..n]
                            .iter()
                            .map(|source| source.get(at).is_some_and(|byte| byte & mask != 0))
                            .collect();
                        let expected = expected(operation, bits[0], &bits[1..]);
                        assert_eq!(byte & mask != 0, expected, "{name} byte {at} mask {mask}");
                    }
                }
            }
        }
    }
}
