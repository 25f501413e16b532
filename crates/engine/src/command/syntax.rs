//! Syntax lines: the notation of the reference, read into a tree and written back.
//!
//! A row states its arguments once, as the line that people read:
//! `key [NX | XX] [EX seconds | PX milliseconds] [key value ...] <A | B>`. COMMAND DOCS, from which
//! clients draw hints, needs them as a tree, so the line is parsed instead of being declared a
//! second time. The alternative, trees as constants, was longer and could contradict the line.
//!
//! The notation: a word with a lower-case letter stands for a value, any other word (`NX`, `*`) is
//! a token, sent as it is. A token belongs to the value behind it. Brackets enclose what may be
//! left out, angle brackets a choice that must be made; `|` separates alternatives. What may be
//! repeated is followed by itself in brackets with `...`: `key [key ...]`. The repetition shows
//! whether the token is repeated too: `GET p [GET p ...]`, `GET p [p ...]`. In brackets, two
//! tokens before a `|` are the token of the choice and the first alternative:
//! `[AGGREGATE SUM | MIN]`.
//!
//! Rule: what was parsed renders to the very same line. Neighbours: `docs` turns the tree into the
//! reply; `tests` holds arity against it. Tested here, on awkward lines of the real server's list.

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node<'a> {
    /// The word that announces it.
    pub(super) token: Option<&'a str>,
    /// What it consists of.
    pub(super) body: Body<'a>,
    /// May be left out.
    pub(super) optional: bool,
    /// How it may be repeated.
    pub(super) repeat: Repeat,
}

/// What an argument consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// Its token alone.
    Token,
    /// One value of this name.
    Value(&'a str),
    /// One of these.
    OneOf(Vec<Node<'a>>),
    /// All of these, in this order.
    Block(Vec<Node<'a>>),
}

/// How an argument may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Not at all.
    Never,
    /// Without its token.
    Body,
    /// With its token.
    Token,
    /// Written as `[name ...]` without a first occurrence.
    Bare,
}

/// Why a line is not in the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(String);

/// Parses a line.
pub(super) fn parse(line: &str) -> Result<Vec<Node<'_>>, Malformed> {
    let mut parser = Parser { line, words: words(line) };
    let nodes = parser.sequence()?;
    match (parser.peek(), nodes.whole) {
        (None, None) => Ok(nodes.list),
        _ => Err(parser.malformed()),
    }
}

/// How many words an argument list takes at least, and whether it never takes more.
pub(super) fn least_words(nodes: &[Node<'_>]) -> (usize, bool) {
    nodes
        .iter()
        .map(Node::least_words)
        .fold((0, true), |(sum, all), (n, exact)| (sum + n, all && exact))
}

impl<'a> Node<'a> {
    fn of(token: Option<&'a str>, body: Body<'a>) -> Self {
        Self { token, body, optional: false, repeat: Repeat::Never }
    }

    /// One node for a list of them.
    fn joined(mut list: Vec<Self>) -> Self {
        match list.pop() {
            Some(only) if list.is_empty() => only,
            Some(last) => {
                list.push(last);
                Self::of(None, Body::Block(list))
            }
            None => Self::of(None, Body::Block(list)),
        }
    }

    fn optional(self) -> Self {
        // What is optional already becomes part of a block, or a pair of brackets would be lost.
        let inner = if self.optional { Self::of(None, Body::Block(vec![self])) } else { self };
        Self { optional: true, ..inner }
    }

    /// Takes the token off the first word, if one stands there before something else.
    fn strip(&mut self) -> Option<&'a str> {
        if self.optional {
            return None;
        }
        match &mut self.body {
            Body::Token => None,
            Body::Block(list) if self.token.is_none() => list.first_mut()?.strip(),
            _ => self.token.take(),
        }
    }

    /// As [`least_words`] for one argument.
    pub(super) fn least_words(&self) -> (usize, bool) {
        if self.optional {
            return (0, false);
        }
        let (body, exact) = match &self.body {
            Body::Token => (0, true),
            Body::Value(_) => (1, true),
            Body::Block(list) => least_words(list),
            Body::OneOf(list) => {
                let each: Vec<(usize, bool)> = list.iter().map(Node::least_words).collect();
                // A choice that must be made is at least a word.
                let least = each.iter().map(|(n, _)| *n).min().unwrap_or(1).max(1);
                (least, each.iter().all(|one| *one == (least, true)))
            }
        };
        (body + usize::from(self.token.is_some()), exact && self.repeat == Repeat::Never)
    }
}

