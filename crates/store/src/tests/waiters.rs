//! Waiters: readiness, order, and that each is finished once.

use super::*;
use crate::{Kind, Waiter, Want};

fn park(keyspace: &Keyspace, keys: &[&[u8]], kind: Kind, without_key: bool) -> Arc<Waiter> {
    let keys: Vec<Key<'_>> = keys.iter().map(|key| keyspace.key(key)).collect();
    let mut view = keyspace.open(Open::Keys(&keys), at(START_MS), Rules::default());
    view.park(Want { database: 0, kind, without_key, kin: 0, keys: &keys }, Box::new(()))
}

fn served(keyspace: &Keyspace) -> Vec<(Vec<u8>, Vec<u64>)> {
    let mut view = keyspace.open(Open::All, at(START_MS), Rules::default());
    let mut all = Vec::new();
    while let Some((database, key)) = view.next_ready() {
        let (mut numbers, mut behind) = (Vec::new(), 0);
        while let Some(waiter) = view.next_waiter(database, &key, (behind, &[])) {
            behind = waiter.number();
            numbers.push(behind);
        }
        all.push((key.to_vec(), numbers));
    }
    assert_eq!(keyspace.ready_shards(), 0, "all was looked at");
    all
}

fn counts(keyspace: &Keyspace) -> (usize, usize) {
    keyspace.open(Open::Nothing, at(START_MS), Rules::default()).waited_keys()
}

#[test]
fn a_changed_key_is_ready_once_for_those_whom_its_type_may_serve() {
    let keyspace = keyspace(4);
    set(&keyspace, b"nobody waits", None, START_MS);
    assert_eq!(keyspace.ready_shards(), 0);
    let first = park(&keyspace, &[b"k", b"other"], Kind::String, false);
    let list = park(&keyspace, &[b"k"], Kind::List, false);
    let last = park(&keyspace, &[b"k", b"k"], Kind::Stream, true);
    assert!(first.number() < list.number() && list.number() < last.number());
    assert_eq!(counts(&keyspace), (2, 1));
    set(&keyspace, b"k", None, START_MS);
    set(&keyspace, b"k", None, START_MS);
    let expected = vec![(b"k".to_vec(), vec![first.number(), last.number()])];
    assert_eq!(served(&keyspace), expected);
    with(&keyspace, b"k", START_MS, |view, key| view.remove(0, key));
    assert_eq!(served(&keyspace), [(b"k".to_vec(), vec![last.number()])]);
    for waiter in [first, list, last] {
        assert!(keyspace.withdraw(&waiter) && waiter.is_finished());
        assert!(!keyspace.withdraw(&waiter), "only once");
    }
    assert_eq!(counts(&keyspace), (0, 0));
}

#[test]
fn keys_are_ready_in_the_order_of_their_changes_across_shards() {
    let keyspace = keyspace(8);
    let names: Vec<Vec<u8>> = (0..50).map(|i| format!("key-{i}").into_bytes()).collect();
    let waiters: Vec<_> =
        names.iter().map(|name| park(&keyspace, &[name], Kind::String, false)).collect();
    names.iter().rev().for_each(|name| set(&keyspace, name, None, START_MS));
    let order: Vec<Vec<u8>> = served(&keyspace).into_iter().map(|(key, _)| key).collect();
    assert_eq!(order, names.iter().rev().cloned().collect::<Vec<_>>());
    let mut view = keyspace.open(Open::All, at(START_MS), Rules::default());
    assert!(waiters.iter().all(|waiter| view.withdraw(waiter)));
    assert_eq!(view.waited_keys(), (0, 0));
}

