//! LCS: the longest common subsequence of two strings.
//!
//! The classic table of lengths, one row a byte of the first string, filled forwards and walked
//! backwards. For the length alone two rows would do, but Redis's limit on the size of the table
//! is part of what clients see, so it holds for every form. Transcript: `string/lcs.txt`.

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[LCS];

const LCS: Command = Command {
    name: "lcs",
    since: "7.0.0",
    group: Group::String,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::STRING,
    keys: &[KeySpec::range(1, 1, 1, access::RO | access::ACCESS)],
    syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    summary: "Finds the longest common subsequence of two strings.",
    complexity: "O(N*M) with N and M the lengths of the strings",
    handler: lcs,
    ..Command::DEFAULT
};

/// One stretch that both strings share: inclusive ranges in the first and in the second.
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

impl Match {
    fn len(&self) -> usize {
        self.a.1 - self.a.0 + 1
    }
}

#[derive(Default)]
struct LcsOptions {
    len: bool,
    idx: bool,
    min_match_len: usize,
    with_match_len: bool,
}

fn parse(cx: &Context<'_>) -> Result<LcsOptions, Error> {
    let mut parsed = LcsOptions::default();
    let mut options = Options::new(cx.args, 3);
    while let Some(word) = options.next() {
        if is(word, "IDX") {
            parsed.idx = true;
        } else if is(word, "LEN") {
            parsed.len = true;
        } else if is(word, "WITHMATCHLEN") {
            parsed.with_match_len = true;
        } else if is(word, "MINMATCHLEN") && options.has_value() {
            parsed.min_match_len = usize::try_from(integer(options.value()?)?).unwrap_or(0);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    if parsed.idx && parsed.len {
        return Err(Error::new(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(parsed)
}

fn lcs(cx: &mut Context<'_>) -> Result<Done, Error> {
    const NOT_STRINGS: Error = Error::new("ERR The specified keys must contain string values");
    let db = cx.db();
    let mut text = |at: usize| -> Result<Vec<u8>, Error> {
        let key = cx.key(at);
        let value = cx.view.string(db, key).map_err(|_| NOT_STRINGS)?;
        Ok(value.map(|value| value.to_vec()).unwrap_or_default())
    };
    let (a, b) = (text(1)?, text(2)?);
    let options = parse(cx)?;
    let cells = (a.len() as u64 + 1) * (b.len() as u64 + 1);
    if a.len() >= u32::MAX as usize - 1 || b.len() >= u32::MAX as usize - 1 {
        return Err(Error::new("ERR String too long for LCS"));
    }
    if cells * 4 > cx.config.proto_max_bulk_len as u64 {
        return Err(Error::new(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let (common, matches) = walk(&a, &b);
    if options.len {
        return cx.int(common.len() as i64);
    }
    if !options.idx {
        cx.reply.bulk(&common);
        return Ok(Done::Replied);
    }
    let wanted = matches.iter().filter(|one| one.len() >= options.min_match_len.max(1));
    cx.reply.map(2);
    cx.reply.bulk(b"matches");
    cx.reply.array(wanted.clone().count());
    for one in wanted {
        cx.reply.array(2 + usize::from(options.with_match_len));
        for (start, end) in [one.a, one.b] {
            cx.reply.array(2);
            cx.reply.integer(start as i64);
            cx.reply.integer(end as i64);
        }
        if options.with_match_len {
            cx.reply.integer(one.len() as i64);
        }
    }
    cx.reply.bulk(b"len");
    cx.int(common.len() as i64)
}

/// The subsequence, and its stretches from the last to the first.
fn walk(a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
    let width = b.len() + 1;
    let mut lens = vec![0u32; (a.len() + 1) * width];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            lens[i * width + j] = if a[i - 1] == b[j - 1] {
                lens[(i - 1) * width + j - 1] + 1
            } else {
                lens[(i - 1) * width + j].max(lens[i * width + j - 1])
            };
        }
    }
    let (mut i, mut j) = (a.len(), b.len());
    let mut common = Vec::with_capacity(lens[i * width + j] as usize);
    let mut matches: Vec<Match> = Vec::new();
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            common.push(a[i]);
            match matches.last_mut() {
                Some(last) if last.a.0 == i + 1 && last.b.0 == j + 1 => {
                    (last.a.0, last.b.0) = (i, j);
                }
                _ => matches.push(Match { a: (i, i), b: (j, j) }),
            }
        } else if lens[(i - 1) * width + j] > lens[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    common.reverse();
    (common, matches)
}
