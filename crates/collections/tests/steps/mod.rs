//! How many steps a model test does: all, or fewer where every one is slow.

/// `all` steps; a part of them in the percentage `PANNIER_STEPS`, and a hundredth under Miri.
pub(crate) fn steps(all: u64) -> u64 {
    let asked = std::env::var("PANNIER_STEPS").ok().and_then(|text| text.parse::<u64>().ok());
    let percent = if cfg!(miri) { 1 } else { asked.unwrap_or(100) };
    (all * percent / 100).max(10)
}
