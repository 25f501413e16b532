//! What exact policies make of a trace: the hit ratios that sampling is held against.
//!
//! Each function runs a cache that starts empty and holds `capacity` entries, puts a missed key in
//! at once, and answers the share of requests that were hits. `belady` knows the future (it takes
//! whichever key is asked for last) and is the limit of all policies; `lru` and `lfu` are what the
//! samplers of Redis, Valkey and Pannier imitate; `s3_fifo` (Yang et al., SOSP 2023) and
//! `w_tinylfu` (Einziger, Friedman and Manes, 2017) are what newer caches use. All count entries,
//! not bytes: the ghosts of S3-FIFO and the sketch of W-TinyLFU are theirs for nothing here, as
//! are the list links (16 bytes an entry) that none but the samplers can do without.
//!
//! Rules: keys are small numbers, as `trace` makes them; tables are indexed by them.

use std::collections::{BTreeSet, BinaryHeap, VecDeque};

/// A policy: hit ratio of a trace with so many entries.
pub type Simulate = fn(&[u32], usize) -> f64;

/// Least recently used, exactly.
///
/// ```
/// // The third request finds key 1, the fifth finds no key 2.
/// assert_eq!(pannier_benches::simulate::lru(&[1, 2, 1, 3, 2], 2), 0.2);
/// ```
pub fn lru(trace: &[u32], capacity: usize) -> f64 {
    // When each key was asked for last; the trace itself is the list, walked by `oldest`.
    let mut last = vec![ABSENT; keys(trace)];
    let (mut oldest, mut len) = (0, 0);
    ratio(trace, |at, key| {
        let hit = last[key] != ABSENT;
        if !hit && len == capacity {
            while last[trace[oldest] as usize] != oldest as u32 {
                oldest += 1;
            }
            last[trace[oldest] as usize] = ABSENT;
        } else if !hit {
            len += 1;
        }
        last[key] = at as u32;
        hit
    })
}

/// Least frequently used since it was put in, the longest idle of several; nothing ages.
///
/// ```
/// // Key 1 was used twice, so 3 replaces 2.
/// assert_eq!(pannier_benches::simulate::lfu(&[1, 1, 2, 3, 1], 2), 0.4);
/// ```
pub fn lfu(trace: &[u32], capacity: usize) -> f64 {
    let mut uses = vec![(0, 0); keys(trace)];
    let mut order = BTreeSet::new();
    ratio(trace, |at, key| {
        let (count, last) = uses[key];
        let hit = order.remove(&(count, last, key));
        if !hit && order.len() == capacity {
            order.pop_first();
        }
        uses[key] = (if hit { count + 1 } else { 1 }, at);
        order.insert((uses[key].0, at, key));
        hit
    })
}

/// Who is asked for again last goes first: no policy can do better.
///
/// ```
/// assert_eq!(pannier_benches::simulate::belady(&[1, 2, 3, 1, 2], 2), 0.2);
/// ```
pub fn belady(trace: &[u32], capacity: usize) -> f64 {
    let mut next = vec![ABSENT; trace.len()];
    let mut seen = vec![ABSENT; keys(trace)];
    for (at, key) in trace.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut seen[*key as usize], at as u32);
    }
    let mut wanted = vec![None; keys(trace)];
    let mut heap = BinaryHeap::new();
    let mut len = 0;
    ratio(trace, |at, key| {
        let hit = wanted[key].is_some();
        if !hit && len == capacity {
            // Records of keys that were asked for since are passed over.
            while let Some((when, victim)) = heap.pop() {
                if wanted[victim] == Some(when) {
                    wanted[victim] = None;
                    break;
                }
            }
        } else if !hit {
            len += 1;
        }
        wanted[key] = Some(next[at]);
        heap.push((next[at], key));
        hit
    })
}

/// Three queues: a small one for the new (a tenth), the main one for what was asked for again
/// there, and a ghost that remembers as many evicted keys as the main one holds.
///
/// ```
/// assert_eq!(pannier_benches::simulate::s3_fifo(&[1, 1, 2, 1, 2], 10), 0.6);
/// ```
pub fn s3_fifo(trace: &[u32], capacity: usize) -> f64 {
    const USES_MAX: u8 = 3;
    let small_max = (capacity / 10).max(1);
    let ghosts_max = capacity - small_max;
    let mut uses: Vec<Option<u8>> = vec![None; keys(trace)];
    let mut ghost_since = vec![ABSENT; keys(trace)];
    let (mut small, mut main) = (VecDeque::<usize>::new(), VecDeque::<usize>::new());
    let mut ghosts = 0;
    ratio(trace, |_, key| {
        if let Some(count) = &mut uses[key] {
            *count = USES_MAX.min(*count + 1);
            return true;
        }
        while small.len() + main.len() >= capacity {
            if small.len() >= small_max || main.is_empty() {
                let Some(tail) = small.pop_front() else { break };
                if uses[tail].is_some_and(|count| count > 1) {
                    uses[tail] = Some(0);
                    main.push_back(tail);
                } else {
                    uses[tail] = None;
                    ghost_since[tail] = ghosts;
                    ghosts += 1;
                }
            } else if let Some(tail) = main.pop_front() {
                match uses[tail] {
                    Some(count @ 1..) => {
                        uses[tail] = Some(count - 1);
                        main.push_back(tail);
                    }
                    _ => uses[tail] = None,
                }
            }
        }
        let since = std::mem::replace(&mut ghost_since[key], ABSENT);
        let remembered = since != ABSENT && (ghosts - since) as usize <= ghosts_max;
        if remembered {
            main.push_back(key)
        } else {
            small.push_back(key)
        }
        uses[key] = Some(0);
        false
    })
}

