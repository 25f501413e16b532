//! Who frees what has expired, and that nothing is left when a cache is dropped.

use std::time::Duration;

use pannier::{Cache, Clock, Frame, Housekeeping};

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !done() {
        assert!(clock.mono_us() < 20_000_000, "{what}");
        std::thread::yield_now();
    }
}

/// Threads of this process by the name of the housekeeping thread.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "pannier-house").count()
}

#[test]
fn the_thread_frees_what_expires_and_ends_with_the_cache() {
    let before = threads();
    let cache = Cache::new();
    for i in 0..1000 {
        cache.call(["SET", &i.to_string(), "value", "PX", "20"]).unwrap();
    }
    cache.call(["SET", "later", "value", "EX", "1000"]).unwrap();
    // Nobody calls meanwhile.
    until("expired keys are freed", || cache.len() == 1);
    if cfg!(target_os = "linux") {
        assert!(threads() >= 1);
        drop(cache);
        until("the thread ends", || threads() <= before);
    }
}

#[test]
fn without_a_thread_calls_do_the_work() {
    let cache = Cache::builder().housekeeping(Housekeeping::OnAccess).build().unwrap();
    for i in 0..1000 {
        cache.call(["SET", &i.to_string(), "value", "PX", "1"]).unwrap();
    }
    until("calls free what has expired", || {
        cache.call(["PING"]).unwrap();
        cache.is_empty()
    });
}

#[test]
fn whoever_waits_without_a_thread_frees_what_others_wait_for() {
    let cache = Cache::builder()
        .housekeeping(Housekeeping::OnAccess)
        .directive("notify-keyspace-events", "Ex")
        .build()
        .unwrap();
    let mut client = cache.connect();
    client.call(["PSUBSCRIBE", "__keyevent@*"]).unwrap();
    cache.call(["SET", "key", "value", "PX", "10"]).unwrap();
    let message = client.next_push(Some(Duration::from_secs(20))).unwrap();
    assert!(format!("{message:?}").contains("expired"), "{message:?}");
}

#[test]
fn large_values_are_freed_elsewhere_and_no_memory_stays() {
    let cache = Cache::new();
    let used = |cache: &Cache| cache.engine().keyspace().totals().bytes;
    let empty = used(&cache);
    for _ in 0..3 {
        let args = ["RPUSH", "list"].map(String::from).into_iter();
        cache.call(args.chain((0..20_000).map(|i| i.to_string()))).unwrap();
        assert!(used(&cache) > empty + 10_000);
        assert!(matches!(cache.call(["UNLINK", "list"]), Ok(Frame::Number { data: 1, .. })));
    }
    assert!(used(&cache) <= empty + 1_000);
}

#[test]
fn a_hundred_caches_come_and_go() {
    let caches: Vec<Cache> = (0..100).map(|_| Cache::new()).collect();
    for (i, cache) in caches.iter().enumerate() {
        cache.call(["SET", "key", &i.to_string()]).unwrap();
    }
    assert!(caches.iter().all(|cache| cache.len() == 1));
}
