//! Streams against a map: entries, trimming, groups, and what comes from outside.

use std::collections::BTreeMap;

use super::{START_MS, keyspace, recount, with};
use crate::types::Limits;
use crate::{
    Encoding, Group, Keep, Log, NewId, Refused, Stream, StreamData, StreamId, StreamMut, Trim,
};

type Twin = BTreeMap<StreamId, Vec<Vec<u8>>>;

/// The fields and values of an entry; often those that others have, too.
fn pairs(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut pairs = Vec::new();
    for at in 0..random.usize(1..4) {
        let name = if random.u8(..8) == 0 { random.u8(..9).to_string() } else { format!("f{at}") };
        let longest = if random.u8(..50) == 0 { 700 } else { 20 };
        pairs.push(name.into_bytes());
        pairs.push(match random.u8(..3) {
            0 => random.i64(..).to_string().into_bytes(),
            _ => vec![b'v'; random.usize(..longest)],
        });
    }
    pairs
}

fn slices(pairs: &[Vec<u8>]) -> Vec<&[u8]> {
    pairs.iter().map(Vec::as_slice).collect()
}

fn some_id(random: &mut fastrand::Rng, twin: &Twin) -> StreamId {
    let (ms, seq) = (random.u64(..4000), random.u64(..4));
    let near = twin.range(StreamId::new(ms, seq)..).next();
    near.filter(|_| random.bool()).map_or(StreamId::new(ms, seq), |(id, _)| *id)
}

fn entries<'s>(
    found: impl Iterator<Item = crate::StreamEntry<'s>>,
) -> Vec<(StreamId, Vec<Vec<u8>>)> {
    found
        .map(|entry| {
            let mut pairs = Vec::new();
            entry.for_each(|name, value| pairs.extend([name.to_vec(), value.to_vec()]));
            assert_eq!(pairs.len(), 2 * entry.len());
            (entry.id, pairs)
        })
        .collect()
}

fn agree(stream: &StreamData, twin: &Twin, random: &mut fastrand::Rng) {
    let log = stream.log();
    assert_eq!(log.meta().len, twin.len() as u64);
    let (a, b) = (some_id(random, twin), some_id(random, twin));
    let (from, to) = if random.u8(..10) == 0 { (b.max(a), a.min(b)) } else { (a.min(b), a.max(b)) };
    let expected: Vec<_> = if from <= to {
        twin.range(from..=to).map(|(id, pairs)| (*id, pairs.clone())).collect()
    } else {
        Vec::new()
    };
    assert_eq!(entries(log.range(from, to)), expected);
    let backwards: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(entries(log.range(from, to).rev()), backwards);
    // From both ends at once each entry comes once.
    let mut both = log.range(from, to);
    let mut count = 0;
    while if random.bool() { both.next() } else { both.next_back() }.is_some() {
        count += 1;
    }
    assert_eq!(count, expected.len());
    assert_eq!(log.get(a).map(|entry| entry.id), twin.get_key_value(&a).map(|(id, _)| *id));
    assert_eq!(log.last_entry(), twin.last_key_value().map(|(id, _)| *id));
    assert_eq!(stream.recount(), stream.footprint());
}

#[test]
fn random_entries_agree_with_a_map() {
    for (seed, stream_bytes, stream_entries) in [(1, 4096, 100), (2, 300, 0), (3, 0, 5), (4, 0, 0)]
    {
        let mut random = fastrand::Rng::with_seed(seed);
        let keyspace = keyspace(2);
        let limits = Limits { stream_bytes, stream_entries, ..Limits::default() };
        let mut twin = Twin::new();
        let mut ms = 0;
        for step in 0..2_000 {
            with(&keyspace, b"stream", START_MS, |view, key| {
                let doom = some_id(&mut random, &twin);
                let new = pairs(&mut random);
                ms = (ms + random.u64(..3)).min(4000);
                let (kind, max) = (random.u32(..100), random.u64(..300));
                view.change::<Stream, _>(0, key, (&limits, true), |stream| match kind {
                    0..60 => {
                        if let Ok(id) = stream.append(NewId::Ms(ms), &slices(&new)) {
                            assert!(twin.insert(id, new).is_none());
                        }
                    }
                    60..97 => assert_eq!(stream.delete(doom), twin.remove(&doom).is_some()),
                    97 => {
                        let keep = Keep::From(doom);
                        stream.trim(Trim { keep, approximate: false, limit: 0 });
                        twin = twin.split_off(&doom);
                    }
                    98 => {
                        let keep = Keep::Newest(max);
                        stream.trim(Trim { keep, approximate: false, limit: 0 });
                        while twin.len() as u64 > max {
                            twin.pop_first();
                        }
                    }
                    _ => trim_about(stream, &mut twin, max),
                })
                .expect("a stream");
                if let Ok(Some(stream)) = view.read_as::<Stream>(0, key) {
                    agree(stream, &twin, &mut random);
                }
            });
            if step % 100 == 0 {
                recount(&keyspace);
            }
            if ms == 4000 && random.u8(..100) == 0 {
                with(&keyspace, b"stream", START_MS, |view, key| view.remove(0, key));
                (ms, twin) = (0, Twin::new());
            }
        }
    }
}

