//! What the process says about itself: JSON logs and metrics.
//!
//! Invariant: neither holds anything from a request but its id as we drew or checked it: no names, no values, no
//! addresses of clients. Every metric stands in the one table of [`metrics`], labels from closed lists.
//! Deliberately not here: traces over OTLP, which are another part of the system.

pub mod metrics;
mod process;
mod recorder;
mod sample;
pub mod trace;

use std::io;

use tracing_subscriber::EnvFilter;

pub use recorder::{Recorder, install};
pub(crate) use recorder::{observe, precise};
pub(crate) use sample::sample;

/// Checks the text of the setting `telemetry.level`.
///
/// # Errors
/// What is wrong with it.
pub fn check_level(level: &str) -> Result<(), String> {
    filter(level).map(|_| ())
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level)
        .map_err(|error| format!("{error}; write a level (error, warn, info, debug, trace) or target=level"))
}

/// Starts JSON logs on standard error, one object a line.
///
/// # Errors
/// When the level cannot be understood, or logs were started before.
pub fn start_logs(level: &str) -> Result<(), String> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter(level)?)
        .with_writer(io::stderr)
        .try_init()
        .map_err(|error| error.to_string())
}
