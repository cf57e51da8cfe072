//! Integration tests of the wire room, one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../../../domain/tests/domain/generate.rs"]
mod generate;

mod documents;
mod evolution;
mod fixtures;
mod foreign;
mod hostile;
mod records;
mod samples;
mod schema_faults;
