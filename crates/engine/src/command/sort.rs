//! SORT: the elements of a list, a set or a sorted set in order, or what they point to.
//!
//! Elements and what they are sorted by are copied into one buffer, since the keys that patterns
//! name are looked up meanwhile, each as a read of its own that counts and expires. A request
//! with patterns therefore holds every shard; without them it needs only its key. Only what LIMIT
//! leaves is sorted: it is selected in linear time.
//!
//! Numbers of equal size are ordered by the bytes of their elements, so that a result is the same
//! every time. BY without a `*` means no order: lists and sorted sets keep theirs, and so do sets
//! unless they are stored. Transcripts: `tests/transcripts/generic/sort.txt`.

use std::cmp::Ordering;
use std::ops::Range;

use pannier_resp::{Args, parse_f64};
use pannier_store::{End, Hash, Key, Kind, List, Piece, Set, SortedSet, StrBuffer, class};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::list::limits;
use super::row::{Command, Context, Done, Group, categories, flags, reply_string};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[SORT, SORT_RO];

const COMPLEXITY: &str = "O(N+M*log(M)) with N the number of elements and M the number of \
    returned ones, and O(N) without an order";

const SORT: Command = Command {
    name: "sort",
    since: "1.0.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::DENYOOM | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::SET | categories::SORTEDSET | categories::LIST | categories::DANGEROUS,
    keys: &[
        KeySpec::one(1, access::RO | access::ACCESS),
        KeySpec::unknown(access::RO | access::ACCESS)
            .noted("For BY and GET: the names follow from what the key holds."),
        KeySpec::unknown(access::OW | access::UPDATE).noted("For STORE, which may stand anywhere."),
    ],
    destination: Some(destination),
    looks_further: Some(looks_further),
    syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] \
             [ASC | DESC] [ALPHA] [STORE destination]",
    summary: "Sorts the elements of a list, a set or a sorted set, and may store the result.",
    complexity: COMPLEXITY,
    handler: sort,
    ..Command::DEFAULT
};

const SORT_RO: Command = Command {
    name: "sort_ro",
    since: "7.0.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::MOVABLE_KEYS | flags::READONLY,
    categories: categories::SET | categories::SORTEDSET | categories::LIST | categories::DANGEROUS,
    keys: &[
        KeySpec::one(1, access::RO | access::ACCESS),
        KeySpec::unknown(access::RO | access::ACCESS)
            .noted("For BY and GET: the names follow from what the key holds."),
    ],
    looks_further: Some(looks_further),
    syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] \
             [ASC | DESC] [ALPHA]",
    summary: "Sorts the elements of a list, a set or a sorted set.",
    complexity: COMPLEXITY,
    handler: sort_ro,
    ..Command::DEFAULT
};

/// Where the key stands under which the result is stored: behind the last STORE.
fn destination(args: Args<'_>) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while at + 1 < args.len() {
        at += match args.get(at) {
            word if is(word, "limit") => 3,
            word if is(word, "by") || is(word, "get") => 2,
            word if is(word, "store") => {
                found = Some(at + 1);
                2
            }
            _ => 1,
        };
    }
    found
}

/// Whether a pattern may name other keys.
fn looks_further(args: Args<'_>) -> bool {
    (3..args.len()).any(|at| {
        let word = args.get(at - 1);
        (is(word, "by") || is(word, "get")) && args.get(at).contains(&b'*')
    })
}

/// A request, read from its words.
#[derive(Default)]
struct Request<'a> {
    by: Option<&'a [u8]>,
    /// Some BY had no `*`.
    unordered: bool,
    gets: SmallVec<[&'a [u8]; 4]>,
    offset: i64,
    count: Option<i64>,
    descending: bool,
    alpha: bool,
    store: Option<usize>,
}

