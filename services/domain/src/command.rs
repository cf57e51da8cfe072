//! What the log asks a partition to do: one value for each input record, whatever topic it came from.
//!
//! Invariant: every input record becomes exactly one command; what cannot be understood becomes one that says so.
//! Keyed hashes, placement and validity of bundles are worked out by the engine beforehand and come in as values,
//! so that nothing here needs a key, a clock or a second look at the log.

use crate::ids::{BundleHash, CommandId, Tenant};
use crate::request::Request;
use policy::{Mode, ReasonCode};

/// The keyed hashes by which a request is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Same tenant, routing key and request id: same value.
    pub key: [u8; 32],
    /// Same request bytes: same value.
    pub mac: [u8; 32],
}

impl Identity {
    /// Of input that could not be read.
    pub const UNKNOWN: Identity = Identity { key: [0; 32], mac: [0; 32] };
}

/// Whether a request stands in the partition of its routing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Here is right.
    Right,
    /// It belongs to the partition named and has not been forwarded before.
    Elsewhere {
        /// Where it belongs.
        partition: u32,
    },
    /// It was forwarded once already and is still in the wrong place.
    ElsewhereAgain,
}

/// A decoded request with what the engine knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The request.
    pub request: Request,
    /// How it is recognised.
    pub identity: Identity,
    /// Whether it is in its partition.
    pub placement: Placement,
    /// Whether one of its data subjects is between a request for erasure and its end.
    pub subject_erasing: bool,
}

/// An input record that cannot become a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why: `Undecodable`, `Quarantined` or `TooLarge`.
    pub reason: ReasonCode,
    /// What exactly, without any value of the input.
    pub detail: String,
}

/// One input record, understood as far as it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Decide a request.
    Decide(Box<Proposal>),
    /// Refuse what could not be read as a request.
    Refuse(Refusal),
    /// Take in one chunk of a bundle.
    PublishPolicy {
        /// Hash of the whole bundle.
        bundle_hash: BundleHash,
        /// Counted from 0.
        chunk_no: u32,
        /// How many there are.
        chunks: u32,
        /// At most 256 KiB.
        bytes: Vec<u8>,
    },
    /// Put a bundle in force.
    ActivatePolicy {
        /// Identity of the command.
        command_id: CommandId,
        /// Which bundle.
        bundle_hash: BundleHash,
        /// Its mode, or why it cannot be put in force.
        mode: Result<Mode, String>,
    },
    /// Make a tenant known.
    CreateTenant {
        /// Identity of the command.
        command_id: CommandId,
        /// Name of the tenant.
        tenant: Tenant,
    },
    /// Record what an operator did with a dead letter.
    MarkDeadLetter {
        /// Identity of the command.
        command_id: CommandId,
        /// Position among this partition's dead letters.
        position: u64,
        /// What was done.
        mark: DeadLetterMark,
    },
    /// A record on a topic of commands or policies that could not be read.
    Unreadable {
        /// What is wrong with it, without any value.
        detail: String,
    },
}

/// What an operator did with a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadLetterMark {
    /// Submitted again.
    Retried,
    /// Set aside for good.
    Discarded,
}
