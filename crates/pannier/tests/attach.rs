//! What a server answers for a cache that it is attached to, and what it does no more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pannier::{Cache, Clock, Config, Error, Frame};
use pannier_engine::{Facts, Host, ShutdownRequest};

/// A server that does nothing but count.
#[derive(Default)]
struct Server {
    woken: AtomicUsize,
    ends: AtomicUsize,
    changes: AtomicUsize,
}

impl Host for Server {
    fn mono_us(&self) -> u64 {
        0
    }

    fn wake_expiry(&self) {
        self.woken.fetch_add(1, Relaxed);
    }

    fn shutdown(&self, _: ShutdownRequest) -> Result<(), String> {
        self.ends.fetch_add(1, Relaxed);
        Ok(())
    }

    fn facts(&self) -> Facts {
        Facts { port: 4321, threads: 3, ..pannier_host::facts() }
    }

    fn configure(&self, _: &Config, _: &Config) -> Result<(), String> {
        self.changes.fetch_add(1, Relaxed);
        Ok(())
    }

    fn rewrite_config(&self, _: &Config) -> Result<(), String> {
        Ok(())
    }

    fn discard(&self, garbage: Box<dyn Any + Send>) {
        drop(garbage);
    }

    fn sleep_us(&self, _: u64) {}

    fn purge_memory(&self) {}

    fn log(&self, _: &str) {}
}

fn info(cache: &Cache) -> String {
    let Frame::VerbatimString { data, .. } = cache.call(["INFO", "server"]).unwrap() else {
        panic!()
    };
    String::from_utf8(data.to_vec()).unwrap()
}

#[test]
fn a_server_answers_what_only_it_can_and_may_keep_house() {
    let (cache, server) = (Cache::new(), Arc::new(Server::default()));
    assert!(info(&cache).contains("tcp_port:0\r\n"));
    cache.attach(Arc::<Server>::clone(&server), true);
    let info_attached = info(&cache);
    assert!(info_attached.contains("tcp_port:4321\r\n"), "{info_attached}");
    assert!(info_attached.contains(&format!("process_id:{}\r\n", std::process::id())));
    cache.call(["CONFIG", "SET", "maxclients", "7"]).unwrap();
    cache.call(["CONFIG", "REWRITE"]).unwrap();
    assert_eq!(server.changes.load(Relaxed), 1);
    // SHUTDOWN closes the session that asked.
    assert!(matches!(cache.call(["SHUTDOWN"]), Err(Error::NeedsClient)));
    assert_eq!(server.ends.load(Relaxed), 1);
    cache.call(["SET", "key", "value", "PX", "1"]).unwrap();
    assert_eq!(server.woken.load(Relaxed), 1);
    // Whoever keeps house here does nothing: the key stays in memory until somebody looks.
    let clock = Clock::system();
    while clock.mono_us() < 50_000 {
        assert_eq!(cache.len(), 1);
        std::thread::yield_now();
    }
    cache.detach();
    while !cache.is_empty() {
        assert!(clock.mono_us() < 20_000_000);
        std::thread::yield_now();
    }
    assert!(info(&cache).contains("tcp_port:0\r\n"));
    assert!(matches!(cache.call(["SHUTDOWN"]), Err(Error::Reply(_))));
}
