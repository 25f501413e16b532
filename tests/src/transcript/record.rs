//! Replies written into transcripts from what real servers answer.
//!
//! An author writes commands and comments; the recorder plays the file on Valkey under RESP2 and
//! RESP3, on Redis too, and writes the replies: plain lines where all agree, `[resp2]` and
//! `[resp3]` where the protocols differ, `[redis]` where Redis does. Nobody types a reply that a
//! server can give, and nobody believes one that no server gave.
//!
//! Rules: only reply lines change; a line that still matches is kept as it stands, patterns
//! above all; Pannier's side of a `[differs]` block is the author's; a step that Valkey does not
//! have keeps what it has.
//!
//! The binary `record` is the command; afterwards it runs the file once more, because a reply
//! that is different in every run needs a pattern.

use super::expect::Names;
use super::parse::{Section, Step, Transcript};
use super::run::Outcome;
use crate::target::{Maker, Protocol};

/// One file's outcomes on the real servers, in the order of its steps.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Valkey's, under RESP2 and RESP3.
    pub valkey: [Vec<Outcome>; 2],
    /// Redis's, where there is one.
    pub redis: Option<[Vec<Outcome>; 2]>,
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Resp2, Protocol::Resp3];

/// The text of the file with its replies replaced by those of the recording.
pub fn rewrite(file: &Transcript, recording: &Recording) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    for (index, step) in file.steps.iter().enumerate() {
        out.extend_from_slice(&file.lines[at..step.reply.start]);
        out.extend(reply(file, step, index, recording));
        at = step.reply.end;
    }
    out.extend_from_slice(&file.lines[at..]);
    let mut text = out.join("\n");
    text.push('\n');
    text
}

fn reply(file: &Transcript, step: &Step, index: usize, recording: &Recording) -> Vec<String> {
    let old = || file.lines[step.reply.clone()].to_vec();
    let fresh = |outcomes: &[Vec<Outcome>; 2], maker| {
        let two = fresh_lines(step, maker, outcomes.each_ref().map(|o| &o[index]))?;
        Some(Two { maker, lines: two })
    };
    let valkey = fresh(&recording.valkey, Maker::Valkey);
    let redis = recording.redis.as_ref().and_then(|outcomes| fresh(outcomes, Maker::Redis));
    let (first, second) = match (valkey, redis) {
        (Some(valkey), redis) => {
            let same = redis.as_ref().is_some_and(|r| r.lines == valkey.lines);
            (valkey, redis.filter(|_| !same))
        }
        // What only Redis has is recorded from there.
        (None, Some(redis)) => (redis, None),
        (None, None) => return old(),
    };
    let mut out = Vec::new();
    if let Some(reason) = &step.expect.differs {
        out.push(format!("[differs: {reason}]"));
        first.put(&mut out, true);
        for section in step.expect.sections.iter().filter(|s| s.maker == Some(Maker::Pannier)) {
            put_section(&mut out, section);
        }
    } else {
        first.put(&mut out, false);
    }
    match second {
        Some(redis) => redis.put(&mut out, true),
        // Without a Redis at hand its sections stay.
        None if recording.redis.is_none() => {
            for section in step.expect.sections.iter().filter(|s| s.maker == Some(Maker::Redis)) {
                put_section(&mut out, section);
            }
        }
        None => {}
    }
    out
}

/// One maker's reply under both protocols.
struct Two {
    maker: Maker,
    lines: [Vec<String>; 2],
}

impl Two {
    fn put(&self, out: &mut Vec<String>, named: bool) {
        let maker = named.then_some(self.maker);
        if self.lines[0] == self.lines[1] {
            let lines = self.lines[0].clone();
            put_section(out, &Section { maker, protocol: None, lines });
            return;
        }
        for (protocol, lines) in PROTOCOLS.into_iter().zip(&self.lines) {
            let protocol = Some(protocol);
            put_section(out, &Section { maker, protocol, lines: lines.clone() });
        }
    }
}

fn put_section(out: &mut Vec<String>, section: &Section) {
    let protocol = section.protocol.map(|p| p.to_string().to_lowercase());
    let words = [section.maker.map(|m| m.to_string()), protocol];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if !words.is_empty() {
        out.push(format!("[{}]", words.join(" ")));
    }
    out.extend_from_slice(&section.lines);
}

fn fresh_lines(step: &Step, maker: Maker, outcomes: [&Outcome; 2]) -> Option<[Vec<String>; 2]> {
    let [two, three] = outcomes;
    let (
        Outcome::Reply { lines: two, expected: ok2 },
        Outcome::Reply { lines: three, expected: ok3 },
    ) = (two, three)
    else {
        return None;
    };
    let old = |protocol| {
        let version = crate::target::Version([u32::MAX; 3]);
        let place = crate::target::Place { maker, version, protocol, virtual_clock: false };
        step.expect.lines_for(&place)
    };
    let [old2, old3] = PROTOCOLS.map(old);
    Some([kept(old2, two, *ok2), kept(old3, three, *ok3)])
}

/// The lines of the new reply, with the old ones where those match.
fn kept(old: &[String], new: &[String], expected: bool) -> Vec<String> {
    if expected {
        return old.to_vec();
    }
    if old.len() != new.len() {
        return new.to_vec();
    }
    let keep = |(old, new): (&String, &String)| {
        // Names are not known here; a line that uses one is written anew.
        let matches = Names::default().line_matches(old, new).unwrap_or(false);
        if matches { old.clone() } else { new.clone() }
    };
    old.iter().zip(new).map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use std::path::Path;

    fn record(text: &str, valkey: [&str; 2], redis: Option<[&str; 2]>) -> String {
        let file = parse(Path::new("t.txt"), text).expect("it parses");
        let outcome = |reply: &str| {
            let lines = reply.lines().map(str::to_owned).collect();
            vec![Outcome::Reply { lines, expected: false }]
        };
        let recording = Recording {
            valkey: valkey.map(outcome),
            redis: redis.map(|replies| replies.map(outcome)),
        };
        rewrite(&file, &recording)
    }

    #[test]
    fn replies_are_split_only_where_they_differ() {
        let text = "# why\n> GET k\n\n";
        assert_eq!(record(text, ["(nil)", "(nil)"], None), "# why\n> GET k\n(nil)\n\n");
        let split = record(text, ["a", "b"], Some(["a", "c"]));
        let heads = "[resp2]\na\n[resp3]\nb\n[redis resp2]\na\n[redis resp3]\nc\n";
        assert_eq!(split, format!("# why\n> GET k\n{heads}\n"));
    }

    #[test]
    fn patterns_that_still_match_are_kept() {
        let text = "> X\n1) old\n~ 2) \\d+\n";
        let text = text.replace("2)", "2\\)");
        assert_eq!(record(&text, ["1) new\n2) 17"; 2], None), "> X\n1) new\n~ 2\\) \\d+\n");
    }

    #[test]
    fn our_side_of_a_difference_is_kept() {
        let text = "> X\n[differs: so]\n[valkey]\nold\n[pannier]\nours\n";
        let expected = "> X\n[differs: so]\n[valkey]\nnew\n[pannier]\nours\n";
        assert_eq!(record(text, ["new"; 2], None), expected);
    }
}
