//! Typed calls: what the examples in the documentation do not show.

use std::time::Duration;

use pannier::{Cache, Clock, Error, ErrorKind, Policy, Script, SetOptions};

#[test]
fn the_default_time_to_live_goes_with_typed_writes_that_say_none() {
    let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    let minute = Duration::from_secs(60);
    let cache = Cache::builder().clock(clock).default_ttl(minute).build().unwrap();
    cache.set("set", "v").unwrap();
    cache.mset([("mset", "v"), ("mset2", "v")]).unwrap();
    cache.get_or_insert_with("made", || "v").unwrap();
    let queued = cache.transaction([""; 0], |tx| {
        tx.set("tx", "v");
        Ok(())
    });
    queued.unwrap();
    assert_eq!(cache.get_set("swap", "v", SetOptions::new()).unwrap(), None);
    for key in ["set", "mset", "mset2", "made", "tx", "swap"] {
        assert_eq!(cache.ttl(key).unwrap(), Some(minute), "{key}");
    }
    cache.set_with("own", "v", SetOptions::new().ttl(minute * 2)).unwrap();
    cache.set_with("never", "v", SetOptions::new().no_ttl()).unwrap();
    cache.set_with("own", "w", SetOptions::new().keep_ttl()).unwrap();
    cache.call(["SET", "command", "v"]).unwrap();
    cache.incr("counter").unwrap();
    hand.advance(minute);
    assert_eq!(cache.len(), 4);
    assert_eq!(cache.ttl("own").unwrap(), Some(minute));
}

#[test]
fn a_time_to_live_is_never_cut_off_and_never_nothing() {
    let (clock, _hand) = Clock::virtual_at(1_700_000_000_000);
    let cache = Cache::builder().clock(clock).build().unwrap();
    for (ttl, expected) in [
        (Duration::from_nanos(1), 1),
        (Duration::from_micros(1_001), 2),
        (Duration::from_millis(7), 7),
    ] {
        cache.set_with("key", "v", SetOptions::new().ttl(ttl)).unwrap();
        assert_eq!(cache.ttl("key").unwrap(), Some(Duration::from_millis(expected)));
    }
    cache.set_with("key", "v", SetOptions::new().ttl(Duration::MAX)).unwrap();
    assert!(cache.ttl("key").unwrap().unwrap() > Duration::from_secs(1 << 40));
    assert!(cache.expire("key", Duration::MAX).unwrap());
    // No time at all is refused, as in Redis.
    assert!(cache.set_with("key", "v", SetOptions::new().ttl(Duration::ZERO)).is_err());
}

#[test]
fn another_type_is_a_typed_error_of_every_family() {
    let cache = Cache::new();
    cache.set("string", "v").unwrap();
    cache.list("list").push_back("v").unwrap();
    let wrong = |result: Result<(), Error>| {
        assert_eq!(result.unwrap_err().kind(), Some(ErrorKind::WrongType));
    };
    wrong(cache.get("list").map(drop));
    wrong(cache.incr("list").map(drop));
    wrong(cache.take("list").map(drop));
    wrong(cache.get_or_insert_with("list", || "v").map(drop));
    wrong(cache.hash("string").get("f").map(drop));
    wrong(cache.hash("string").set("f", "v").map(drop));
    wrong(cache.list("string").pop_front().map(drop));
    wrong(cache.set_of("string").add("v").map(drop));
    wrong(cache.sorted_set("string").add("v", 1.0).map(drop));
    // What a script raises is the same error.
    let script = Script::new("return redis.call('LPOP', KEYS[1])");
    wrong(script.run::<()>(&cache, ["string"], [""; 0]));
}

#[test]
fn a_full_cache_refuses_writes_by_a_typed_error_and_memoising_goes_on() {
    let cache = Cache::builder().max_entries(1).policy(Policy::NoEviction).build().unwrap();
    cache.set("a", "v").unwrap();
    assert_eq!(cache.set("b", "v").unwrap_err().kind(), Some(ErrorKind::Full));
    assert_eq!(cache.hash("h").set("f", "v").unwrap_err().kind(), Some(ErrorKind::Full));
    assert_eq!(cache.get_or_insert_with("b", || "made").unwrap(), "made");
    assert_eq!(cache.len(), 1);
}

#[test]
fn values_are_bytes_whatever_is_in_them() {
    let cache = Cache::new();
    let every: Vec<u8> = (0..=255).collect();
    cache.set(&every, &every).unwrap();
    assert_eq!(cache.get(&every).unwrap().as_deref(), Some(&every[..]));
    cache.set("empty", "").unwrap();
    assert_eq!(cache.get("empty").unwrap().as_deref(), Some(&b""[..]));
    let long = vec![7; 1 << 20];
    cache.set("long", &long).unwrap();
    assert_eq!(cache.get("long").unwrap().unwrap(), long);
    cache.hash("h").set(&every, &long).unwrap();
    assert_eq!(cache.hash("h").get_all().unwrap()[&every[..]], long);
}