/// What stands between two brackets or bars.
struct Sequence<'a> {
    list: Vec<Node<'a>>,
    /// A repetition that belongs to the whole choice around it.
    whole: Option<Vec<Node<'a>>>,
}

struct Parser<'a> {
    line: &'a str,
    /// The words that are left, last first.
    words: Vec<&'a str>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.last().copied()
    }

    fn expect(&mut self, word: &str) -> Result<(), Malformed> {
        if self.peek() == Some(word) {
            self.words.pop();
            return Ok(());
        }
        Err(self.malformed())
    }

    fn malformed(&self) -> Malformed {
        Malformed(format!("'{}': unexpected {:?}", self.line, self.peek()))
    }

    fn sequence(&mut self) -> Result<Sequence<'a>, Malformed> {
        let mut list: Vec<Node<'a>> = Vec::new();
        let mut whole = None;
        while let Some(word) = self.peek() {
            match word {
                "[" => match self.brackets(&mut list)? {
                    None => {}
                    unresolved => {
                        whole = unresolved;
                        break;
                    }
                },
                "<" => {
                    self.words.pop();
                    let (alternatives, whole) = self.choice()?;
                    self.expect(">")?;
                    if whole.is_some() {
                        return Err(self.malformed());
                    }
                    list.push(Node::of(None, Body::OneOf(alternatives)));
                }
                "]" | ">" | "|" | "..." => break,
                _ => list.push(self.word()),
            }
        }
        if list.is_empty() && !self.words.is_empty() {
            Err(self.malformed())
        } else {
            Ok(Sequence { list, whole })
        }
    }

    fn word(&mut self) -> Node<'a> {
        let word = self.words.pop().unwrap_or_default();
        if !is_token(word) {
            return Node::of(None, Body::Value(word));
        }
        match self.peek() {
            Some(value) if is_value(value) => {
                self.words.pop();
                Node::of(Some(word), Body::Value(value))
            }
            _ => Node::of(Some(word), Body::Token),
        }
    }

    /// Alternatives up to the closing bracket, and a repetition of all of them.
    fn choice(&mut self) -> Result<(Vec<Node<'a>>, Option<Vec<Node<'a>>>), Malformed> {
        let mut alternatives = Vec::new();
        loop {
            let Sequence { list, whole } = self.sequence()?;
            alternatives.push(Node::joined(list));
            if whole.is_some() || self.peek() != Some("|") {
                return Ok((alternatives, whole));
            }
            self.words.pop();
        }
    }

    /// Brackets: something optional, which is added to the list; or a repetition of what the list
    /// ends with; or one that belongs to the choice around it, which is returned.
    fn brackets(&mut self, list: &mut Vec<Node<'a>>) -> Result<Option<Vec<Node<'a>>>, Malformed> {
        self.expect("[")?;
        let (mut alternatives, whole) = self.choice()?;
        if self.peek() == Some("...") {
            self.words.pop();
            self.expect("]")?;
            if alternatives.len() > 1 {
                return Ok(Some(alternatives));
            }
            repeat(list, alternatives.remove(0));
            return Ok(None);
        }
        self.expect("]")?;
        if alternatives.len() == 1 {
            list.push(alternatives.remove(0).optional());
            return if whole.is_none() { Ok(None) } else { Err(self.malformed()) };
        }
        let same = whole.as_ref() == Some(&alternatives);
        let token = choice_token(&mut alternatives);
        let repeat = match whole {
            None => Repeat::Never,
            Some(_) if same && token.is_some() => Repeat::Token,
            Some(all) if same || all == alternatives => Repeat::Body,
            Some(_) => return Err(self.malformed()),
        };
        list.push(Node { token, body: Body::OneOf(alternatives), optional: true, repeat });
        Ok(None)
    }
}

