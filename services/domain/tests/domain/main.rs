//! Integration tests of the domain, one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod decisions;
mod generate;
mod parts;
