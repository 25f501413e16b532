//! What the program asks of its allocator, jemalloc: figures, and giving memory back.
//!
//! jemalloc keeps freed pages for a second before it returns them (`.cargo/config.toml`); MEMORY
//! PURGE makes it return them now, by setting each arena's patience to nothing for a moment.
//! Names are those of jemalloc's `mallctl` tree. Neighbours: `engine::Host` asks for these.

use std::fmt::Write;

use tikv_jemalloc_ctl::{Access, AsName, arenas, epoch, stats};

/// The figures that jemalloc keeps, a line each, in bytes; empty when it keeps none.
pub(super) fn report() -> String {
    // The figures are as of the last turn of the epoch.
    if epoch::advance().is_err() {
        return String::new();
    }
    let figures = [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("resident", stats::resident::read()),
        ("mapped", stats::mapped::read()),
        ("metadata", stats::metadata::read()),
        ("retained", stats::retained::read()),
    ];
    let mut text = String::from("jemalloc\n");
    for (name, figure) in figures {
        if let Ok(bytes) = figure {
            let _ = writeln!(text, "{name}: {bytes}");
        }
    }
    text
}

/// Returns unused pages to the system.
pub(super) fn purge() {
    let Ok(arenas) = arenas::narenas::read() else { return };
    for arena in 0..arenas {
        let place = format!("arena.{arena}.dirty_decay_ms\0");
        let name = place.as_bytes().name();
        // An arena that was never used has no such entry.
        let Ok(patience) = Access::<isize>::read(name) else { continue };
        if let Err(error) = name.write(0isize).and_then(|()| name.write(patience)) {
            tracing::warn!("MEMORY PURGE: arena {arena}: {error}");
        }
    }
}
