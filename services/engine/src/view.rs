//! One event that answers a request, as every interface shows it.
//!
//! Invariant: made at commit from the domain's answer, and made later from the stored event, it is the same value, so
//! that a repeat, a look-up and the first answer have the same bytes. Later some of it may not be readable any more;
//! then exactly the parts that were sealed are left out. The id of a person who acts is never in it: it is personal
//! data, and reading that needs a right and a record of the access.

use std::fmt;

use domain::event::{Answer, AnswerKind};
use domain::ids::Origin;
use domain::request::{ActorKind, Amount, Request};
use ledger::{Coordinate, EventId, Hash, StoredEvent, event_type};
use policy::{Mode, Outcome, ReasonCode, Severity};

use crate::record::{self, Opened, numbers};

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Evaluated.
    Decided,
    /// Refused without evaluation.
    Rejected,
    /// Forwarded to the partition where it belongs.
    Rerouted,
    /// The same id with another body.
    Conflicted,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Decided, Kind::Rejected, Kind::Rerouted, Kind::Conflicted];

    /// The word used in every interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Decided => "decided",
            Kind::Rejected => "rejected",
            Kind::Rerouted => "rerouted",
            Kind::Conflicted => "conflicted",
        }
    }

    /// The event type in the ledger.
    pub const fn event_type(self) -> u16 {
        match self {
            Kind::Decided => event_type::DECIDED,
            Kind::Rejected => event_type::REJECTED,
            Kind::Rerouted => event_type::REROUTED,
            Kind::Conflicted => event_type::CONFLICTED,
        }
    }

    /// The kind of an event type; none when it answers no request.
    pub fn from_event_type(number: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.event_type() == number)
    }
}

/// The entry of the log that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Logical topic.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
}

/// One event that answers a request.
#[derive(Clone, PartialEq, Eq)]
pub struct DecisionView {
    /// Id of the event.
    pub decision_id: EventId,
    /// How it answers.
    pub kind: Kind,
    /// Tenant; empty when the input could not be read.
    pub tenant: String,
    /// The producer's id of the request; none when it was not, or cannot be, read.
    pub request_id: Option<String>,
    /// Who wanted to act; none when that is a person, or cannot be read.
    pub actor: Option<String>,
    /// The verb; empty when the input could not be read.
    pub action: String,
    /// What was decided; none when it was not evaluated.
    pub outcome: Option<Outcome>,
    /// Why.
    pub reason: ReasonCode,
    /// Determining policies, sorted.
    pub policies: Vec<String>,
    /// What the caller must do along with the action, sorted.
    pub obligations: Vec<String>,
    /// Why, in plain language; none when it cannot be read any more.
    pub explanation: Option<String>,
    /// Urgency of an escalation.
    pub severity: Option<Severity>,
    /// What exactly was refused: names of fields, no values.
    pub detail: String,
    /// The risk score that policies saw, 0 to 100.
    pub risk_score: Option<u8>,
    /// The time that the decision used, microseconds since 1970-01-01 UTC.
    pub recorded_at_us: i64,
    /// When it occurred, as the producer says; 0 when the input could not be read.
    pub occurred_at_us: i64,
    /// The bundle in force; zeros when there was none.
    pub bundle_hash: [u8; 32],
    /// Its mode.
    pub mode: Mode,
    /// Persons concerned.
    pub subjects: usize,
    /// Money at stake.
    pub amount: Option<Amount>,
    /// The entry of the log that was answered.
    pub input: Input,
    /// Partition of the ledger.
    pub partition: u32,
    /// Place in it.
    pub seq: u64,
    /// What the next event links to.
    pub event_hash: Hash,
    /// Number among the partition's outcomes; of a rerouted request the next one to come.
    pub outcome_no: u64,
    /// Whether everything that was sealed can still be read, personal parts included.
    pub readable: bool,
}

impl fmt::Debug for DecisionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids and explanations stay out of logs; the coordinate finds the rest.
        f.debug_struct("DecisionView")
            .field("decision_id", &self.decision_id)
            .field("kind", &self.kind)
            .field("outcome", &self.outcome)
            .field("reason", &self.reason)
            .field("partition", &self.partition)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

fn actor(request: &Request) -> Option<String> {
    (request.actor.kind != ActorKind::Person).then(|| request.actor.id.as_str().to_owned())
}

