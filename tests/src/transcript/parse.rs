//! The text of a transcript cut into steps.
//!
//! The format is line by line: what a line is can be told from its beginning, and only the lines
//! directly below a command are its reply. That keeps the recorder simple, which replaces line
//! ranges and leaves the rest of the file as its author wrote it; a grammar with nesting would
//! have to print what it parsed.
//!
//! Rules: a line that is nothing known is an error that names file and line; the format is
//! described once, in `tests/README.md`.
//!
//! [`super::run`] plays the steps, [`super::record`] rewrites the reply ranges.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::target::{Maker, Place, Protocol, Version};

/// A file, parsed.
#[derive(Debug, Clone)]
pub struct Transcript {
    /// Where it was read from.
    pub path: PathBuf,
    /// All lines of the file.
    pub lines: Vec<String>,
    /// Which targets the whole file is for.
    pub gate: Gate,
    /// Parameters that are set before the first step.
    pub config: Vec<(String, String)>,
    /// Directives that the server is started with, `--name value`.
    pub start: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One command or one passage of time.
#[derive(Debug, Clone)]
pub struct Step {
    /// Index of its line in the file.
    pub line: usize,
    /// What is done.
    pub action: Action,
    /// Which targets it is for.
    pub gate: Gate,
    /// Whether the order of the reply's parts means nothing.
    pub unordered: bool,
    /// Indices of the reply's lines in the file.
    pub reply: Range<usize>,
    /// The reply, or the several replies by target.
    pub expect: Expect,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `A> GET k`: sends a command and reads one reply.
    Call { client: String, text: String },
    /// `A>& BLPOP k 0`: sends a command and reads nothing.
    Send { client: String, text: String },
    /// `A>! "*1\r\n"`: sends bytes as they are and reads one reply.
    Raw { client: String, text: String },
    /// `A<`: reads one more message.
    Read { client: String },
    /// `+1500ms`: time passes.
    Pass { ms: u64 },
}

/// Which targets a file or a step is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// Real servers that have it, with the least version; empty: all of them.
    pub oracles: Vec<(Maker, Version)>,
    /// Only Pannier has it.
    pub pannier_only: bool,
    /// Needs a clock that can be advanced.
    pub virtual_clock: bool,
    /// Needs clients that are served while another one waits.
    pub sockets: bool,
}

impl Gate {
    /// Why the gate is shut for `place`; `None` when it is open.
    pub fn refuses(&self, place: &Place) -> Option<String> {
        if self.virtual_clock && !place.virtual_clock {
            return Some("needs the virtual clock".to_owned());
        }
        if self.sockets && place.virtual_clock {
            return Some("needs sockets".to_owned());
        }
        if place.maker == Maker::Pannier {
            return None;
        }
        if self.pannier_only {
            return Some("only Pannier has it".to_owned());
        }
        let has =
            |(maker, least): &(Maker, Version)| *maker == place.maker && place.version >= *least;
        if self.oracles.is_empty() || self.oracles.iter().any(has) {
            return None;
        }
        Some(format!("{} {} does not have it", place.maker, place.version))
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The replies that a step may have.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// Lines before the first head: for every target that no section names.
    pub default: Vec<String>,
    /// Lines under heads like `[resp3]` or `[valkey resp2]`.
    pub sections: Vec<Section>,
    /// The reason of a `[differs: ...]` block.
    pub differs: Option<String>,
}

/// Reply lines for some of the targets.
#[derive(Debug, Clone)]
pub struct Section {
    /// The server it is for; `None`: every one.
    pub maker: Option<Maker>,
    /// The protocol it is for; `None`: both.
    pub protocol: Option<Protocol>,
    /// The reply.
    pub lines: Vec<String>,
}

impl Expect {
    /// The lines for `place`: those of the most exact head. Where a deliberate difference is
    /// shown, what Valkey says stands for Redis too unless Redis has a section of its own.
    pub fn lines_for(&self, place: &Place) -> &[String] {
        let rank = |section: &Section| {
            let maker = match section.maker {
                None => 0,
                Some(maker) if maker == place.maker => 4,
                Some(Maker::Valkey) if self.differs.is_some() && place.maker == Maker::Redis => 2,
                Some(_) => return None,
            };
            match section.protocol {
                None => Some(maker),
                Some(protocol) if protocol == place.protocol => Some(maker + 1),
                Some(_) => None,
            }
        };
        let best = self.sections.iter().filter_map(|s| Some((rank(s)?, s))).max_by_key(|(r, _)| *r);
        best.map_or(self.default.as_slice(), |(_, section)| section.lines.as_slice())
    }
}

/// Reads and parses a file.
///
/// # Errors
/// One line that says file, line and what is wrong there.
pub fn read(path: &Path) -> Result<Transcript, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(path, &text)
}

