//! PANNIER FAULT: makes things go wrong for tests.
//!
//! The words say what happens, and behind that, in any order, to which requests and how often. LIST
//! says each rule in the words that made it, so that they can be sent again. What the words
//! mean is in `faults` and `condition` of the engine. Transcript: `server/pannier-fault`.

use super::row::{Command, Context, Done, Group, flags};
use crate::args::{self, Options, integer};
use crate::error::Error;
use crate::faults::{Action, ErrorText, Fault};

pub(super) const PANNIER_FAULT: Command = Command {
    name: "pannier|fault",
    since: "0.1.0",
    group: Group::Server,
    arity: -3,
    flags: flags::ADMIN | flags::NOSCRIPT | flags::LOADING | flags::STALE,
    syntax: "<ADD <DELAY milliseconds | ERROR message | DROP <BEFORE | AFTER> | CUT bytes | \
             REFUSE> [COMMAND command [COMMAND command ...]] [KEY pattern] [ID client-id] \
             [NAME client-name] [USER username] [PROBABILITY probability] [SEED seed] \
             [COUNT count] | LIST | DEL id [id ...] | CLEAR>",
    summary: "Makes requests or connections fail or wait, by rules.",
    complexity: "O(N) with N the number of rules",
    handler: pannier_fault,
    ..Command::DEFAULT
};

fn pannier_fault(cx: &mut Context<'_>) -> Result<Done, Error> {
    let words = cx.args.len();
    if cx.is(2, "ADD") && words > 3 {
        let id = cx.engine.add_fault(read(Options::new(cx.args, 3))?)?;
        cx.int(id as i64)
    } else if cx.is(2, "LIST") && words == 3 {
        list(cx)
    } else if cx.is(2, "DEL") && words > 3 {
        let ids: Result<Vec<i64>, Error> = (3..words).map(|at| cx.integer(at)).collect();
        let goes = |id: &i64| u64::try_from(*id).is_ok_and(|id| cx.engine.remove_fault(id));
        let gone = ids?.iter().filter(|id| goes(id)).count();
        cx.int(gone as i64)
    } else if cx.is(2, "CLEAR") && words == 3 {
        let gone = cx.engine.clear_faults();
        cx.int(gone as i64)
    } else {
        Err(Error::SYNTAX)
    }
}

fn list(cx: &mut Context<'_>) -> Result<Done, Error> {
    let rules = cx.engine.faults();
    cx.reply.array(rules.len());
    for rule in rules {
        cx.reply.map(4);
        cx.reply.bulk(b"id");
        cx.reply.integer(rule.id as i64);
        cx.reply.bulk(b"rule");
        let words = rule.fault.words();
        cx.reply.array(words.len());
        words.iter().for_each(|word| cx.reply.bulk(word));
        cx.reply.bulk(b"hits");
        cx.reply.integer(rule.hits as i64);
        cx.reply.bulk(b"left");
        match rule.left {
            Some(left) => cx.reply.integer(left as i64),
            None => cx.reply.null(),
        }
    }
    Ok(Done::Replied)
}

/// Reads the words of a rule.
fn read(mut words: Options<'_>) -> Result<Fault, Error> {
    let mut fault = Fault::new(action(&mut words)?);
    while let Some(word) = words.next() {
        if fault.condition.accept(word, &mut words)? {
            continue;
        }
        let value = words.value()?;
        if args::is(word, "PROBABILITY") {
            let value = str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            fault.probability = Some(value.ok_or(Error::NOT_FLOAT)?);
        } else if args::is(word, "SEED") {
            fault.seed = Some(natural(value)?);
        } else if args::is(word, "COUNT") {
            fault.count = Some(natural(value)?);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok(fault)
}

fn action(words: &mut Options<'_>) -> Result<Action, Error> {
    let word = words.value()?;
    Ok(if args::is(word, "DELAY") {
        Action::Delay(natural(words.value()?)?)
    } else if args::is(word, "ERROR") {
        let text = str::from_utf8(words.value()?).map_err(|_| NOT_TEXT)?;
        Action::Error(ErrorText::of(text))
    } else if args::is(word, "DROP") {
        match words.value()? {
            when if args::is(when, "BEFORE") => Action::DropBefore,
            when if args::is(when, "AFTER") => Action::Cut(0),
            _ => return Err(Error::SYNTAX),
        }
    } else if args::is(word, "CUT") {
        let bytes = usize::try_from(natural(words.value()?)?);
        Action::Cut(bytes.map_err(|_| Error::OUT_OF_RANGE)?)
    } else if args::is(word, "REFUSE") {
        Action::Refuse
    } else {
        return Err(Error::SYNTAX);
    })
}

/// A number that is not negative.
pub(super) fn natural(word: &[u8]) -> Result<u64, Error> {
    u64::try_from(integer(word)?).map_err(|_| Error::NOT_POSITIVE)
}

const NOT_TEXT: Error = Error::new("ERR the text of an error is UTF-8");
