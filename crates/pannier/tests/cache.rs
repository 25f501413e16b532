//! A cache without a server: calls from many threads, databases, clocks, what calls may not leave
//! behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use pannier::{Cache, Clock, Error, ErrorKind, Frame, Policy};

fn number(cache: &Cache, args: &[&str]) -> i64 {
    match cache.call(args).unwrap() {
        Frame::Number { data, .. } => data,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn text(cache: &Cache, args: &[&str]) -> String {
    match cache.call(args).unwrap() {
        Frame::BlobString { data, .. }
        | Frame::SimpleString { data, .. }
        | Frame::VerbatimString { data, .. } => String::from_utf8(data.to_vec()).unwrap(),
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn many_threads_call_and_nothing_is_lost_or_counted_twice() {
    let cache = Cache::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let cache = cache.clone();
            scope.spawn(move || {
                for i in 0..500 {
                    cache.call(["INCR", "shared"]).unwrap();
                    cache.call(["SET", &format!("{thread}:{i}"), "value"]).unwrap();
                }
            });
        }
    });
    assert_eq!(text(&cache, &["GET", "shared"]), "4000");
    assert_eq!(cache.len(), 4001);
    let stats = text(&cache, &["INFO", "commandstats"]);
    assert!(stats.contains("cmdstat_incr:calls=4000,"), "{stats}");
    assert!(stats.contains("cmdstat_set:calls=4000,"), "{stats}");
}

#[test]
fn databases_are_apart_and_a_handle_stays_in_its_own() {
    let cache = Cache::builder().databases(3).build().unwrap();
    let second = cache.db(2).unwrap();
    second.call(["SET", "key", "two"]).unwrap();
    assert_eq!((cache.len(), second.len(), second.index()), (0, 1, 2));
    assert!(matches!(cache.db(3), Err(Error::NoDatabase(3))));
    assert!(matches!(cache.call(["SELECT", "2"]), Err(Error::NeedsClient)));
    assert_eq!(number(&cache, &["EXISTS", "key"]), 0);
    cache.call(["SWAPDB", "0", "2"]).unwrap();
    assert_eq!((cache.len(), second.len()), (1, 0));
}

#[test]
fn what_would_outlive_a_call_is_refused_and_undone() {
    let cache = Cache::new();
    let states: &[&[&str]] = &[
        &["MULTI"],
        &["WATCH", "key"],
        &["SUBSCRIBE", "news"],
        &["MONITOR"],
        &["CLIENT", "REPLY", "OFF"],
        &["CLIENT", "REPLY", "SKIP"],
        &["CLIENT", "TRACKING", "ON"],
        &["CLIENT", "SETNAME", "me"],
        &["CLIENT", "NO-TOUCH", "ON"],
        &["HELLO", "2"],
        &["QUIT"],
    ];
    for args in states {
        let refused = cache.call(*args).unwrap_err();
        assert!(matches!(refused, Error::NeedsClient), "{args:?}: {refused}");
        assert_eq!(text(&cache, &["ECHO", "still here"]), "still here", "{args:?}");
    }
    assert_eq!(number(&cache, &["PUBLISH", "news", "nobody hears"]), 0);
    assert!(matches!(cache.call::<[&str; 0]>([]), Err(Error::NoCommand)));
}

#[test]
fn errors_say_their_kind() {
    let cache = Cache::builder().max_entries(1).build().unwrap();
    cache.call(["LPUSH", "list", "a"]).unwrap();
    let kind = |args: &[&str]| cache.call(args).unwrap_err().kind().unwrap();
    assert_eq!(kind(&["GET", "list"]), ErrorKind::WrongType);
    assert_eq!(kind(&["SET", "second", "entry"]), ErrorKind::Full);
    assert_eq!(kind(&["EVALSHA", "0".repeat(40).as_str(), "0"]), ErrorKind::NoScript);
    assert_eq!(kind(&["GET"]), ErrorKind::Other);
    let said = cache.call(["NOSUCH", "a"]).unwrap_err().to_string();
    assert_eq!(said, "ERR unknown command 'NOSUCH', with args beginning with: 'a' ");
}

#[test]
fn a_virtual_clock_expires_ends_waits_and_needs_no_thread() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    cache.call(["SET", "key", "value", "PX", "100"]).unwrap();
    hand.advance(Duration::from_millis(99));
    assert_eq!(number(&cache, &["PTTL", "key"]), 1);
    hand.advance(Duration::from_millis(1));
    assert!(cache.is_empty(), "whoever moves the clock frees what has expired");
    let waiting = cache.clone();
    let waiter = std::thread::spawn(move || waiting.call(["BLPOP", "list", "1000"]).unwrap());
    while number(&cache, &["CLIENT", "UNBLOCK", "12345"]) != 0
        || !text(&cache, &["INFO", "clients"]).contains("blocked_clients:1")
    {
        std::thread::yield_now();
    }
    hand.advance(Duration::from_secs(999));
    assert!(!waiter.is_finished());
    hand.advance(Duration::from_secs(1));
    assert_eq!(waiter.join().unwrap(), Frame::Null);
}

