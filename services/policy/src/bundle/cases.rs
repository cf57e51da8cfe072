//! `tests/*.toml`: given facts and the verdict that is expected of them.
//!
//! ```toml
//! [given]                       # what every test of this file starts from
//! tenant = "acme"
//! actor = { id = "agent-7", kind = "agent", roles = ["assistant"] }
//!
//! [[test]]
//! name = "an assistant reads its inbox"
//! given = { action = "read_inbox", data_classes = ["internal"] }
//! expect = { outcome = "permit", reason = "permitted", policies = ["assistants-read"], obligations = ["log_access"] }
//! ```
//! A test's `given` replaces the file's key by key, and within `actor` and `context` key by key as well.
//! `outcome` must be stated; what else is stated must hold exactly.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use crate::bundle::annotations::{Obligation, severity};
use crate::facts::{Actor, ActorKind, Amount, ContextValue, Facts, LegalBasis, Resource, RiskClass};
use crate::fault::{Fault, FaultCode, Text};
use crate::reason::ReasonCode;
use crate::verdict::{Outcome, Severity};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    given: RawFacts,
    #[serde(default)]
    test: Vec<Spanned<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    #[serde(default)]
    given: RawFacts,
    expect: RawExpected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpected {
    outcome: String,
    reason: Option<String>,
    policies: Option<Vec<String>>,
    obligations: Option<Vec<String>>,
    severity: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFacts {
    tenant: Option<String>,
    actor: Option<RawActor>,
    action: Option<String>,
    tool: Option<String>,
    resource: Option<RawResource>,
    data_classes: Option<BTreeSet<String>>,
    practice: Option<String>,
    risk_class: Option<String>,
    risk_score: Option<u8>,
    confidence_percent: Option<u8>,
    amount: Option<RawAmount>,
    purpose: Option<String>,
    legal_basis: Option<String>,
    approved: Option<bool>,
    subject_count: Option<u8>,
    recorded_at_us: Option<i64>,
    context: Option<BTreeMap<String, toml::Value>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawActor {
    id: Option<String>,
    kind: Option<String>,
    roles: Option<BTreeSet<String>>,
    model: Option<String>,
    delegation_depth: Option<u8>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResource {
    kind: String,
    id: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAmount {
    minor_units: i64,
    currency: String,
}

/// What a test expects. What is `None` is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The outcome.
    pub outcome: Outcome,
    /// The reason.
    pub reason: Option<ReasonCode>,
    /// Determining policies, sorted.
    pub policies: Option<Vec<String>>,
    /// Obligations, sorted.
    pub obligations: Option<Vec<String>>,
    /// Severity of an escalation.
    pub severity: Option<Severity>,
}

/// One test of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it says.
    pub name: String,
    /// File within the bundle.
    pub file: String,
    /// Line at which it starts.
    pub line: u32,
    /// The facts.
    pub given: Facts,
    /// The verdict.
    pub expect: Expected,
}

/// Reads one file of tests.
pub(crate) fn parse(text: Text<'_>, policies: &BTreeSet<&str>, faults: &mut Vec<Fault>) -> Vec<Case> {
    let raw: RawFile = match toml::from_str(text.text) {
        Ok(raw) => raw,
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            faults.push(text.fault(offset, FaultCode::Test, error.message(), "correct the test file"));
            return Vec::new();
        }
    };
    let mut cases = Vec::with_capacity(raw.test.len());
    for case in raw.test {
        let offset = case.span().start;
        let case = case.into_inner();
        let name = case.name.clone();
        match read(case, &raw.given, policies) {
            Ok((given, expect)) => {
                let (line, _) = text.place(offset);
                cases.push(Case { name, file: text.file.to_owned(), line, given, expect });
            }
            Err(message) => faults.push(text.fault(
                offset,
                FaultCode::Test,
                format!("test {name:?}: {message}"),
                "correct the test",
            )),
        }
    }
    cases
}

fn read(case: RawCase, defaults: &RawFacts, policies: &BTreeSet<&str>) -> Result<(Facts, Expected), String> {
    Ok((facts(merge(defaults.clone(), case.given))?, expected(case.expect, policies)?))
}

fn merge(base: RawFacts, over: RawFacts) -> RawFacts {
    let actor = match (base.actor, over.actor) {
        (Some(base), Some(over)) => Some(RawActor {
            id: over.id.or(base.id),
            kind: over.kind.or(base.kind),
            roles: over.roles.or(base.roles),
            model: over.model.or(base.model),
            delegation_depth: over.delegation_depth.or(base.delegation_depth),
        }),
        (base, over) => over.or(base),
    };
    let context = match (base.context, over.context) {
        (Some(mut base), Some(over)) => {
            base.extend(over);
            Some(base)
        }
        (base, over) => over.or(base),
    };
    RawFacts {
        tenant: over.tenant.or(base.tenant),
        actor,
        action: over.action.or(base.action),
        tool: over.tool.or(base.tool),
        resource: over.resource.or(base.resource),
        data_classes: over.data_classes.or(base.data_classes),
        practice: over.practice.or(base.practice),
        risk_class: over.risk_class.or(base.risk_class),
        risk_score: over.risk_score.or(base.risk_score),
        confidence_percent: over.confidence_percent.or(base.confidence_percent),
        amount: over.amount.or(base.amount),
        purpose: over.purpose.or(base.purpose),
        legal_basis: over.legal_basis.or(base.legal_basis),
        approved: over.approved.or(base.approved),
        subject_count: over.subject_count.or(base.subject_count),
        recorded_at_us: over.recorded_at_us.or(base.recorded_at_us),
        context,
    }
}

fn facts(raw: RawFacts) -> Result<Facts, String> {
    let actor = raw.actor.ok_or("no actor is given")?;
    let amount = match raw.amount {
        None => None,
        Some(amount) => {
            let currency: [u8; 3] = amount
                .currency
                .as_bytes()
                .try_into()
                .ok()
                .filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_uppercase))
                .ok_or_else(|| format!("the currency {:?} is not three upper-case letters", amount.currency))?;
            Some(Amount { minor_units: amount.minor_units, currency })
        }
    };
    for percent in [raw.risk_score, raw.confidence_percent].into_iter().flatten() {
        if percent > 100 {
            return Err(format!("{percent} is above 100"));
        }
    }
    let context = raw
        .context
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| context_value(&name, value).map(|value| (name, value)))
        .collect::<Result<_, _>>()?;
    Ok(Facts {
        tenant: raw.tenant.ok_or("no tenant is given")?,
        actor: Actor {
            id: actor.id.ok_or("no actor id is given")?,
            kind: actor_kind(&actor.kind.ok_or("no actor kind is given")?)?,
            roles: actor.roles.unwrap_or_default(),
            model: actor.model,
            delegation_depth: actor.delegation_depth.unwrap_or(0),
        },
        action: raw.action.ok_or("no action is given")?,
        tool: raw.tool,
        resource: raw.resource.map(|resource| Resource { kind: resource.kind, id: resource.id }),
        data_classes: raw.data_classes.unwrap_or_default(),
        practice: raw.practice,
        risk_class: raw.risk_class.map_or(Ok(RiskClass::Unknown), |name| risk_class(&name))?,
        risk_score: raw.risk_score,
        confidence_percent: raw.confidence_percent,
        amount,
        purpose: raw.purpose,
        legal_basis: raw.legal_basis.map(|name| legal_basis(&name)).transpose()?,
        approved: raw.approved.unwrap_or(false),
        subject_count: raw.subject_count.unwrap_or(0),
        recorded_at_us: raw.recorded_at_us.unwrap_or(0),
        context,
    })
}

