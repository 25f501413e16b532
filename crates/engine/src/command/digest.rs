//! Digests of data, for DEBUG DIGEST and DEBUG DIGEST-VALUE: equal where the data is, and only
//! there.
//!
//! They are Valkey's bit for bit, so that two servers can be compared (Redis 7 prints scores that
//! are no integers with more digits). What has an order is mixed
//! into a sum (the sum is hashed after each step), what has none is folded in (hashes are added by
//! exclusive or), and of a collection without order each element has a sum of its own.
//! Neighbours: `debug` has the commands. Tests: `tests/transcripts/server/debug.txt`.

use std::fmt::Write;

use pannier_resp::shortest_f64;
use pannier_store::{
    End, Found, Hash, Kind, List, Piece, Set, SortedSet, StrBuffer, Stream, StreamId,
};
use sha1::{Digest, Sha1};

use super::row::{Context, Done};
use crate::error::Error;

/// A digest.
type Sum = [u8; 20];

/// DEBUG DIGEST: of everything.
pub(super) fn all(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut all = Sum::default();
    for database in 0..cx.engine.keyspace.databases() {
        if cx.engine.keyspace.len(database) == 0 {
            continue;
        }
        mix(&mut all, &(database as u32).to_be_bytes());
        cx.view.for_each(database, |key, found| {
            let mut sum = Sum::default();
            mix(&mut sum, key);
            mix_value(&mut sum, found);
            fold(&mut all, &sum);
        });
    }
    cx.reply.simple(&hexadecimal(&all));
    Ok(Done::Replied)
}

/// DEBUG DIGEST-VALUE: of values without their keys.
pub(super) fn values(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    cx.reply.array(cx.args.len() - 2);
    for at in 2..cx.args.len() {
        let key = cx.key(at);
        let mut sum = Sum::default();
        if let Some(found) = cx.view.peek(db, key) {
            mix_value(&mut sum, found);
        }
        cx.reply.simple(&hexadecimal(&sum));
    }
    Ok(Done::Replied)
}

/// Replaces `sum` by the hash of it mixed with data, for what has an order.
fn mix(sum: &mut Sum, data: &[u8]) {
    fold(sum, data);
    *sum = Sha1::digest(&sum[..]).into();
}

/// Adds the hash of data to `sum`, for what has no order.
fn fold(sum: &mut Sum, data: &[u8]) {
    let hash = Sha1::digest(data);
    sum.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
}

fn mix_piece(sum: &mut Sum, piece: Piece<'_>) {
    mix(sum, piece.as_bytes(&mut itoa::Buffer::new()));
}

/// The number of a type in digests.
const fn number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

fn mix_value(sum: &mut Sum, found: Found<'_>) {
    mix(sum, &number(found.kind()).to_be_bytes());
    if let Ok(string) = found.string() {
        mix(sum, string.as_bytes(&mut StrBuffer::new()));
    } else if let Ok(hash) = found.collection::<Hash>() {
        hash.for_each(|field, value| {
            let mut pair = Sum::default();
            mix_piece(&mut pair, field);
            mix_piece(&mut pair, value);
            fold(sum, &pair);
        });
    } else if let Ok(list) = found.collection::<List>() {
        list.visit(End::Left, 0, |element| {
            mix_piece(sum, element);
            true
        });
    } else if let Ok(set) = found.collection::<Set>() {
        set.for_each(|member| fold(sum, member.as_bytes(&mut itoa::Buffer::new())));
    } else if let Ok(set) = found.collection::<SortedSet>() {
        for (member, score) in set.range(0..usize::MAX) {
            let mut pair = Sum::default();
            mix_piece(&mut pair, member);
            mix(&mut pair, shortest_f64(score, &mut [0; 32]).as_bytes());
            fold(sum, &pair);
        }
    } else if let Ok(stream) = found.collection::<Stream>() {
        for entry in stream.log().range(StreamId::MIN, StreamId::MAX) {
            mix(sum, format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            entry.for_each(|field, value| {
                mix_piece(sum, field);
                mix_piece(sum, value);
            });
        }
    }
    if found.deadline().is_some() {
        fold(sum, b"!!expire!!");
    }
}

fn hexadecimal(sum: &Sum) -> String {
    sum.iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