#[test]
fn a_flush_an_exchange_and_an_expiry_are_changes() {
    let keyspace = keyspace(2);
    set(&keyspace, b"k", None, START_MS);
    let waiter = park(&keyspace, &[b"k"], Kind::Stream, true);
    let expected = vec![(b"k".to_vec(), vec![waiter.number()])];
    drop(keyspace.open(Open::All, at(START_MS), Rules::default()).flush(Some(0)));
    assert_eq!(served(&keyspace), expected);
    let key = keyspace.key(b"k");
    let mut view = keyspace.open(Open::All, at(START_MS), Rules::default());
    view.set(3, key, NewValue::of(b"v"), Deadline::Clear);
    view.swap_databases(0, 3);
    drop(view);
    assert_eq!(served(&keyspace), expected);
    set(&keyspace, b"k", Some(START_MS + 5), START_MS);
    assert_eq!(served(&keyspace), expected);
    keyspace.expire(START_MS + 10, 100);
    assert_eq!(served(&keyspace), expected);
}

#[test]
fn one_that_was_tried_in_vain_stands_for_its_kin() {
    let keyspace = keyspace(4);
    let key = keyspace.key(b"k");
    let waiters: Vec<_> = [0, 7, 7, 9, 0, 7]
        .into_iter()
        .map(|kin| {
            let mut view = keyspace.open(Open::Keys(&[key]), at(START_MS), Rules::default());
            let kind = Kind::String;
            let want = Want { database: 0, kind, without_key: false, kin, keys: &[key] };
            view.park(want, Box::new(()))
        })
        .collect();
    set(&keyspace, b"k", None, START_MS);
    let mut view = keyspace.open(Open::All, at(START_MS), Rules::default());
    let mut next = |behind: usize, vain: &[u64]| {
        let behind = waiters[behind].number();
        let next = view.next_waiter(0, b"k", (behind, vain));
        next.and_then(|next| waiters.iter().position(|held| held.number() == next.number()))
    };
    assert_eq!(next(0, &[]), Some(1));
    assert_eq!(next(1, &[7]), Some(3));
    assert_eq!(next(3, &[7, 9]), Some(4));
    assert_eq!(next(4, &[7, 9]), None);
    assert_eq!(next(4, &[9]), Some(5));
}

#[test]
fn who_gives_up_while_a_script_keeps_the_shards_leaves_its_queues_to_others() {
    let keyspace = keyspace(4);
    let served = park(&keyspace, &[b"k", b"other"], Kind::String, false);
    let gone = park(&keyspace, &[b"k", b"other"], Kind::String, false);
    let stays = park(&keyspace, &[b"k"], Kind::String, false);
    // A script: it holds every shard, and whoever waits for one gives up.
    let mut script = keyspace.open(Open::All, at(START_MS), Rules::default());
    keyspace.set_stuck(true);
    assert!(served.begin(), "it is just being tried");
    std::thread::scope(|scope| {
        let leaver = scope.spawn(|| (keyspace.withdraw(&gone), keyspace.withdraw(&gone)));
        assert_eq!(leaver.join().unwrap(), (true, false), "it left once, without its shards");
        // One that is being tried is not finished by another: its owner waits for the result.
        let waits = scope.spawn(|| keyspace.withdraw(&served));
        assert!(script.withdraw(&served));
        assert!(!waits.join().unwrap(), "it had been served");
    });
    assert!(gone.is_finished() && !gone.begin(), "nobody serves it");
    // It is still in the queues, until somebody comes across it there.
    assert_eq!(script.next_waiter(0, b"k", (0, &[])).map(|next| next.number()), None);
    let value = NewValue::Bytes(b"v");
    let key = script.key(b"k");
    script.set(0, key, value, Deadline::Clear);
    let first = script.next_waiter(0, b"k", (0, &[])).unwrap();
    assert_eq!(first.number(), gone.number());
    script.forget(&first);
    let next = script.next_waiter(0, b"k", (0, &[])).unwrap();
    assert_eq!(next.number(), stays.number());
    drop(script);
    keyspace.set_stuck(false);
    assert!(keyspace.withdraw(&stays));
    assert_eq!(counts(&keyspace), (0, 0));
}
