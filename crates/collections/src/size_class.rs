//! The size classes of the allocator, so that memory can be counted without asking it.
//!
//! An allocator of the jemalloc or mimalloc family does not hand out 70 bytes: it rounds up to a
//! class, and the rest of the class is lost to others. The classes assumed here are 8, 16, then
//! multiples of 16 up to 128, then four per doubling: 160, 192, 224, 256, 320, 384, 448, 512, ...
//! The program's global allocator is chosen to match; glibc's malloc does not (it adds 8 bytes and
//! rounds to 16), and under it the figures are off by about a tenth.
//!
//! Rules: `allocated` is monotonic and never below its argument. A class has a number that fits a
//! byte: 1 to 8 are the multiples of 16, from 9 on there are four numbers per doubling, so
//! 8 GiB is number 112. Entries store this number in place of their capacity.
//!
//! Neighbours: `table`, `entry` and `wheel` count with it; tests are at the bottom.

/// Bytes that an allocation of `bytes` really takes, in the size classes named above.
///
/// ```
/// assert_eq!(pannier_collections::allocated(70), 80);
/// assert_eq!(pannier_collections::allocated(129), 160);
/// ```
#[inline]
pub const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        _ => size_of_class(class_of(bytes)),
    }
}

/// The number of the smallest class that holds `bytes`; the least is 1 (16 bytes).
#[inline]
pub(crate) const fn class_of(bytes: usize) -> u8 {
    if bytes <= 128 {
        if bytes <= 16 { 1 } else { bytes.div_ceil(16) as u8 }
    } else {
        let last = bytes - 1;
        let doubling = last.ilog2();
        let quarter = (last >> (doubling - 2)) & 3;
        (9 + 4 * (doubling - 7)) as u8 + quarter as u8
    }
}

/// The size of class number `class` in bytes: the inverse of `class_of`.
#[inline]
pub(crate) const fn size_of_class(class: u8) -> usize {
    if class <= 8 {
        class as usize * 16
    } else {
        let step = class as usize - 9;
        (5 + step % 4) << (5 + step / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sixteen_apart_and_then_four_per_doubling() {
        let sizes: Vec<usize> = (1..=17).map(size_of_class).collect();
        let expected =
            [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640];
        assert_eq!(sizes, expected);
        assert_eq!(allocated(0), 0);
        assert_eq!(allocated(1), 8);
        assert_eq!(allocated(9), 16);
        assert_eq!(allocated(4096), 4096);
        assert_eq!(allocated(4097), 5120);
        assert_eq!(size_of_class(112), 8 << 30);
    }

    #[test]
    fn a_class_holds_what_was_asked_and_the_class_below_does_not() {
        let step = if cfg!(miri) { 97 } else { 1 };
        for bytes in
            (1..70_000).step_by(step).chain([(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (8 << 30) + 24])
        {
            let class = class_of(bytes);
            assert!(size_of_class(class) >= bytes, "{bytes}");
            assert!(class == 1 || size_of_class(class - 1) < bytes, "{bytes}");
        }
    }
}