fn context_value(name: &str, value: toml::Value) -> Result<ContextValue, String> {
    let wrong = || format!("the fact {name:?} is not an integer, a truth value, a string or a list of strings");
    match value {
        toml::Value::Integer(value) => Ok(ContextValue::Long(value)),
        toml::Value::Boolean(value) => Ok(ContextValue::Bool(value)),
        toml::Value::String(value) => Ok(ContextValue::Text(value)),
        toml::Value::Array(values) => values
            .into_iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<BTreeSet<String>, String>>()
            .map(ContextValue::Set),
        _ => Err(wrong()),
    }
}

fn expected(raw: RawExpected, known: &BTreeSet<&str>) -> Result<Expected, String> {
    let outcome = match raw.outcome.as_str() {
        "permit" => Outcome::Permit,
        "deny" => Outcome::Deny,
        "escalate" => Outcome::Escalate,
        other => {
            return Err(format!("the outcome {other:?} is not permit, deny or escalate"));
        }
    };
    let reason = match raw.reason {
        None => None,
        Some(name) => Some(ReasonCode::from_name(&name).ok_or_else(|| format!("the reason {name:?} is not known"))?),
    };
    let sorted = |list: Vec<String>| list.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let policies = raw.policies.map(sorted);
    if let Some(unknown) = policies.iter().flatten().find(|id| !known.contains(id.as_str())) {
        return Err(format!("there is no policy {unknown:?}"));
    }
    let obligations = raw.obligations.map(sorted);
    if let Some(unknown) = obligations.iter().flatten().find(|name| Obligation::from_name(name).is_none()) {
        return Err(format!("there is no obligation {unknown:?}"));
    }
    let severity = match raw.severity {
        None => None,
        Some(name) => Some(severity(&name).ok_or_else(|| format!("the severity {name:?} is not known"))?),
    };
    Ok(Expected { outcome, reason, policies, obligations, severity })
}

fn actor_kind(name: &str) -> Result<ActorKind, String> {
    match name {
        "person" => Ok(ActorKind::Person),
        "agent" => Ok(ActorKind::Agent),
        "model" => Ok(ActorKind::Model),
        "system" => Ok(ActorKind::System),
        other => Err(format!("the actor kind {other:?} is not person, agent, model or system")),
    }
}

fn risk_class(name: &str) -> Result<RiskClass, String> {
    match name {
        "minimal" => Ok(RiskClass::Minimal),
        "limited" => Ok(RiskClass::Limited),
        "high" => Ok(RiskClass::High),
        "unacceptable" => Ok(RiskClass::Unacceptable),
        "unknown" => Ok(RiskClass::Unknown),
        other => Err(format!("the risk class {other:?} is not minimal, limited, high, unacceptable or unknown")),
    }
}

fn legal_basis(name: &str) -> Result<LegalBasis, String> {
    match name {
        "consent" => Ok(LegalBasis::Consent),
        "contract" => Ok(LegalBasis::Contract),
        "legal_obligation" => Ok(LegalBasis::LegalObligation),
        "vital_interests" => Ok(LegalBasis::VitalInterests),
        "public_task" => Ok(LegalBasis::PublicTask),
        "legitimate_interests" => Ok(LegalBasis::LegitimateInterests),
        other => Err(format!("the legal basis {other:?} is not known")),
    }
}
