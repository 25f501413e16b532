//! Keyspace notifications: events of keys as messages.
//!
//! An event goes to the channel of its key, to the channel of its name, or to both, as
//! `notify-keyspace-events` says; the names of channels are Redis's, because clients subscribe to
//! them. What happens to keys is recorded by handlers (`Context::notify`) and by the store itself,
//! and delivered by `PubSub::deliver` once the locks are given back.
//! Transcripts: `tests/transcripts/pubsub/keyspace-*`; `tests/tests/events.rs` compares random
//! sequences with Valkey's.

use pannier_store::{Classes, Event, class};

use crate::config::Events;

impl Events {
    /// The classes that have to be recorded: none while their events would go nowhere.
    pub(crate) const fn wanted(self) -> Classes {
        let nowhere = self.0 & (class::KEYSPACE | class::KEYEVENT) == 0;
        if nowhere { 0 } else { self.0 }
    }

    /// The channels that an event goes to, and the messages.
    pub(crate) fn messages(self, event: &Event) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
        let wanted = self.0 & event.class != 0;
        let channel = |prefix: &str, rest: &[u8]| {
            [format!("{prefix}@{}__:", event.database).as_bytes(), rest].concat()
        };
        let of_key = (wanted && self.0 & class::KEYSPACE != 0)
            .then(|| (channel("__keyspace", &event.key), event.name.as_bytes()));
        let of_name = (wanted && self.0 & class::KEYEVENT != 0)
            .then(|| (channel("__keyevent", event.name.as_bytes()), &*event.key));
        of_key.into_iter().chain(of_name)
    }
}
