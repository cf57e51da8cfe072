//! Why a command ended badly: exit code, a stable code for scripts, a sentence with a remedy for people.

use std::fmt;
use std::path::Path;

use crate::exit::Exit;

/// The end of a command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// Stable and machine-readable.
    pub code: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Failure {
    /// One with this code and message.
    pub fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { exit, code: code.into(), message: message.into() }
    }

    /// A file given on the command line cannot be used.
    pub fn file(path: &Path, what: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, "file", format!("{}: {what}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Standard output is gone (`lexecon … | head`): there is nobody to tell, and nothing went wrong with the work.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::new(Exit::Ok, "broken_pipe", "");
        }
        Failure::new(Exit::Failure, "output", format!("standard output cannot be written: {error}"))
    }
}
