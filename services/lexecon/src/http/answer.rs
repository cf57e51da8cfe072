//! Decisions as JSON: what a submission is answered with, and what a look-up adds.
//!
//! Invariant: a pure function of the engine's view, so that a repeat, a look-up and the first answer have the same
//! bytes for the same fields.

use engine::view::DecisionView;
use policy::{Mode, Severity};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Coordinate;

/// The decision on one request.
#[derive(Serialize, ToSchema)]
pub struct DecisionBody<'a> {
    /// Id of the ledger event, a UUID.
    #[schema(format = "uuid")]
    pub decision_id: String,
    /// `permit`, `deny` or `escalate`; null when it was not evaluated.
    pub outcome: Option<&'a str>,
    /// Why, machine-readable.
    pub reason_code: &'a str,
    /// Determining policies, sorted.
    pub policies: &'a [String],
    /// What the caller must do along with the action, sorted.
    pub obligations: &'a [String],
    /// Why, in plain language; null when it may not be read any more.
    pub explanation: Option<&'a str>,
    /// Urgency of an escalation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<&'static str>,
    /// The time that the decision used, RFC 3339.
    #[schema(format = "date-time")]
    pub recorded_at: String,
    /// Content hash of the policy bundle that was in force, 64 hexadecimal digits.
    pub bundle_hash: String,
    /// `strict`, `permissive` or `paranoid`.
    pub mode: &'static str,
    /// Where it stands in the ledger.
    pub ledger: Coordinate,
}

impl<'a> DecisionBody<'a> {
    /// Of the engine's view.
    pub fn of(view: &'a DecisionView) -> DecisionBody<'a> {
        DecisionBody {
            decision_id: view.decision_id.to_string(),
            outcome: view.outcome.map(policy::Outcome::as_str),
            reason_code: view.reason.as_str(),
            policies: &view.policies,
            obligations: &view.obligations,
            explanation: view.explanation.as_deref(),
            severity: view.severity.map(severity),
            recorded_at: time(view.recorded_at_us),
            bundle_hash: hex::encode(view.bundle_hash),
            mode: mode(view.mode),
            ledger: coordinate(view),
        }
    }
}

/// A decision or a refusal with what else may be read of it.
#[derive(Serialize, ToSchema)]
pub struct EntryBody<'a> {
    /// The decision itself.
    #[serde(flatten)]
    pub decision: DecisionBody<'a>,
    /// `decided`, `rejected`, `rerouted` or `conflicted`.
    pub kind: &'static str,
    /// Tenant.
    pub tenant: &'a str,
    /// The producer's id of the request, when it may be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// Who wanted to act; left out when it is a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<&'a str>,
    /// The verb.
    pub action: &'a str,
    /// What exactly was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// The risk score that policies saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_score: Option<u8>,
    /// When it occurred, as the producer says, RFC 3339.
    #[schema(format = "date-time")]
    pub occurred_at: String,
    /// Money at stake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountOut>,
    /// How many persons it concerns.
    pub subjects: usize,
    /// Number among the partition's outcomes, dense from 0.
    pub outcome_no: u64,
}

/// A sum of money.
#[derive(Serialize, ToSchema)]
pub struct AmountOut {
    /// In minor units.
    pub minor_units: i64,
    /// ISO 4217.
    pub currency: String,
}

impl<'a> EntryBody<'a> {
    /// Of the engine's view.
    pub fn of(view: &'a DecisionView) -> EntryBody<'a> {
        EntryBody {
            decision: DecisionBody::of(view),
            kind: view.kind.as_str(),
            tenant: &view.tenant,
            request_id: view.request_id.as_deref(),
            actor: view.actor.as_deref(),
            action: &view.action,
            detail: Some(view.detail.as_str()).filter(|text| !text.is_empty()),
            risk_score: view.risk_score,
            occurred_at: time(view.occurred_at_us),
            amount: view.amount.as_ref().map(|amount| AmountOut {
                minor_units: amount.minor_units,
                currency: String::from_utf8_lossy(&amount.currency).into_owned(),
            }),
            subjects: view.subjects,
            outcome_no: view.outcome_no,
        }
    }
}

/// Where a view stands.
pub fn coordinate(view: &DecisionView) -> Coordinate {
    Coordinate { partition: view.partition, seq: view.seq, event_hash: view.event_hash.to_string() }
}

/// RFC 3339, UTC, microseconds always: the same time has one spelling.
pub fn time(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map_or_else(|_| us.to_string(), |time| format!("{time:.6}"))
}

/// The name of a mode.
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Strict => "strict",
        Mode::Permissive => "permissive",
        Mode::Paranoid => "paranoid",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