/// Takes the token of the whole choice off its first alternative.
fn choice_token<'a>(alternatives: &mut [Node<'a>]) -> Option<&'a str> {
    let Body::Block(list) = &mut alternatives[0].body else { return None };
    let announces = list[0].body == Body::Token && !list[0].optional;
    if !announces || list[1].token.is_none() || list[1].optional {
        return None;
    }
    let token = list.remove(0).token;
    let rest = std::mem::take(list);
    alternatives[0] = Node::joined(rest);
    token
}

/// Marks what a list ends with as repeated, if the repetition says the same.
fn repeat<'a>(list: &mut Vec<Node<'a>>, tail: Node<'a>) {
    let count = match &tail.body {
        Body::Block(nodes) if tail.token.is_none() => nodes.len(),
        _ => 1,
    };
    let start = list.len().saturating_sub(count);
    let mut last = Node::joined(list[start..].to_vec());
    let whole = last == tail;
    let token = last.strip();
    let node = if whole && last.body == Body::Token {
        Node { repeat: Repeat::Token, ..last }
    } else if whole || (token.is_some() && last == tail) {
        let repeat = if whole && token.is_some() { Repeat::Token } else { Repeat::Body };
        Node { token, repeat, ..last }
    } else {
        list.push(Node { repeat: Repeat::Bare, optional: true, ..tail });
        return;
    };
    list.truncate(start);
    list.push(node);
}

/// The words and brackets of a line, last first.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for part in line.split(' ').filter(|part| !part.is_empty()) {
        let mut rest = part;
        while !rest.is_empty() {
            let at = rest.find(['[', ']', '<', '>']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(if at == 0 { 1 } else { at });
            words.push(word);
            rest = after;
        }
    }
    words.reverse();
    words
}

fn is_token(word: &str) -> bool {
    !word.contains(|letter: char| letter.is_ascii_lowercase())
}

