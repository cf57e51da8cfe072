//! The schema: the evaluator's vocabulary and what a bundle adds to it.
//!
//! A bundle's `schema.cedarschema` declares actions (and groups of them) and the type `TenantFacts`, the free facts
//! its policies may read. Entity types and the shape of the context are the evaluator's, because the evaluator builds
//! them; a bundle that could declare its own would validate policies against values that no request ever has.
//! Invariant: every action takes `RequestContext` and a `Resource`, so a policy that is valid for one action's context
//! is valid for all, also for actions that the schema does not name.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Schema, SchemaFragment};
use serde_json::Value;

use crate::facts::ActorKind;
use crate::fault::{Fault, FaultCode, Text};

/// The schema that every bundle is validated against, together with its own.
pub const VOCABULARY: &str = include_str!("vocabulary.cedarschema");

/// Where a schema in JSON form keeps the type of the free facts.
const TENANT_FACTS: &str = "/commonTypes/TenantFacts";

/// Type of a free fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactKind {
    Long,
    Bool,
    Text,
    Set,
}

/// One declared action that requests can name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Action {
    /// Kinds of actor that it is declared for.
    pub kinds: BTreeSet<ActorKind>,
    /// Every group that it is part of, directly or not.
    pub groups: BTreeSet<String>,
}

/// The schema of a bundle.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    pub schema: Schema,
    /// Actions with `appliesTo`; pure groups are only in `groups`.
    pub actions: BTreeMap<String, Action>,
    /// Free facts that policies can read.
    pub facts: BTreeMap<String, FactKind>,
}

/// Entity type of each kind of actor.
pub(crate) fn actor_type(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::Person => "User",
        ActorKind::Agent => "Agent",
        ActorKind::Model => "Model",
        ActorKind::System => "AiSystem",
    }
}

/// All kinds of actor.
pub(crate) const ACTOR_KINDS: [ActorKind; 4] =
    [ActorKind::Person, ActorKind::Agent, ActorKind::Model, ActorKind::System];

/// Reads and checks the schema.
pub(crate) fn parse(text: Text<'_>, actions_max: usize, faults: &mut Vec<Fault>) -> Option<Vocabulary> {
    let before = faults.len();
    let own = match SchemaFragment::from_cedarschema_str(text.text) {
        Ok((fragment, _)) => fragment,
        Err(error) => {
            faults.push(diagnose(text, &error, "correct the schema"));
            return None;
        }
    };
    let json = match own.to_json_value() {
        Ok(json) => json,
        Err(error) => {
            faults.push(diagnose(text, &error, "correct the schema"));
            return None;
        }
    };
    let own = check_shape(&json, text, faults);
    let facts = own.map(|own| tenant_facts(own, text, faults));
    let declared_facts = own.and_then(|own| own.pointer(TENANT_FACTS)).is_some();
    if faults.len() > before {
        return None;
    }
    // The bundle's text comes first, so that offsets in messages are offsets in the bundle's file.
    let own_facts = if declared_facts { "" } else { "type TenantFacts = {};\n" };
    let whole = format!("{}\n{own_facts}{VOCABULARY}", text.text);
    let schema = match Schema::from_cedarschema_str(&whole) {
        Ok((schema, warnings)) => {
            for warning in warnings {
                faults.push(diagnose(text, &warning, "rename what the warning is about"));
            }
            schema
        }
        Err(error) => {
            faults.push(diagnose(text, &error, "correct the schema"));
            return None;
        }
    };
    let actions = actions(&schema);
    if actions.len() > actions_max {
        faults.push(text.fault(
            0,
            FaultCode::Limit,
            format!("{} actions are declared, the limit is {actions_max}", actions.len()),
            "group what policies treat alike",
        ));
    }
    (faults.len() == before).then(|| Vocabulary { schema, actions, facts: facts.unwrap_or_default() })
}

/// Turns one of Cedar's diagnostics into a fault with a place.
pub(crate) fn diagnose(text: Text<'_>, error: &dyn miette::Diagnostic, remedy: &str) -> Fault {
    let offset = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    let help = error.help().map(|help| help.to_string());
    text.fault(offset, FaultCode::Schema, error.to_string(), help.unwrap_or_else(|| remedy.to_owned()))
}

