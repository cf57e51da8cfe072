//! One binary for all tests through public doors: the real program as a process of its own, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

mod canary;
mod cli;
mod cli_agentdojo;
mod cli_faults;
mod cli_running;
mod doors;
mod http;
mod http_hostile;
mod http_metrics;
mod http_policies;
mod http_principals;
mod http_raw;
mod http_reads;
mod http_start;
mod http_streams;
mod log_faults;
mod running;
