//! The engine through its public doors, on real RocksDB in a temporary directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

mod first_start;
mod format;
mod log_faults;
mod offline;
mod system;
mod vectors;