/// Parses the text of a file.
///
/// # Errors
/// One line that says file, line and what is wrong there.
pub fn parse(path: &Path, text: &str) -> Result<Transcript, String> {
    let lines: Vec<String> = text.lines().map(|l| l.trim_end().to_owned()).collect();
    let mut parser = Parser {
        file: Transcript {
            path: path.to_owned(),
            lines: Vec::new(),
            gate: Gate::default(),
            config: Vec::new(),
            start: Vec::new(),
            steps: Vec::new(),
        },
        head: head_end(&lines),
        gate: Gate::default(),
        unordered: false,
        block: None,
    };
    let mut at = 0;
    while at < lines.len() {
        at = parser
            .line(&lines, at)
            .map_err(|what| format!("{}:{}: {what}", path.display(), at + 1))?;
    }
    if parser.block.is_some() {
        return Err(format!("{}: a block is not closed by `!}}`", path.display()));
    }
    parser.file.lines = lines;
    Ok(parser.file)
}

struct Parser {
    file: Transcript,
    /// Directives on lines before this one hold for the whole file.
    head: usize,
    gate: Gate,
    unordered: bool,
    block: Option<Gate>,
}

static PROMPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([A-Za-z][A-Za-z0-9_-]*)?(>&|>!|>|<)(?: (.*))?$").expect("a valid pattern")
});
static PASS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\+([0-9]+)(ms|s|m|h|d)$").expect("a valid pattern"));

/// The head is the first paragraphs of a file, as long as they hold no command.
fn head_end(lines: &[String]) -> usize {
    let mut end = 0;
    for (index, line) in lines.iter().enumerate() {
        if line.is_empty() {
            end = index;
        } else if !line.starts_with(['#', '!']) {
            break;
        }
    }
    end
}

fn is_reply(line: &str) -> bool {
    !line.is_empty()
        && !line.starts_with(['#', '!'])
        && !PROMPT.is_match(line)
        && !PASS.is_match(line)
}

impl Parser {
    /// Takes the line at `at` and what belongs to it; returns where to go on.
    fn line(&mut self, lines: &[String], at: usize) -> Result<usize, String> {
        let line = lines[at].as_str();
        if line.is_empty() || line.starts_with('#') {
            return Ok(at + 1);
        }
        if let Some(directive) = line.strip_prefix('!') {
            self.directive(directive, at)?;
            return Ok(at + 1);
        }
        let action = action(line)?;
        let end = (at + 1..lines.len()).find(|i| !is_reply(&lines[*i])).unwrap_or(lines.len());
        let reply = at + 1..end;
        let silent = matches!(action, Action::Send { .. } | Action::Pass { .. });
        if silent && !reply.is_empty() {
            return Err("this step reads no reply, and one follows".to_owned());
        }
        let mut gate = std::mem::take(&mut self.gate);
        if let Some(block) = &self.block
            && gate.is_default()
        {
            gate = block.clone();
        }
        let unordered = std::mem::take(&mut self.unordered);
        let expect = expect(&lines[reply.clone()])?;
        self.file.steps.push(Step { line: at, action, gate, unordered, reply, expect });
        Ok(end)
    }

