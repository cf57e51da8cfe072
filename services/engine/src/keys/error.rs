//! What can go wrong with keys, each with its remedy. Paths are shown, values never.

use std::path::PathBuf;

/// A key cannot be had, or must not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; check that the directory exists, is writable and belongs to this user", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Someone other than the owner could read or replace a key.
    #[error("{} can be used by others than its owner (mode {mode:04o}): run `chmod {wanted:o} {}` and consider the key known to them", path.display(), path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its mode now.
        mode: u32,
        /// The mode that it must have.
        wanted: u32,
    },
    /// Not 32 bytes, neither raw nor in hexadecimal.
    #[error("{} holds no key: expected 32 bytes, raw or as 64 hexadecimal digits; restore it from the backup of the keys", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Something else has the name of a key or of the directory of keys.
    #[error("{} is not {expected}: remove it, or name another data directory", path.display())]
    WrongKind {
        /// The entry.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// A file that looks like a key of a period and is not named like one.
    #[error("{} is named like no key period: name it kek-NNNNNN.key with six digits, from 000001 on, or remove it", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
    },
    /// Keys are there, but not this one.
    #[error("{} is missing: restore it from the backup of the keys; a new one would leave what was sealed unreadable", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The key of a period is not there.
    #[error(
        "the key-encryption key of period {period} is missing: restore {file} from the backup of the keys, unless that period was forgotten on purpose"
    )]
    MissingPeriod {
        /// Which.
        period: u32,
        /// Its file name.
        file: String,
    },
    /// A box did not open: tampered with, or another key.
    #[error(
        "{what} cannot be opened: it was changed, or the key in {key} is not the one it was sealed with; restore the keys that belong to this data"
    )]
    Refused {
        /// What was to be opened.
        what: &'static str,
        /// The file of the key.
        key: String,
    },
    /// The unwrapped key is not the one that the ledger names.
    #[error("a data key is not the one that the ledger committed to: restore the keys that belong to this data")]
    Uncommitted,
    /// Bytes that are no record of a known layout.
    #[error("{what} is damaged or was written by a newer version: {why}")]
    Undecodable {
        /// What was to be read.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value that has no place in the layout.
    #[error("{what} is too long to be sealed or stored: {len} bytes, at most {max}")]
    TooLong {
        /// Which value.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A whole organisation was named where one person is meant.
    #[error("keys of an organisation are not removed by surrogate: name the person's surrogate")]
    Organisation,
    /// The index could not be read.
    #[error(transparent)]
    Storage(#[from] crate::kv::Error),
}