impl<'a> Request<'a> {
    fn read(args: Args<'a>, may_store: bool) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut words = Options::new(args, 2);
        while let Some(word) = words.next() {
            let left = words.left();
            if is(word, "asc") {
                request.descending = false;
            } else if is(word, "desc") {
                request.descending = true;
            } else if is(word, "alpha") {
                request.alpha = true;
            } else if is(word, "limit") && left > 1 {
                request.offset = integer(words.value()?)?;
                request.count = Some(integer(words.value()?)?);
            } else if is(word, "store") && left > 0 && may_store {
                request.store = Some(args.len() - left);
                words.value()?;
            } else if is(word, "by") && left > 0 {
                let pattern = words.value()?;
                request.unordered |= Pattern::of(pattern).is_none();
                request.by = Some(pattern);
            } else if is(word, "get") && left > 0 {
                request.gets.push(words.value()?);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(request)
    }

    /// The part of `len` elements that LIMIT leaves.
    fn part(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        // A negative count means all.
        let count = self.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// Text in the buffer of a request.
type Text = Range<usize>;

/// An element, and what it is sorted by.
struct Element {
    text: Text,
    score: f64,
    /// The text it is sorted by, if a pattern says so and names one.
    by: Option<Text>,
}

fn sort(cx: &mut Context<'_>) -> Result<Done, Error> {
    let request = Request::read(cx.args, true)?;
    run(cx, request)
}

fn sort_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    let request = Request::read(cx.args, false)?;
    run(cx, request)
}

fn run(cx: &mut Context<'_>, mut request: Request<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let kind = match cx.view.read(db, key).map(|found| found.kind()) {
        Some(Kind::String | Kind::Hash | Kind::Stream) => return Err(Error::WRONG_TYPE),
        kind => kind,
    };
    let mut ordered = !request.unordered;
    let lasts = request.store.is_some() || cx.view.is_nested();
    if !ordered && kind == Some(Kind::Set) && lasts {
        // What is stored, and what a script sees, must not depend on the order in which a set
        // happens to lie.
        (ordered, request.alpha, request.by) = (true, true, None);
    }
    let (mut buffer, mut elements) = (Vec::new(), Vec::new());
    let mut part = load(cx, key, (&request, ordered), |piece| {
        let text = append(&mut buffer, piece);
        elements.push(Element { text, score: 0.0, by: None });
    })?;
    if ordered {
        weigh(cx, &request, &mut buffer, &mut elements)?;
        part = request.part(elements.len());
        select(&request, &buffer, &mut elements, part.clone());
    }
    let chosen = &elements[part];
    match request.store {
        Some(destination) => store(cx, cx.key(destination), &request, (&mut buffer, chosen)),
        None => {
            cx.reply.array(chosen.len() * request.gets.len().max(1));
            reply(cx, &request, &buffer, chosen);
            Ok(Done::Replied)
        }
    }
}

/// Hands the elements of a key to `take`; those of a list or a sorted set that are in no
/// order only as far as LIMIT needs. Returns the part of what was taken that LIMIT leaves.
fn load(
    cx: &Context<'_>,
    key: Key<'_>,
    (request, ordered): (&Request<'_>, bool),
    mut take: impl FnMut(Piece<'_>),
) -> Result<Range<usize>, Error> {
    let Some(found) = cx.view.again(cx.db(), key) else { return Ok(0..0) };
    match found.kind() {
        Kind::List => {
            let list = found.collection::<List>()?;
            let part = if ordered { 0..list.len() } else { request.part(list.len()) };
            let (from, first) = match request.descending && !ordered {
                true => (End::Right, list.len() - 1 - part.start.min(list.len() - 1)),
                false => (End::Left, part.start),
            };
            let mut left = part.len();
            if left > 0 {
                list.visit(from, first, |piece| {
                    take(piece);
                    left -= 1;
                    left > 0
                });
            }
            Ok(0..part.len())
        }
        Kind::SortedSet => {
            let set = found.collection::<SortedSet>()?;
            let len = set.len();
            let part = if ordered { 0..len } else { request.part(len) };
            if request.descending && !ordered {
                let ranks = len - part.end..len - part.start;
                set.range(ranks).rev().for_each(|(member, _)| take(member));
            } else {
                set.range(part.clone()).for_each(|(member, _)| take(member));
            }
            Ok(0..part.len())
        }
        _ => {
            let set = found.collection::<Set>()?;
            set.for_each(take);
            Ok(request.part(set.len()))
        }
    }
}

/// Finds what each element is sorted by.
fn weigh(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    buffer: &mut Vec<u8>,
    elements: &mut [Element],
) -> Result<(), Error> {
    let pattern = request.by.and_then(Pattern::of);
    let (mut scratch, mut unreadable) = (Vec::new(), false);
    for element in elements {
        let found = match &pattern {
            None => Some(element.text.clone()),
            Some(pattern) => {
                let start = buffer.len();
                let name = pattern.name(&buffer[element.text.clone()], &mut scratch);
                let found = look(cx, (pattern, name), |piece| {
                    append(buffer, piece);
                });
                found.then_some(start..buffer.len())
            }
        };
        if request.alpha {
            element.by = found;
        } else if let Some(text) = found {
            match parse_f64(&buffer[text]) {
                Some(score) => element.score = score,
                None => unreadable = true,
            }
        }
    }
    if unreadable {
        return Err(Error::new("ERR One or more scores can't be converted into double"));
    }
    Ok(())
}

/// Brings the elements of a part into order, and no others.
fn select(request: &Request<'_>, buffer: &[u8], elements: &mut [Element], part: Range<usize>) {
    let text = |text: &Text| &buffer[text.clone()];
    let compare = |a: &Element, b: &Element| {
        let order = if request.alpha {
            // What has nothing to be sorted by comes first.
            a.by.as_ref().map(text).cmp(&b.by.as_ref().map(text))
        } else {
            let order = a.score.partial_cmp(&b.score).unwrap_or(Ordering::Equal);
            order.then_with(|| text(&a.text).cmp(text(&b.text)))
        };
        if request.descending { order.reverse() } else { order }
    };
    if part.is_empty() {
        return;
    }
    let whole = part == (0..elements.len());
    if !whole && part.end < elements.len() {
        elements.select_nth_unstable_by(part.end, compare);
    }
    if !whole && part.start > 0 {
        elements[..part.end].select_nth_unstable_by(part.start, compare);
    }
    elements[part].sort_by(compare);
}

/// Writes the elements, or what the patterns of GET find for each.
fn reply(cx: &mut Context<'_>, request: &Request<'_>, buffer: &[u8], elements: &[Element]) {
    let patterns: SmallVec<[Get<'_>; 4]> = request.gets.iter().map(|get| Get::of(get)).collect();
    let mut scratch = Vec::new();
    for element in elements {
        let text = &buffer[element.text.clone()];
        if patterns.is_empty() {
            cx.reply.bulk(text);
        }
        for get in &patterns {
            match get {
                Get::Element => cx.reply.bulk(text),
                Get::Nothing => cx.reply.null(),
                Get::Pattern(pattern) => {
                    let name = pattern.name(text, &mut scratch);
                    reply_found(cx, pattern, name);
                }
            }
        }
    }
}

/// Stores the elements, or what the patterns of GET find for each, as a list.
fn store(
    cx: &mut Context<'_>,
    destination: Key<'_>,
    request: &Request<'_>,
    (buffer, elements): (&mut Vec<u8>, &[Element]),
) -> Result<Done, Error> {
    let patterns: SmallVec<[Get<'_>; 4]> = request.gets.iter().map(|get| Get::of(get)).collect();
    let mut scratch = Vec::new();
    let mut texts: Vec<Text> = Vec::new();
    for element in elements {
        if patterns.is_empty() {
            texts.push(element.text.clone());
        }
        for get in &patterns {
            let start = buffer.len();
            match get {
                Get::Element => {
                    texts.push(element.text.clone());
                    continue;
                }
                Get::Nothing => {}
                Get::Pattern(pattern) => {
                    let name = pattern.name(&buffer[element.text.clone()], &mut scratch);
                    look(cx, (pattern, name), |piece| {
                        append(buffer, piece);
                    });
                }
            }
            // What was not found is empty.
            texts.push(start..buffer.len());
        }
    }
    let (db, limits) = (cx.db(), limits(cx));
    let made = cx.view.make::<List>(destination, &limits, |list| {
        if !texts.is_empty() {
            list.push(End::Right, texts.iter().map(|text| &buffer[text.clone()]));
        }
    });
    match made {
        Some(made) => {
            cx.view.put_elements(db, destination, made, texts.len());
            cx.notify(class::LIST, "sortstore", destination);
        }
        None if cx.view.remove(db, destination) => {
            cx.notify(class::GENERIC, "del", destination);
        }
        None => {}
    }
    cx.int(texts.len() as i64)
}

/// What one GET asks for.
enum Get<'a> {
    /// The element itself.
    Element,
    /// A pattern that names no key.
    Nothing,
    Pattern(Pattern<'a>),
}

impl<'a> Get<'a> {
    fn of(pattern: &'a [u8]) -> Self {
        match Pattern::of(pattern) {
            _ if c_string(pattern) == b"#" => Self::Element,
            Some(pattern) => Self::Pattern(pattern),
            None => Self::Nothing,
        }
    }
}

/// A pattern: the name of a key with the element in place of its first `*`, and perhaps, behind
/// `->`, a field of the hash there.
struct Pattern<'a> {
    before: &'a [u8],
    after: &'a [u8],
    field: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    /// The pattern, if it has a `*`. A zero byte ends where `*` and `->` are looked for.
    fn of(pattern: &'a [u8]) -> Option<Self> {
        let searched = c_string(pattern);
        let star = searched.iter().position(|byte| *byte == b'*')?;
        let rest = star + 1;
        let arrow = searched[rest..].windows(2).position(|pair| pair == b"->");
        let arrow = arrow.map(|at| rest + at).filter(|at| at + 2 < searched.len());
        Some(Self {
            before: &pattern[..star],
            after: &pattern[rest..arrow.unwrap_or(pattern.len())],
            field: arrow.map(|at| &pattern[at + 2..]),
        })
    }

    /// The name for an element, written over what `buffer` held.
    fn name<'b>(&self, element: &[u8], buffer: &'b mut Vec<u8>) -> &'b [u8] {
        buffer.clear();
        buffer.extend_from_slice(self.before);
        buffer.extend_from_slice(element);
        buffer.extend_from_slice(self.after);
        buffer
    }
}

/// The text up to its first zero byte.
fn c_string(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Hands what a pattern finds under a name to `take`; false if it finds nothing.
fn look(
    cx: &mut Context<'_>,
    (pattern, name): (&Pattern<'_>, &[u8]),
    take: impl FnOnce(Piece<'_>),
) -> bool {
    let (db, key) = (cx.db(), cx.view.key(name));
    let Some(found) = cx.view.read(db, key) else { return false };
    match pattern.field {
        None => {
            let value = found.string();
            value.map(|value| take(Piece::Bytes(value.as_bytes(&mut StrBuffer::new())))).is_ok()
        }
        Some(field) => {
            let hash = found.collection::<Hash>().ok();
            hash.and_then(|hash| hash.get(field)).map(take).is_some()
        }
    }
}

/// Writes what a pattern finds under a name.
fn reply_found(cx: &mut Context<'_>, pattern: &Pattern<'_>, name: &[u8]) {
    let (db, key) = (cx.db(), cx.view.key(name));
    let found = cx.view.read(db, key);
    let reply = &mut *cx.reply;
    let written = found.and_then(|found| match pattern.field {
        None => found.string().ok().map(|value| reply_string(reply, value)),
        Some(field) => {
            let value = found.collection::<Hash>().ok()?.get(field)?;
            reply.bulk(value.as_bytes(&mut itoa::Buffer::new()));
            Some(())
        }
    });
    if written.is_none() {
        cx.reply.null();
    }
}

/// Appends a piece to the buffer; says where it lies.
fn append(buffer: &mut Vec<u8>, piece: Piece<'_>) -> Text {
    let start = buffer.len();
    buffer.extend_from_slice(piece.as_bytes(&mut itoa::Buffer::new()));
    start..buffer.len()
}
