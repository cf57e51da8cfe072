//! What the explicit-state model (`model/`) and the seeded simulation (`tests/simulate/`) share: the input that they
//! send, the judge of the log that comes of it, and the defects that the judge must find. Both drive the very owners
//! that run; they differ in how they choose what happens next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

pub mod audit;
pub mod defect;
pub mod sample;
mod skip;

pub use skip::skip;
