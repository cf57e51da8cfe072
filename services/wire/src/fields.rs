//! The request as its schema spells it: one struct for both directions, borrowing when it encodes.
//!
//! Invariants: struct names and field names are those of `schemas/request`; fields stand in the order of the schema,
//! or the writer would have to buffer; sets are written in their order, so one request has one encoding.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Action, ActorId, BadName, RequestId, SubjectId, Tenant, Word};
use domain::request as core;
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::schema::datum::{Fixed, Text};
use crate::terms::{ActorKind, IdType, LegalBasis, RiskClass};

#[derive(Serialize, Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    tenant: Text<'a>,
    #[serde(borrow)]
    request_id: Text<'a>,
    #[serde(borrow)]
    actor: Actor<'a>,
    #[serde(borrow)]
    action: Text<'a>,
    #[serde(borrow)]
    tool: Option<Text<'a>>,
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow)]
    intent: Option<Text<'a>>,
    #[serde(borrow)]
    data_classes: Vec<Text<'a>>,
    #[serde(borrow)]
    practice: Option<Text<'a>>,
    risk_class: RiskClass,
    risk: Risk,
    confidence_percent: Option<i32>,
    #[serde(borrow)]
    amount: Option<Amount<'a>>,
    #[serde(borrow)]
    purpose: Option<Text<'a>>,
    legal_basis: Option<LegalBasis>,
    approval: Option<Approval>,
    #[serde(borrow)]
    context: BTreeMap<Text<'a>, ContextValue<'a>>,
    #[serde(borrow)]
    subjects: Vec<Subject<'a>>,
    occurred_at_us: i64,
}

#[derive(Serialize, Deserialize)]
struct Actor<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    kind: ActorKind,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    roles: Vec<Text<'a>>,
    #[serde(borrow)]
    on_behalf_of: Option<Principal<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Principal<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    kind: ActorKind,
    delegation_depth: i32,
}

#[derive(Serialize, Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
}

/// A union of three branches, by position.
#[derive(Serialize, Deserialize)]
enum Risk {
    None,
    Score(i32),
    Dimensions(RiskDimensions),
}

#[derive(Serialize, Deserialize)]
struct RiskDimensions {
    security: i32,
    privacy: i32,
    compliance: i32,
    operational: i32,
    reputational: i32,
    financial: i32,
}

#[derive(Serialize, Deserialize)]
struct Amount<'a> {
    minor_units: i64,
    #[serde(borrow)]
    currency: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct Approval {
    event_id: Fixed<16>,
}

/// A union of four branches, by position.
#[derive(Serialize, Deserialize)]
enum ContextValue<'a> {
    Long(i64),
    Bool(bool),
    #[serde(borrow)]
    Text(Text<'a>),
    #[serde(borrow)]
    Set(Vec<Text<'a>>),
}

#[derive(Serialize, Deserialize)]
struct Subject<'a> {
    id_type: IdType,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    fields: BTreeMap<Text<'a>, Text<'a>>,
}

impl<'a> TryFrom<&'a core::Request> for Request<'a> {
    type Error = Error;

    fn try_from(request: &'a core::Request) -> Result<Self, Error> {
        let text = |word: &'a Word| Text::from(word.as_str());
        let amount = |amount: &'a core::Amount| match std::str::from_utf8(&amount.currency) {
            Ok(currency) => Ok(Amount { minor_units: amount.minor_units, currency: Text::from(currency) }),
            Err(_) => Err(Error::Field { path: "amount.currency", why: BadField::Currency }),
        };
        Ok(Request {
            tenant: Text::from(request.tenant.as_str()),
            request_id: Text::from(request.request_id.as_str()),
            actor: Actor::from(&request.actor),
            action: Text::from(request.action.as_str()),
            tool: request.tool.as_ref().map(text),
            resource: request.resource.as_ref().map(|r| Resource { kind: text(&r.kind), id: Text::from(&r.id) }),
            intent: request.intent.as_deref().map(Text::from),
            data_classes: request.data_classes.iter().map(text).collect(),
            practice: request.practice.as_ref().map(text),
            risk_class: request.risk_class.into(),
            risk: request.risk.map_or(Risk::None, Risk::from),
            confidence_percent: request.confidence_percent.map(i32::from),
            amount: request.amount.as_ref().map(amount).transpose()?,
            purpose: request.purpose.as_ref().map(text),
            legal_basis: request.legal_basis.map(LegalBasis::from),
            approval: request.approval.as_ref().map(|approval| Approval { event_id: Fixed(approval.event_id) }),
            context: request.context.iter().map(|(key, value)| (text(key), ContextValue::from(value))).collect(),
            subjects: request.subjects.iter().map(Subject::from).collect(),
            occurred_at_us: request.occurred_at_us,
        })
    }
}

