//! The row of a command, and what its handler is given.
//!
//! Rows are plain `const` data with `Command::DEFAULT` filling what a command does not mention, so
//! that go-to-definition works and a contradiction is found by the test over the whole list.

use bytes::Bytes;
use pannier_resp::{Args, Reply, SHARED_MIN};
use pannier_store::{Classes, CompressedStr, Key, NewValue, Now, Piece, Str, View, class};
use smallvec::SmallVec;

use super::keys::{Access, Begin, KeySpec, access};
use crate::clients::Client;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::exec::Ahead;
use crate::session::Session;

/// The function behind a command.
pub type Handler = fn(&mut Context<'_>) -> Result<Done, Error>;

/// What a handler leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The reply is written.
    Replied,
    /// The reply is written; limits may have been lowered, so evict what is over them.
    Trim,
    /// Run the session's queue (EXEC).
    RunQueue,
    /// The session has nothing to reply yet: it waits (`Session::wait` says for what).
    Wait,
    /// Close the connection after what was replied is written.
    Close,
}

/// Which group of the reference a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Bit operations on strings.
    Bitmap,
    /// About the connection.
    Connection,
    /// Keys of any type.
    Generic,
    /// Places on the globe.
    Geo,
    /// Hashes.
    Hash,
    /// Counts of distinct things, by HyperLogLog.
    HyperLogLog,
    /// Lists.
    List,
    /// Publishing and subscribing.
    PubSub,
    /// About the server.
    Server,
    /// Scripts and functions.
    Scripting,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// Strings.
    String,
    /// Transactions.
    Transactions,
}

impl Group {
    /// The name that COMMAND DOCS uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::HyperLogLog => "hyperloglog",
            Self::List => "list",
            Self::PubSub => "pubsub",
            Self::Scripting => "scripting",
            Self::Server => "server",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::String => "string",
            Self::Transactions => "transactions",
        }
    }
}

/// Command flags, a bit set; names as COMMAND prints them are in [`flags::NAMES`].
pub type Flags = u32;

/// The flags.
pub mod flags {
    use super::Flags;

    /// May change data.
    pub const WRITE: Flags = 1;
    /// Only reads data.
    pub const READONLY: Flags = 1 << 1;
    /// Refused when memory is short.
    pub const DENYOOM: Flags = 1 << 2;
    /// For administrators.
    pub const ADMIN: Flags = 1 << 3;
    /// Pub/sub.
    pub const PUBSUB: Flags = 1 << 4;
    /// Not from scripts.
    pub const NOSCRIPT: Flags = 1 << 5;
    /// May block the client.
    pub const BLOCKING: Flags = 1 << 6;
    /// Allowed while loading.
    pub const LOADING: Flags = 1 << 7;
    /// Allowed on a stale replica.
    pub const STALE: Flags = 1 << 8;
    /// Not shown to MONITOR.
    pub const SKIP_MONITOR: Flags = 1 << 9;
    /// Not logged as slow.
    pub const SKIP_COMMANDLOG: Flags = 1 << 10;
    /// Constant time, or logarithmic.
    pub const FAST: Flags = 1 << 11;
    /// Needs no authentication.
    pub const NO_AUTH: Flags = 1 << 12;
    /// May be sent by a primary to its replica in cluster import.
    pub const ASKING: Flags = 1 << 13;
    /// Keys are not at fixed positions.
    pub const MOVABLE_KEYS: Flags = 1 << 14;
    /// Allowed while a script is busy.
    pub const ALLOW_BUSY: Flags = 1 << 15;
    /// Not inside MULTI.
    pub const NO_MULTI: Flags = 1 << 16;
    /// Not while loading asynchronously.
    pub const NO_ASYNC_LOADING: Flags = 1 << 17;
    /// May have to be sent to replicas although it is no write: a pause of writes, a read-only
    /// script and a monitor take it for one.
    pub const MAY_REPLICATE: Flags = 1 << 18;

    /// It may be called without any key.
    pub const NO_MANDATORY_KEYS: Flags = 1 << 19;

    /// Flags and their names, in the order in which COMMAND prints them. It keeps
    /// `MAY_REPLICATE` to itself.
    pub const NAMES: &[(Flags, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_COMMANDLOG, "skip_commandlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (MOVABLE_KEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
        (NO_MULTI, "no_multi"),
    ];
}

/// ACL categories, a bit set.
pub type Categories = u32;

/// The categories that a row states; others follow from its flags (see [`Command::categories`]).
pub mod categories {
    use super::Categories;

