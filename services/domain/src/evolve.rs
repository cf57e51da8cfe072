//! From what the ledger holds in clear to changes of the state.
//!
//! Invariants: only sections 1 and 2 are read, so that a fold gives the same state after any erasure; the same events
//! in the same order give the same state on every machine. What has to be forgotten gets an expiry record, and the
//! engine removes what has expired by recorded time, so that forgetting is part of the fold too.

use crate::command::{DeadLetterMark, Identity};
use crate::event::AnswerKind;
use crate::ids::{BundleHash, CommandId, Micros, Tenant};
use crate::state::{Answered, Change, Key, NotFetched, ReadSet, Record, State, Totals};
use policy::{Mode, Outcome};

/// What one event says in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A request was answered.
    Answer {
        /// In which way.
        kind: AnswerKind,
        /// How the request is recognised.
        identity: Identity,
        /// What was decided, if anything was.
        outcome: Option<Outcome>,
    },
    /// A chunk of a bundle.
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
    /// A bundle was put in force.
    PolicyActivated {
        /// The command.
        command_id: CommandId,
        /// Which bundle.
        bundle_hash: BundleHash,
        /// Its mode.
        mode: Mode,
    },
    /// A tenant was made known.
    TenantCreated {
        /// The command.
        command_id: CommandId,
        /// Its name.
        tenant: Tenant,
    },
    /// A dead letter was dealt with.
    DeadLetterMarked {
        /// The command.
        command_id: CommandId,
        /// Which one.
        position: u64,
        /// How.
        mark: DeadLetterMark,
    },
    /// A command was refused.
    CommandRefused {
        /// The command; zeros when it could not be read.
        command_id: CommandId,
    },
}

/// One event of the ledger, as far as state depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the ledger.
    pub seq: u64,
    /// The time that its decision used.
    pub recorded_at_us: Micros,
    /// What it says.
    pub fact: Fact,
}

/// The keys that [`evolve`] reads.
pub fn reads(recorded: &Recorded) -> ReadSet {
    match &recorded.fact {
        Fact::Answer { identity, .. } => vec![Key::Totals, Key::Request(identity.key)],
        _ => Vec::new(),
    }
}

/// Folds one event.
///
/// # Errors
/// [`NotFetched`] when `state` lacks one of the keys of [`reads`].
pub fn evolve(state: &State, recorded: &Recorded) -> Result<Vec<Change>, NotFetched> {
    let seq = recorded.seq;
    Ok(match &recorded.fact {
        Fact::Answer { kind, identity, outcome } => answer(state, recorded, *kind, identity, *outcome)?,
        Fact::PolicyPublished { bundle_hash, chunk_no, chunks, bytes } => vec![
            put(Key::PolicyChunk(*bundle_hash, *chunk_no), Record::PolicyChunk(bytes.clone())),
            put(
                Key::PolicyProgress(*bundle_hash),
                Record::PolicyProgress { chunks: *chunks, have: chunk_no.saturating_add(1) },
            ),
        ],
        Fact::PolicyActivated { command_id, bundle_hash, mode } => with_command(
            *command_id,
            recorded,
            vec![put(Key::ActivePolicy, Record::ActivePolicy { bundle_hash: *bundle_hash, mode: *mode, seq })],
        ),
        Fact::TenantCreated { command_id, tenant } => {
            with_command(*command_id, recorded, vec![put(Key::Tenant(tenant.clone()), Record::Tenant { seq })])
        }
        Fact::DeadLetterMarked { command_id, position, mark } => with_command(
            *command_id,
            recorded,
            vec![put(Key::DeadLetter(*position), Record::DeadLetter { mark: *mark, seq })],
        ),
        Fact::CommandRefused { command_id } => with_command(*command_id, recorded, Vec::new()),
    })
}

fn put(key: Key, record: Record) -> Change {
    Change { key, record: Some(record) }
}

fn remember(key: Key, record: Record, recorded_at_us: Micros) -> [Change; 2] {
    [put(Key::Expiry(recorded_at_us, Box::new(key.clone())), Record::Expiry), put(key, record)]
}

fn with_command(command_id: CommandId, recorded: &Recorded, mut changes: Vec<Change>) -> Vec<Change> {
    if command_id != [0; 16] {
        changes.extend(remember(
            Key::Command(command_id),
            Record::Command { seq: recorded.seq },
            recorded.recorded_at_us,
        ));
    }
    changes
}

fn answer(
    state: &State,
    recorded: &Recorded,
    kind: AnswerKind,
    identity: &Identity,
    outcome: Option<Outcome>,
) -> Result<Vec<Change>, NotFetched> {
    let mut totals = match state.get(&Key::Totals)? {
        Some(Record::Totals(totals)) => *totals,
        _ => Totals::default(),
    };
    count(&mut totals, kind, outcome);
    let mut changes = vec![put(Key::Totals, Record::Totals(totals))];
    if *identity != Identity::UNKNOWN {
        let entry = Answered { seq: recorded.seq, mac: identity.mac, recorded_at_us: recorded.recorded_at_us };
        // The first body owns the id. A further one, conflicting or forwarded, is remembered by id and body.
        let key = match state.get(&Key::Request(identity.key))? {
            None => Key::Request(identity.key),
            Some(_) => Key::Conflict(identity.key, identity.mac),
        };
        changes.extend(remember(key, Record::Answered(entry), recorded.recorded_at_us));
    }
    Ok(changes)
}

fn count(totals: &mut Totals, kind: AnswerKind, outcome: Option<Outcome>) {
    let counter = match (kind, outcome) {
        (AnswerKind::Decided, Some(Outcome::Permit)) => &mut totals.permitted,
        (AnswerKind::Decided, Some(Outcome::Escalate)) => &mut totals.escalated,
        (AnswerKind::Decided, Some(Outcome::Deny) | None) => &mut totals.denied,
        (AnswerKind::Rejected, _) => &mut totals.rejected,
        (AnswerKind::Rerouted { .. }, _) => &mut totals.rerouted,
        (AnswerKind::Conflicted, _) => &mut totals.conflicted,
    };
    *counter = counter.saturating_add(1);
}
