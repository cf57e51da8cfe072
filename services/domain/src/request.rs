//! A decision request: who wants to do what, to what, why, and about whom.
//!
//! Invariants: sets and maps are ordered, so that one request has one canonical encoding; what belongs to a person
//! is found by [`Request::split`] and by nothing else, so that a new personal field has one place to be forgotten in.
//! Deliberately not here: JSON, Avro, and any check that needs state or time (those are in `decide`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::{Action, ActorId, Micros, RequestId, SubjectId, Tenant, Word};

pub use policy::facts::{ActorKind, Amount, ContextValue, LegalBasis, RiskClass};
pub use policy::verdict::Severity;

pub use crate::split::JoinFault;

/// Limits of a request. Named here, settings where an operator may lower them.
pub mod limits {
    /// Bytes of one request as submitted.
    pub const REQUEST_BYTES_MAX: usize = 128 * 1024;
    /// Data subjects in one request, actor and principal apart.
    pub const SUBJECTS_MAX: usize = 16;
    /// Fields of one subject.
    pub const SUBJECT_FIELDS_MAX: usize = 64;
    /// Bytes of a subject's field.
    pub const SUBJECT_FIELD_BYTES_MAX: usize = 4096;
    /// Roles of an actor.
    pub const ROLES_MAX: usize = 32;
    /// Data classes of a request.
    pub const DATA_CLASSES_MAX: usize = 32;
    /// Entries of the free context.
    pub const CONTEXT_MAX: usize = 64;
    /// Bytes of a text in the context, and of a member of a set in it.
    pub const CONTEXT_TEXT_BYTES_MAX: usize = 4096;
    /// Members of a set in the context.
    pub const CONTEXT_SET_MAX: usize = 256;
    /// Bytes of the stated intent.
    pub const INTENT_BYTES_MAX: usize = 4096;
    /// Bytes of a resource's identifier.
    pub const RESOURCE_ID_BYTES_MAX: usize = 512;
    /// Bytes of a model's name.
    pub const MODEL_BYTES_MAX: usize = 128;
}

/// Who wants to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Opaque identifier within the tenant.
    pub id: ActorId,
    /// What it is. A person's id is personal data.
    pub kind: ActorKind,
    /// Model name and version behind it.
    pub model: Option<String>,
    /// Roles that it holds.
    pub roles: BTreeSet<Word>,
    /// For whom it acts, if not for itself.
    pub on_behalf_of: Option<Principal>,
}

/// For whom an actor acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Opaque identifier within the tenant.
    pub id: ActorId,
    /// What it is.
    pub kind: ActorKind,
    /// How many hands the authority passed through, at least 1.
    pub delegation_depth: u8,
}

/// What is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Kind of resource.
    pub kind: Word,
    /// Identifier within its kind.
    pub id: String,
}

/// How risky the action is, each value 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// Assessed by the producer.
    Score(u8),
    /// To be weighted here (see [`Risk::score`]).
    Dimensions(RiskDimensions),
}

/// The six dimensions of a risk assessment, each 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskDimensions {
    /// Weight 25 %.
    pub security: u8,
    /// Weight 20 %.
    pub privacy: u8,
    /// Weight 20 %.
    pub compliance: u8,
    /// Weight 15 %.
    pub operational: u8,
    /// Weight 10 %.
    pub reputational: u8,
    /// Weight 10 %.
    pub financial: u8,
}

impl Risk {
    /// The score, 0 to 100: as given, or the weighted mean of the dimensions, rounded half up.
    pub fn score(&self) -> u8 {
        match *self {
            Risk::Score(score) => score.min(100),
            Risk::Dimensions(d) => {
                let weighted = 25 * u32::from(d.security)
                    + 20 * u32::from(d.privacy)
                    + 20 * u32::from(d.compliance)
                    + 15 * u32::from(d.operational)
                    + 10 * u32::from(d.reputational)
                    + 10 * u32::from(d.financial);
                u8::try_from((weighted + 50) / 100).unwrap_or(100).min(100)
            }
        }
    }
}

/// An approval that the producer says was given. It counts only when it names an event of this ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The ledger event that holds the approval.
    pub event_id: [u8; 16],
}

/// Kinds of identifier of a data subject. The numbers go into keyed hashes and are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum IdType {
    /// The same space as actors' ids.
    Actor = 0,
    /// An e-mail address.
    Email = 1,
    /// A customer number.
    Customer = 2,
    /// A staff number.
    Employee = 3,
    /// A telephone number.
    Phone = 4,
    /// A number given by a state.
    National = 5,
    /// Anything else.
    Other = 6,
}

/// A person whom the action concerns.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// Kind of identifier.
    pub id_type: IdType,
    /// The identifier.
    pub id: SubjectId,
    /// What the person is to the action, for example `recipient`.
    pub role: Word,
    /// Personal fields.
    pub fields: BTreeMap<Word, String>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("id_type", &self.id_type)
            .field("role", &self.role)
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// One request for one decision.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Tenant on whose behalf it is decided.
    pub tenant: Tenant,
    /// Identity, with tenant and routing key.
    pub request_id: RequestId,
    /// Who wants to act.
    pub actor: Actor,
    /// The verb.
    pub action: Action,
    /// The tool that carries it out.
    pub tool: Option<Word>,
    /// What is acted upon.
    pub resource: Option<Resource>,
    /// Why the actor says it wants to.
    pub intent: Option<String>,
    /// Classes of the data that is touched.
    pub data_classes: BTreeSet<Word>,
    /// A practice in the sense of Art. 5 of the EU AI Act.
    pub practice: Option<Word>,
    /// Risk class of the EU AI Act.
    pub risk_class: RiskClass,
    /// Risk score or dimensions.
    pub risk: Option<Risk>,
    /// How sure the actor is, 0 to 100.
    pub confidence_percent: Option<u8>,
    /// Money at stake.
    pub amount: Option<Amount>,
    /// Declared purpose.
    pub purpose: Option<Word>,
    /// Declared lawful basis.
    pub legal_basis: Option<LegalBasis>,
    /// Claimed approval.
    pub approval: Option<Approval>,
    /// Free facts.
    pub context: BTreeMap<Word, ContextValue>,
    /// Persons concerned.
    pub subjects: Vec<Subject>,
    /// When it occurred, as the producer says.
    pub occurred_at_us: Micros,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Context, intent and identifiers may be personal: only what is clear in the ledger is shown.
        f.debug_struct("Request")
            .field("tenant", &self.tenant)
            .field("action", &self.action)
            .field("subjects", &self.subjects.len())
            .finish_non_exhaustive()
    }
}

/// Whose part of a request a [`PersonalPart`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonRole {
    /// The person who acts.
    Actor,
    /// The person for whom somebody acts.
    OnBehalfOf,
    /// A person concerned, by position in the request's list.
    Subject(u8),
}

/// What one request says about one person: the only thing that goes into that person's sealed section.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonalPart {
    /// Whose.
    pub role: PersonRole,
    /// Kind of identifier.
    pub id_type: IdType,
    /// The identifier.
    pub id: String,
    /// Personal fields.
    pub fields: BTreeMap<String, String>,
}

impl fmt::Debug for PersonalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonalPart")
            .field("role", &self.role)
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// Stands in the shared part of a request where a person's identifier was taken out.
pub const WITHHELD: &str = "withheld";