impl<'a> From<&'a core::Actor> for Actor<'a> {
    fn from(actor: &'a core::Actor) -> Self {
        let principal = |principal: &'a core::Principal| Principal {
            id: Text::from(principal.id.as_str()),
            kind: principal.kind.into(),
            delegation_depth: i32::from(principal.delegation_depth),
        };
        Actor {
            id: Text::from(actor.id.as_str()),
            kind: actor.kind.into(),
            model: actor.model.as_deref().map(Text::from),
            roles: actor.roles.iter().map(|role| Text::from(role.as_str())).collect(),
            on_behalf_of: actor.on_behalf_of.as_ref().map(principal),
        }
    }
}

impl From<core::Risk> for Risk {
    fn from(risk: core::Risk) -> Self {
        match risk {
            core::Risk::Score(score) => Risk::Score(i32::from(score)),
            core::Risk::Dimensions(d) => Risk::Dimensions(RiskDimensions {
                security: i32::from(d.security),
                privacy: i32::from(d.privacy),
                compliance: i32::from(d.compliance),
                operational: i32::from(d.operational),
                reputational: i32::from(d.reputational),
                financial: i32::from(d.financial),
            }),
        }
    }
}

impl<'a> From<&'a core::ContextValue> for ContextValue<'a> {
    fn from(value: &'a core::ContextValue) -> Self {
        match value {
            core::ContextValue::Long(value) => ContextValue::Long(*value),
            core::ContextValue::Bool(value) => ContextValue::Bool(*value),
            core::ContextValue::Text(text) => ContextValue::Text(Text::from(text)),
            core::ContextValue::Set(set) => {
                ContextValue::Set(set.iter().map(|text| Text::from(text.as_str())).collect())
            }
        }
    }
}

impl<'a> From<&'a core::Subject> for Subject<'a> {
    fn from(subject: &'a core::Subject) -> Self {
        Subject {
            id_type: subject.id_type.into(),
            id: Text::from(subject.id.as_str()),
            role: Text::from(subject.role.as_str()),
            fields: subject
                .fields
                .iter()
                .map(|(name, value)| (Text::from(name.as_str()), Text::from(value.as_str())))
                .collect(),
        }
    }
}

fn bad(path: impl Into<String>, why: impl Into<BadField>) -> Undecodable {
    Undecodable::Field { path: path.into(), why: why.into() }
}

fn name<T>(path: &str, text: Text<'_>, make: impl FnOnce(String) -> Result<T, BadName>) -> Result<T, Undecodable> {
    make(text.into()).map_err(|why| bad(path, why))
}

fn word(path: &str, text: Option<Text<'_>>) -> Result<Option<Word>, Undecodable> {
    text.map(|text| name(path, text, Word::new)).transpose()
}

fn words(path: &str, texts: Vec<Text<'_>>) -> Result<BTreeSet<Word>, Undecodable> {
    let at = |place: usize, why| bad(format!("{path}[{place}]"), why);
    texts.into_iter().enumerate().map(|(place, text)| Word::new(text).map_err(|why| at(place, why))).collect()
}

fn small(path: &str, value: i32) -> Result<u8, Undecodable> {
    u8::try_from(value).map_err(|_| bad(path, BadField::Range))
}