#[test]
fn a_call_that_waits_is_a_client_that_can_be_seen_and_killed() {
    let cache = Cache::new();
    assert!(text(&cache, &["INFO", "clients"]).contains("connected_clients:0"));
    let waiting = cache.db(3).unwrap();
    let waiter = std::thread::spawn(move || waiting.call(["BLPOP", "list", "0"]));
    let id = loop {
        let list = text(&cache, &["CLIENT", "LIST"]);
        if let Some(line) = list.lines().find(|line| line.contains("cmd=blpop")) {
            assert!(line.contains("db=3") && line.contains("addr=embedded:0"), "{line}");
            let id = line.strip_prefix("id=").unwrap().split(' ').next().unwrap();
            break id.to_owned();
        }
        std::thread::yield_now();
    };
    cache.call(["CLIENT", "KILL", "ID", &id]).unwrap();
    assert!(matches!(waiter.join().unwrap(), Err(Error::Closed)));
    assert!(text(&cache, &["INFO", "clients"]).contains("connected_clients:0"));
    // Served by another call.
    let waiting = cache.clone();
    let waiter = std::thread::spawn(move || waiting.call(["BLPOP", "list", "0"]).unwrap());
    while !text(&cache, &["INFO", "clients"]).contains("blocked_clients:1") {
        std::thread::yield_now();
    }
    cache.call(["RPUSH", "list", "element"]).unwrap();
    let Frame::Array { data, .. } = waiter.join().unwrap() else { panic!() };
    assert_eq!(data.len(), 2);
    assert_eq!(number(&cache, &["EXISTS", "list"]), 0);
}

#[test]
fn a_pause_holds_calls_back_until_it_ends() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    cache.call(["CLIENT", "PAUSE", "1000", "WRITE"]).unwrap();
    let paused = cache.clone();
    let writer = std::thread::spawn(move || paused.call(["SET", "key", "value"]).unwrap());
    while !text(&cache, &["CLIENT", "LIST"]).contains("cmd=") {
        std::thread::yield_now();
    }
    assert!(cache.is_empty() && !writer.is_finished());
    hand.advance(Duration::from_secs(1));
    writer.join().unwrap();
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_password_is_for_those_outside() {
    let cache = Cache::builder().directive("requirepass", "secret").build().unwrap();
    cache.call(["SET", "key", "value"]).unwrap();
    assert!(cache.connect().call(["GET", "key"]).is_ok());
}

#[test]
fn limits_hold_and_the_policy_decides_who_goes() {
    let cache = Cache::builder().max_entries(100).policy(Policy::AllKeysLru).build().unwrap();
    for i in 0..1000 {
        cache.call(["SET", &i.to_string(), "value"]).unwrap();
        assert!(cache.len() <= 100);
    }
    assert_eq!(number(&cache, &["EXISTS", "999"]), 1);
    let value = "x".repeat(1 << 10);
    let cache = Cache::builder().max_memory(64 << 10).build().unwrap();
    let full = (0..1000).find_map(|i| cache.call(["SET", &i.to_string(), &value]).err());
    assert_eq!(full.unwrap().kind(), Some(ErrorKind::Full));
    let wrong = Cache::builder().directive("no-such", "1").build().unwrap_err();
    assert!(matches!(wrong, Error::Directive { name, .. } if name == "no-such"));
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let keys = |seed| {
        let (clock, _) = Clock::virtual_at(0);
        let cache = Cache::builder().clock(clock).seed(seed).build().unwrap();
        (0..50).for_each(|i| drop(cache.call(["SET", &i.to_string(), "v"]).unwrap()));
        (0..20).map(|_| text(&cache, &["RANDOMKEY"])).collect::<Vec<_>>()
    };
    assert_eq!(keys(7), keys(7));
    assert_ne!(keys(7), keys(8));
}

#[test]
fn two_caches_in_one_process_do_not_know_each_other() {
    let (first, second) = (Cache::new(), Cache::new());
    first.call(["SET", "key", "value"]).unwrap();
    assert_eq!((first.len(), second.len()), (1, 0));
    assert!(matches!(first.call(["SHUTDOWN"]), Err(Error::Reply(_))));
    assert!(text(&first, &["INFO", "memory"]).contains("used_memory_rss:"));
}

#[test]
fn there_may_be_very_many_databases() {
    let cache = Cache::builder().databases(usize::MAX).build().unwrap();
    assert_eq!(cache.databases(), 1 << 16);
    // All of their limits are set anew: in a moment, not in a minute.
    let clock = Clock::system();
    cache.call(["CONFIG", "SET", "db-maxentries", "65535 1"]).unwrap();
    assert!(clock.mono_us() < 1_000_000, "{} us", clock.mono_us());
    let last = cache.db((1 << 16) - 1).unwrap();
    last.call(["SET", "key", "value"]).unwrap();
    assert!(last.call(["SET", "other", "value"]).is_err());
    cache.call(["CONFIG", "SET", "db-maxentries", ""]).unwrap();
    last.call(["SET", "other", "value"]).unwrap();
}
