//! From the JSON form of a request to the domain's. Texts move, they are not copied; all faults are found.
//!
//! Who leaves `occurred_at` out gets the time of submission; that a repeat gets the same one is seen to by whoever
//! submits.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Action, ActorId, BadName, RequestId, SubjectId, Tenant, Word};
use domain::request::{
    Actor, ActorKind, Amount, Approval, ContextValue, IdType, LegalBasis, Principal, Request, Resource, Risk,
    RiskClass, RiskDimensions, Subject,
};

use super::body::{
    ActorBody, ActorKindName, AmountBody, ApprovalBody, IdTypeName, LegalBasisName, RequestBody, RiskBody,
    RiskClassName, SubjectBody,
};
use super::context::{ContextBody, ContextEntries};
use crate::http::problem::FieldError;

const DEFAULT_TENANT: &str = "default";

struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), code, message: message.into() });
    }

    fn name<T>(&mut self, path: &str, made: Result<T, BadName>) -> Option<T> {
        made.map_err(|fault| self.add(path, name_code(&fault), fault.to_string())).ok()
    }

    fn words(&mut self, path: &str, texts: Vec<String>) -> BTreeSet<Word> {
        let mut words = BTreeSet::new();
        for (position, text) in texts.into_iter().enumerate() {
            match Word::new(text) {
                Ok(word) => {
                    words.insert(word);
                }
                Err(fault) => self.add(format!("{path}[{position}]"), name_code(&fault), fault.to_string()),
            }
        }
        words
    }
}

fn name_code(fault: &BadName) -> &'static str {
    match fault {
        BadName::Empty => "empty",
        BadName::TooLong { .. } => "too_long",
        BadName::Character { .. } => "bad_character",
        BadName::LooksLikeEmail => "email_not_allowed",
    }
}

/// The domain's request.
///
/// # Errors
/// Every field at fault.
pub(super) fn convert(body: RequestBody, now_us: i64) -> Result<Request, Vec<FieldError>> {
    let mut faults = Faults(Vec::new());
    let request = assemble(body, now_us, &mut faults);
    if let Some(request) = &request
        && let Err(found) = request.validate()
    {
        faults.0.extend(found.into_iter().map(|fault| FieldError {
            path: fault.path,
            code: fault.code,
            message: fault.message,
        }));
    }
    match request {
        Some(request) if faults.0.is_empty() => Ok(request),
        _ => Err(faults.0),
    }
}

/// What can be made of a body. Whatever it leaves out is a fault that was added.
fn assemble(body: RequestBody, now_us: i64, faults: &mut Faults) -> Option<Request> {
    let request_id = faults.name("request_id", RequestId::new(body.request_id));
    let tenant = faults.name("tenant", Tenant::new(body.tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned())));
    let actor = actor(body.actor, faults);
    let action = faults.name("action", Action::new(body.action));
    let tool = body.tool.and_then(|text| faults.name("tool", Word::new(text)));
    let resource = body.resource.and_then(|resource| {
        let kind = faults.name("resource.kind", Word::new(resource.kind))?;
        Some(Resource { kind, id: resource.id })
    });
    let data_classes = faults.words("data_classes", body.data_classes);
    let practice = body.practice.and_then(|text| faults.name("practice", Word::new(text)));
    let risk = body.risk.and_then(|body| risk(&body, faults));
    let amount = body.amount.and_then(|body| amount(&body, faults));
    let purpose = body.purpose.and_then(|text| faults.name("purpose", Word::new(text)));
    let approval = body.approval.and_then(|body| approval(&body, faults));
    let context = context(body.context, faults);
    let subjects = subjects(body.subjects, faults);
    let occurred_at_us = match body.occurred_at {
        None => now_us,
        Some(text) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => time.as_microsecond(),
            Err(_) => {
                faults.add(
                    "occurred_at",
                    "bad_time",
                    "must be a time of RFC 3339 with its offset, like 2026-01-31T12:00:00Z",
                );
                now_us
            }
        },
    };
    Some(Request {
        tenant: tenant?,
        request_id: request_id?,
        actor: actor?,
        action: action?,
        tool,
        resource,
        intent: body.intent,
        data_classes,
        practice,
        risk_class: risk_class(body.risk_class),
        risk,
        confidence_percent: body.confidence_percent,
        amount,
        purpose,
        legal_basis: body.legal_basis.map(legal_basis),
        approval,
        context,
        subjects,
        occurred_at_us,
    })
}

fn actor(body: ActorBody, faults: &mut Faults) -> Option<Actor> {
    let id = faults.name("actor.id", ActorId::new(body.id));
    let roles = faults.words("actor.roles", body.roles);
    let on_behalf_of = body.on_behalf_of.and_then(|principal| {
        let id = faults.name("actor.on_behalf_of.id", ActorId::new(principal.id))?;
        Some(Principal { id, kind: actor_kind(principal.kind), delegation_depth: principal.delegation_depth })
    });
    Some(Actor { id: id?, kind: actor_kind(body.kind), model: body.model, roles, on_behalf_of })
}

