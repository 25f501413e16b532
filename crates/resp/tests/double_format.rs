//! Doubles are printed as a real server printed them, and read back as the same double.
//!
//! The corpus was made by sending doubles (random bits, random decimals, large integers, and those
//! whose digits are not the shortest) to a valkey-server with ZADD and asking for them with
//! ZMSCORE; the negative zero to a sorted set in its large form, since the small one stores
//! integers. A larger one may be named in `PANNIER_DOUBLE_CORPUS`.

use pannier_resp::{Protocol, Reply, format_f64, parse_f64};
use proptest::prelude::*;

fn text(d: f64) -> String {
    format_f64(d, &mut [0; 32]).to_owned()
}

fn corpus() -> String {
    match std::env::var("PANNIER_DOUBLE_CORPUS") {
        Ok(path) => std::fs::read_to_string(path).expect("a corpus"),
        Err(_) => include_str!("double_corpus.txt").to_owned(),
    }
}

#[test]
fn doubles_print_as_by_the_real_server() {
    let corpus = corpus();
    let lines = corpus.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        let (bits, expected) = line.split_once(' ').unwrap();
        let d = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(text(d), expected, "bits {bits}");
        count += 1;
    }
    assert!(count > 1000);
}

#[test]
fn both_protocols_carry_the_same_text() {
    let mut reply = Reply::new(Protocol::Resp2);
    reply.double(0.1);
    reply.set_protocol(Protocol::Resp3);
    reply.double(0.1);
    reply.double(f64::NAN);
    assert_eq!(reply.as_slice().unwrap(), b"$3\r\n0.1\r\n,0.1\r\n,nan\r\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_finite_double_is_read_back(bits: u64) {
        let d = f64::from_bits(bits);
        prop_assume!(d.is_finite());
        prop_assert_eq!(parse_f64(text(d).as_bytes()), Some(d));
    }

    #[test]
    fn short_decimals_print_as_they_are_written(whole in 0_u32..1_000_000, cents in 1_u32..100) {
        let written = format!("{whole}.{cents:02}");
        let expected = written.trim_end_matches('0');
        prop_assert_eq!(text(written.parse().unwrap()), expected);
    }
}
