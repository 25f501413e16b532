//! The only reader of the system's clock, and the virtual clock.
