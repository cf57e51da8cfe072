//! Tests of the domain through its public functions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod decisions;