impl TryFrom<Request<'_>> for core::Request {
    type Error = Undecodable;

    fn try_from(request: Request<'_>) -> Result<Self, Undecodable> {
        let resource = |r: Resource<'_>| {
            Ok::<_, Undecodable>(core::Resource { kind: name("resource.kind", r.kind, Word::new)?, id: r.id.into() })
        };
        let mut context = BTreeMap::new();
        for (place, (key, value)) in request.context.into_iter().enumerate() {
            // Keys are named by place: what is no word may be anything.
            let key = Word::new(key).map_err(|why| bad(format!("context key {place}"), why))?;
            context.insert(key, value.into());
        }
        let subject = |(place, subject)| subject_of(place, subject);
        Ok(core::Request {
            tenant: name("tenant", request.tenant, Tenant::new)?,
            request_id: name("request_id", request.request_id, RequestId::new)?,
            actor: request.actor.try_into()?,
            action: name("action", request.action, Action::new)?,
            tool: word("tool", request.tool)?,
            resource: request.resource.map(resource).transpose()?,
            intent: request.intent.map(String::from),
            data_classes: words("data_classes", request.data_classes)?,
            practice: word("practice", request.practice)?,
            risk_class: request.risk_class.into(),
            risk: risk_of(request.risk)?,
            confidence_percent: request
                .confidence_percent
                .map(|value| small("confidence_percent", value))
                .transpose()?,
            amount: request.amount.map(amount_of).transpose()?,
            purpose: word("purpose", request.purpose)?,
            legal_basis: request.legal_basis.map(Into::into),
            approval: request.approval.map(|approval| core::Approval { event_id: approval.event_id.0 }),
            context,
            subjects: request.subjects.into_iter().enumerate().map(subject).collect::<Result<_, _>>()?,
            occurred_at_us: request.occurred_at_us,
        })
    }
}

impl TryFrom<Actor<'_>> for core::Actor {
    type Error = Undecodable;

    fn try_from(actor: Actor<'_>) -> Result<Self, Undecodable> {
        let principal = |p: Principal<'_>| {
            Ok::<_, Undecodable>(core::Principal {
                id: name("actor.on_behalf_of.id", p.id, ActorId::new)?,
                kind: p.kind.into(),
                delegation_depth: small("actor.on_behalf_of.delegation_depth", p.delegation_depth)?,
            })
        };
        Ok(core::Actor {
            id: name("actor.id", actor.id, ActorId::new)?,
            kind: actor.kind.into(),
            model: actor.model.map(String::from),
            roles: words("actor.roles", actor.roles)?,
            on_behalf_of: actor.on_behalf_of.map(principal).transpose()?,
        })
    }
}

fn risk_of(risk: Risk) -> Result<Option<core::Risk>, Undecodable> {
    Ok(match risk {
        Risk::None => None,
        Risk::Score(score) => Some(core::Risk::Score(small("risk", score)?)),
        Risk::Dimensions(d) => Some(core::Risk::Dimensions(core::RiskDimensions {
            security: small("risk.security", d.security)?,
            privacy: small("risk.privacy", d.privacy)?,
            compliance: small("risk.compliance", d.compliance)?,
            operational: small("risk.operational", d.operational)?,
            reputational: small("risk.reputational", d.reputational)?,
            financial: small("risk.financial", d.financial)?,
        })),
    })
}

fn amount_of(amount: Amount<'_>) -> Result<core::Amount, Undecodable> {
    let currency = amount.currency.0.as_bytes().try_into().map_err(|_| bad("amount.currency", BadField::Currency))?;
    Ok(core::Amount { minor_units: amount.minor_units, currency })
}

impl From<ContextValue<'_>> for core::ContextValue {
    fn from(value: ContextValue<'_>) -> Self {
        match value {
            ContextValue::Long(value) => core::ContextValue::Long(value),
            ContextValue::Bool(value) => core::ContextValue::Bool(value),
            ContextValue::Text(text) => core::ContextValue::Text(text.into()),
            ContextValue::Set(set) => core::ContextValue::Set(set.into_iter().map(String::from).collect()),
        }
    }
}

fn subject_of(place: usize, subject: Subject<'_>) -> Result<core::Subject, Undecodable> {
    let mut fields = BTreeMap::new();
    for (at, (key, value)) in subject.fields.into_iter().enumerate() {
        let key = Word::new(key).map_err(|why| bad(format!("subjects[{place}] name of field {at}"), why))?;
        fields.insert(key, value.into());
    }
    Ok(core::Subject {
        id_type: subject.id_type.into(),
        id: SubjectId::new(subject.id).map_err(|why| bad(format!("subjects[{place}].id"), why))?,
        role: Word::new(subject.role).map_err(|why| bad(format!("subjects[{place}].role"), why))?,
        fields,
    })
}
