//! `footprint` against an allocator that counts: what the structures say is what they hold.
//!
//! The counter is the thread's own, because the test harness allocates beside the test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pannier_collections::{Entry, NewPayload, Ranked, Table, Wheel, allocated};

struct Counting;

thread_local! { static HELD: Cell<usize> = const { Cell::new(0) } }

fn count(bytes: usize) {
    HELD.set(HELD.get().wrapping_add(bytes));
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(allocated(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(allocated(layout.size()).wrapping_neg());
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn footprints_are_what_was_allocated() {
    let start = HELD.get();
    let held = || HELD.get().wrapping_sub(start);
    let mix = |key: u64| (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let mix = |key: u64| mix(key).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let len = if cfg!(miri) { 400 } else { 40_000 };

    let mut table = Table::new();
    let hash_of = |entry: &Entry<()>| mix(entry.access().into());
    let mut entries = 0;
    for key in 0..len {
        let mut entry = Entry::new(b"", NewPayload::Bytes(b""), None);
        entry.set_access(key as u32);
        entries += entry.footprint();
        table.insert(mix(key), entry, hash_of);
        assert_eq!(table.footprint() + entries, held());
    }
    for key in 0..len {
        let removed = table.remove(mix(key), |found| found.access() == key as u32, hash_of);
        entries -= removed.map_or(0, |entry| entry.footprint());
        assert_eq!(table.footprint() + entries, held());
    }
    for key in 0..len {
        table.insert(mix(7), Entry::new(b"", NewPayload::Int(key as i64), None), |_| mix(7));
    }
    drop(table);
    assert_eq!(held(), 0);

    let value = vec![1; 70_000];
    let base = held();
    for len in (0..70_000).step_by(if cfg!(miri) { 13_001 } else { 13 }) {
        let payload = NewPayload::Bytes(&value[..len]);
        let mut entry = Entry::<u64>::new(b"key", payload, None);
        assert_eq!(entry.footprint(), held() - base);
        entry.resize_bytes(len / 2 * 3);
        entry.set_deadline(Some(1));
        assert_eq!(entry.footprint(), held() - base);
        entry.set_payload(NewPayload::Object(3));
        assert_eq!(entry.footprint(), held() - base);
    }
    drop(value);
    assert_eq!(held(), 0);

    let mut set = Ranked::new();
    let hash_of = |name: &[u8]| name.iter().fold(7, |hash, byte| mix(hash ^ u64::from(*byte)));
    for step in 0..len * 3 {
        let (number, name) = (mix(step) % len, format!("member:{:08}", mix(step) % len));
        match step * 4 / (len * 3) {
            2 => drop(set.remove(name.as_bytes(), hash_of)),
            3 => set.remove_range(number as usize / 2..number as usize / 2 + 5, hash_of, |_, _| {}),
            _ => set.update(name.as_bytes(), hash_of, |_| Some((number % 70) as f64)),
        }
        drop(name);
        assert_eq!(set.footprint(), held());
    }
    drop(set);
    assert_eq!(held(), 0);

    let mut wheel = Wheel::new(0);
    for mark in 0..len {
        wheel.arm(mix(mark) % 4_000_000_000 + 1, [mark as u32; 2]);
        assert_eq!(wheel.footprint(), held());
    }
    for now in (0..4_000_000_000).step_by(100_000_000) {
        wheel.advance(now, 5_000, |_| ());
        wheel.sweep(100, |mark| mark[0] % 2 == 0);
        // A far epoch or a tick behind is an estimate; there is none of either here.
        assert_eq!(wheel.footprint(), held());
    }
    drop(wheel);
    assert_eq!(held(), 0);
}
