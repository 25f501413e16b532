//! Messages between those who share a cache: publish and subscribe.
//!
//! A [`Subscription`] is a client of its own that does nothing but listen. It is an iterator that
//! waits; with a timeout, one that ends when nothing has come for so long. Who leaves too many
//! messages unread is closed, as a connection would be (`client-output-buffer-limit pubsub`).
//! Tests: `tests/calls.rs`.

use std::time::Duration;

use bytes::Bytes;

use crate::cache::Cache;
use crate::client::Client;
use crate::error::Error;
use crate::frame::Frame;
use crate::reply::FromFrame;

/// A message that was published.
///
/// ```
/// let cache = pannier::Cache::new();
/// let mut all = cache.subscribe_patterns(["news.*"])?;
/// cache.publish("news.sport", "hello")?;
/// let message = all.next().expect("a message");
/// assert_eq!((&message.channel[..], &message.payload[..]), (&b"news.sport"[..], &b"hello"[..]));
/// assert_eq!(message.pattern.as_deref(), Some(&b"news.*"[..]));
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub channel: Bytes,
    /// The pattern that it came by, if it came by one.
    pub pattern: Option<Bytes>,
    /// What was published.
    pub payload: Bytes,
}

/// Messages as they come. Made by [`Cache::subscribe`]; ends when it is dropped.
///
/// ```
/// use std::time::Duration;
///
/// let cache = pannier::Cache::new();
/// let mut news = cache.subscribe(["news"])?;
/// cache.publish("news", "hello")?;
/// let message = news.next_within(Duration::from_secs(1)).expect("a message");
/// assert_eq!(message.payload, "hello");
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    timeout: Option<Duration>,
}

impl Cache {
    /// Publishes a message; how many subscribers it went to (PUBLISH). Channels belong to all
    /// databases.
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().publish("news", "nobody listens")?, 0);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Cache::call`].
    pub fn publish(
        &self,
        channel: impl AsRef<[u8]>,
        message: impl AsRef<[u8]>,
    ) -> Result<usize, Error> {
        self.ask([b"PUBLISH", channel.as_ref(), message.as_ref()])
    }

    /// Subscribes to channels (SUBSCRIBE). What is published from now on comes.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let mut news = cache.subscribe(["news", "weather"])?;
    /// cache.publish("weather", "rain")?;
    /// assert_eq!(news.next().expect("a message").channel, "weather");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no channel.
    pub fn subscribe(
        &self,
        channels: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Subscription, Error> {
        let mut subscription = Subscription { client: self.connect(), timeout: None };
        subscription.subscribe(channels)?;
        Ok(subscription)
    }

    /// Subscribes to all channels that match a pattern (PSUBSCRIBE).
    ///
    /// ```
    /// use pannier::Cache;
    ///
    /// let cache = Cache::builder().directive("notify-keyspace-events", "E$").build()?;
    /// let mut events = cache.subscribe_patterns(["__keyevent@0__:*"])?;
    /// cache.set("key", "value")?;
    /// assert_eq!(events.next().expect("an event").payload, "key");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no pattern.
    pub fn subscribe_patterns(
        &self,
        patterns: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<Subscription, Error> {
        let mut subscription = Subscription { client: self.connect(), timeout: None };
        subscription.subscribe_patterns(patterns)?;
        Ok(subscription)
    }
}

impl Subscription {
    /// Subscribes to more channels.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// let mut news = cache.subscribe(["news"])?;
    /// news.subscribe(["weather"])?;
    /// assert_eq!(cache.publish("weather", "sun")?, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no channel; [`Error::Closed`].
    pub fn subscribe(
        &mut self,
        channels: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<(), Error> {
        self.order(b"SUBSCRIBE", channels)
    }

    /// Subscribes to more patterns.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// let mut news = cache.subscribe(["news"])?;
    /// news.subscribe_patterns(["weather:*"])?;
    /// assert_eq!(cache.publish("weather:north", "sun")?, 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// A reply error when there is no pattern; [`Error::Closed`].
    pub fn subscribe_patterns(
        &mut self,
        patterns: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<(), Error> {
        self.order(b"PSUBSCRIBE", patterns)
    }

    /// Ends the subscription to some channels; messages that came before stay.
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// let mut news = cache.subscribe(["news", "weather"])?;
    /// news.unsubscribe(["weather"])?;
    /// assert_eq!(cache.publish("weather", "sun")?, 0);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn unsubscribe(
        &mut self,
        channels: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<(), Error> {
        self.order(b"UNSUBSCRIBE", channels)
    }

    fn order(
        &mut self,
        command: &[u8],
        names: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<(), Error> {
        let mut args = vec![command.to_vec()];
        args.extend(names.into_iter().map(|name| name.as_ref().to_vec()));
        self.client.call(args).map(drop)
    }

    /// Has the iterator end when nothing has come for so long; asked again, it waits again.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = pannier::Cache::new();
    /// let news = cache.subscribe(["news"])?.with_timeout(Duration::from_millis(1));
    /// cache.publish("news", "one")?;
    /// cache.publish("news", "two")?;
    /// assert_eq!(news.count(), 2);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The next message, if one comes within that time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let cache = pannier::Cache::new();
    /// assert_eq!(cache.subscribe(["news"])?.next_within(Duration::ZERO), None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn next_within(&mut self, timeout: Duration) -> Option<Message> {
        self.next_message(Some(timeout))
    }

    fn next_message(&mut self, timeout: Option<Duration>) -> Option<Message> {
        let until = timeout.map(|timeout| self.client.deadline_after(timeout));
        loop {
            // Confirmations of subscriptions come, too.
            if let Some(message) = message(self.client.next_push_until(until)?) {
                return Some(message);
            }
        }
    }

    /// The client that listens: to name it, or to be woken in an asynchronous program
    /// ([`Client::poll_wake`]).
    ///
    /// ```
    /// # let cache = pannier::Cache::new();
    /// let mut news = cache.subscribe(["news"])?;
    /// news.client().call(["CLIENT", "SETNAME", "listener"])?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Iterator for Subscription {
    type Item = Message;

    /// Waits for the next message; `None` when the client was closed, or when the timeout is over.
    fn next(&mut self) -> Option<Message> {
        self.next_message(self.timeout)
    }
}

/// A message, unless it is a confirmation or of another kind.
fn message(frame: Frame) -> Option<Message> {
    let mut parts = Vec::<Frame>::from_frame(frame).ok()?.into_iter();
    let kind = String::from_frame(parts.next()?).ok()?;
    let pattern = match kind.as_str() {
        "message" | "smessage" => None,
        "pmessage" => Some(Bytes::from_frame(parts.next()?).ok()?),
        _ => return None,
    };
    let channel = Bytes::from_frame(parts.next()?).ok()?;
    let payload = Bytes::from_frame(parts.next()?).ok()?;
    Some(Message { channel, pattern, payload })
}
