//! The `pannier` program.
fn main() {}