impl DecisionView {
    /// Of an answer that was just committed at a coordinate of `partition`.
    pub fn from_answer(
        answer: &Answer,
        origin: &Origin,
        partition: u32,
        at: &Coordinate,
        recorded_at_us: i64,
        outcome_no: u64,
    ) -> DecisionView {
        let request = answer.request.as_ref();
        let text = |of: fn(&Request) -> &str| request.map_or(String::new(), |request| of(request).to_owned());
        DecisionView {
            decision_id: at.event_id,
            kind: match answer.kind {
                AnswerKind::Decided => Kind::Decided,
                AnswerKind::Rejected => Kind::Rejected,
                AnswerKind::Rerouted { .. } => Kind::Rerouted,
                AnswerKind::Conflicted => Kind::Conflicted,
            },
            tenant: text(|request| request.tenant.as_str()),
            request_id: request.map(|request| request.request_id.as_str().to_owned()),
            actor: request.and_then(actor),
            action: text(|request| request.action.as_str()),
            outcome: answer.outcome,
            reason: answer.reason,
            policies: answer.policies.clone(),
            obligations: answer.obligations.clone(),
            explanation: Some(answer.explanation.clone()),
            severity: answer.severity,
            detail: answer.detail.clone(),
            risk_score: answer.risk_score,
            recorded_at_us,
            occurred_at_us: request.map_or(0, |request| request.occurred_at_us),
            bundle_hash: answer.bundle_hash,
            mode: answer.mode,
            subjects: request.map_or(0, |request| request.subjects.len()),
            amount: request.and_then(|request| request.amount.clone()),
            input: Input { topic: origin.topic.to_owned(), partition: origin.partition, offset: origin.offset },
            partition,
            seq: at.seq,
            event_hash: at.event_hash,
            outcome_no,
            readable: true,
        }
    }

    /// Of a stored event and what could be opened of it.
    ///
    /// # Errors
    /// [`record::Error`] for an event that answers no request, or a number that this version does not know.
    pub fn from_opened(event: &StoredEvent<'_>, opened: &Opened) -> Result<DecisionView, record::Error> {
        let seq = event.body.seq;
        let unknown = |what, found: u64| record::Error::Unknown { seq, what, found };
        let Opened { facts, outcome, .. } = opened;
        let shared = opened.shared.value();
        let request = shared.and_then(|shared| shared.request.as_ref());
        let event_type = event.body.event_type;
        Ok(DecisionView {
            decision_id: event.body.event_id,
            kind: Kind::from_event_type(event_type).ok_or(record::Error::NoAnswer { seq, event_type })?,
            tenant: facts.tenant.clone(),
            request_id: request.map(|request| request.request_id.as_str().to_owned()),
            actor: request.and_then(actor),
            action: facts.action.clone(),
            outcome: numbers::to_outcome(outcome.outcome).ok_or_else(|| unknown("outcome", outcome.outcome.into()))?,
            reason: ReasonCode::from_number(outcome.reason_code)
                .ok_or_else(|| unknown("reason code", outcome.reason_code.into()))?,
            policies: outcome.policies.clone(),
            obligations: outcome.obligations.clone(),
            explanation: shared.map(|shared| shared.explanation.clone()),
            severity: shared.and_then(|shared| shared.severity),
            detail: shared.map_or(String::new(), |shared| shared.detail.clone()),
            risk_score: shared.and_then(|shared| shared.risk_score),
            recorded_at_us: event.body.recorded_at_us,
            occurred_at_us: facts.occurred_at_us,
            bundle_hash: facts.bundle_hash.0,
            mode: numbers::to_mode(facts.mode).ok_or_else(|| unknown("mode", facts.mode.into()))?,
            subjects: facts.surrogates.iter().filter(|(role, _)| *role == numbers::ROLE_SUBJECT).count(),
            amount: facts.amount.map(|(minor_units, currency)| Amount { minor_units, currency }),
            input: Input { topic: facts.topic.clone(), partition: facts.input_partition, offset: facts.input_offset },
            partition: event.body.chain.partition,
            seq,
            event_hash: event.event_hash,
            outcome_no: outcome.outcome_no,
            readable: opened.is_readable(),
        })
    }
}
