//! A naive evaluation that shares no code with the hot path.
//!
//! Facts go to Cedar as JSON, validated against the schema; entities come from the bundle's text; all policies are
//! evaluated, one by one, as they were parsed; outcome, reason and obligations are worked out anew from the rules.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, Policy, Request};
use serde_json::{Value, json};

use crate::bundle::policies::Part;
use crate::facts::{ActorKind, ContextValue, Facts, LegalBasis, RiskClass};
use crate::{Bundle, Mode, Outcome, ReasonCode, Severity, Verdict};

/// Evaluates every policy of a bundle, without an index.
pub(super) struct Reference {
    bundle: Bundle,
    statics: Vec<Value>,
    some_action: EntityUid,
    policies: Vec<(usize, cedar_policy::PolicySet, bool)>,
}

fn entity(ty: &str, id: &str) -> Value {
    json!({ "__entity": { "type": ty, "id": id } })
}

fn uid(ty: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.parse::<EntityTypeName>().unwrap(), EntityId::new(id))
}

impl Reference {
    pub fn new(bundle: &Bundle) -> Reference {
        let text = bundle.entities_text();
        let statics: Vec<Value> = serde_json::from_str(text).unwrap();
        let policies = bundle
            .policies()
            .iter()
            .enumerate()
            .map(|(position, rule)| {
                let policy = Policy::parse(Some(cedar_policy::PolicyId::new(&rule.id)), &rule.text).unwrap();
                let any = policy.action_constraint() == cedar_policy::ActionConstraint::Any;
                (position, cedar_policy::PolicySet::from_policies([policy]).unwrap(), any)
            })
            .collect();
        Reference {
            some_action: uid("Action", bundle.actions().next().unwrap()),
            bundle: bundle.clone(),
            statics,
            policies,
        }
    }

    fn context(&self, facts: &Facts) -> Value {
        let classes: Vec<Value> = facts.data_classes.iter().map(|c| entity("DataClass", c)).collect();
        let mut groups: BTreeSet<String> = facts.data_classes.clone();
        loop {
            let parents: BTreeSet<String> = self
                .statics
                .iter()
                .filter(|e| e["uid"]["type"] == "DataClass" && groups.contains(e["uid"]["id"].as_str().unwrap()))
                .flat_map(|e| e["parents"].as_array().unwrap())
                .map(|parent| parent["id"].as_str().unwrap().to_owned())
                .collect();
            if parents.is_subset(&groups) {
                break;
            }
            groups.extend(parents);
        }
        let groups: Vec<Value> = groups.iter().map(|c| entity("DataClass", c)).collect();
        let class = match facts.risk_class {
            RiskClass::Minimal => "minimal",
            RiskClass::Limited => "limited",
            RiskClass::Unacceptable => "unacceptable",
            _ => "high",
        };
        let mut context = json!({
            "tenant": entity("Tenant", &facts.tenant),
            "data_classes": classes,
            "data_class_groups": groups,
            "data_classes_present": !facts.data_classes.is_empty(),
            "data_classes_declared": facts.data_classes.iter().all(|c| self.bundle.data_classes().contains(c)),
            "risk_class": entity("RiskClass", class),
            "risk_class_known": facts.risk_class != RiskClass::Unknown,
            "approved": facts.approved,
            "subject_count": facts.subject_count,
            "delegation_depth": facts.actor.delegation_depth,
            "recorded_at_us": facts.recorded_at_us,
            "facts": {},
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                context[name] = value;
            }
        };
        set("practice", facts.practice.as_ref().map(|v| json!(v)));
        set("purpose", facts.purpose.as_ref().map(|v| json!(v)));
        set("risk_score", facts.risk_score.map(|v| json!(v)));
        set("confidence_percent", facts.confidence_percent.map(|v| json!(v)));
        set("model", facts.actor.model.as_ref().map(|v| entity("Model", v)));
        set("tool", facts.tool.as_ref().map(|v| entity("Tool", v)));
        set(
            "amount",
            facts.amount.as_ref().map(
                |a| json!({ "minor_units": a.minor_units, "currency": std::str::from_utf8(&a.currency).unwrap() }),
            ),
        );
        let basis = |basis| match basis {
            LegalBasis::Consent => "consent",
            LegalBasis::Contract => "contract",
            LegalBasis::LegalObligation => "legal_obligation",
            LegalBasis::VitalInterests => "vital_interests",
            LegalBasis::PublicTask => "public_task",
            LegalBasis::LegitimateInterests => "legitimate_interests",
        };
        set("legal_basis", facts.legal_basis.map(|b| entity("LegalBasis", basis(b))));
        for (name, value) in &facts.context {
            if self.bundle.vocabulary().facts.contains_key(name) {
                context["facts"][name] = match value {
                    ContextValue::Long(v) => json!(v),
                    ContextValue::Bool(v) => json!(v),
                    ContextValue::Text(v) => json!(v),
                    ContextValue::Set(v) => json!(v),
                };
            }
        }
        context
    }