    /// Keys of any type.
    pub const KEYSPACE: Categories = 1;
    /// Reads data.
    pub const READ: Categories = 1 << 1;
    /// Changes data.
    pub const WRITE: Categories = 1 << 2;
    /// Sets.
    pub const SET: Categories = 1 << 3;
    /// Sorted sets.
    pub const SORTEDSET: Categories = 1 << 4;
    /// Lists.
    pub const LIST: Categories = 1 << 5;
    /// Hashes.
    pub const HASH: Categories = 1 << 6;
    /// Strings.
    pub const STRING: Categories = 1 << 7;
    /// Bitmaps.
    pub const BITMAP: Categories = 1 << 8;
    /// HyperLogLogs.
    pub const HYPERLOGLOG: Categories = 1 << 9;
    /// Geospatial.
    pub const GEO: Categories = 1 << 10;
    /// Streams.
    pub const STREAM: Categories = 1 << 11;
    /// Pub/sub.
    pub const PUBSUB: Categories = 1 << 12;
    /// For administrators.
    pub const ADMIN: Categories = 1 << 13;
    /// Fast.
    pub const FAST: Categories = 1 << 14;
    /// Not fast.
    pub const SLOW: Categories = 1 << 15;
    /// May block.
    pub const BLOCKING: Categories = 1 << 16;
    /// Dangerous on a production server.
    pub const DANGEROUS: Categories = 1 << 17;
    /// About the connection.
    pub const CONNECTION: Categories = 1 << 18;
    /// Transactions.
    pub const TRANSACTION: Categories = 1 << 19;
    /// Scripts.
    pub const SCRIPTING: Categories = 1 << 20;

    /// Categories and their names, in the order in which Redis lists them.
    pub const NAMES: &[(Categories, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];
}

/// Which shards a command's handler needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// Those of the keys at its key positions.
    Keys,
    /// All of them, one after the other (SCAN, INFO); all at once inside a transaction.
    Each,
    /// All of them at once (KEYS, FLUSHALL, SWAPDB).
    Everything,
}

/// A command's row.
pub struct Command {
    /// Lower case; a sub-command is `container|name`.
    pub name: &'static str,
    /// Since which version of Redis (or Valkey) it exists.
    pub since: &'static str,
    /// Group of the reference.
    pub group: Group,
    /// Number of arguments, the name included; negative: at least so many. For a sub-command the
    /// container's name counts too.
    pub arity: i32,
    /// Flags.
    pub flags: Flags,
    /// Categories beyond those that follow from the flags.
    pub categories: Categories,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Where a key stands under which it stores its result, for a command whose key specifications
    /// cannot say (those that go by keywords do not count then).
    pub destination: Option<fn(Args<'_>) -> Option<usize>>,
    /// Whether its arguments make it look at keys that are no arguments, so that it needs every
    /// shard at once (SORT with patterns).
    pub looks_further: Option<fn(Args<'_>) -> bool>,
    /// How far behind each key the string stands that is stored under it as it is; 0 if none is.
    pub stores: usize,
    /// Where the first element of the collection at its key is named; 0 if none is. The executor
    /// loads it into the CPU's caches before it runs a pipeline.
    pub element: usize,
    /// Which shards it needs.
    pub opens: Opens,
    /// Whether it exists only where `test-mode` is on. Said by a container, it holds for all of it.
    pub test_only: bool,
    /// Its arguments, in the notation of the reference (without the name).
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its cost.
    pub complexity: &'static str,
    /// Tips for clients and proxies, as COMMAND INFO lists them.
    pub tips: &'static [&'static str],
    /// `(version, change)` pairs.
    pub history: &'static [(&'static str, &'static str)],
    /// Version in which it was deprecated and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// The function.
    pub handler: Handler,
    /// Rows of its sub-commands, for a container.
    pub subcommands: &'static [Self],
}

impl Command {
    /// What a row that says nothing says.
    pub const DEFAULT: Self = Self {
        name: "",
        since: "1.0.0",
        group: Group::Generic,
        arity: 1,
        flags: 0,
        categories: 0,
        keys: &[],
        destination: None,
        looks_further: None,
        stores: 0,
        element: 0,
        opens: Opens::Keys,
        test_only: false,
        syntax: "",
        summary: "",
        complexity: "O(1)",
        tips: &[],
        history: &[],
        deprecated: None,
        handler: container,
        subcommands: &[],
    };

    /// Whether `argc` arguments (the name included) fit.
    pub const fn accepts(&self, argc: usize) -> bool {
        let argc = argc as i64;
        let arity = self.arity as i64;
        if arity >= 0 { argc == arity } else { argc >= -arity }
    }

