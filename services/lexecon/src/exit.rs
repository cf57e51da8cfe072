//! Exit codes: the one table. Scripts branch on them, so a number is never given another meaning.
//!
//! | code | name | meaning |
//! |---|---|---|
//! | 0 | ok | done, and what was checked holds |
//! | 1 | failure | the command ran and the answer is "no": a refusal, a difference, a check that does not hold |
//! | 2 | usage | the command line, a file given to it, or the configuration is not as it must be |
//! | 3 | data | the data directory cannot be used: not writable, foreign, newer, locked by another process, damaged |
//! | 4 | listen | the address is in use or cannot be bound |
//! | 5 | unreachable | a running system could not be reached, or did not answer in time |
//! | 6 | interrupted | a second signal ended the process before it had drained, or draining took too long |
//!
//! Deliberately not here: `ledger-verify`, which has its own three codes and no dependency on this crate.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The answer is "no".
    Failure = 1,
    /// Command line or configuration.
    Usage = 2,
    /// Data directory.
    Data = 3,
    /// Address in use.
    Listen = 4,
    /// No answer from a running system.
    Unreachable = 5,
    /// Not drained.
    Interrupted = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