    pub fn evaluate(&self, facts: &Facts) -> Verdict {
        let schema = &self.bundle.vocabulary().schema;
        let verdict = |outcome, reason, policies: Vec<String>| Verdict {
            outcome,
            reason,
            policies,
            obligations: Vec::new(),
            severity: None,
            explanation: String::new(),
        };
        let failed = |ids| verdict(Outcome::Deny, ReasonCode::PolicyError, ids);
        let context = Context::from_json_value(self.context(facts), Some((schema, &self.some_action)));
        let Some(context) = context.ok().filter(|c| c.validate(schema, &self.some_action).is_ok()) else {
            return failed(Vec::new());
        };
        let kind = match facts.actor.kind {
            ActorKind::Person => "User",
            ActorKind::Agent => "Agent",
            ActorKind::Model => "Model",
            ActorKind::System => "AiSystem",
        };
        let principal = uid(kind, &facts.actor.id);
        let (resource_kind, id) =
            facts.resource.as_ref().map_or((String::new(), String::new()), |r| (r.kind.clone(), r.id.clone()));
        let resource_id = if facts.resource.is_some() { format!("{resource_kind}/{id}") } else { String::new() };
        let mut parents: Vec<Value> = facts.actor.roles.iter().map(|r| json!({ "type": "Role", "id": r })).collect();
        let tenant = json!({ "type": "Tenant", "id": facts.tenant });
        parents.push(tenant.clone());
        let mut entities = self.statics.clone();
        entities.push(json!({ "uid": { "type": kind, "id": facts.actor.id }, "attrs": {}, "parents": parents }));
        entities.push(json!({
            "uid": { "type": "Resource", "id": resource_id },
            "attrs": { "kind": resource_kind, "id": id },
            "parents": [tenant],
        }));
        let entities = Entities::from_json_value(Value::Array(entities), Some(schema)).unwrap();
        let action = uid("Action", &facts.action);
        let resource = uid("Resource", &resource_id);
        let ty = principal.type_name().clone();
        let declared = schema.principals_for_action(&action).is_some_and(|mut types| types.any(|t| *t == ty));
        // What the schema declares must be valid by the schema, down to every attribute of the context.
        let request = Request::new(principal, action, resource, context, declared.then_some(schema)).unwrap();
        self.combine(facts, declared, &request, &entities)
    }

