//! Waiters: readiness, order, and that each is finished once.

use super::*;
use crate::{Kind, Waiter, Want};

fn park(keyspace: &Keyspace, keys: &[&[u8]], kind: Kind, without_key: bool) -> Arc<Waiter> {
    let keys: Vec<Key<'_>> = keys.iter().map(|key| keyspace.key(key)).collect();
    let mut view = keyspace.open(Open::Keys(&keys), at(START_MS), Rules::default());
    view.park(Want { database: 0, kind, without_key, keys: &keys }, Box::new(()))
}

fn served(keyspace: &Keyspace) -> Vec<(Vec<u8>, Vec<u64>)> {
    let mut view = keyspace.open(Open::All, at(START_MS), Rules::default());
    let mut all = Vec::new();
    while let Some((database, key)) = view.next_ready() {
        let (mut numbers, mut behind) = (Vec::new(), 0);
        while let Some(waiter) = view.next_waiter(database, &key, behind) {
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