    fn directive(&mut self, text: &str, at: usize) -> Result<(), String> {
        let opens = text.ends_with(" {");
        let text = text.trim_end_matches('{').trim_end();
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let in_head = at < self.head;
        let mut gate = if in_head { self.file.gate.clone() } else { self.gate.clone() };
        match name {
            "}" if self.block.is_some() => self.block = None,
            "config" | "start" if !in_head => {
                return Err(format!("`!{name}` belongs to the head of the file"));
            }
            "config" => {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.file.config.push((key.to_owned(), value.trim_matches('"').to_owned()));
            }
            "start" => {
                let args = super::quote::split(rest).ok_or("quotes do not balance")?;
                let text = args.iter().map(|a| String::from_utf8_lossy(a).into_owned());
                self.file.start.extend(text);
            }
            "unordered" if !in_head => self.unordered = true,
            "oracle" => {
                for word in rest.split_whitespace() {
                    gate.oracles.push(oracle(word)?);
                }
            }
            "pannier-only" => gate.pannier_only = true,
            "virtual" => gate.virtual_clock = true,
            "sockets" => gate.sockets = true,
            _ => return Err(format!("`!{text}` is no directive that may stand here")),
        }
        if opens {
            self.block = Some(gate);
            self.gate = Gate::default();
        } else if in_head {
            self.file.gate = gate;
        } else {
            self.gate = gate;
        }
        Ok(())
    }
}

fn action(line: &str) -> Result<Action, String> {
    if let Some(found) = PASS.captures(line) {
        let number: u64 = found[1].parse().map_err(|_| "too long a time")?;
        let unit = match &found[2] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        return Ok(Action::Pass { ms: number * unit });
    }
    let found = PROMPT.captures(line).ok_or("neither a command nor the reply to one")?;
    let client = found.get(1).map_or(String::new(), |m| m.as_str().to_owned());
    let text = found.get(3).map_or(String::new(), |m| m.as_str().to_owned());
    match &found[2] {
        "<" if text.is_empty() => Ok(Action::Read { client }),
        "<" => Err("`<` takes nothing behind it".to_owned()),
        _ if text.is_empty() => Err("a command is missing".to_owned()),
        ">" => Ok(Action::Call { client, text }),
        ">&" => Ok(Action::Send { client, text }),
        _ => Ok(Action::Raw { client, text }),
    }
}

fn oracle(word: &str) -> Result<(Maker, Version), String> {
    let (name, version) = word.split_once(">=").unwrap_or((word, "0"));
    let maker = match name {
        "valkey" => Maker::Valkey,
        "redis" => Maker::Redis,
        _ => return Err(format!("`{word}`: write valkey>=9.0 or redis>=7.0")),
    };
    let version = Version::parse(version).ok_or_else(|| format!("`{version}` is no version"))?;
    Ok((maker, version))
}

fn expect(lines: &[String]) -> Result<Expect, String> {
    let mut expect = Expect::default();
    let mut ended = false;
    for line in lines {
        if let Some(rest) = line.strip_prefix("[differs:") {
            let reason = rest.strip_suffix(']').ok_or("`[differs: reason]` lacks its `]`")?;
            expect.differs = Some(reason.trim().to_owned());
        } else if line == "[end]" {
            ended = true;
        } else if let Some((maker, protocol)) = head(line) {
            if ended {
                return Err("sections stand before `[end]`".to_owned());
            }
            expect.sections.push(Section { maker, protocol, lines: Vec::new() });
        } else if ended {
            return Err("the reply goes on behind `[end]`".to_owned());
        } else if let Some(section) = expect.sections.last_mut() {
            section.lines.push(line.clone());
        } else {
            expect.default.push(line.clone());
        }
    }
    let ours = expect.sections.iter().any(|s| s.maker == Some(Maker::Pannier));
    if ours && expect.differs.is_none() {
        return Err("a reply of Pannier's own needs `[differs: reason]`".to_owned());
    }
    if expect.differs.is_some() && !ours {
        return Err("`[differs: reason]` needs Pannier's reply under `[pannier]`".to_owned());
    }
    Ok(expect)
}

