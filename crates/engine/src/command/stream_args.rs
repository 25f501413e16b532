//! What stream commands have in common: ids as clients write them, trimming, entries as replies.
//!
//! An id is `ms-seq` or `ms` alone; the number that is then missing depends on the command. Numbers
//! are read as Redis reads them: as C's `strtoull` where they are not plain (`007-1`, `1-+2`).
//! Neighbours: the families `stream`, `stream_read`, `stream_group`, `stream_claim`, `stream_info`,
//! `stream_delete`. Tests at the bottom, and the transcripts of the group `stream`.

use pannier_resp::{Args, Reply, parse_i64};
use pannier_store::{Keep, Log, Piece, StreamEntry, StreamId, Trim};

use super::row::Context;
use crate::args::{integer, is};
use crate::config::Config;
use crate::error::{Error, quoted};

/// An id that cannot be read.
pub(super) const INVALID_ID: Error =
    Error::new("ERR Invalid stream ID specified as stream command argument");

/// The error about a missing key or group.
pub(super) fn no_group(key: &[u8], group: &[u8], behind: &str) -> Error {
    let (key, group) = (quoted(key, usize::MAX), quoted(group, usize::MAX));
    Error::text(format!("NOGROUP No such key '{key}' or consumer group '{group}'{behind}"))
}

/// The error about a missing group of a key that is there.
pub(super) fn no_group_of(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (quoted(key, usize::MAX), quoted(group, usize::MAX));
    Error::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// The error of a container's sub-command with the wrong words.
pub(super) fn subcommand_syntax(cx: &Context<'_>) -> Error {
    let container = cx.command.name.split('|').next().unwrap_or_default().to_ascii_uppercase();
    let word = quoted(cx.arg(1), 128);
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."
    ))
}

/// An exact id; `seq` is the number of one that has none.
pub(super) fn exact_id(text: &[u8], seq: u64) -> Result<StreamId, Error> {
    match parse(text, seq) {
        Some(Written { id, bound: false, .. }) => Ok(id),
        _ => Err(INVALID_ID),
    }
}

/// An id, or `-` or `+` for the least and the greatest one.
pub(super) fn any_id(text: &[u8], seq: u64) -> Result<StreamId, Error> {
    parse(text, seq).map(|written| written.id).ok_or(INVALID_ID)
}

/// The exact id of a new entry, and whether its number is given (`5-*` leaves it open).
fn new_id(text: &[u8]) -> Result<(StreamId, bool), Error> {
    if let Some(ms) = c_string(text).strip_suffix(b"-*")
        && text.len() <= ID_LEN_MAX
        && let Some(ms) = number(ms)
    {
        return Ok((StreamId::new(ms, 0), false));
    }
    exact_id(text, 0).map(|id| (id, true))
}

/// Where an interval begins.
pub(super) fn interval_start(text: &[u8]) -> Result<StreamId, Error> {
    let excluded = || Error::new("ERR invalid start ID for the interval");
    match excluded_bound(text) {
        Some(text) => exact_id(text, 0)?.next().ok_or_else(excluded),
        None => any_id(text, 0),
    }
}

/// Where an interval ends.
pub(super) fn interval_end(text: &[u8]) -> Result<StreamId, Error> {
    let excluded = || Error::new("ERR invalid end ID for the interval");
    match excluded_bound(text) {
        Some(text) => exact_id(text, u64::MAX)?.previous().ok_or_else(excluded),
        None => any_id(text, u64::MAX),
    }
}

fn excluded_bound(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

/// An id as it was written.
struct Written {
    id: StreamId,
    /// It was `-` or `+`.
    bound: bool,
}

fn parse(text: &[u8], seq: u64) -> Option<Written> {
    if text.len() > ID_LEN_MAX {
        return None;
    }
    let text = c_string(text);
    match text {
        b"-" => return Some(Written { id: StreamId::MIN, bound: true }),
        b"+" => return Some(Written { id: StreamId::MAX, bound: true }),
        _ => {}
    }
    let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (number(&text[..at])?, number(&text[at + 1..])?),
        None => (number(text)?, seq),
    };
    Some(Written { id: StreamId::new(ms, seq), bound: false })
}

/// The text up to its first zero byte, where C ends a string.
fn c_string(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    &text[..end]
}

/// An unsigned number as C's `strtoull` reads it, except that a plain negative one is refused.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(plain) = parse_i64(text) {
        return u64::try_from(plain).ok();
    }
    let start = text.iter().position(|byte| !is_space(*byte))?;
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let value = digits
        .iter()
        .try_fold(0u64, |value, byte| value.checked_mul(10)?.checked_add(digit(byte)?))?;
    (!digits.is_empty()).then(|| if negative { value.wrapping_neg() } else { value })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The words before an entry, or behind a key to trim.
pub(super) struct Options {
    /// Where they end.
    pub(super) end: usize,
    /// The id that stands there (see [`new_id`]); `None` when it is to be chosen.
    pub(super) id: Option<(StreamId, bool)>,
    /// What is to be trimmed, if anything.
    pub(super) trim: Option<Trim>,
    /// NOMKSTREAM.
    pub(super) no_create: bool,
}