fn is_value(word: &str) -> bool {
    !is_token(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::all;

    /// Lines of the real server that are not like all others.
    const AWKWARD: &[&str] = &[
        "",
        "key",
        "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        "key [start [end [BYTE | BIT]]]",
        "<AND | OR | XOR | NOT> destkey key [key ...]",
        "key [GET encoding offset [get-block ...]]",
        "key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] <SET encoding offset value | \
         INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] \
         <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        "start-slot end-slot [start-slot end-slot ...]",
        "SLOTSRANGE start-slot end-slot [start-slot end-slot ...] NODE node-id [SLOTSRANGE \
         start-slot end-slot [start-slot end-slot ...] NODE node-id ...]",
        "<node-id | NO ONE>",
        "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE> [TIMEOUT timeout]",
        "<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>",
        "<ip:port | <[ID client-id [client-id ...]] | [TYPE NORMAL | MASTER] | [USER username]> \
         [<[ID client-id [client-id ...]] | [TYPE NORMAL | MASTER] | [USER username]> ...]>",
        "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [prefix ...]] [BCAST] [OPTIN]",
        "[protover [AUTH username password] [SETNAME clientname]]",
        "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 \
         username password] [KEYS key [key ...]]",
        "key [BY pattern] [LIMIT offset count] [GET pattern [pattern ...]] [ASC | DESC] [ALPHA]",
        "key [BY pattern] [GET pattern [GET pattern ...]] [STORE destination]",
        "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        "key [FROMMEMBER member | FROMLONLAT longitude latitude] <BYRADIUS radius <M | KM | FT | \
         MI> | BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude \
         [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]]",
        "key FIELDS numfields field value [field value ...]",
        "key [element [element ...]]",
        "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        "script numkeys [key [key ...]] [arg [arg ...]]",
        "[count | RESET]",
        "[FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]",
        "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
        "path [CONFIG name value [configs ...]] [ARGS args [args ...]]",
        "[[NOSAVE | SAVE] [NOW] [FORCE] [SAFE] [FAILOVER] | ABORT]",
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
        "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value \
         [field value ...]",
        "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
        "key group [[IDLE min-idle-time] start end count [consumer]]",
        "GROUP group consumer [COUNT count] [NOACK] STREAMS key [key ...] id [id ...]",
        "[section [section ...]]",
        "subcommand [argument ...]",
    ];

    /// Writes arguments as a line.
    fn render(nodes: &[Node<'_>]) -> String {
        let parts: Vec<String> = nodes.iter().map(Node::render).collect();
        parts.join(" ")
    }

    impl Node<'_> {
        fn render(&self) -> String {
            let body = self.render_body();
            let head = self.token.unwrap_or_default();
            let with_token = [head, &body].join(" ");
            let with_token = with_token.trim();
            let text = match self.repeat {
                Repeat::Never => with_token.to_owned(),
                Repeat::Bare => format!("{with_token} ..."),
                Repeat::Body => format!("{with_token} [{body} ...]"),
                Repeat::Token => format!("{with_token} [{with_token} ...]"),
            };
            if self.optional { format!("[{text}]") } else { text }
        }

        fn render_body(&self) -> String {
            match &self.body {
                Body::Token => String::new(),
                Body::Value(name) => (*name).to_owned(),
                Body::Block(list) => render(list),
                Body::OneOf(list) => {
                    let parts: Vec<String> = list.iter().map(Node::render).collect();
                    let text = parts.join(" | ");
                    if self.optional { text } else { format!("<{text}>") }
                }
            }
        }
    }

    fn parsed(line: &str) -> Vec<Node<'_>> {
        parse(line).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn awkward_lines_render_to_themselves() {
        for line in AWKWARD {
            assert_eq!(render(&parsed(line)), *line);
        }
    }

    #[test]
    fn every_row_s_line_renders_to_itself() {
        for row in all().flat_map(|row| std::iter::once(row).chain(row.subcommands)) {
            assert_eq!(render(&parsed(row.syntax)), row.syntax, "{}", row.name);
        }
    }

    #[test]
    fn a_token_is_repeated_only_where_it_is_shown_again() {
        let [once] = &parsed("GET pattern [pattern ...]")[..] else { panic!() };
        assert_eq!((once.token, once.repeat), (Some("GET"), Repeat::Body));
        let [again] = &parsed("GET pattern [GET pattern ...]")[..] else { panic!() };
        assert_eq!((again.token, again.repeat), (Some("GET"), Repeat::Token));
        let [block] = &parsed("RANGE from to [from to ...]")[..] else { panic!() };
        assert_eq!((block.token, block.repeat), (Some("RANGE"), Repeat::Body));
        let [choice] = &parsed("[A x | B y [A x | B y ...]]")[..] else { panic!() };
        assert_eq!((choice.token, choice.repeat), (None, Repeat::Body));
    }

    #[test]
    fn a_choice_in_brackets_can_have_a_token() {
        let [node] = &parsed("[AGGREGATE SUM | MIN]")[..] else { panic!() };
        assert_eq!(node.token, Some("AGGREGATE"));
        assert!(matches!(&node.body, Body::OneOf(list) if list.len() == 2));
        let [node] = &parsed("[AUTH password | AUTH2 username password]")[..] else { panic!() };
        assert_eq!(node.token, None);
    }

    #[test]
    fn words_are_counted_as_arity_counts_them() {
        let least = |line| least_words(&parsed(line));
        assert_eq!(least(""), (0, true));
        assert_eq!(least("key seconds value"), (3, true));
        assert_eq!(least("key [key ...]"), (1, false));
        assert_eq!(least("<host port | NO ONE>"), (2, true));
        assert_eq!(least("slot <NODE node-id | STABLE>"), (2, false));
        assert_eq!(least("<[ID client-id] | [USER username]>"), (1, false));
        assert_eq!(least("FIELDS numfields field [field ...] [NX | XX]"), (3, false));
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in
            ["[key", "key]", "<A | B", "[A |]", "| A", "[]", "...", "A ...", "[A | B [A ...] ["]
        {
            assert!(parse(line).is_err(), "{line}: {:?}", parse(line));
        }
    }
}
