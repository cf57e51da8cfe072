//! The real binary, killed without warning, again and again, under load; on damaged, old and foreign files; on a full
//! disk and on one that fails; and its proofs, which must be able to say no.
//!
//! The parent keeps what was acknowledged: request id, coordinate, event hash. After every kill the program is started
//! on the same directory and must give the same answers; at the end the exported ledger alone must hold every
//! acknowledged event once, verify, and account for all input; replay and rebuild must agree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod canary;
mod client;
mod crash_loop;
mod damage;
mod evidence;
mod full_disk;
mod kill;
mod load;
mod not_ready;
mod proofs;
mod restored;
mod server;
mod strace;
mod syncs;