fn risk(body: &RiskBody, faults: &mut Faults) -> Option<Risk> {
    match (body.score, body.dimensions) {
        (Some(score), None) => Some(Risk::Score(score)),
        (None, Some(d)) => Some(Risk::Dimensions(RiskDimensions {
            security: d.security,
            privacy: d.privacy,
            compliance: d.compliance,
            operational: d.operational,
            reputational: d.reputational,
            financial: d.financial,
        })),
        (Some(_), Some(_)) | (None, None) => {
            faults.add("risk", "either_or", "must have either score or dimensions: give exactly one");
            None
        }
    }
}

fn amount(body: &AmountBody, faults: &mut Faults) -> Option<Amount> {
    match <[u8; 3]>::try_from(body.currency.as_bytes()) {
        Ok(currency) => Some(Amount { minor_units: body.minor_units, currency }),
        Err(_) => {
            faults.add("amount.currency", "bad_currency", "must be an ISO 4217 code of three upper-case letters");
            None
        }
    }
}

fn approval(body: &ApprovalBody, faults: &mut Faults) -> Option<Approval> {
    match uuid::Uuid::try_parse(&body.event_id) {
        Ok(id) => Some(Approval { event_id: id.into_bytes() }),
        Err(_) => {
            faults.add(
                "approval.event_id",
                "bad_id",
                "must be a UUID: the decision_id of the event that holds the approval",
            );
            None
        }
    }
}

fn context(entries: ContextEntries, faults: &mut Faults) -> BTreeMap<Word, ContextValue> {
    let mut context = BTreeMap::new();
    for (position, (key, value)) in entries.0.into_iter().enumerate() {
        let value = match value {
            ContextBody::Long(value) => ContextValue::Long(value),
            ContextBody::Bool(value) => ContextValue::Bool(value),
            ContextBody::Text(value) => ContextValue::Text(value),
            ContextBody::Set(members) => ContextValue::Set(members.into_iter().collect()),
        };
        // What is no word may be anything, so its place in the order of names is shown instead of itself.
        match Word::new(key) {
            Ok(key) => drop(context.insert(key, value)),
            Err(fault) => faults.add(format!("context[{position}]"), name_code(&fault), format!("the name {fault}")),
        }
    }
    context
}

fn subjects(bodies: Vec<SubjectBody>, faults: &mut Faults) -> Vec<Subject> {
    let mut subjects = Vec::with_capacity(bodies.len());
    for (position, body) in bodies.into_iter().enumerate() {
        let id = faults.name(&format!("subjects[{position}].id"), SubjectId::new(body.id));
        let role = faults.name(&format!("subjects[{position}].role"), Word::new(body.role));
        let mut fields = BTreeMap::new();
        for (place, (name, value)) in body.fields.0.into_iter().enumerate() {
            match Word::new(name) {
                Ok(name) => drop(fields.insert(name, value)),
                Err(fault) => {
                    faults.add(
                        format!("subjects[{position}].fields[{place}]"),
                        name_code(&fault),
                        format!("the name {fault}"),
                    );
                }
            }
        }
        if let (Some(id), Some(role)) = (id, role) {
            subjects.push(Subject { id_type: id_type(body.id_type), id, role, fields });
        }
    }
    subjects
}

fn actor_kind(name: ActorKindName) -> ActorKind {
    match name {
        ActorKindName::Person => ActorKind::Person,
        ActorKindName::Agent => ActorKind::Agent,
        ActorKindName::Model => ActorKind::Model,
        ActorKindName::System => ActorKind::System,
    }
}

fn risk_class(name: RiskClassName) -> RiskClass {
    match name {
        RiskClassName::Minimal => RiskClass::Minimal,
        RiskClassName::Limited => RiskClass::Limited,
        RiskClassName::High => RiskClass::High,
        RiskClassName::Unacceptable => RiskClass::Unacceptable,
        RiskClassName::Unknown => RiskClass::Unknown,
    }
}

fn legal_basis(name: LegalBasisName) -> LegalBasis {
    match name {
        LegalBasisName::Consent => LegalBasis::Consent,
        LegalBasisName::Contract => LegalBasis::Contract,
        LegalBasisName::LegalObligation => LegalBasis::LegalObligation,
        LegalBasisName::VitalInterests => LegalBasis::VitalInterests,
        LegalBasisName::PublicTask => LegalBasis::PublicTask,
        LegalBasisName::LegitimateInterests => LegalBasis::LegitimateInterests,
    }
}

fn id_type(name: IdTypeName) -> IdType {
    match name {
        IdTypeName::Actor => IdType::Actor,
        IdTypeName::Email => IdType::Email,
        IdTypeName::Customer => IdType::Customer,
        IdTypeName::Employee => IdType::Employee,
        IdTypeName::Phone => IdType::Phone,
        IdTypeName::National => IdType::National,
        IdTypeName::Other => IdType::Other,
    }
}