#[test]
fn scores_go_and_come_as_they_are() {
    let cache = Cache::new();
    let set = cache.sorted_set("z");
    let scores = [0.1, 1e300, -1e-300, f64::INFINITY, f64::NEG_INFINITY, 3.0, -0.5, 1.0 / 3.0];
    for score in scores {
        set.add("m", score).unwrap();
        assert_eq!(set.score("m").unwrap(), Some(score));
    }
    assert!(set.add("m", f64::NAN).is_err());
    set.extend([("a", f64::NEG_INFINITY), ("b", 0.25), ("m", 9.0)]).unwrap();
    let all = set.range_by_score(f64::NEG_INFINITY..=f64::INFINITY).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(set.top(0, -1).unwrap()[0], ("m".into(), 9.0));
    assert_eq!(set.range(0, 0).unwrap(), [("a".into(), f64::NEG_INFINITY)]);
}

#[test]
fn a_walk_sees_every_key_once_it_stands_still() {
    let cache = Cache::new();
    for i in 0..1_000 {
        cache.set(format!("key:{i}"), "v").unwrap();
    }
    let mut keys: Vec<_> = cache.scan().step(10).map(Result::unwrap).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1_000);
    let ending = cache.scan().matching("key:9?").matching("key:8?").map(Result::unwrap);
    assert_eq!(ending.count(), 10);
    assert_eq!(cache.db(1).unwrap().scan().count(), 0);
    // Cleared while walking: the walk ends.
    let mut walk = cache.scan();
    walk.next().unwrap().unwrap();
    cache.clear().unwrap();
    assert!(walk.count() <= 1_000);
}

#[test]
fn messages_come_in_order_to_whoever_subscribes_and_end_with_the_client() {
    let cache = Cache::new();
    let mut news = cache.subscribe(["news"]).unwrap();
    news.subscribe_patterns(["n*"]).unwrap();
    assert_eq!(cache.publish("news", "1").unwrap(), 2);
    assert_eq!(cache.db(3).unwrap().publish("nil", "2").unwrap(), 1);
    let got: Vec<_> = (0..3).map(|_| news.next().unwrap()).collect();
    assert_eq!((&got[0].payload[..], &got[0].pattern), (&b"1"[..], &None));
    assert_eq!(got[1].pattern.as_deref(), Some(&b"n*"[..]));
    assert_eq!((&got[2].channel[..], &got[2].payload[..]), (&b"nil"[..], &b"2"[..]));
    assert_eq!(news.next_within(Duration::from_millis(5)), None);
    // Another thread publishes while this one waits.
    let publisher = cache.clone();
    let thread = std::thread::spawn(move || publisher.publish("news", "3").unwrap());
    assert_eq!(news.next().unwrap().payload, "3");
    assert_eq!(thread.join().unwrap(), 2);
    let id = news.client().id().to_string();
    news.next().unwrap();
    assert!(cache.query::<bool>(["CLIENT", "KILL", "ID", &id]).unwrap());
    assert_eq!(news.next(), None);
    drop(news);
    assert_eq!(cache.publish("news", "4").unwrap(), 0);
}

#[test]
fn a_transaction_runs_again_when_what_it_watched_has_changed() {
    let cache = Cache::new();
    cache.set("n", "1").unwrap();
    let mut runs = 0;
    let (seen, replies) = cache
        .transaction(["n"], |tx| {
            let n = cache.get_as::<i64>("n")?.unwrap_or(0);
            runs += 1;
            if runs == 1 {
                // Somebody else is faster.
                cache.set("n", "10")?;
            }
            tx.set("n", (n * 2).to_string()).call(["GET", "n"]);
            Ok(n)
        })
        .unwrap();
    assert_eq!((runs, seen, replies.len()), (2, 10, 2));
    assert_eq!(cache.get_as::<i64>("n").unwrap(), Some(20));
}

#[test]
fn threads_that_count_in_transactions_lose_no_step() {
    let cache = Cache::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let step = cache.transaction(["n"], |tx| {
                        let n = cache.get_as::<i64>("n")?.unwrap_or(0);
                        tx.set("n", (n + 1).to_string());
                        Ok(())
                    });
                    step.unwrap();
                }
            });
        }
    });
    assert_eq!(cache.get_as::<i64>("n").unwrap(), Some(200));
}

#[test]
fn a_transaction_that_fails_or_is_refused_does_nothing() {
    let cache = Cache::new();
    let failed = cache.transaction(["n"], |tx| {
        tx.set("n", "1");
        Err::<(), _>(Error::NoCommand)
    });
    assert!(matches!(failed, Err(Error::NoCommand)));
    let refused = cache.transaction(["n"], |tx| {
        tx.set("n", "1").call(["NOSUCH"]);
        Ok(())
    });
    assert!(refused.unwrap_err().to_string().contains("unknown command"));
    assert!(cache.is_empty());
    // One that fails as it runs is an error, too, and the others took effect.
    let ran = cache.transaction([""; 0], |tx| {
        tx.set("n", "x").incr_by("n", 1).set("after", "1");
        Ok(())
    });
    assert!(ran.is_err());
    assert_eq!(cache.len(), 2);
}

#[test]
fn a_script_is_sent_once_and_again_after_a_flush() {
    let cache = Cache::new();
    let script = Script::new("return {KEYS[1], ARGV[1], #KEYS}");
    let run = || script.run::<Vec<String>>(&cache, ["k"], ["a"]).unwrap();
    assert_eq!(run(), ["k", "a", "1"]);
    assert!(cache.query::<Vec<bool>>(["SCRIPT", "EXISTS", script.sha()]).unwrap()[0]);
    cache.call(["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(run(), ["k", "a", "1"]);
}