/// Trimming that drops whole chunks takes the oldest, never too many, never more than its limit.
fn trim_about(stream: &mut StreamMut<'_>, twin: &mut Twin, max: u64) {
    let trim = Trim { keep: Keep::Newest(max), approximate: true, limit: 150 };
    let gone = stream.trim(trim);
    assert!(gone <= 150);
    for _ in 0..gone {
        assert!(twin.pop_first().is_some());
    }
    assert!(gone == 0 || twin.len() as u64 >= max);
}

#[test]
fn an_emptied_stream_stays_and_remembers() {
    let keyspace = keyspace(1);
    let limits = Limits::default();
    with(&keyspace, b"s", START_MS, |view, key| {
        let added = view.change::<Stream, _>(0, key, (&limits, true), |stream| {
            assert_eq!(
                stream.append(NewId::Exact(StreamId::MIN), &[b"f", b"v"]),
                Err(Refused::NotGreater)
            );
            stream.data().log().meta().len
        });
        assert_eq!(added, Ok(Some(0)));
        assert!(!view.contains(0, key), "what was refused leaves no key");
        let id = StreamId::new(5, 1);
        let _ = view.change::<Stream, _>(0, key, (&limits, true), |stream| {
            assert_eq!(stream.append(NewId::Exact(id), &[b"f", b"v"]), Ok(id));
            assert_eq!(stream.append(NewId::Auto(3), &[b"f", b"v"]), Ok(StreamId::new(5, 2)));
            assert!(stream.delete(id) && stream.delete(StreamId::new(5, 2)));
        });
        let stream = view.read_as::<Stream>(0, key).expect("a stream").expect("it stays");
        assert_eq!(stream.log().meta().last, StreamId::new(5, 2));
        assert_eq!(stream.log().meta().max_deleted, StreamId::new(5, 2));
        assert_eq!((stream.log().meta().added, stream.log().chunk_count()), (2, 0));
        assert_eq!(view.peek(0, key).map(|found| found.encoding()), Some(Encoding::Stream));
    });
    recount(&keyspace);
}

#[test]
fn ids_end_at_the_greatest() {
    let keyspace = keyspace(1);
    let limits = Limits::default();
    with(&keyspace, b"s", START_MS, |view, key| {
        let _ = view.change::<Stream, _>(0, key, (&limits, true), |stream| {
            let before = StreamId::new(u64::MAX, u64::MAX - 1);
            assert_eq!(stream.append(NewId::Exact(before), &[b"f", b"v"]), Ok(before));
            assert_eq!(stream.append(NewId::Ms(u64::MAX), &[b"f", b"v"]), Ok(StreamId::MAX));
            assert_eq!(stream.append(NewId::Auto(1), &[b"f", b"v"]), Err(Refused::Exhausted));
            let all = stream.data().log().range(StreamId::MIN, StreamId::MAX);
            assert_eq!(all.map(|entry| entry.id).collect::<Vec<_>>(), [before, StreamId::MAX]);
        });
    });
    assert_eq!(StreamId::MAX.next(), None);
    assert_eq!(StreamId::MIN.previous(), None);
    assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
    assert_eq!(StreamId::new(2, 0).previous(), Some(StreamId::new(1, u64::MAX)));
}

