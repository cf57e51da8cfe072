//! Ordered bytes: the only storage that state, keyring index and read models know.
//!
//! Everything in here is derived: from the ledger, or from the keyring topic. So a write is atomic over all spaces and
//! is not synced; after a crash the store is some earlier state of itself, and its owner folds what is missing.
//! Two real implementations, [`memory::MemoryKv`] (model, simulation, tests) and [`rocks::RocksKv`], both checked
//! by the one table in `conformance`. Deliberately not here: what keys and values mean (see `store` and `follow`).

#[cfg(test)]
mod conformance;
pub mod memory;
pub mod rocks;

use std::path::PathBuf;

/// A key space of its own, on disk a column family. Names and numbers are frozen, retired ones stay reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// The fold of the ledger that decisions read.
    State = 0,
    /// Index of the keyring topic.
    Keyring = 1,
    /// Where frames lie in the log: hints, never facts.
    Places = 2,
    /// How often processing an input record ended the process.
    Attempts = 3,
    /// Read model: events that answer requests, by time, action and outcome.
    Decisions = 4,
    /// Read model: request key to event.
    Requests = 5,
    /// Read model: events by the surrogate of who acts.
    Actors = 6,
    /// Read model: outcome number to event.
    Outcomes = 7,
    /// Read model: counts.
    Statistics = 8,
    /// Read model: what the runs say was consumed.
    Conservation = 9,
    /// How far each follower has come.
    Cursors = 10,
}

impl Space {
    /// Every space, in the order of its number.
    pub const ALL: [Space; 11] = [
        Space::State,
        Space::Keyring,
        Space::Places,
        Space::Attempts,
        Space::Decisions,
        Space::Requests,
        Space::Actors,
        Space::Outcomes,
        Space::Statistics,
        Space::Conservation,
        Space::Cursors,
    ];

    /// The frozen name: that of the column family.
    pub const fn name(self) -> &'static str {
        match self {
            Space::State => "state",
            Space::Keyring => "keyring",
            Space::Places => "places",
            Space::Attempts => "attempts",
            Space::Decisions => "decisions",
            Space::Requests => "requests",
            Space::Actors => "actors",
            Space::Outcomes => "outcomes",
            Space::Statistics => "statistics",
            Space::Conservation => "conservation",
            Space::Cursors => "cursors",
        }
    }

    /// The frozen number, which goes into digests.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// One change. In a batch a later one wins over an earlier one of the same key.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key to a value.
    Put(Space, Vec<u8>, Vec<u8>),
    /// Removes a key; removing what is not there is no error.
    Delete(Space, Vec<u8>),
    /// Removes every key in `[from, to)`.
    DeleteRange(Space, Vec<u8>, Vec<u8>),
}

impl Write {
    /// Bytes of keys and values that it carries.
    pub fn size(&self) -> usize {
        match self {
            Write::Put(_, a, b) | Write::DeleteRange(_, a, b) => a.len() + b.len(),
            Write::Delete(_, key) => key.len(),
        }
    }
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Sizes only: a space may hold wrapped keys, and debug output ends in logs.
        let (name, space) = match self {
            Write::Put(space, ..) => ("Put", space),
            Write::Delete(space, ..) => ("Delete", space),
            Write::DeleteRange(space, ..) => ("DeleteRange", space),
        };
        write!(f, "{name}({}, {} bytes)", space.name(), self.size())
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Ordered bytes in spaces.
///
/// MUST: keys are ordered as unsigned bytes, the shorter of two first where one begins the other; a write is visible
/// whole, over all spaces, to every read that starts after it returned; after a crash the store equals the result of
/// some prefix of the writes, the same prefix for all spaces. MAY: lose the latest writes in a crash.
/// MUST NOT: return a value whose checksum fails.
pub trait Kv: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`Error`]; nothing is not an error.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The values of several keys, in the order asked for.
    ///
    /// # Errors
    /// [`Error`], for any of them.
    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error>;

    /// At most `limit` entries of `[from, to)`, ascending, or from the top down when `reverse`. Nothing when the range
    /// is empty or turned round.
    ///
    /// # Errors
    /// [`Error`].
    fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize, reverse: bool) -> Result<Vec<Entry>, Error>;

    /// Applies a batch, atomically over spaces; not synced.
    ///
    /// # Errors
    /// [`Error`]; then the batch may have been applied or not, and the store is to be opened anew.
    fn write(&self, batch: Vec<Write>) -> Result<(), Error>;
}

/// The smallest key that is greater than every key that begins with `prefix`; longer than any key in use when there
/// is none (a prefix of 0xff bytes only).
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0xff; KEY_BYTES_MAX + 1]
}

/// The longest key that is ever written, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// Visits every entry of `[from, to)` in ascending order, in pages, so that memory stays bounded.
///
/// # Errors
/// [`Error`] of a page, or what `visit` returns.
pub fn visit<E: From<Error>>(
    kv: &dyn Kv,
    space: Space,
    from: &[u8],
    to: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    const PAGE: usize = 1_000;
    let mut from = from.to_vec();
    loop {
        let page = kv.scan(space, &from, to, PAGE, false)?;
        for (key, value) in &page {
            visit(key, value)?;
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => {
                from = key.clone();
                from.push(0);
            }
            _ => return Ok(()),
        }
    }
}

/// What can go wrong with the derived store. None of it loses a decision: everything in it can be made again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has it open.
    #[error("{} is in use by another process: stop it, or use another data directory", directory.display())]
    Locked {
        /// The database.
        directory: PathBuf,
    },
    /// No right to write there.
    #[error("cannot write to {}: {detail}; check owner, mode and mount of the directory", directory.display())]
    NotWritable {
        /// The database.
        directory: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The medium is full.
    #[error("no space left for {}: {detail}; free some and start again", directory.display())]
    NoSpace {
        /// The database.
        directory: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Its bytes are not those that were written.
    #[error(
        "the derived store in {} is damaged: {detail}; `lexecon rebuild --replace --data {}` makes it anew from the ledger",
        directory.display(), directory.parent().unwrap_or(directory).display()
    )]
    Damaged {
        /// The database.
        directory: PathBuf,
        /// What was found.
        detail: String,
    },
    /// It holds spaces that this version does not know.
    #[error("the derived store in {} has the unknown space {name:?}: use the newer version that made it", directory.display())]
    UnknownSpace {
        /// The database.
        directory: PathBuf,
        /// The column family.
        name: String,
    },
    /// Anything else that the medium said.
    #[error("the derived store in {} failed: {detail}; look at the disk and start again", directory.display())]
    Storage {
        /// The database.
        directory: PathBuf,
        /// What the system said.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn names_and_numbers_of_spaces_are_frozen() {
        let frozen = [
            "state",
            "keyring",
            "places",
            "attempts",
            "decisions",
            "requests",
            "actors",
            "outcomes",
            "statistics",
            "conservation",
            "cursors",
        ];
        for (number, name) in frozen.iter().enumerate() {
            assert_eq!(usize::from(Space::ALL[number].number()), number);
            assert_eq!(Space::ALL[number].name(), *name);
        }
        assert_eq!(frozen.len(), Space::ALL.len());
    }

    #[test]
    fn the_end_of_a_prefix_is_just_above_it() {
        for (prefix, end) in [
            (&b"ab"[..], b"ac".to_vec()),
            (b"a\xff", b"b".to_vec()),
            (b"\xff\xff", vec![0xff; KEY_BYTES_MAX + 1]),
            (b"", vec![0xff; KEY_BYTES_MAX + 1]),
        ] {
            assert_eq!(after_prefix(prefix), end);
        }
    }
}
