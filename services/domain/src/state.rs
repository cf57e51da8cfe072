//! The state that decisions read, as keys and records, and the read set that must be fetched first.
//!
//! Invariants: state is a fold of the ledger's clear bytes (`evolve`) and holds nothing that erasure would have to
//! touch. Decisions read only what was prefetched; reading anything else is a fault of ours and is said loudly
//! instead of being taken for "not there". How records are stored is the engine's business.

use std::collections::BTreeMap;

use crate::command::DeadLetterMark;
use crate::ids::{BundleHash, CommandId, Micros, Tenant};
use policy::Mode;

/// Names one record of the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The event that answered a request.
    Request([u8; 32]),
    /// The event that recorded another body under a known id.
    Conflict([u8; 32], [u8; 32]),
    /// A tenant.
    Tenant(Tenant),
    /// The bundle in force.
    ActivePolicy,
    /// One chunk of a bundle's text.
    PolicyChunk(BundleHash, u32),
    /// How much of a bundle is there.
    PolicyProgress(BundleHash),
    /// The event that answered a command.
    Command(CommandId),
    /// What was done with a dead letter.
    DeadLetter(u64),
    /// Counts over the whole partition.
    Totals,
    /// When something may be forgotten, and what.
    Expiry(Micros, Box<Key>),
}

/// What stands under a [`Key`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Under `Request` and `Conflict`.
    Answered(Answered),
    /// Under `Tenant`: the event that created it.
    Tenant {
        /// Its place in the ledger.
        seq: u64,
    },
    /// Under `ActivePolicy`.
    ActivePolicy {
        /// Which bundle.
        bundle_hash: BundleHash,
        /// Its mode.
        mode: Mode,
        /// Since which event.
        seq: u64,
    },
    /// Under `PolicyChunk`.
    PolicyChunk(Vec<u8>),
    /// Under `PolicyProgress`.
    PolicyProgress {
        /// How many chunks make the bundle.
        chunks: u32,
        /// How many of them, counted from 0 without a gap, are there.
        have: u32,
    },
    /// Under `Command`.
    Command {
        /// Its place in the ledger.
        seq: u64,
    },
    /// Under `DeadLetter`.
    DeadLetter {
        /// What was done.
        mark: DeadLetterMark,
        /// The event that says so.
        seq: u64,
    },
    /// Under `Totals`.
    Totals(Totals),
    /// Under `Expiry`.
    Expiry,
}

/// The event that answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its place in the ledger.
    pub seq: u64,
    /// Which body it answered.
    pub mac: [u8; 32],
    /// When, by recorded time.
    pub recorded_at_us: Micros,
}

/// Counts over the whole partition since its first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Permits.
    pub permitted: u64,
    /// Denials.
    pub denied: u64,
    /// Escalations.
    pub escalated: u64,
    /// Refused without evaluation.
    pub rejected: u64,
    /// Forwarded elsewhere.
    pub rerouted: u64,
    /// Same id, other body.
    pub conflicted: u64,
}

/// The keys that a command will read.
pub type ReadSet = Vec<Key>;

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which record.
    pub key: Key,
    /// Its new content; none removes it.
    pub record: Option<Record>,
}

/// A key was read that had not been fetched: a fault of the program, never of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state key was read without being fetched first: {0:?}")]
pub struct NotFetched(pub Key);

/// What was fetched for one command: records, and the certainty that others are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    fetched: BTreeMap<Key, Option<Record>>,
}

impl State {
    /// Puts one fetched key in, with its record or the certainty that there is none.
    pub fn put(&mut self, key: Key, record: Option<Record>) {
        self.fetched.insert(key, record);
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`NotFetched`] when nobody fetched it.
    pub fn get(&self, key: &Key) -> Result<Option<&Record>, NotFetched> {
        match self.fetched.get(key) {
            Some(record) => Ok(record.as_ref()),
            None => Err(NotFetched(key.clone())),
        }
    }
}