/// Reads NOMKSTREAM and what is about trimming. In XADD (`adds`) they end where the id stands.
pub(super) fn options(args: Args<'_>, adds: bool, config: &Config) -> Result<Options, Error> {
    let mut keep = None;
    let (mut approximate, mut limit, mut no_create) = (false, None, false);
    let mut at = 2;
    while at < args.len() {
        let (word, more) = (args.get(at), args.len() - 1 - at);
        if adds && word == b"*" {
            break;
        }
        let (by_len, by_id) = (is(word, "MAXLEN"), is(word, "MINID"));
        if (by_len || by_id) && more > 0 {
            if keep.is_some() {
                return Err(Error::new(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not \
                     compatible",
                ));
            }
            let sign = if more >= 2 { args.get(at + 1) } else { b"" };
            approximate = sign == b"~";
            at += 1 + usize::from(approximate || sign == b"=");
            keep = Some(threshold(args.get(at), by_len)?);
        } else if is(word, "LIMIT") && more > 0 {
            at += 1;
            let most = integer(args.get(at))?;
            let negative = Error::new("ERR The LIMIT argument must be >= 0.");
            limit = Some(u64::try_from(most).map_err(|_| negative)?);
        } else if adds && is(word, "NOMKSTREAM") {
            no_create = true;
        } else if adds {
            break;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    let written = (at < args.len()).then(|| args.get(at)).filter(|id| adds && *id != b"*");
    let id = written.map(new_id).transpose()?;
    let trim = trimming(keep, (approximate, limit), adds, config)?;
    Ok(Options { end: at, id, trim, no_create })
}

/// The number or id behind MAXLEN or MINID.
fn threshold(word: &[u8], by_len: bool) -> Result<Keep, Error> {
    if by_len {
        let negative = Error::new("ERR The MAXLEN argument must be >= 0.");
        u64::try_from(integer(word)?).map(Keep::Newest).map_err(|_| negative)
    } else {
        exact_id(word, 0).map(Keep::From)
    }
}

/// What all options about trimming say together.
fn trimming(
    keep: Option<Keep>,
    (approximate, limit): (bool, Option<u64>),
    adds: bool,
    config: &Config,
) -> Result<Option<Trim>, Error> {
    if keep.is_none() && limit.is_some_and(|limit| limit > 0) {
        return Err(Error::new(
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ));
    }
    if keep.is_none() && !adds {
        return Err(Error::new("ERR syntax error, XTRIM must be called with a trimming strategy"));
    }
    if limit.is_some() && !approximate {
        return Err(Error::new(
            "ERR syntax error, LIMIT cannot be used without the special ~ option",
        ));
    }
    // Without a limit of its own approximate trimming drops a hundred chunks at most.
    let usual = match (config.limits().stream_entries as u64).saturating_mul(CHUNKS_TRIMMED) {
        0 => LIMIT_WITHOUT_CHUNKS,
        entries => entries.min(LIMIT_MAX),
    };
    let limit = limit.unwrap_or(if approximate { usual } else { 0 });
    Ok(keep.map(|keep| Trim { keep, approximate, limit }))
}

/// Writes an id.
pub(super) fn reply_id(reply: &mut Reply, id: StreamId) {
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    let mut text = [b'-'; 41];
    text[..ms.len()].copy_from_slice(ms);
    let end = ms.len() + 1 + seq.len();
    text[ms.len() + 1..end].copy_from_slice(seq);
    reply.bulk(&text[..end]);
}

/// Writes an entry: its id, and its fields and values in turn.
pub(super) fn reply_entry(reply: &mut Reply, entry: &StreamEntry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(2 * entry.len());
    entry.for_each(|name, value| {
        reply_piece(reply, name);
        reply_piece(reply, value);
    });
}

/// Writes entries in a range of ids, so many at most; 0 is all of them.
pub(super) fn reply_range(
    reply: &mut Reply,
    log: &Log,
    (from, to): (StreamId, StreamId),
    count: usize,
    backwards: bool,
) {
    let array = reply.deferred();
    let most = if count == 0 { usize::MAX } else { count };
    let mut range = log.range(from, to);
    let mut written = 0;
    while written < most {
        let entry = if backwards { range.next_back() } else { range.next() };
        let Some(entry) = entry else { break };
        reply_entry(reply, &entry);
        written += 1;
    }
    reply.fill_array(array, written);
}

fn reply_piece(reply: &mut Reply, piece: Piece<'_>) {
    match piece {
        Piece::Int(number) => reply.bulk_integer(number),
        Piece::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Longest text that is read as an id.
const ID_LEN_MAX: usize = 127;
/// Chunks that approximate trimming drops without a LIMIT, and the entries that this stands for
/// where chunks have no limit, and at most.
const CHUNKS_TRIMMED: u64 = 100;
const LIMIT_WITHOUT_CHUNKS: u64 = 10_000;
const LIMIT_MAX: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        let id = |text: &str| any_id(text.as_bytes(), 9).ok().map(|id| (id.ms, id.seq));
        assert_eq!(id("5"), Some((5, 9)));
        assert_eq!(id("5-3"), Some((5, 3)));
        assert_eq!(id("-"), Some((0, 0)));
        assert_eq!(id("+"), Some((u64::MAX, u64::MAX)));
        assert_eq!(id("007-+2"), Some((7, 2)));
        assert_eq!(id(" 7"), Some((7, 9)));
        assert_eq!(id("1--05"), Some((1, u64::MAX - 4)));
        assert_eq!(id("18446744073709551615-0"), Some((u64::MAX, 0)));
        assert_eq!(id("5\x00garbage"), Some((5, 9)));
        for wrong in ["", "x", "5-", "-5", "1--5", "18446744073709551616", "5-x", "5 ", "5-*"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
        assert_eq!(new_id(b"5-*"), Ok((StreamId::new(5, 0), false)));
        assert_eq!(new_id(b"5"), Ok((StreamId::new(5, 0), true)));
        assert_eq!(new_id(b"-"), Err(INVALID_ID));
        assert!(any_id(&[b'1'; 128], 0).is_err());
    }
}
