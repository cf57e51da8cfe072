//! What an evaluation says: one of three outcomes, why, and what comes with it.
//!
//! Invariant: a verdict is a pure function of a bundle and facts; lists are sorted, because Cedar hands out
//! determining policies in hash order and a decision must have the same bytes everywhere.

use crate::reason::ReasonCode;

/// Permit, deny, or let a human decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The actor must not do it.
    Deny,
    /// The actor may do it.
    Permit,
    /// A human decides.
    Escalate,
}

impl Outcome {
    /// The word used in every interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Deny => "deny",
            Outcome::Permit => "permit",
            Outcome::Escalate => "escalate",
        }
    }
}

/// How a bundle treats what no policy speaks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Deny unless a policy permits.
    #[default]
    Strict,
    /// Permit unless a policy forbids.
    Permissive,
    /// Deny unless a policy permits, and escalate what is permitted but not explicitly low-risk.
    Paranoid,
}

/// How urgent an escalation is. Due times: 2 h, 8 h, 24 h, 72 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Due within 72 hours.
    Low,
    /// Due within 24 hours.
    Medium,
    /// Due within 8 hours.
    High,
    /// Due within 2 hours.
    Critical,
}

/// The result of evaluating one bundle over one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is decided.
    pub outcome: Outcome,
    /// Why, machine-readable.
    pub reason: ReasonCode,
    /// Determining policies, sorted by id, without repeats.
    pub policies: Vec<String>,
    /// What the caller must do along with the action, sorted, without repeats.
    pub obligations: Vec<String>,
    /// For `Escalate`: how urgent.
    pub severity: Option<Severity>,
    /// Why, in plain language. Holds no values of data subjects: names of policies and of kinds of facts only.
    pub explanation: String,
}
