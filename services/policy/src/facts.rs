//! The typed facts that policies are evaluated over.
//!
//! Why here: `policy` owns what it evaluates, so that a change of the vocabulary is one change in one room;
//! `domain` builds these values from a request. There are integers, booleans, strings and sets, and no floats:
//! a float compares differently on different machines, and a decision must come out the same on all of them.
//! Deliberately not here: anything about where a request came from, and any clock.

use std::collections::{BTreeMap, BTreeSet};

/// What kind of being or thing wants to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorKind {
    /// A human being. A person who acts is a data subject.
    Person,
    /// A tool-using AI agent.
    Agent,
    /// A model that is called directly.
    Model,
    /// Any other software.
    System,
}

/// Who wants to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Opaque identifier, unique within the tenant.
    pub id: String,
    /// What it is.
    pub kind: ActorKind,
    /// Role names, matched exactly.
    pub roles: BTreeSet<String>,
    /// Model name and version behind an agent.
    pub model: Option<String>,
    /// How many hands the authority passed through: 0 when the actor acts for itself.
    pub delegation_depth: u8,
}

/// What is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Kind of resource, for example `account`.
    pub kind: String,
    /// Identifier within its kind.
    pub id: String,
}

/// Risk class of the EU AI Act (Regulation (EU) 2024/1689). What is not known counts as high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RiskClass {
    /// No obligations beyond voluntary codes.
    Minimal,
    /// Transparency obligations (Art. 50).
    Limited,
    /// Art. 6 and Annex III.
    High,
    /// Art. 5, prohibited.
    Unacceptable,
    /// Not stated: policies see it as high.
    #[default]
    Unknown,
}

/// Lawful bases of GDPR Art. 6(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LegalBasis {
    /// (a)
    Consent,
    /// (b)
    Contract,
    /// (c)
    LegalObligation,
    /// (d)
    VitalInterests,
    /// (e)
    PublicTask,
    /// (f)
    LegitimateInterests,
}

/// A sum of money in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Cents, pence, yen: the ISO 4217 minor unit.
    pub minor_units: i64,
    /// ISO 4217 alphabetic code, upper case.
    pub currency: [u8; 3],
}

/// A free context value. No floats, no nesting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue {
    /// A signed integer.
    Long(i64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(String),
    /// A set of strings.
    Set(BTreeSet<String>),
}

/// Everything that a policy can see of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Tenant name.
    pub tenant: String,
    /// Who wants to act.
    pub actor: Actor,
    /// The verb: name of a tool or an operation, for example `send_email`.
    pub action: String,
    /// Name of the tool that carries the action out.
    pub tool: Option<String>,
    /// What is acted upon.
    pub resource: Option<Resource>,
    /// Classes of the data that is touched. All of them must be permitted, not any.
    pub data_classes: BTreeSet<String>,
    /// A practice as Art. 5 of the EU AI Act names them, for example `social_scoring`.
    pub practice: Option<String>,
    /// Risk class of the system.
    pub risk_class: RiskClass,
    /// 0 to 100.
    pub risk_score: Option<u8>,
    /// 0 to 100.
    pub confidence_percent: Option<u8>,
    /// Money at stake.
    pub amount: Option<Amount>,
    /// Declared purpose.
    pub purpose: Option<String>,
    /// Declared lawful basis.
    pub legal_basis: Option<LegalBasis>,
    /// Whether an approval that counts was given (verified by the domain, never taken from the request as it is).
    pub approved: bool,
    /// How many data subjects the request names, actor and principal apart.
    pub subject_count: u8,
    /// The time that the decision uses, microseconds since 1970-01-01 UTC.
    pub recorded_at_us: i64,
    /// Free facts of the tenant.
    pub context: BTreeMap<String, ContextValue>,
}