    /// The index of the command's key, when that is the only thing it needs opened.
    pub const fn lone_key(&self) -> Option<usize> {
        match (self.opens, self.keys) {
            _ if self.destination.is_some() || self.looks_further.is_some() => None,
            (Opens::Keys, [spec]) if spec.access & access::NOT_KEY == 0 => spec.lone(),
            _ => None,
        }
    }

    /// Whether it runs a script.
    pub(crate) const fn runs_script(&self) -> bool {
        self.is(flags::NO_MANDATORY_KEYS)
    }

    /// Whether a request needs every shard at once.
    pub(crate) fn opens_everything(&self, args: Args<'_>) -> bool {
        self.opens == Opens::Everything || self.looks_further.is_some_and(|looks| looks(args))
    }

    /// Calls `visit` with the position of each key of a request and what is done to it; false
    /// when the arguments contradict a specification.
    #[inline]
    pub(crate) fn key_positions(
        &self,
        args: Args<'_>,
        mut visit: impl FnMut(usize, Access),
    ) -> bool {
        let mut fit = true;
        for spec in self.keys.iter().filter(|spec| spec.access & access::NOT_KEY == 0) {
            let at_index = matches!(spec.begin, Begin::Index(_));
            if at_index || self.destination.is_none() {
                let fits = spec.positions(args, |at| visit(at, spec.access));
                // A keyword that is not there means no keys; an index always means some.
                fit &= fits || !at_index || spec.access & access::INCOMPLETE != 0;
            }
        }
        if let Some(at) = self.destination.and_then(|destination| destination(args)) {
            visit(at, access::OW | access::UPDATE);
        }
        fit
    }

    /// Whether it ends soon whatever its key holds, so that it may run while others' shards are
    /// held for the rest of a pipeline.
    pub fn is_brief(&self) -> bool {
        let constant = self.is(flags::FAST) || self.complexity.starts_with("O(1)");
        constant && !self.is(flags::BLOCKING)
    }

    /// Whether all of these flags are set.
    pub const fn is(&self, flags: Flags) -> bool {
        self.flags & flags == flags
    }

    /// All ACL categories: the row's own and those that follow from its flags.
    pub const fn categories(&self) -> Categories {
        let mut set = self.categories;
        if self.is(flags::WRITE) {
            set |= categories::WRITE;
        }
        if self.is(flags::READONLY) && set & categories::SCRIPTING == 0 {
            set |= categories::READ;
        }
        if self.is(flags::ADMIN) {
            set |= categories::ADMIN | categories::DANGEROUS;
        }
        if self.is(flags::PUBSUB) {
            set |= categories::PUBSUB;
        }
        if self.is(flags::BLOCKING) {
            set |= categories::BLOCKING;
        }
        set | if self.is(flags::FAST) { categories::FAST } else { categories::SLOW }
    }

    /// The word that a client sends for this command (a sub-command: its own word).
    pub fn word(&self) -> &'static str {
        self.name.split('|').next_back().unwrap_or(self.name)
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.name).finish()
    }
}

/// The handler of a container: never reached, since `exec` resolves the sub-command first.
fn container(cx: &mut Context<'_>) -> Result<Done, Error> {
    Err(Error::arity(cx.command.name))
}

/// What a handler works with.
pub struct Context<'a> {
    /// The engine around it.
    pub engine: &'a Engine,
    /// The configuration in force for this request.
    pub config: &'a Config,
    /// Who asks.
    pub session: &'a mut Session,
    /// The row.
    pub command: &'static Command,
    /// The arguments, the name at 0.
    pub args: Args<'a>,
    /// Those of the arguments that were compressed before the keys were opened.
    pub(crate) ahead: &'a Ahead,
    /// The opened keys.
    pub view: View<'a>,
    /// One of its keys whose hash is known already.
    pub hashed: Option<Key<'a>>,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// The time.
    pub now: Now,
}

impl<'a> Context<'a> {
    /// The selected database.
    pub fn db(&self) -> usize {
        self.session.database
    }

    /// The session's shared face.
    pub fn client(&self) -> &Client {
        &self.session.client
    }

