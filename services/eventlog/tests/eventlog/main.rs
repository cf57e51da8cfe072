//! The event log's tests: the suite on every adapter, the suite's own planted faults, and what is particular to each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

mod child;
mod corruption;
mod crashes;
mod embedded;
mod memory;
mod planted;
mod suite;
