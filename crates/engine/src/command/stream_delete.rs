//! XDELEX and XACKDEL: deleting entries with regard to the groups that still want them.
//!
//! Redis has them since 8.2. Three policies say what an entry's deletion means to consumer groups:
//! KEEPREF leaves it pending where it is pending, DELREF makes every group forget it, and ACKED
//! deletes only what every group has read and acknowledged. The reply is a number for each id: 1
//! deleted, -1 not there (for XACKDEL: not pending), 2 still wanted.
//! Transcripts: `tests/transcripts/stream`.

use pannier_store::{Stream, StreamId, StreamMut, class};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::stream_args::exact_id;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[XDELEX, XACKDEL];

const XDELEX: Command = Command {
    name: "xdelex",
    since: "8.2.0",
    group: Group::Stream,
    arity: -5,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
    summary: "Deletes entries, with regard to the consumer groups that still want them.",
    complexity: "O(log N) for each id, with DELREF and ACKED in each group",
    handler: xdelex,
    ..Command::DEFAULT
};

const XACKDEL: Command = Command {
    name: "xackdel",
    since: "8.2.0",
    group: Group::Stream,
    arity: -6,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE | access::DELETE)],
    syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
    summary: "Acknowledges entries, and deletes them with regard to other consumer groups.",
    complexity: "O(log N) for each id, with DELREF and ACKED in each group",
    handler: xackdel,
    ..Command::DEFAULT
};

/// What is done about groups that still want an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    KeepReferences,
    DeleteReferences,
    Acknowledged,
}

/// What happened to an id, as it is replied.
const DELETED: i64 = 1;
const NOT_THERE: i64 = -1;
const WANTED: i64 = 2;

/// What is to be deleted, and how.
struct Doomed {
    policy: Policy,
    ids: SmallVec<[StreamId; 8]>,
}

impl Doomed {
    /// Reads the words from an argument on.
    fn read(cx: &Context<'_>, from: usize) -> Result<Self, Error> {
        let (mut policy, mut ids) = (None, None);
        let mut at = from;
        while at < cx.args.len() {
            let named = [
                ("KEEPREF", Policy::KeepReferences),
                ("DELREF", Policy::DeleteReferences),
                ("ACKED", Policy::Acknowledged),
            ];
            let found = named.iter().find(|(word, _)| cx.is(at, word));
            if let Some((_, found)) = found.filter(|_| policy.is_none()) {
                policy = Some(*found);
                at += 1;
            } else if cx.is(at, "IDS") && at + 1 < cx.args.len() && ids.is_none() {
                let first = at + 2;
                let count = cx.integer(at + 1).ok().and_then(|count| usize::try_from(count).ok());
                let Some(count) = count.filter(|count| *count > 0) else {
                    return Err(Error::new("ERR Number of IDs must be a positive integer"));
                };
                if count > cx.args.len() - first {
                    return Err(Error::new(
                        "ERR The `numids` parameter must match the number of arguments",
                    ));
                }
                ids = Some(first..first + count);
                at = first + count;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let ids = ids.ok_or(Error::new("ERR IDS option is required"))?;
        let ids = ids.map(|at| exact_id(cx.args.get(at), 0)).collect::<Result<_, _>>()?;
        Ok(Self { policy: policy.unwrap_or(Policy::KeepReferences), ids })
    }

    /// Does to each id what `work` does, and replies.
    fn execute(
        &self,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&mut StreamMut<'_>, StreamId) -> i64,
    ) -> Result<Done, Error> {
        let (db, key) = (cx.db(), cx.key(1));
        let limits = cx.config.limits();
        let reply = &mut *cx.reply;
        reply.array(self.ids.len());
        let dirty = cx.view.dirty();
        let found = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
            for id in &self.ids {
                reply.integer(work(stream, *id));
            }
        })?;
        cx.notify_since(dirty, class::STREAM, "xdel", key);
        let reply = &mut *cx.reply;
        if found.is_none() {
            self.ids.iter().for_each(|_| reply.integer(NOT_THERE));
        }
        Ok(Done::Replied)
    }

    /// Deletes an entry unless the policy keeps it.
    fn delete(&self, stream: &mut StreamMut<'_>, id: StreamId) -> i64 {
        match self.policy {
            Policy::Acknowledged if stream.data().is_wanted(id) => return WANTED,
            // What is pending of an entry that has gone is forgotten too.
            Policy::DeleteReferences => stream.forget(id),
            Policy::Acknowledged | Policy::KeepReferences => {}
        }
        if stream.delete(id) { DELETED } else { NOT_THERE }
    }
}

fn xdelex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let doomed = Doomed::read(cx, 2)?;
    doomed.execute(cx, |stream, id| {
        let absent = stream.data().log().get(id).is_none();
        if absent && doomed.policy == Policy::Acknowledged {
            return NOT_THERE;
        }
        doomed.delete(stream, id)
    })
}

fn xackdel(cx: &mut Context<'_>) -> Result<Done, Error> {
    let doomed = Doomed::read(cx, 3)?;
    let group = cx.arg(2);
    doomed.execute(cx, |stream, id| {
        let acknowledged = stream.group(group, |_, group| {
            let pending = group.acknowledge(id);
            (pending, u64::from(pending))
        });
        if acknowledged != Some(true) {
            return NOT_THERE;
        }
        // An entry that had gone before counts as deleted now.
        match doomed.delete(stream, id) {
            WANTED => WANTED,
            _ => DELETED,
        }
    })
}
