//! The project's own checks and generated pages.
fn main() {}
