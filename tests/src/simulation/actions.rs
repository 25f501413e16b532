//! What players of the simulation do: requests, and what their replies mean for the ledger.
//!
//! A request names its class, from which follows how its reply is read: what a pop returns has
//! left the keyspace, what a move returns has not.
//! Neighbours: `world` sends these and reads the replies.

use fastrand::Rng;

/// Lists, sorted sets and streams that are played with, in each of two databases.
pub const LISTS: [&str; 4] = ["l0", "l1", "l2", "l3"];
/// The sorted sets.
pub const SORTED_SETS: [&str; 2] = ["z0", "z1"];
/// The stream, which has the group `g`.
pub const STREAM: &str = "x0";

/// How a reply is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// It tells nothing.
    Plain,
    /// A push of this token, which is there when the reply is a number.
    Push(String),
    /// What it returns has left the keyspace.
    Pop,
    /// What it returns is in another list now.
    Move,
    /// A reader of the group: what it returns was delivered.
    Deliver,
    /// A counter was read under WATCH.
    Read,
    /// EXEC of a counter's next value.
    Count,
    /// EXEC of a push of two tokens, each followed by the length of its list.
    Exec([String; 2]),
}

/// Which type a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A list.
    List,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

impl Type {
    /// As TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its words.
    pub words: Vec<String>,
    /// How its reply is read.
    pub class: Class,
    /// The type and the keys that it may wait for.
    pub waits: Option<(Type, Vec<String>)>,
}

impl Request {
    /// A request that does not wait.
    pub fn new(line: &str, class: Class) -> Self {
        Self { words: line.split(' ').map(str::to_owned).collect(), class, waits: None }
    }

    fn waiting(line: &str, class: Class, kind: Type, keys: &[&str]) -> Self {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Self { waits: Some((kind, keys)), ..Self::new(line, class) }
    }
}

/// Makes requests and tokens.
pub struct Maker {
    /// The source of all choices.
    pub rng: Rng,
    tokens: u64,
}

impl Maker {
    /// A maker for a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), tokens: 0 }
    }

    /// One of several.
    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.usize(..from.len())]
    }

    fn token(&mut self) -> String {
        self.tokens += 1;
        format!("t{}", self.tokens)
    }

    fn timeout(&mut self) -> String {
        match self.rng.u32(..3) {
            0 => "0".to_owned(),
            _ => format!("0.{:03}", self.rng.u32(1..120)),
        }
    }

    fn several<'a>(&mut self, from: &[&'a str]) -> Vec<&'a str> {
        (0..self.rng.usize(1..4)).map(|_| self.pick(from)).collect()
    }

    /// A push of a fresh token.
    pub fn push(&mut self) -> Request {
        let token = self.token();
        let line = match self.rng.u32(..6) {
            0 | 1 => format!("RPUSH {} {token}", self.pick(&LISTS)),
            2 => format!("LPUSH {} {token}", self.pick(&LISTS)),
            3 | 4 => format!("ZADD {} {} {token}", self.pick(&SORTED_SETS), self.rng.u32(..9)),
            _ => return Request::new(&format!("XADD {STREAM} * f {token}"), Class::Plain),
        };
        Request::new(&line, Class::Push(token))
    }

    /// A request that may wait.
    pub fn wait(&mut self) -> Request {
        let timeout = self.timeout();
        match self.rng.u32(..9) {
            0..3 => {
                let (name, keys) = (self.pick(&["BLPOP", "BRPOP"]), self.several(&LISTS));
                let line = format!("{name} {} {timeout}", keys.join(" "));
                Request::waiting(&line, Class::Pop, Type::List, &keys)
            }
            3 => {
                let keys = self.several(&LISTS);
                let (count, names) = (keys.len(), keys.join(" "));
                let line = format!("BLMPOP {timeout} {count} {names} LEFT COUNT 2");
                Request::waiting(&line, Class::Pop, Type::List, &keys)
            }
            4 | 5 => {
                let (from, to) = (self.pick(&LISTS), self.pick(&LISTS));
                let line = format!("BLMOVE {from} {to} LEFT RIGHT {timeout}");
                Request::waiting(&line, Class::Move, Type::List, &[from])
            }
            6 | 7 => {
                let (name, keys) =
                    (self.pick(&["BZPOPMIN", "BZPOPMAX"]), self.several(&SORTED_SETS));
                let line = format!("{name} {} {timeout}", keys.join(" "));
                Request::waiting(&line, Class::Pop, Type::SortedSet, &keys)
            }
            _ => {
                let ms = self.rng.u32(..100);
                let line =
                    format!("XREADGROUP GROUP g c COUNT 1 BLOCK {ms} NOACK STREAMS {STREAM} >");
                Request::waiting(&line, Class::Deliver, Type::Stream, &[STREAM])
            }
        }
    }

    /// A request or several that do not wait.
    pub fn brief(&mut self) -> Vec<Request> {
        let (list, set) = (self.pick(&LISTS), self.pick(&SORTED_SETS));
        let other = self.pick(&LISTS);
        match self.rng.u32(..100) {
            0..40 => (0..self.rng.usize(1..4)).map(|_| self.push()).collect(),
            40..55 => self.transaction(),
            55..65 => vec![Request::new(&format!("LMOVE {list} {other} RIGHT LEFT"), Class::Move)],
            65..73 => vec![Request::new(&format!("LPOP {list} 2"), Class::Pop)],
            73..79 => vec![Request::new(&format!("ZPOPMIN {set}"), Class::Pop)],
            79..86 => vec![Request::new(&format!("RENAMENX {list} {other}"), Class::Plain)],
            86..90 => vec![Request::new(&format!("MOVE {list} 1"), Class::Plain)],
            90..94 => vec![Request::new(&format!("SET {list} string NX PX 30"), Class::Plain)],
            94..97 => vec![Request::new("SWAPDB 0 1", Class::Plain)],
            _ => {
                vec![Request::new(&format!("XGROUP CREATE {STREAM} g $ MKSTREAM"), Class::Plain)]
            }
        }
    }

    fn transaction(&mut self) -> Vec<Request> {
        let (a, b) = (self.pick(&LISTS), self.pick(&LISTS));
        let tokens = [self.token(), self.token()];
        let lines = [
            "MULTI".to_owned(),
            format!("RPUSH {a} {}", tokens[0]),
            format!("LLEN {a}"),
            format!("RPUSH {b} {}", tokens[1]),
            format!("LLEN {b}"),
        ];
        let plain = lines.iter().map(|line| Request::new(line, Class::Plain));
        plain.chain([Request::new("EXEC", Class::Exec(tokens))]).collect()
    }
}
