//! What an event says in clear: sections 1 and 2, without any key.
//!
//! INVARIANT: total over what a ledger of this version can hold, and independent of keys, pruning and erasure: state
//! and read models are folds of these values. What sealing gives back as clear is made by the same function from the
//! same layouts, so an owner folds exactly what a reader folds.

use domain::command::Identity;
use domain::evolve::{Fact, Recorded};
use domain::ids::Tenant;
use ledger::layout::{self, Facts, Outcome};
use ledger::{StoredEvent, event_type, section_tag};

use super::{Error, numbers};

/// One event, as far as it can be read without keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clear {
    /// What the domain folds.
    Domain {
        /// For `domain::evolve`.
        recorded: Recorded,
        /// Role and surrogate of actor, principal and subjects; empty for events that answer no request.
        surrogates: Vec<(u8, [u8; 16])>,
        /// For events that answer a request: the outcome number of the next one.
        next_outcome_no: Option<u64>,
    },
    /// A writer took the partition.
    Claim(layout::Claim),
    /// A data key counts from here on.
    KeyCreated(layout::KeyCreated),
    /// A record schema is known.
    SchemaAdded(layout::SchemaAdded),
    /// The log lost a range of input.
    InputLost(layout::InputLost),
    /// Input without events is accounted for.
    InputAdvanced,
    /// A person is to be erased.
    ErasureRequested(layout::ErasureRequested),
    /// A person's keys are gone; with the recorded time.
    ErasureKeysDestroyed(layout::ErasureKeysDestroyed, i64),
    /// The key period of an erasure ended.
    ErasureFinal(layout::ErasureFinal),
    /// Keys were wrapped anew.
    KekRolled(layout::KekRolled),
    /// The chain ends.
    EpochClosed(layout::EpochClosed),
    /// A type that this version does not know.
    Other,
}

/// Reads an event without keys.
///
/// # Errors
/// A clear section is absent, damaged, or holds a number or name that this version does not know.
pub fn clear(event: &StoredEvent<'_>) -> Result<Clear, Error> {
    let body = &event.body;
    if event_type::answers_request(body.event_type) {
        return answered(body.event_type, body.seq, body.recorded_at_us, &facts(event)?, &outcome(event)?);
    }
    match event.section(section_tag::FACTS) {
        Some(bytes) => of_section(body.event_type, body.seq, body.recorded_at_us, bytes),
        None if is_known(body.event_type) => Err(Error::NoClearSection { seq: body.seq, tag: section_tag::FACTS }),
        None => Ok(Clear::Other),
    }
}

/// Section 1 of an event that answers a request.
///
/// # Errors
/// The event is of another type, or the section is damaged.
pub fn facts(event: &StoredEvent<'_>) -> Result<Facts, Error> {
    Ok(Facts::decode(answer_section(event, section_tag::FACTS)?)?)
}

/// Section 2 of an event that answers a request.
///
/// # Errors
/// The event is of another type, or the section is damaged.
pub fn outcome(event: &StoredEvent<'_>) -> Result<Outcome, Error> {
    Ok(Outcome::decode(answer_section(event, section_tag::OUTCOME)?)?)
}

fn answer_section<'a>(event: &StoredEvent<'a>, tag: u16) -> Result<&'a [u8], Error> {
    if !event_type::answers_request(event.body.event_type) {
        return Err(Error::NoAnswer { seq: event.body.seq, event_type: event.body.event_type });
    }
    section(event, tag)
}

fn section<'a>(event: &StoredEvent<'a>, tag: u16) -> Result<&'a [u8], Error> {
    event.section(tag).ok_or(Error::NoClearSection { seq: event.body.seq, tag })
}

fn is_known(event_type: u16) -> bool {
    matches!(event_type, event_type::WRITER_CLAIMED..=event_type::EPOCH_CLOSED | event_type::POLICY_PUBLISHED..=event_type::DEAD_LETTER_MARKED)
}