/// `[resp3]`, `[valkey]`, `[redis resp2]`; `None` for any other line.
pub fn head(line: &str) -> Option<(Option<Maker>, Option<Protocol>)> {
    let words = line.strip_prefix('[')?.strip_suffix(']')?;
    let (mut maker, mut protocol) = (None, None);
    for word in words.split(' ') {
        match word {
            "resp2" => protocol = Some(Protocol::Resp2),
            "resp3" => protocol = Some(Protocol::Resp3),
            "valkey" => maker = Some(Maker::Valkey),
            "redis" => maker = Some(Maker::Redis),
            "pannier" => maker = Some(Maker::Pannier),
            _ => return None,
        }
    }
    Some((maker, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Transcript, String> {
        parse(Path::new("t.txt"), text)
    }

    fn place(maker: Maker, protocol: Protocol) -> Place {
        Place { maker, version: Version([9, 1, 2]), protocol, virtual_clock: false }
    }

    #[test]
    fn a_file_is_cut_into_steps_with_their_replies() {
        let text = "# GET\n!config maxmemory 1mb\n\n> GET k\n(nil)\n\n# later\n+2s\nA>& BLPOP l 0\n\
                    A<\n1) \"l\"\n2) \"v\"\n";
        let file = parsed(text).expect("it parses");
        assert_eq!(file.config, [("maxmemory".to_owned(), "1mb".to_owned())]);
        assert_eq!(file.steps.len(), 4);
        assert_eq!(file.steps[0].reply, 4..5);
        assert_eq!(file.steps[1].action, Action::Pass { ms: 2_000 });
        assert_eq!(file.steps[3].expect.default, ["1) \"l\"", "2) \"v\""]);
    }

    #[test]
    fn directives_below_the_head_hold_for_one_step_or_a_block() {
        let text = "# head\n!virtual\n\n!oracle valkey>=9.0\n> A\n> B\n\
                    !pannier-only {\n> C\n> D\n!}\n> E\n";
        let file = parsed(text).expect("it parses");
        assert!(file.gate.virtual_clock);
        let only: Vec<bool> = file.steps.iter().map(|s| s.gate.pannier_only).collect();
        assert_eq!(only, [false, false, true, true, false]);
        assert_eq!(file.steps[0].gate.oracles, [(Maker::Valkey, Version([9, 0, 0]))]);
        assert!(file.steps[1].gate.oracles.is_empty());
    }

    #[test]
    fn the_most_exact_head_wins() {
        let text = "> HELLO\n[resp2]\ntwo\n[resp3]\nthree\n\
                    [redis]\nredis\n[redis resp3]\nredis three\n";
        let expect = &parsed(text).expect("it parses").steps[0].expect;
        let lines = |maker, protocol| expect.lines_for(&place(maker, protocol)).join("");
        assert_eq!(lines(Maker::Valkey, Protocol::Resp2), "two");
        assert_eq!(lines(Maker::Pannier, Protocol::Resp3), "three");
        assert_eq!(lines(Maker::Redis, Protocol::Resp2), "redis");
        assert_eq!(lines(Maker::Redis, Protocol::Resp3), "redis three");
    }

    #[test]
    fn a_difference_shows_both_replies_and_its_reason() {
        let text = "> X\n[differs: ours is safer]\n[valkey]\na\n[pannier]\nb\n[end]\n";
        let expect = &parsed(text).expect("it parses").steps[0].expect;
        assert_eq!(expect.differs.as_deref(), Some("ours is safer"));
        assert_eq!(expect.lines_for(&place(Maker::Redis, Protocol::Resp2)), ["a"]);
        assert_eq!(expect.lines_for(&place(Maker::Pannier, Protocol::Resp2)), ["b"]);
        assert!(parsed("> X\n[pannier]\nb\n").is_err());
    }

    #[test]
    fn what_is_nothing_known_is_an_error_with_its_line() {
        assert_eq!(parsed("> A\nOK\n\nOK\n").err().as_deref(), {
            Some("t.txt:4: neither a command nor the reply to one")
        });
        assert!(parsed("# h\n\n> A\nOK\n!config a b\n").is_err());
        assert!(parsed("!nonsense\n").is_err());
    }
}