/// Offset of a declaration, for faults about what Cedar itself accepts.
fn find(text: Text<'_>, needle: &str) -> usize {
    text.text.find(needle).unwrap_or(0)
}

/// A schema in JSON form is an object from namespace to declarations.
fn check_shape<'a>(json: &'a Value, text: Text<'_>, faults: &mut Vec<Fault>) -> Option<&'a Value> {
    let namespaces = json.as_object()?;
    for name in namespaces.keys().filter(|name| !name.is_empty()) {
        faults.push(text.fault(
            find(text, &format!("namespace {name}")),
            FaultCode::Schema,
            format!("the namespace {name} is not supported"),
            "declare actions and TenantFacts outside of namespaces",
        ));
    }
    let own = namespaces.get("")?;
    for name in own["entityTypes"].as_object().into_iter().flat_map(|types| types.keys()) {
        faults.push(text.fault(
            find(text, &format!("entity {name}")),
            FaultCode::Schema,
            format!("the entity type {name} cannot be declared by a bundle"),
            "use the entity types of the vocabulary; requests have no others",
        ));
    }
    for (name, action) in own["actions"].as_object().into_iter().flatten() {
        let applies = &action["appliesTo"];
        if applies.is_null() {
            continue;
        }
        let pure_group = applies["principalTypes"].as_array().is_some_and(Vec::is_empty);
        let context = &applies["context"];
        let takes_context = context["name"] == "RequestContext" || context["type"] == "RequestContext";
        let takes_resource =
            applies["resourceTypes"].as_array().is_some_and(|types| types.iter().all(|t| t == "Resource"));
        if !(pure_group || (takes_context && takes_resource)) {
            faults.push(text.fault(
                find(text, name),
                FaultCode::Schema,
                format!("the action {name:?} does not apply to a Resource with a RequestContext"),
                "write appliesTo { principal: […], resource: [Resource], context: RequestContext }",
            ));
        }
    }
    Some(own)
}

fn tenant_facts(own: &Value, text: Text<'_>, faults: &mut Vec<Fault>) -> BTreeMap<String, FactKind> {
    let mut facts = BTreeMap::new();
    let Some(declared) = own.pointer(TENANT_FACTS) else {
        return facts;
    };
    let Some(attributes) = declared["attributes"].as_object() else {
        faults.push(text.fault(
            find(text, "TenantFacts"),
            FaultCode::Schema,
            "TenantFacts is not a record",
            "write type TenantFacts = { name?: Long, … };",
        ));
        return facts;
    };
    for (name, attribute) in attributes {
        let kind = fact_kind(attribute);
        let optional = attribute["required"] == Value::Bool(false);
        match kind {
            Some(kind) if optional => {
                facts.insert(name.clone(), kind);
            }
            _ => faults.push(text.fault(
                find(text, name),
                FaultCode::Schema,
                format!("the fact {name:?} is not an optional Long, Bool, String or Set<String>"),
                "give it one of these types and a question mark: a request may leave it out",
            )),
        }
    }
    facts
}

fn fact_kind(attribute: &Value) -> Option<FactKind> {
    let name = |value: &Value| value["name"].as_str().or(value["type"].as_str()).map(str::to_owned);
    match name(attribute)?.as_str() {
        "Long" => Some(FactKind::Long),
        "Bool" | "Boolean" => Some(FactKind::Bool),
        "String" => Some(FactKind::Text),
        "Set" => (name(&attribute["element"])? == "String").then_some(FactKind::Set),
        _ => None,
    }
}

fn actions(schema: &Schema) -> BTreeMap<String, Action> {
    let mut out = BTreeMap::new();
    let entities = schema.action_entities().ok();
    for uid in schema.actions() {
        let principals: BTreeSet<String> = schema
            .principals_for_action(uid)
            .map(|types| types.map(|t| t.basename().to_owned()).collect())
            .unwrap_or_default();
        let kinds: BTreeSet<ActorKind> =
            ACTOR_KINDS.into_iter().filter(|kind| principals.contains(actor_type(*kind))).collect();
        if kinds.is_empty() {
            continue;
        }
        let groups = entities
            .as_ref()
            .and_then(|entities| entities.ancestors(uid))
            .map(|ancestors| ancestors.map(|group| group.id().unescaped().to_owned()).collect())
            .unwrap_or_default();
        out.insert(uid.id().unescaped().to_owned(), Action { kinds, groups });
    }
    out
}