pub(super) fn answered(
    event_type: u16,
    seq: u64,
    recorded_at_us: i64,
    facts: &Facts,
    outcome: &Outcome,
) -> Result<Clear, Error> {
    let unknown = |what, found: u64| Error::Unknown { seq, what, found };
    let kind = numbers::to_answer_kind(event_type).ok_or(Error::NoAnswer { seq, event_type })?;
    let decided = numbers::to_outcome(outcome.outcome).ok_or_else(|| unknown("outcome", outcome.outcome.into()))?;
    let identity = Identity { key: facts.request_key, mac: facts.request_mac };
    let no = outcome.outcome_no;
    Ok(Clear::Domain {
        recorded: Recorded { seq, recorded_at_us, fact: Fact::Answer { kind, identity, outcome: decided } },
        surrogates: facts.surrogates.clone(),
        next_outcome_no: Some(if numbers::takes_outcome_no(kind) { no.saturating_add(1) } else { no }),
    })
}

/// Reads section 1 of an event that answers no request.
pub(super) fn of_section(event_type: u16, seq: u64, recorded_at_us: i64, bytes: &[u8]) -> Result<Clear, Error> {
    Ok(match event_type {
        event_type::WRITER_CLAIMED => Clear::Claim(layout::Claim::decode(bytes)?),
        event_type::KEY_CREATED => Clear::KeyCreated(layout::KeyCreated::decode(bytes)?),
        event_type::SCHEMA_ADDED => Clear::SchemaAdded(layout::SchemaAdded::decode(bytes)?),
        event_type::INPUT_LOST => Clear::InputLost(layout::InputLost::decode(bytes)?),
        event_type::INPUT_ADVANCED => {
            layout::InputAdvanced::decode(bytes)?;
            Clear::InputAdvanced
        }
        event_type::ERASURE_REQUESTED => Clear::ErasureRequested(layout::ErasureRequested::decode(bytes)?),
        event_type::ERASURE_KEYS_DESTROYED => {
            Clear::ErasureKeysDestroyed(layout::ErasureKeysDestroyed::decode(bytes)?, recorded_at_us)
        }
        event_type::ERASURE_FINAL => Clear::ErasureFinal(layout::ErasureFinal::decode(bytes)?),
        event_type::KEK_ROLLED => Clear::KekRolled(layout::KekRolled::decode(bytes)?),
        event_type::EPOCH_CLOSED => Clear::EpochClosed(layout::EpochClosed::decode(bytes)?),
        _ => match fact(event_type, seq, bytes)? {
            Some(fact) => Clear::Domain {
                recorded: Recorded { seq, recorded_at_us, fact },
                surrogates: Vec::new(),
                next_outcome_no: None,
            },
            None => Clear::Other,
        },
    })
}

fn fact(event_type: u16, seq: u64, bytes: &[u8]) -> Result<Option<Fact>, Error> {
    let unknown = |what, found: u8| Error::Unknown { seq, what, found: found.into() };
    Ok(Some(match event_type {
        event_type::POLICY_PUBLISHED => {
            let layout::PolicyPublished { bundle_hash, chunk_no, chunks, bytes } =
                layout::PolicyPublished::decode(bytes)?;
            Fact::PolicyPublished { bundle_hash: bundle_hash.0, chunk_no, chunks, bytes }
        }
        event_type::POLICY_ACTIVATED => {
            let layout::PolicyActivated { bundle_hash, mode, command_id, .. } = layout::PolicyActivated::decode(bytes)?;
            let mode = numbers::to_mode(mode).ok_or_else(|| unknown("mode", mode))?;
            Fact::PolicyActivated { command_id, bundle_hash: bundle_hash.0, mode }
        }
        event_type::TENANT_CREATED => {
            let layout::TenantCreated { tenant, command_id } = layout::TenantCreated::decode(bytes)?;
            let tenant = Tenant::new(tenant).map_err(|_| Error::Name { seq, what: "tenant" })?;
            Fact::TenantCreated { command_id, tenant }
        }
        event_type::COMMAND_REFUSED => {
            Fact::CommandRefused { command_id: layout::CommandRefused::decode(bytes)?.command_id }
        }
        event_type::DEAD_LETTER_MARKED => {
            let layout::DeadLetterMarked { command_id, position, mark, .. } = layout::DeadLetterMarked::decode(bytes)?;
            let mark = numbers::to_dead_letter_mark(mark).ok_or_else(|| unknown("mark", mark))?;
            Fact::DeadLetterMarked { command_id, position, mark }
        }
        _ => return Ok(None),
    }))
}
