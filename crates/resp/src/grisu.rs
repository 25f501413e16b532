//! Decimal digits of a double by Grisu2.
//!
//! Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers"
//! (PLDI 2010): scale the double and the borders of its rounding interval by a power of ten
//! from a table, in 64 bits, and produce digits until any number of the interval is reached. The
//! digits always read back as the same double; in about one of a thousand cases they are not the
//! shortest ones, because the interval is narrowed by the scaling's error. Rust's own
//! formatting is always shortest, and therefore prints 1e23 where Valkey prints
//! 9.999999999999999e22. Clients see the difference, so the digits here are Grisu2's,
//! with the table's step (8 decades) and choice of power that Valkey has.
//!
//! Used by `double`, and tested there against a real server's output.

/// Most digits that a double needs, and room for the rounding step's last one.
pub(crate) const DIGITS_MAX: usize = 20;

/// A number `f * 2^e`.
#[derive(Clone, Copy)]
struct Scaled {
    f: u64,
    e: i32,
}

impl Scaled {
    fn normalized(self) -> Self {
        let shift = self.f.leading_zeros();
        Self { f: self.f << shift, e: self.e - shift as i32 }
    }

    /// The upper 64 bits of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.f) * u128::from(other.f) + (1 << 63);
        Self { f: (product >> 64) as u64, e: self.e + other.e + 64 }
    }
}

/// Writes the digits of `d`, which is finite and above zero; returns their number and the
/// exponent of ten of the last one.
pub(crate) fn digits(d: f64, out: &mut [u8; DIGITS_MAX]) -> (usize, i32) {
    let bits = d.to_bits();
    let (fraction, biased) = (bits & (HIDDEN - 1), (bits >> 52) as i32);
    let value = match biased {
        0 => Scaled { f: fraction, e: 1 - BIAS },
        _ => Scaled { f: fraction | HIDDEN, e: biased - BIAS },
    };
    // The borders lie half way to the neighbours; below a power of two the neighbour is nearer.
    let upper = Scaled { f: value.f * 2 + 1, e: value.e - 1 }.normalized();
    let nearer = if value.f == HIDDEN { 2 } else { 1 };
    let lower = Scaled { f: (value.f << nearer) - 1, e: value.e - nearer };
    let lower = Scaled { f: lower.f << (lower.e - upper.e), e: upper.e };

    let (power, decades) = cached_power(upper.e);
    let value = value.normalized().times(power);
    let upper = Scaled { f: upper.times(power).f - 1, ..upper.times(power) };
    let lower = lower.times(power).f + 1;
    let (count, exponent) = generate(value.f, upper, lower, out);
    (count, exponent - decades)
}

/// Digits of `upper` until the rest is within the interval, then towards `value`.
fn generate(value: u64, upper: Scaled, lower: u64, out: &mut [u8; DIGITS_MAX]) -> (usize, i32) {
    let point = -upper.e as u32;
    let one = 1_u64 << point;
    let mut distance = upper.f - value;
    let mut interval = upper.f - lower;
    let mut whole = (upper.f >> point) as u32;
    let mut rest = upper.f & (one - 1);
    let mut count = 0;

    // At least one digit: a scaled number's whole part is never zero.
    for exponent in (0..=whole.ilog10()).rev() {
        let unit = TENS[exponent as usize];
        out[count] = b'0' + (whole / unit) as u8;
        count += 1;
        whole %= unit;
        let left = (u64::from(whole) << point) + rest;
        if left <= interval {
            round(&mut out[..count], interval, left, u64::from(unit) << point, distance);
            return (count, exponent as i32);
        }
    }
    let mut exponent = 0;
    loop {
        rest *= 10;
        interval *= 10;
        distance = distance.wrapping_mul(10);
        exponent -= 1;
        out[count] = b'0' + (rest >> point) as u8;
        count += 1;
        rest &= one - 1;
        if rest < interval {
            round(&mut out[..count], interval, rest, one, distance);
            return (count, exponent);
        }
    }
}

/// Lowers the last digit while that brings the number nearer to the value: `rest` is how far
/// below `upper` the digits are, `distance` how far the value is.
fn round(digits: &mut [u8], interval: u64, mut rest: u64, unit: u64, distance: u64) {
    let Some(last) = digits.last_mut() else { return };
    while rest < distance
        && interval - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        *last -= 1;
        rest += unit;
    }
}

/// The power of ten that brings a number with binary exponent `e` to an exponent between
/// -60 and -32, and its decimal exponent. Two may do; the search's start decides.
fn cached_power(e: i32) -> (Scaled, i32) {
    let decades = (-(f64::from(e) + 87.0) * std::f64::consts::LOG10_2) as i32;
    let mut index = (decades - FIRST_DECADE) / DECADES_STEP;
    loop {
        let decade = FIRST_DECADE + index * DECADES_STEP;
        let power = Scaled { f: POWERS[index as usize], e: binary_exponent(decade) };
        match e + power.e + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => return (power, decade),
        }
    }
}

/// Such that 10^decade is `f * 2^e` with the highest bit of `f` set; 217706 / 2^16 is log2(10).
const fn binary_exponent(decade: i32) -> i32 {
    ((decade * 217_706) >> 16) - 63
}

