//! Streams in payloads: chunks of entries, what is known besides, and the groups that read.
//!
//! ```text
//!  stream:   | chunks | id, 16 | listpack | .. | entries | last id |
//!            | first id | greatest id deleted | entries added |       from version 2 on
//!            | groups | group .. |
//!  group:    | name | last id | entries read, from 2 | pending | id, 16 | time, 8 | count | .. |
//!            | consumers | consumer .. |
//!  consumer: | name | seen, 8 | active, 8, from 3 | pending | id, 16 | .. |
//! ```
//!
//! Ids of 16 bytes are big-endian, times little-endian, all other numbers lengths. Without
//! consumers there is nothing that version 3 alone could say, and version 2 is written, which
//! Redis 7.0 reads.
//!
//! Rules: what is pending has exactly one owner. What the chunks hold is checked by the stream.

use std::collections::BTreeMap;

use pannier_collections::Packed;
use pannier_store::{Found, Group, Log, Maker, Stream, StreamData, StreamId, StreamMeta, Taken};

use crate::listpack;
use crate::payload::code;
use crate::reader::Reader;
use crate::writer::Writer;

/// In place of the number of entries read, and of a time: it is not known.
const UNKNOWN: u64 = u64::MAX;

/// Writes a stream; true when it is of version 3.
pub(crate) fn write(found: Found<'_>, writer: &mut Writer) -> bool {
    let Ok(stream) = found.collection::<Stream>() else { return false };
    let timed = stream.groups().any(|(_, group)| group.consumer_count() > 0);
    writer.byte(if timed { code::STREAM_3 } else { code::STREAM_2 });
    let log = stream.log();
    writer.count(log.chunk_count());
    for (id, chunk) in log.chunks() {
        writer.string(&wide(id));
        writer.string(&listpack::write(chunk, Packed::new(chunk).iter().count()));
    }
    let meta = log.meta();
    writer.len(meta.len);
    write_id(writer, meta.last);
    write_id(writer, meta.first);
    write_id(writer, meta.max_deleted);
    writer.len(meta.added);
    writer.count(stream.groups().len());
    for (name, group) in stream.groups() {
        writer.string(name);
        write_group(group, writer);
    }
    timed
}

fn write_group(group: &Group, writer: &mut Writer) {
    write_id(writer, group.last);
    writer.len(group.read.unwrap_or(UNKNOWN));
    writer.count(group.pending_len());
    for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX) {
        writer.bytes(&wide(id));
        writer.bytes(&pending.delivered_ms.to_le_bytes());
        writer.len(pending.count);
    }
    writer.count(group.consumer_count());
    for consumer in group.consumers() {
        writer.string(consumer.name());
        writer.bytes(&consumer.seen_ms.to_le_bytes());
        writer.bytes(&consumer.active_ms.unwrap_or(UNKNOWN).to_le_bytes());
        writer.count(consumer.pending_len());
        consumer.pending_from(StreamId::MIN).for_each(|id| writer.bytes(&wide(id)));
    }
}

pub(crate) fn read(code: u8, reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let mut chunks = Vec::new();
    for _ in 0..reader.count_or_none(2)? {
        let id = id_of((&*reader.string()?).try_into().ok()?);
        let bytes = reader.string()?;
        let (list, _) = listpack::read(&bytes)?;
        chunks.push((id, Box::from(list.bytes())));
    }
    let mut meta =
        StreamMeta { len: reader.len()?, last: read_id(reader)?, ..StreamMeta::default() };
    if code == code::STREAM_1 {
        meta.added = meta.len;
    } else {
        meta.first = read_id(reader)?;
        meta.max_deleted = read_id(reader)?;
        meta.added = reader.len()?;
    }
    let log = Log::from_chunks(meta, chunks)?;
    let mut groups = Vec::new();
    for _ in 0..reader.count_or_none(5)? {
        let name = Box::from(&*reader.string()?);
        groups.push((name, read_group(code, reader, &log)?));
    }
    let stream = StreamData::new(log, groups)?;
    maker.collection::<Stream>(|opened| {
        opened.replace(stream);
        Some(())
    })
}

fn read_group(code: u8, reader: &mut Reader<'_>, log: &Log) -> Option<Group> {
    let last = read_id(reader)?;
    let read = match code {
        code::STREAM_1 => log.added_up_to(last),
        _ => Some(reader.len()?).filter(|read| *read != UNKNOWN),
    };
    let mut group = Group::new(last, read);
    let mut pending = BTreeMap::new();
    for _ in 0..reader.count_or_none(25)? {
        let id = id_of(&reader.array()?);
        let state = (time(reader)?.unwrap_or(0), reader.len()?);
        if pending.insert(id, state).is_some() {
            return None;
        }
    }
    for _ in 0..reader.count_or_none(10)? {
        let name = reader.string()?;
        let seen = time(reader)?;
        let active = if code == code::STREAM_3 { time(reader)? } else { seen };
        let (consumer, true) = group.add_consumer(&name, seen.unwrap_or(0)) else { return None };
        group.consumer_mut(consumer)?.active_ms = active;
        for _ in 0..reader.count_or_none(16)? {
            let id = id_of(&reader.array()?);
            let (delivered_ms, count) = pending.remove(&id)?;
            group.give(id, consumer, delivered_ms, count);
        }
    }
    pending.is_empty().then_some(group)
}

/// A time in milliseconds; none where it lies before the epoch.
fn time(reader: &mut Reader<'_>) -> Option<Option<u64>> {
    let time = i64::from_le_bytes(reader.array()?);
    Some(u64::try_from(time).ok())
}

fn read_id(reader: &mut Reader<'_>) -> Option<StreamId> {
    Some(StreamId { ms: reader.len()?, seq: reader.len()? })
}

fn write_id(writer: &mut Writer, id: StreamId) {
    writer.len(id.ms);
    writer.len(id.seq);
}

fn wide(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn id_of(wide: &[u8; 16]) -> StreamId {
    let id = u128::from_be_bytes(*wide);
    StreamId { ms: (id >> 64) as u64, seq: id as u64 }
}
