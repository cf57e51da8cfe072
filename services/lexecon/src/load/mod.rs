//! Load: sends decision requests at a given rate and says what came back, and how long it took.
//!
//! Invariants
//! - Open loop. Every request has a time at which it is due, whatever became of those before it, and its latency
//!   counts from then. A server that stalls is charged for all that was due meanwhile; a closed loop would have sent
//!   less and looked fast (coordinated omission). The time from sending alone is reported beside it.
//! - What is sent is a function of seed and number, so a run can be repeated, and repeated ids get repeated answers.
//! - What could not be sent in time is counted and said, never dropped from the figures.
//!
//! Deliberately not here: the command line and the progress bar (`cli::load`), and any judgement of the answers.

mod connection;
mod pace;
mod run;
mod tally;
mod target;
mod traffic;

pub use pace::Pace;
pub use run::{Plan, Progress, run};
pub use tally::{Answer, Latencies, Report};
pub use target::{Target, TargetError};
pub use traffic::{Requests, Traffic};