#[test]
fn random_deliveries_agree_with_a_map() {
    let mut random = fastrand::Rng::with_seed(9);
    let keyspace = keyspace(1);
    let limits = Limits::default();
    let mut twin: BTreeMap<StreamId, (String, u64)> = BTreeMap::new();
    with(&keyspace, b"s", START_MS, |view, key| {
        let _ = view.change::<Stream, _>(0, key, (&limits, true), |stream| {
            assert!(stream.create_group(b"g", Group::new(StreamId::MIN, None)));
            assert!(!stream.create_group(b"g", Group::new(StreamId::MIN, None)));
        });
    });
    for _ in 0..5_000 {
        let id = StreamId::new(random.u64(..50), 0);
        let name = format!("consumer-{}", random.u8(..5));
        let kind = random.u8(..20);
        with(&keyspace, b"s", START_MS, |view, key| {
            let _ = view.change::<Stream, _>(0, key, (&limits, false), |stream| {
                if kind == 19 {
                    stream.forget(id);
                    twin.remove(&id);
                    return;
                }
                stream.group(b"g", |_, group| {
                    match kind {
                        0..10 => {
                            let (to, _) = group.add_consumer(name.as_bytes(), 1);
                            let count = group.pending_of(id).map_or(1, |held| held.count + 1);
                            group.give(id, to, 7, count);
                            twin.entry(id).or_default().0.clone_from(&name);
                            twin.entry(id).or_default().1 = count;
                        }
                        10..12 => {
                            group.repeat(id, 8);
                            twin.entry(id).and_modify(|held| held.1 += 1);
                        }
                        12..18 => {
                            assert_eq!(group.acknowledge(id), twin.remove(&id).is_some());
                        }
                        _ => {
                            let held = twin.values().filter(|(owner, _)| *owner == name).count();
                            let removed = group.remove_consumer(name.as_bytes());
                            assert_eq!(removed.unwrap_or(0), held);
                            twin.retain(|_, (owner, _)| *owner != name);
                        }
                    }
                    ((), 1)
                });
            });
            let stream = view.read_as::<Stream>(0, key).expect("a stream").expect("there");
            let group = stream.group(b"g").expect("the group");
            let held: BTreeMap<_, _> = group
                .pending(StreamId::MIN, StreamId::MAX)
                .map(|(id, held)| {
                    let owner = String::from_utf8_lossy(group.owner_name(held)).into_owned();
                    (id, (owner, held.count))
                })
                .collect();
            assert_eq!(held, twin);
            assert_eq!(stream.recount(), stream.footprint());
            assert!(group.consumers().map(|consumer| consumer.name()).is_sorted());
            let copy = stream.clone();
            assert_eq!(copy.recount(), copy.footprint());
        });
    }
    recount(&keyspace);
}

#[test]
fn chunks_from_outside_are_taken_if_they_are_sound() {
    let mut random = fastrand::Rng::with_seed(5);
    let keyspace = keyspace(1);
    let limits = Limits { stream_entries: 7, ..Limits::default() };
    with(&keyspace, b"s", START_MS, |view, key| {
        let _ = view.change::<Stream, _>(0, key, (&limits, true), |stream| {
            for ms in 1..40 {
                let new = pairs(&mut random);
                assert!(stream.append(NewId::Ms(ms), &slices(&new)).is_ok());
            }
            assert!((3..6).all(|ms| stream.delete(StreamId::new(ms, 0))));
        });
        let stream = view.read_as::<Stream>(0, key).expect("a stream").expect("there");
        let log = stream.log();
        let chunks = || log.chunks().map(|(first, bytes)| (first, Box::from(bytes)));
        let copy = Log::from_chunks(*log.meta(), chunks()).expect("its own chunks are sound");
        assert_eq!(copy.meta(), log.meta());
        let all = |log: &Log| entries(log.range(StreamId::MIN, StreamId::MAX));
        assert_eq!(all(&copy), all(log));
        let data = StreamData::new(copy.clone(), []).expect("no groups");
        assert_eq!(data.recount(), data.footprint());
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut spoiled: Vec<(StreamId, Box<[u8]>)> = chunks().collect();
            let bytes = &mut spoiled[0].1;
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u32(..8);
            if random.u8(..4) == 0 {
                let cut = random.usize(..bytes.len());
                *bytes = bytes[..cut].into();
            }
            match Log::from_chunks(*log.meta(), spoiled) {
                // A changed value is as good as any; it can be read, whatever it is.
                Some(taken) => assert_eq!(all(&taken).len() as u64, taken.meta().len),
                None => refused += 1,
            }
        }
        assert!(refused > 5_000, "{refused}");
        let backwards = chunks().collect::<Vec<_>>().into_iter().rev();
        assert!(Log::from_chunks(*log.meta(), backwards).is_none());
        let twice =
            [(Box::from(&b"g"[..]), Group::default()), (Box::from(&b"g"[..]), Group::default())];
        assert!(StreamData::new(copy, twice).is_none());
    });
}