/// A window of the latest (a hundredth), whose victims enter the main part only if a sketch has
/// seen them more often than the main part's victim; the main part is a segmented LRU, four
/// fifths of it protected. Frequencies are exact counts here, up to 15, halved after every ten
/// requests an entry, which flatters the sketch a little.
///
/// ```
/// assert_eq!(pannier_benches::simulate::w_tinylfu(&[1, 1, 2, 1, 2], 100), 0.6);
/// ```
pub fn w_tinylfu(trace: &[u32], capacity: usize) -> f64 {
    let window_max = (capacity / 100).max(1);
    let protected_max = (capacity - window_max) * 4 / 5;
    let mut counts = vec![0_u8; keys(trace)];
    let mut places = vec![(Segment::Absent, 0); keys(trace)];
    let mut lists = [const { BTreeSet::new() }; 3];
    let mut requests = 0;
    ratio(trace, |at, key| {
        counts[key] = 15.min(counts[key] + 1);
        requests += 1;
        if requests == 10 * capacity {
            requests = 0;
            counts.iter_mut().for_each(|count| *count /= 2);
        }
        let put = |places: &mut Vec<_>, lists: &mut [BTreeSet<_>; 3], key: usize, to| {
            let (from, since) = std::mem::replace(&mut places[key], (to, at));
            if from != Segment::Absent {
                lists[from as usize].remove(&(since, key));
            }
            if to != Segment::Absent {
                lists[to as usize].insert((at, key));
            }
        };
        let (segment, _) = places[key];
        match segment {
            Segment::Window => put(&mut places, &mut lists, key, Segment::Window),
            Segment::Probation | Segment::Protected => {
                put(&mut places, &mut lists, key, Segment::Protected);
                if lists[Segment::Protected as usize].len() > protected_max {
                    let demoted = lists[Segment::Protected as usize].first().copied();
                    if let Some((_, key)) = demoted {
                        put(&mut places, &mut lists, key, Segment::Probation);
                    }
                }
            }
            Segment::Absent => {
                put(&mut places, &mut lists, key, Segment::Window);
                let window = &lists[Segment::Window as usize];
                if let Some((_, candidate)) = window.first().copied()
                    && window.len() > window_max
                {
                    let held: usize = lists.iter().map(BTreeSet::len).sum();
                    put(&mut places, &mut lists, candidate, Segment::Probation);
                    if held > capacity {
                        let others = lists[Segment::Probation as usize].iter();
                        let rival = others.map(|(_, key)| *key).find(|key| *key != candidate);
                        let rival = rival.unwrap_or(candidate);
                        let keep = counts[candidate] > counts[rival];
                        let victim = if keep { rival } else { candidate };
                        put(&mut places, &mut lists, victim, Segment::Absent);
                    }
                }
            }
        }
        segment != Segment::Absent
    })
}

/// Where a key of `w_tinylfu` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Window,
    Probation,
    Protected,
    Absent,
}

/// The share of requests for which `request` answers true; it is given position and key.
fn ratio(trace: &[u32], mut request: impl FnMut(usize, usize) -> bool) -> f64 {
    let requests = trace.iter().enumerate();
    let hits = requests.filter(|(at, key)| request(*at, **key as usize)).count();
    hits as f64 / trace.len().max(1) as f64
}

fn keys(trace: &[u32]) -> usize {
    trace.iter().max().map_or(0, |most| *most as usize + 1)
}

const ABSENT: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Size, Trace};

    const ALL: [(&str, Simulate); 5] = [
        ("lru", lru),
        ("lfu", lfu),
        ("belady", belady),
        ("s3_fifo", s3_fifo),
        ("w_tinylfu", w_tinylfu),
    ];

    /// What a cache that holds `capacity` of the keys in a plain list makes of the trace.
    fn listed_lru(trace: &[u32], capacity: usize) -> f64 {
        let mut held: Vec<u32> = Vec::new();
        let mut hits = 0;
        for key in trace {
            match held.iter().position(|other| other == key) {
                Some(at) => {
                    held.remove(at);
                    hits += 1;
                }
                None if held.len() == capacity => drop(held.remove(0)),
                None => {}
            }
            held.push(*key);
        }
        f64::from(hits) / trace.len() as f64
    }

    #[test]
    fn lru_is_what_a_list_would_do() {
        for trace in Trace::ALL {
            let trace = trace.requests(Size::part(200), 5);
            for capacity in [1, 2, 100, 690] {
                assert_eq!(lru(&trace, capacity), listed_lru(&trace, capacity));
            }
        }
    }

    #[test]
    fn no_policy_beats_the_one_that_knows_the_future() {
        for trace in Trace::ALL {
            let trace = trace.requests(Size::part(50), 5);
            for capacity in [100, 2760] {
                let limit = belady(&trace, capacity);
                for (name, simulate) in ALL {
                    let ratio = simulate(&trace, capacity);
                    assert!(ratio > 0.05 && ratio <= limit, "{name}: {ratio} of {limit}");
                }
            }
        }
    }

    #[test]
    fn with_room_for_all_only_the_first_request_of_a_key_is_a_miss() {
        let trace = Trace::Zipf.requests(Size::part(100), 5);
        let distinct = trace.iter().collect::<BTreeSet<_>>().len();
        let all = 1.0 - distinct as f64 / trace.len() as f64;
        for (name, simulate) in ALL {
            assert_eq!(simulate(&trace, 20_000), all, "{name}");
        }
    }
}
