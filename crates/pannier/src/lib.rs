//! Pannier: a cache server that speaks the Redis protocol and rides inside your process.
