//! What the ledger promises, held against vectors, an independent verifier, and tampering.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    missing_docs,
    reason = "tests may fail loudly and may do I/O"
)]

mod accepting;
mod cli;
mod layouts;
mod nist;
mod oracle;
mod random;
mod rules;
mod sample;
mod sealing;
mod tamper;
mod vectors;