const TENS: [u32; 10] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

const HIDDEN: u64 = 1 << 52;
const BIAS: i32 = 1023 + 52;
const FIRST_DECADE: i32 = -348;
const DECADES_STEP: i32 = 8;

/// Significands of 10^-348, 10^-340, ... 10^340, rounded to 64 bits.
#[rustfmt::skip]
static POWERS: [u64; 87] = [
    0xfa8fd5a0081c0288, 0xbaaee17fa23ebf76, 0x8b16fb203055ac76, 0xcf42894a5dce35ea,
    0x9a6bb0aa55653b2d, 0xe61acf033d1a45df, 0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f,
    0xbe5691ef416bd60c, 0x8dd01fad907ffc3c, 0xd3515c2831559a83, 0x9d71ac8fada6c9b5,
    0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57, 0xc21094364dfb5637,
    0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5,
    0xb23867fb2a35b28e, 0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996,
    0xdbac6c247d62a584, 0xa3ab66580d5fdaf6, 0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8,
    0x87625f056c7c4a8b, 0xc9bcff6034c13053, 0x964e858c91ba2655, 0xdff9772470297ebd,
    0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf, 0x8a08f0f8bf0f156b,
    0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3,
    0xfd87b5f28300ca0e, 0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c,
    0x9c40000000000000, 0xe8d4a51000000000, 0xad78ebc5ac620000, 0x813f3978f8940984,
    0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70, 0xd5d238a4abe98068, 0x9f4f2726179a2245,
    0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db, 0xc45d1df942711d9a,
    0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85,
    0xb454e4a179dd1877, 0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3,
    0xde469fbd99a05fe3, 0xa59bc234db398c25, 0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece,
    0x88fcf317f22241e2, 0xcc20ce9bd35c78a5, 0x98165af37b2153df, 0xe2a0b5dc971f303a,
    0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410, 0x8bab8eefb6409c1a,
    0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429,
    0x80444b5e7aa7cf85, 0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841,
    0x9e19db92b4e31ba9, 0xeb96bf6ebadf77d9, 0xaf87023b9bf0ee6b,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table rebuilt by exact arithmetic: 10^n as a long binary number, cut to 64 bits.
    #[test]
    fn powers_are_the_exact_ones_rounded() {
        for (index, expected) in POWERS.iter().enumerate() {
            let decade = FIRST_DECADE + index as i32 * DECADES_STEP;
            let significand = if decade >= 0 { power(decade) } else { inverse_power(-decade) };
            assert_eq!(significand, *expected, "10^{decade}");
        }
    }

    /// Limbs of 32 bits, lowest first.
    fn ten_to_the(n: i32) -> Vec<u32> {
        let mut limbs = vec![1_u32];
        for _ in 0..n {
            let mut carry = 0_u64;
            for limb in &mut limbs {
                let product = u64::from(*limb) * 10 + carry;
                (*limb, carry) = (product as u32, product >> 32);
            }
            limbs.extend((carry > 0).then_some(carry as u32));
        }
        limbs
    }

    fn bit(limbs: &[u32], index: usize) -> u64 {
        u64::from(limbs[index / 32] >> (index % 32) & 1)
    }

    fn bits(limbs: &[u32]) -> usize {
        limbs.len() * 32 - limbs[limbs.len() - 1].leading_zeros() as usize
    }

    fn power(n: i32) -> u64 {
        let limbs = ten_to_the(n);
        let top = bits(&limbs);
        let digit = |down: usize| if down < top { bit(&limbs, top - 1 - down) } else { 0 };
        (0..64).fold(0, |f, down| f << 1 | digit(down)) + digit(64)
    }

    /// Long division of a power of two by 10^n, bit by bit: 65 bits, the last one rounds.
    fn inverse_power(n: i32) -> u64 {
        let divisor = ten_to_the(n);
        let mut rest = vec![0_u32; divisor.len() + 1];
        let top = bits(&divisor);
        rest[(top - 1) / 32] = 1 << ((top - 1) % 32);
        let mut f = 0_u128;
        for _ in 0..65 {
            double(&mut rest);
            let fits = !less(&rest, &divisor);
            if fits {
                subtract(&mut rest, &divisor);
            }
            f = f << 1 | u128::from(fits);
        }
        ((f >> 1) + (f & 1)) as u64
    }

    fn double(limbs: &mut [u32]) {
        let mut carry = 0;
        for limb in limbs {
            (*limb, carry) = (*limb << 1 | carry, *limb >> 31);
        }
    }

    fn less(a: &[u32], b: &[u32]) -> bool {
        let limb = |limbs: &[u32], index: usize| limbs.get(index).copied().unwrap_or(0);
        (0..a.len()).rev().map(|index| limb(a, index).cmp(&limb(b, index))).find(|o| o.is_ne())
            == Some(std::cmp::Ordering::Less)
    }

    fn subtract(a: &mut [u32], b: &[u32]) {
        let mut borrow = 0;
        for (index, limb) in a.iter_mut().enumerate() {
            let taken = i64::from(b.get(index).copied().unwrap_or(0)) + borrow;
            let left = i64::from(*limb) - taken;
            (*limb, borrow) = (left as u32, i64::from(left < 0));
        }
    }
}
