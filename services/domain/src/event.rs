//! What is decided, before it is sealed: the values that the engine turns into ledger events.
//!
//! Invariant: an event that answers a request carries the whole request, so that the ledger alone suffices to decide
//! again. What of it is clear, sealed for the organisation or sealed for a person is settled by `Request::split` and
//! the ledger's layouts, not here.

use crate::command::{DeadLetterMark, Identity};
use crate::ids::{BundleHash, CommandId, Tenant};
use crate::request::Request;
use policy::{Mode, Outcome, ReasonCode, Severity};

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerKind {
    /// Evaluated.
    Decided,
    /// Refused without evaluation.
    Rejected,
    /// Forwarded to the partition where it belongs.
    Rerouted {
        /// That partition.
        partition: u32,
    },
    /// The same id with another body.
    Conflicted,
}

/// How long the sealed parts of an event may be read. The numbers are persisted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RetentionClass {
    /// Ordinary decisions: 30 days by default.
    #[default]
    Ordinary = 1,
    /// Records about high-risk systems: at least 6 months.
    HighRisk = 4,
}

/// An event that answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In which way.
    pub kind: AnswerKind,
    /// How the request is recognised.
    pub identity: Identity,
    /// The request, unless it could not be read.
    pub request: Option<Request>,
    /// What was decided; nothing for what was not evaluated.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: ReasonCode,
    /// Determining policies, sorted.
    pub policies: Vec<String>,
    /// Obligations, sorted.
    pub obligations: Vec<String>,
    /// Urgency of an escalation.
    pub severity: Option<Severity>,
    /// Why, in plain language.
    pub explanation: String,
    /// What exactly was refused; names of fields, no values.
    pub detail: String,
    /// The bundle in force; zeros when there is none.
    pub bundle_hash: BundleHash,
    /// Its mode.
    pub mode: Mode,
    /// How long the sealed parts may be read.
    pub retention_class: RetentionClass,
    /// The risk score that policies saw.
    pub risk_score: Option<u8>,
}

/// What is appended to the ledger for one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request is answered.
    Answer(Box<Answer>),
    /// A chunk of a bundle is in the log.
    PolicyPublished {
        /// Hash of the whole bundle.
        bundle_hash: BundleHash,
        /// Counted from 0.
        chunk_no: u32,
        /// How many there are.
        chunks: u32,
        /// The chunk.
        bytes: Vec<u8>,
    },
    /// A bundle is in force from here on.
    PolicyActivated {
        /// The command that asked for it.
        command_id: CommandId,
        /// Which bundle.
        bundle_hash: BundleHash,
        /// Its mode.
        mode: Mode,
    },
    /// A tenant is known from here on.
    TenantCreated {
        /// The command that asked for it.
        command_id: CommandId,
        /// Its name.
        tenant: Tenant,
    },
    /// An operator dealt with a dead letter.
    DeadLetterMarked {
        /// The command that says so.
        command_id: CommandId,
        /// Position among this partition's dead letters.
        position: u64,
        /// What was done.
        mark: DeadLetterMark,
    },
    /// A command was refused.
    CommandRefused {
        /// The command; zeros when it could not be read.
        command_id: CommandId,
        /// Why.
        reason: ReasonCode,
        /// What exactly.
        detail: String,
    },
}
