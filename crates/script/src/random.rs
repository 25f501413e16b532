//! `math.random` and `math.randomseed`: the generator drand48.
//!
//! A seed gives the numbers that it gives in Redis, whatever the C library of the machine has,
//! because scripts seed it to repeat themselves. A state begins where the C library begins without
//! a seed. The helper that reads a numeric argument stands here, too. Tested in
//! `tests/scripts.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mlua::{Function, Lua, Result, Value};

use crate::failure::bad_argument;

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
const START: u64 = 0x1234_ABCD_330E;
/// Numbers drawn lie below this.
const BOUND: u64 = i32::MAX as u64;

/// `math.random` and `math.randomseed` over one generator.
pub(crate) fn functions(lua: &Lua) -> Result<(Function, Function)> {
    let state = Arc::new(AtomicU64::new(START));
    let seeded = Arc::clone(&state);
    let random = lua.create_function(move |lua, (low, high): (Value, Value)| {
        let x = state.load(Relaxed).wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        state.store(x, Relaxed);
        let fraction = ((x >> 17) % BOUND) as f64 / BOUND as f64;
        let (low, high, number) = match (low.is_nil(), high.is_nil()) {
            (true, _) => return Ok(fraction),
            (false, true) => (1, whole(lua, &low, 1, "random")?, 1),
            (false, false) => (whole(lua, &low, 1, "random")?, whole(lua, &high, 2, "random")?, 2),
        };
        if low > high {
            return Err(bad_argument(lua, number, "random", "interval is empty"));
        }
        let span = high.wrapping_sub(low).wrapping_add(1) as f64;
        Ok((fraction * span).floor() + low as f64)
    })?;
    let seed = lua.create_function(move |lua, seed: Value| {
        let seed = whole(lua, &seed, 1, "randomseed")?;
        let x = (seed as u64 & 0xFFFF_FFFF) << 16 | 0x330E;
        seeded.store(x, Relaxed);
        Ok(())
    })?;
    Ok((random, seed))
}

/// An argument as a number, as `luaL_checknumber` takes it.
pub(crate) fn number(lua: &Lua, value: &Value, at: usize, function: &str) -> Result<f64> {
    let number = match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        Value::String(_) => lua.coerce_number(value.clone())?,
        _ => None,
    };
    number.ok_or_else(|| {
        let got = if value.is_nil() { "no value" } else { value.type_name() };
        bad_argument(lua, at, function, &format!("number expected, got {got}"))
    })
}

fn whole(lua: &Lua, value: &Value, at: usize, function: &str) -> Result<i64> {
    Ok(number(lua, value, at, function)? as i64)
}