    fn combine(&self, facts: &Facts, declared: bool, request: &Request, entities: &Entities) -> Verdict {
        let mut hits: BTreeMap<Part, Vec<usize>> = BTreeMap::new();
        let mut errors: BTreeMap<bool, Vec<String>> = BTreeMap::new();
        for (position, set, any_action) in &self.policies {
            let rule = &self.bundle.policies()[*position];
            if !declared && (rule.part == Part::Permit || !any_action) {
                continue;
            }
            let response = Authorizer::new().is_authorized(request, set, entities);
            if response.diagnostics().errors().next().is_some() {
                errors.entry(rule.part == Part::Oversight).or_default().push(rule.id.clone());
            } else if response.decision() == Decision::Allow || response.diagnostics().reason().next().is_some() {
                hits.entry(rule.part).or_default().push(*position);
            }
        }
        let hit = |part| hits.get(&part).cloned().unwrap_or_default();
        let (forbids, permits, oversight) = (hit(Part::Forbid), hit(Part::Permit), hit(Part::Oversight));
        let mode = self.bundle.mode();
        let first_allows = forbids.is_empty() && (!permits.is_empty() || mode == Mode::Permissive);
        let fatal = errors.get(&false).or_else(|| if first_allows { errors.get(&true) } else { None });
        if let Some(ids) = fatal {
            return self.verdict(Outcome::Deny, ReasonCode::PolicyError, &[], ids.clone(), &[]);
        }
        if !forbids.is_empty() {
            let reason = self.reason(&forbids).unwrap_or(ReasonCode::Forbidden);
            return self.verdict(Outcome::Deny, reason, &forbids, Vec::new(), &[]);
        }
        if !first_allows {
            return self.verdict(Outcome::Deny, ReasonCode::NoMatchingPermit, &[], Vec::new(), &[]);
        }
        if !oversight.is_empty() {
            let reason = self.reason(&oversight).unwrap_or(ReasonCode::OversightRequired);
            return self.verdict(Outcome::Escalate, reason, &oversight, Vec::new(), &permits);
        }
        let marked = permits.iter().any(|p| self.bundle.policies()[*p].annotations.low_risk);
        let stated = facts.risk_class == RiskClass::Minimal && matches!(facts.risk_score, Some(0..=29));
        if mode == Mode::Paranoid && !marked && !stated {
            return self.verdict(Outcome::Escalate, ReasonCode::NotExplicitlyLowRisk, &permits, Vec::new(), &permits);
        }
        let reason = if permits.is_empty() { ReasonCode::NotForbidden } else { ReasonCode::Permitted };
        self.verdict(Outcome::Permit, reason, &permits, Vec::new(), &[])
    }

    fn reason(&self, positions: &[usize]) -> Option<ReasonCode> {
        let mut best: Option<(i32, i32, ReasonCode)> = None;
        for position in positions {
            let annotations = &self.bundle.policies()[*position].annotations;
            let rank = match annotations.severity {
                None => 0,
                Some(Severity::Low) => 1,
                Some(Severity::Medium) => 2,
                Some(Severity::High) => 3,
                Some(Severity::Critical) => 4,
            };
            if let Some(reason) = annotations.reason {
                let candidate = (rank, -i32::from(reason.number()), reason);
                if best.is_none_or(|b| (candidate.0, candidate.1) > (b.0, b.1)) {
                    best = Some(candidate);
                }
            }
        }
        best.map(|(_, _, reason)| reason)
    }

    fn verdict(
        &self,
        outcome: Outcome,
        reason: ReasonCode,
        determining: &[usize],
        mut policies: Vec<String>,
        also: &[usize],
    ) -> Verdict {
        let rule = |position: &usize| &self.bundle.policies()[*position];
        policies.extend(determining.iter().map(|p| rule(p).id.clone()));
        policies.sort();
        let obligations: BTreeSet<String> = determining
            .iter()
            .chain(also)
            .flat_map(|p| rule(p).annotations.obligations.iter().map(|o| o.as_str().to_owned()))
            .collect();
        let severity = (outcome == Outcome::Escalate)
            .then(|| determining.iter().filter_map(|p| rule(p).annotations.severity).max().unwrap_or(Severity::Medium));
        Verdict {
            outcome,
            reason,
            policies,
            obligations: obligations.into_iter().collect(),
            severity,
            explanation: String::new(),
        }
    }
}
