//! A payload as a whole: the type in front, the footer behind, and what lies between by kind.
//!
//! The footer is looked at first: a payload that was cut or changed on its way is told from one
//! that was made wrong. Versions of Redis above 12 and of Valkey above 80 may have types that are
//! not known here or, worse, known ones with other contents, so they are refused; those between
//! belong to other forks.
//!
//! Rules: numbers in the footer are little-endian. A value must fill its payload.
//! Neighbours: one file per kind for the values; strings are here, being one primitive.

use std::fmt;

use crc::{CRC_64_REDIS, Crc, Table};
use pannier_store::{Found, Kind, Maker, Str, StrBuffer, Taken};

use crate::reader::Reader;
use crate::writer::Writer;
use crate::{hash, list, set, sorted_set, stream};

/// The types of the format, by their first byte.
pub(crate) mod code {
    pub(crate) const STRING: u8 = 0;
    pub(crate) const LIST: u8 = 1;
    pub(crate) const SET: u8 = 2;
    pub(crate) const SORTED_SET: u8 = 3;
    pub(crate) const HASH: u8 = 4;
    pub(crate) const SORTED_SET_DOUBLES: u8 = 5;
    pub(crate) const HASH_ZIPMAP: u8 = 9;
    pub(crate) const LIST_ZIPLIST: u8 = 10;
    pub(crate) const SET_INTEGERS: u8 = 11;
    pub(crate) const SORTED_SET_ZIPLIST: u8 = 12;
    pub(crate) const HASH_ZIPLIST: u8 = 13;
    pub(crate) const LIST_ZIPLISTS: u8 = 14;
    pub(crate) const STREAM_1: u8 = 15;
    pub(crate) const HASH_LISTPACK: u8 = 16;
    pub(crate) const SORTED_SET_LISTPACK: u8 = 17;
    pub(crate) const LIST_NODES: u8 = 18;
    pub(crate) const STREAM_2: u8 = 19;
    pub(crate) const SET_LISTPACK: u8 = 20;
    pub(crate) const STREAM_3: u8 = 21;
    pub(crate) const HASH_TIMED: u8 = 22;
    pub(crate) const HASH_TIMED_REDIS: u8 = 24;
    pub(crate) const HASH_TIMED_LISTPACK: u8 = 25;
}

/// The version that Redis 7.0 writes: what has no younger type is written under it.
pub(crate) const VERSION_COMMON: u16 = 10;
/// The first version with streams that say when a consumer was last active.
const VERSION_CONSUMERS: u16 = 11;
/// Versions of Redis that are read, up to 8; above it Redis and Valkey went apart.
const VERSION_REDIS_MAX: u16 = 12;
/// Valkey's versions that are read.
const VERSION_VALKEY: u16 = 80;

/// Bytes of version and checksum.
const FOOTER_LEN: usize = 10;

const CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Why a payload was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is of a version that is not known, or not what was dumped.
    Footer,
    /// It is no value.
    Value,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Footer => "DUMP payload version or checksum are wrong",
            Self::Value => "Bad data format",
        })
    }
}

impl std::error::Error for Refused {}

/// The payload of a value. `compress` says whether long strings in it are compressed.
pub fn dump(found: Found<'_>, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(compress);
    let version = write(found, &mut writer);
    sign(writer, version)
}

/// Adds the footer.
pub(crate) fn sign(mut writer: Writer, version: u16) -> Vec<u8> {
    writer.bytes(&version.to_le_bytes());
    let checksum = CHECKSUM.checksum(&writer.out);
    writer.bytes(&checksum.to_le_bytes());
    writer.out
}

/// Version and content of a payload whose footer is right.
pub(crate) fn body(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (body, footer) = payload.split_at(payload.len().checked_sub(FOOTER_LEN)?);
    let mut footer = Reader::new(footer);
    let version = footer.array().map(u16::from_le_bytes)?;
    if version > VERSION_REDIS_MAX && version != VERSION_VALKEY {
        return None;
    }
    let checksum = footer.array().map(u64::from_le_bytes)?;
    (checksum == CHECKSUM.checksum(&payload[..body.len() + 2])).then_some((version, body))
}

/// Bytes of the value inside its payload, without type and footer.
pub fn dumped_len(found: Found<'_>, compress: bool) -> usize {
    let mut writer = Writer::new(compress);
    write(found, &mut writer);
    writer.out.len().saturating_sub(1)
}

/// The value of a payload, encoded as the limits of the maker say. A hash of which all fields are
/// due is empty.
///
/// # Errors
/// [`Refused`], when it is none that could have been dumped.
pub fn restore(payload: &[u8], maker: Maker<'_>) -> Result<Taken, Refused> {
    let (version, body) = body(payload).ok_or(Refused::Footer)?;
    let mut reader = Reader::new(body);
    let value = read(version, &mut reader, maker).filter(|_| reader.is_done());
    value.ok_or(Refused::Value)
}

/// Writes type and value; returns the version that they need.
fn write(found: Found<'_>, writer: &mut Writer) -> u16 {
    match found.kind() {
        Kind::String => {
            writer.byte(code::STRING);
            match found.string() {
                Ok(Str::Int(number)) => writer.integer(number),
                Ok(string) => writer.string(string.as_bytes(&mut StrBuffer::new())),
                Err(_) => {}
            }
            VERSION_COMMON
        }
        Kind::Hash => {
            if hash::write(found, writer) {
                VERSION_VALKEY
            } else {
                VERSION_COMMON
            }
        }
        Kind::Set => {
            set::write(found, writer);
            VERSION_COMMON
        }
        Kind::SortedSet => {
            sorted_set::write(found, writer);
            VERSION_COMMON
        }
        Kind::List => {
            list::write(found, writer);
            VERSION_COMMON
        }
        Kind::Stream => {
            if stream::write(found, writer) {
                VERSION_CONSUMERS
            } else {
                VERSION_COMMON
            }
        }
    }
}

fn read(version: u16, reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let code = reader.byte()?;
    match code {
        code::STRING => Some(maker.string(&reader.string()?)),
        code::HASH | code::HASH_ZIPMAP | code::HASH_ZIPLIST | code::HASH_LISTPACK => {
            hash::read(code, reader, maker)
        }
        code::STREAM_1 | code::STREAM_2 | code::STREAM_3 => stream::read(code, reader, maker),
        code::HASH_TIMED if version == VERSION_VALKEY => hash::read_timed(reader, maker),
        code::HASH_TIMED_REDIS => hash::read_timed_redis(reader, maker),
        code::HASH_TIMED_LISTPACK => hash::read_timed_listpack(reader, maker),
        code::LIST | code::LIST_ZIPLIST | code::LIST_ZIPLISTS | code::LIST_NODES => {
            list::read(code, reader, maker)
        }
        code::SET | code::SET_INTEGERS | code::SET_LISTPACK => set::read(code, reader, maker),
        code::SORTED_SET
        | code::SORTED_SET_DOUBLES
        | code::SORTED_SET_ZIPLIST
        | code::SORTED_SET_LISTPACK => sorted_set::read(code, reader, maker),
        _ => None,
    }
}