    /// The key at a position.
    #[inline]
    pub fn key(&self, at: usize) -> Key<'a> {
        let bytes = self.args.get(at);
        match self.hashed {
            Some(key) if std::ptr::eq(key.bytes, bytes) => key,
            _ => self.view.key(bytes),
        }
    }

    /// The argument at a position.
    pub fn arg(&self, at: usize) -> &'a [u8] {
        self.args.get(at)
    }

    /// The argument at a position as a string to store; compressed, if that was worth it.
    pub fn value(&self, at: usize) -> NewValue<'a> {
        match self.ahead.get(at) {
            None => NewValue::of(self.args.get(at)),
            Some(compressed) => NewValue::Compressed(compressed),
        }
    }

    /// The argument at a position as an integer.
    ///
    /// # Errors
    /// [`Error::NOT_INTEGER`].
    pub fn integer(&self, at: usize) -> Result<i64, Error> {
        crate::args::integer(self.args.get(at))
    }

    /// Whether the argument at a position is this word, in any case.
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.args.get(at).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Records an event of a key, if somebody wants to be told.
    #[inline]
    pub fn notify(&mut self, class: Classes, event: &'static str, key: Key<'_>) {
        if self.view.wants(class) {
            self.view.note(class, event, self.session.database, key);
        }
    }

    /// Records a change of a collection, and that its key is gone when it is empty now.
    pub fn notify_change(&mut self, class: Classes, event: &'static str, key: Key<'_>) {
        self.notify(class, event, key);
        if self.view.emptied() {
            self.notify(class::GENERIC, "del", key);
        }
    }

    /// Tells of a key that is not there, for a command that changes what it reads.
    pub fn tell_miss(&mut self, key: Key<'_>) {
        let db = self.session.database;
        if self.view.wants(class::MISS) && !self.view.contains(db, key) {
            self.view.note(class::MISS, "keymiss", db, key);
        }
    }

    /// The same if something has changed since the view counted `dirty` changes.
    pub fn notify_since(&mut self, dirty: u64, class: Classes, event: &'static str, key: Key<'_>) {
        if self.view.dirty() > dirty {
            self.notify_change(class, event, key);
        }
    }

    /// A session that tracks has read the keys of its command.
    #[inline]
    pub(crate) fn remember_keys(&mut self) {
        if self.tracks() {
            self.track_keys();
        }
    }

    /// Whether the session is to be told of changes of what this command reads. A script reads by
    /// its commands.
    pub(crate) fn tracks(&self) -> bool {
        let mode = self.session.tracking.as_ref();
        let reads = self.command.is(flags::READONLY) && !self.command.runs_script();
        mode.is_some_and(|mode| reads && mode.remembers())
    }

    /// Leaves the session's number at the keys of the command.
    #[cold]
    pub(crate) fn track_keys(&mut self) {
        let (args, session, view) = (self.args, self.session.id(), &mut self.view);
        self.command.key_positions(args, |at, _| {
            let key = view.key(args.get(at));
            view.track(key, session);
        });
    }

    /// Replies OK.
    ///
    /// # Errors
    /// None; the type lets a handler end with it.
    pub fn ok(&mut self) -> Result<Done, Error> {
        self.reply.ok();
        Ok(Done::Replied)
    }

    /// Replies an integer.
    ///
    /// # Errors
    /// None; the type lets a handler end with it.
    pub fn int(&mut self, n: i64) -> Result<Done, Error> {
        self.reply.integer(n);
        Ok(Done::Replied)
    }

    /// Replies the lines of a HELP text.
    ///
    /// # Errors
    /// None; the type lets a handler end with it.
    pub fn help(&mut self, lines: &[&str]) -> Result<Done, Error> {
        let container = self.command.name.split('|').next().unwrap_or_default();
        let head = format!(
            "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            container.to_ascii_uppercase()
        );
        self.reply.array(lines.len() + 3);
        self.reply.simple(&head);
        for line in lines {
            self.reply.simple(line);
        }
        self.reply.simple("HELP");
        self.reply.simple("    Print this help.");
        Ok(Done::Replied)
    }
}

/// Writes a string value, by reference when it is large.
pub(crate) fn reply_string(reply: &mut Reply, value: Str<'_>) {
    match value {
        Str::Int(n) => reply.bulk_integer(n),
        Str::Bytes(bytes) => reply.bulk(bytes),
        Str::Large(bytes) => reply.shared(bytes.clone()),
        Str::Compressed(string) => reply_compressed(reply, string),
    }
}

/// Writes an element of a collection.
#[inline]
pub(crate) fn reply_piece(reply: &mut Reply, piece: Piece<'_>) {
    match piece {
        Piece::Int(n) => reply.bulk_integer(n),
        Piece::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Inflates a string into the reply.
fn reply_compressed(reply: &mut Reply, string: CompressedStr<'_>) {
    let len = string.len();
    let inflated = if len < SHARED_MIN {
        reply.bulk_with(len, |out| string.inflate_into(out, len))
    } else {
        let mut bytes = Vec::new();
        string.inflate_into(&mut bytes, len).map(|()| reply.shared(Bytes::from(bytes)))
    };
    if inflated.is_err() {
        reply.error("ERR the value is damaged and cannot be inflated");
    }
}

/// A short list of keys on the stack.
pub(crate) type KeyList<'a> = SmallVec<[Key<'a>; 4]>;
