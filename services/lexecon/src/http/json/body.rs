//! The JSON form of a request: what `POST /v1/decisions` takes, and what the OpenAPI document shows.
//!
//! These types are the interface's own, so that a change inside never changes the interface by accident. No
//! `Serialize`: nothing here writes a request out again.

use serde::Deserialize;
use utoipa::ToSchema;

use super::context::{ContextEntries, FieldEntries};
use super::shape::{object, objects, optional_object, optional_word, word};

/// What wants to act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "one of person, agent, model, system")]
pub enum ActorKindName {
    /// A human being.
    Person,
    /// A tool-using AI agent.
    #[default]
    Agent,
    /// A model that is called directly.
    Model,
    /// Any other software.
    System,
}

/// For whom an actor acts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalBody {
    /// Opaque identifier within the tenant; no e-mail address.
    #[schema(max_length = 200)]
    pub id: String,
    /// What it is.
    #[serde(deserialize_with = "word")]
    pub kind: ActorKindName,
    /// How many hands the authority passed through, at least 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, default = 1)]
    pub delegation_depth: u8,
}

fn one() -> u8 {
    1
}

/// Who wants to act.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActorBody {
    /// Opaque identifier within the tenant; no e-mail address.
    #[schema(max_length = 200)]
    pub id: String,
    /// What it is.
    #[serde(default, deserialize_with = "word")]
    #[schema(default = "agent")]
    pub kind: ActorKindName,
    /// Name and version of the model behind it.
    pub model: Option<String>,
    /// Roles that it holds.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub roles: Vec<String>,
    /// For whom it acts, if not for itself.
    #[serde(default, deserialize_with = "optional_object")]
    pub on_behalf_of: Option<PrincipalBody>,
}

/// What is acted upon.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceBody {
    /// Kind of resource.
    pub kind: String,
    /// Identifier within its kind.
    pub id: String,
}

/// Risk class of the EU AI Act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "one of minimal, limited, high, unacceptable, unknown")]
pub enum RiskClassName {
    /// No obligations.
    Minimal,
    /// Transparency.
    Limited,
    /// Art. 6.
    High,
    /// Art. 5.
    Unacceptable,
    /// Treated as high.
    #[default]
    Unknown,
}

/// A risk assessment, either its score or its dimensions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskBody {
    /// Assessed by the producer.
    #[schema(maximum = 100)]
    pub score: Option<u8>,
    /// To be weighted here.
    #[serde(default, deserialize_with = "optional_object")]
    pub dimensions: Option<RiskDimensionsBody>,
}

/// Dimensions of a risk assessment, each 0 to 100.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskDimensionsBody {
    /// Weight 25 %.
    #[schema(maximum = 100)]
    pub security: u8,
    /// Weight 20 %.
    #[schema(maximum = 100)]
    pub privacy: u8,
    /// Weight 20 %.
    #[schema(maximum = 100)]
    pub compliance: u8,
    /// Weight 15 %.
    #[schema(maximum = 100)]
    pub operational: u8,
    /// Weight 10 %.
    #[schema(maximum = 100)]
    pub reputational: u8,
    /// Weight 10 %.
    #[schema(maximum = 100)]
    pub financial: u8,
}

/// Money at stake.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountBody {
    /// In minor units of the currency, not negative.
    #[schema(minimum = 0)]
    pub minor_units: i64,
    /// ISO 4217 code of three upper-case letters.
    #[schema(pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

/// Lawful basis of GDPR Art. 6(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(
    rename_all = "snake_case",
    expecting = "one of consent, contract, legal_obligation, vital_interests, public_task, legitimate_interests"
)]
pub enum LegalBasisName {
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

/// A claimed approval.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalBody {
    /// Id of the ledger event that holds it, a UUID.
    #[schema(format = "uuid")]
    pub event_id: String,
}

/// Kinds of identifier of a data subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", expecting = "one of actor, email, customer, employee, phone, national, other")]
pub enum IdTypeName {
    /// The same space as actors' ids.
    Actor,
    /// An e-mail address.
    Email,
    /// A customer number.
    Customer,
    /// A staff number.
    Employee,
    /// A telephone number.
    Phone,
    /// A number given by a state.
    National,
    /// Anything else.
    #[default]
    Other,
}

/// A person whom the action concerns. Sealed before it is stored.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectBody {
    /// Kind of identifier.
    #[serde(default, deserialize_with = "word")]
    #[schema(default = "other")]
    pub id_type: IdTypeName,
    /// The identifier.
    #[schema(max_length = 512)]
    pub id: String,
    /// What the person is to the action, for example `recipient`.
    pub role: String,
    /// Personal fields, names to texts.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub fields: FieldEntries,
}

/// One request for one decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    /// Unique within tenant and actor. A repeat with the same body gets the same answer.
    #[schema(max_length = 200, example = "order-4711")]
    pub request_id: String,
    /// Tenant on whose behalf it is decided.
    #[schema(max_length = 64, default = "default")]
    pub tenant: Option<String>,
    /// Who wants to act.
    #[serde(deserialize_with = "object")]
    pub actor: ActorBody,
    /// The verb.
    #[schema(max_length = 128, example = "send_email")]
    pub action: String,
    /// The tool that carries it out.
    pub tool: Option<String>,
    /// What is acted upon.
    #[serde(default, deserialize_with = "optional_object")]
    pub resource: Option<ResourceBody>,
    /// Why the actor says it wants to.
    #[schema(max_length = 4096)]
    pub intent: Option<String>,
    /// Classes of the data that is touched.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub data_classes: Vec<String>,
    /// A practice in the sense of Art. 5 of the EU AI Act.
    pub practice: Option<String>,
    /// Risk class of the EU AI Act.
    #[serde(default, deserialize_with = "word")]
    #[schema(default = "unknown")]
    pub risk_class: RiskClassName,
    /// Risk assessment.
    #[serde(default, deserialize_with = "optional_object")]
    pub risk: Option<RiskBody>,
    /// How sure the actor is, 0 to 100.
    #[schema(maximum = 100)]
    pub confidence_percent: Option<u8>,
    /// Money at stake.
    #[serde(default, deserialize_with = "optional_object")]
    pub amount: Option<AmountBody>,
    /// Declared purpose.
    pub purpose: Option<String>,
    /// Declared lawful basis.
    #[serde(default, deserialize_with = "optional_word")]
    pub legal_basis: Option<LegalBasisName>,
    /// Claimed approval; it counts only when it names an event of the ledger.
    #[serde(default, deserialize_with = "optional_object")]
    pub approval: Option<ApprovalBody>,
    /// Free facts: names to whole numbers, truth values, texts or lists of texts.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, super::context::ContextBody>)]
    pub context: ContextEntries,
    /// Persons concerned.
    #[serde(default, deserialize_with = "objects")]
    #[schema(max_items = 16)]
    pub subjects: Vec<SubjectBody>,
    /// When it occurred, RFC 3339; left out: when it was submitted.
    #[schema(format = "date-time")]
    pub occurred_at: Option<String>,
}
