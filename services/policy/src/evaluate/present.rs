//! Presents facts to Cedar: principal, action, resource, entities and context, as typed values.
//!
//! Typed values and not JSON: parsing JSON against the schema costs three to four times the evaluation. Only what the
//! candidate policies look at is built ([`Needs`]); a context of all attributes costs more than most policies.
//! Invariant: what is presented conforms to the vocabulary. A free fact of another type than the bundle declares is an
//! error here, because a policy that was validated for one type says nothing about another.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};

use crate::bundle::Bundle;
use crate::bundle::entities::Closure;
use crate::bundle::schema::{ACTOR_KINDS, FactKind, actor_type};
use crate::facts::{ActorKind, Amount, ContextValue, Facts, LegalBasis, RiskClass};

/// What the candidate policies of a request look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needs(u32);

/// Context attributes in bit order. The names are those of the vocabulary.
const ATTRIBUTES: [&str; 19] = [
    "tenant",
    "data_classes",
    "data_class_groups",
    "data_classes_present",
    "data_classes_declared",
    "practice",
    "risk_class",
    "risk_class_known",
    "risk_score",
    "confidence_percent",
    "amount",
    "purpose",
    "legal_basis",
    "approved",
    "subject_count",
    "delegation_depth",
    "model",
    "tool",
    "recorded_at_us",
];

impl Needs {
    /// Everything.
    pub const ALL: Needs = Needs(u32::MAX);
    /// The principal's roles and tenant.
    pub const PRINCIPAL: Needs = Needs(1 << 31);
    /// The resource's attributes and tenant.
    pub const RESOURCE: Needs = Needs(1 << 30);
    /// The bundle's own entities.
    pub const HIERARCHY: Needs = Needs(1 << 29);
    /// The tenant's free facts.
    const FACTS: Needs = Needs(1 << 28);

    /// Both.
    pub fn add(&mut self, other: Needs) {
        self.0 |= other.0;
    }

    fn has(self, other: Needs) -> bool {
        self.0 & other.0 != 0
    }

    /// The need for one context attribute.
    pub fn of_attribute(name: &str) -> Needs {
        if name == "facts" {
            return Needs::FACTS;
        }
        ATTRIBUTES.iter().position(|known| *known == name).map_or(Needs::ALL, |bit| Needs(1 << bit))
    }

    /// Names of the facts that are looked at, for explanations.
    pub fn names(self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> =
            ATTRIBUTES.iter().filter(|name| self.has(Needs::of_attribute(name))).copied().collect();
        for (need, name) in [(Needs::PRINCIPAL, "actor"), (Needs::RESOURCE, "resource"), (Needs::FACTS, "context")] {
            if self.has(need) {
                names.push(name);
            }
        }
        names.sort_unstable();
        names
    }
}

/// Why facts cannot be presented. Names facts and types, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpresentable(pub String);

/// A request as Cedar takes it.
pub(crate) struct Presented {
    pub request: Request,
    pub entities: Entities,
}

#[derive(Clone, Debug)]
struct Types {
    actors: BTreeMap<ActorKind, EntityTypeName>,
    action: EntityTypeName,
    data_class: EntityTypeName,
    legal_basis: EntityTypeName,
    model: EntityTypeName,
    resource: EntityTypeName,
    risk_class: EntityTypeName,
    role: EntityTypeName,
    tenant: EntityTypeName,
    tool: EntityTypeName,
}

/// Everything about presenting that can be prepared when a bundle is compiled.
#[derive(Clone, Debug)]
pub(crate) struct Presenter {
    types: Types,
    /// Each declared action with the entity that says which groups it is in.
    actions: BTreeMap<String, (EntityUid, Entities)>,
    roles: Closure,
    data_classes: Closure,
    tools: Closure,
    declared_classes: BTreeSet<String>,
    /// Entities of single names that recur in every request.
    role_uids: BTreeMap<String, EntityUid>,
    class_uids: BTreeMap<String, EntityUid>,
    hierarchy: Vec<Entity>,
    facts: BTreeMap<String, FactKind>,
}

impl Presenter {
    pub fn new(bundle: &Bundle) -> Result<Presenter, Unpresentable> {
        let types = Types::new()?;
        let vocabulary = bundle.vocabulary();
        let hierarchy = bundle.hierarchy();
        let all = vocabulary.schema.action_entities().map_err(|error| Unpresentable(error.to_string()))?;
        let mut actions = BTreeMap::new();
        for name in vocabulary.actions.keys() {
            let uid = uid(&types.action, name);
            let own = all.get(&uid).cloned().into_iter();
            let entities = Entities::from_entities(own, None).map_err(|error| Unpresentable(error.to_string()))?;
            actions.insert(name.clone(), (uid, entities));
        }
        let uids = |ty: &EntityTypeName, names: &BTreeSet<String>| {
            names.iter().map(|name| (name.clone(), uid(ty, name))).collect()
        };
        Ok(Presenter {
            role_uids: uids(&types.role, bundle.roles()),
            class_uids: uids(&types.data_class, bundle.data_classes()),
            types,
            actions,
            roles: hierarchy.roles.clone(),
            data_classes: hierarchy.data_classes.clone(),
            tools: hierarchy.tools.clone(),
            declared_classes: bundle.data_classes().clone(),
            hierarchy: hierarchy.entities.iter().flat_map(|entities| entities.iter().cloned()).collect(),
            facts: vocabulary.facts.clone(),
        })
    }

    /// The actor's roles and all roles that they are part of, sorted, without repeats.
    pub fn roles_of<'a>(&'a self, facts: &'a Facts) -> Vec<&'a str> {
        let mut roles: Vec<&str> = Vec::with_capacity(facts.actor.roles.len() + 4);
        for role in &facts.actor.roles {
            roles.push(role);
            roles.extend(self.roles.get(role).into_iter().flatten().map(String::as_str));
        }
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// Refuses free facts of another type than the bundle declares.
    pub fn check(&self, facts: &Facts) -> Result<(), Unpresentable> {
        for (name, kind) in &self.facts {
            let fits = matches!(
                (facts.context.get(name), kind),
                (None, _)
                    | (Some(ContextValue::Long(_)), FactKind::Long)
                    | (Some(ContextValue::Bool(_)), FactKind::Bool)
                    | (Some(ContextValue::Text(_)), FactKind::Text)
                    | (Some(ContextValue::Set(_)), FactKind::Set)
            );
            if !fits {
                return Err(Unpresentable(format!(
                    "the context fact {name:?} has another type than the bundle declares"
                )));
            }
        }
        Ok(())
    }

    /// Builds what `needs` asks for. `roles` are those of [`Presenter::roles_of`].
    pub fn present(&self, facts: &Facts, roles: &[&str], needs: Needs) -> Result<Presented, Unpresentable> {
        // Cedar's own messages may hold values of the request, and explanations must not.
        let failed = || Unpresentable("the facts cannot be presented to the policies".to_owned());
        let principal_type = self.types.actors.get(&facts.actor.kind).ok_or_else(failed)?;
        let principal = uid(principal_type, &facts.actor.id);
        let resource = uid(&self.types.resource, &resource_id(facts));
        let (action, base) = match self.actions.get(&facts.action) {
            Some((action, entities)) => (action.clone(), entities.clone()),
            None => (uid(&self.types.action, &facts.action), Entities::empty()),
        };
        let entities = self.entities(facts, roles, needs, (&principal, &resource)).map_err(|_| failed())?;
        let entities =
            if entities.is_empty() { base } else { base.add_entities(entities, None).map_err(|_| failed())? };
        let context = Context::from_pairs(self.context(facts, needs)?).map_err(|_| failed())?;
        let request = Request::new(principal, action, resource, context, None).map_err(|_| failed())?;
        Ok(Presented { request, entities })
    }

    fn entities(
        &self,
        facts: &Facts,
        roles: &[&str],
        needs: Needs,
        (principal, resource): (&EntityUid, &EntityUid),
    ) -> Result<Vec<Entity>, Box<cedar_policy::EntityAttrEvaluationError>> {
        let mut out = Vec::with_capacity(3);
        if needs.has(Needs::PRINCIPAL) {
            let parents = roles
                .iter()
                .map(|role| self.role_uids.get(*role).cloned().unwrap_or_else(|| uid(&self.types.role, role)))
                .chain(std::iter::once(uid(&self.types.tenant, &facts.tenant)));
            out.push(Entity::new_with_tags(principal.clone(), [], parents, [])?);
        }
        if needs.has(Needs::RESOURCE) {
            let (kind, id) = facts.resource.as_ref().map_or(("", ""), |r| (r.kind.as_str(), r.id.as_str()));
            let attributes = [("kind".to_owned(), text(kind)), ("id".to_owned(), text(id))];
            let tenant = uid(&self.types.tenant, &facts.tenant);
            out.push(Entity::new_with_tags(resource.clone(), attributes, [tenant], [])?);
        }
        if let (Some(tool), true) = (&facts.tool, needs.has(Needs::of_attribute("tool")))
            && !needs.has(Needs::HIERARCHY)
            && let Some(groups) = self.tools.get(tool)
        {
            let parents = groups.iter().map(|group| uid(&self.types.tool, group));
            out.push(Entity::new_with_tags(uid(&self.types.tool, tool), [], parents, [])?);
        }
        if needs.has(Needs::HIERARCHY) {
            out.extend(self.hierarchy.iter().filter(|entity| entity.uid().type_name() != &self.types.action).cloned());
        }
        Ok(out)
    }

    fn context(&self, facts: &Facts, needs: Needs) -> Result<Vec<(String, RestrictedExpression)>, Unpresentable> {
        let mut out = Vec::with_capacity(usize::try_from(needs.0.count_ones()).unwrap_or(0));
        for (bit, name) in ATTRIBUTES.into_iter().enumerate() {
            if needs.has(Needs(1 << bit))
                && let Some(value) = self.attribute(name, facts)?
            {
                out.push((name.to_owned(), value));
            }
        }
        if needs.has(Needs::FACTS) {
            let fields = self
                .facts
                .keys()
                .filter_map(|name| facts.context.get(name).map(|value| (name.clone(), context_value(value))));
            let record = record(fields)?;
            out.push(("facts".to_owned(), record));
        }
        Ok(out)
    }

    fn attribute(&self, name: &str, facts: &Facts) -> Result<Option<RestrictedExpression>, Unpresentable> {
        let long = |value: u8| RestrictedExpression::new_long(i64::from(value));
        let flag = RestrictedExpression::new_bool;
        let entity = |ty: &EntityTypeName, id: &str| RestrictedExpression::new_entity_uid(uid(ty, id));
        Ok(match name {
            "tenant" => Some(entity(&self.types.tenant, &facts.tenant)),
            "data_classes" => Some(self.classes(facts.data_classes.iter().map(String::as_str))),
            "data_class_groups" => {
                let mut all: BTreeSet<&str> = facts.data_classes.iter().map(String::as_str).collect();
                for class in &facts.data_classes {
                    all.extend(self.data_classes.get(class).into_iter().flatten().map(String::as_str));
                }
                Some(self.classes(all.into_iter()))
            }
            "data_classes_present" => Some(flag(!facts.data_classes.is_empty())),
            "data_classes_declared" => Some(flag(facts.data_classes.is_subset(&self.declared_classes))),
            "practice" => facts.practice.as_deref().map(text),
            "risk_class" => Some(entity(&self.types.risk_class, risk_class_name(facts.risk_class))),
            "risk_class_known" => Some(flag(facts.risk_class != RiskClass::Unknown)),
            "risk_score" => facts.risk_score.map(long),
            "confidence_percent" => facts.confidence_percent.map(long),
            "amount" => facts.amount.as_ref().map(money).transpose()?,
            "purpose" => facts.purpose.as_deref().map(text),
            "legal_basis" => facts.legal_basis.map(|basis| entity(&self.types.legal_basis, legal_basis_name(basis))),
            "approved" => Some(flag(facts.approved)),
            "subject_count" => Some(long(facts.subject_count)),
            "delegation_depth" => Some(long(facts.actor.delegation_depth)),
            "model" => facts.actor.model.as_deref().map(|model| entity(&self.types.model, model)),
            "tool" => facts.tool.as_deref().map(|tool| entity(&self.types.tool, tool)),
            "recorded_at_us" => Some(RestrictedExpression::new_long(facts.recorded_at_us)),
            _ => None,
        })
    }

    fn classes<'a>(&self, names: impl Iterator<Item = &'a str>) -> RestrictedExpression {
        RestrictedExpression::new_set(names.map(|name| {
            let class = self.class_uids.get(name).cloned().unwrap_or_else(|| uid(&self.types.data_class, name));
            RestrictedExpression::new_entity_uid(class)
        }))
    }
}

impl Types {
    fn new() -> Result<Types, Unpresentable> {
        let ty = |name: &str| name.parse::<EntityTypeName>().map_err(|error| Unpresentable(error.to_string()));
        let mut actors = BTreeMap::new();
        for kind in ACTOR_KINDS {
            actors.insert(kind, ty(actor_type(kind))?);
        }
        Ok(Types {
            actors,
            action: ty("Action")?,
            data_class: ty("DataClass")?,
            legal_basis: ty("LegalBasis")?,
            model: ty("Model")?,
            resource: ty("Resource")?,
            risk_class: ty("RiskClass")?,
            role: ty("Role")?,
            tenant: ty("Tenant")?,
            tool: ty("Tool")?,
        })
    }
}

fn uid(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn record(fields: impl Iterator<Item = (String, RestrictedExpression)>) -> Result<RestrictedExpression, Unpresentable> {
    RestrictedExpression::new_record(fields).map_err(|error| Unpresentable(error.to_string()))
}

fn money(amount: &Amount) -> Result<RestrictedExpression, Unpresentable> {
    let currency = String::from_utf8_lossy(&amount.currency).into_owned();
    let fields = [
        ("minor_units".to_owned(), RestrictedExpression::new_long(amount.minor_units)),
        ("currency".to_owned(), RestrictedExpression::new_string(currency)),
    ];
    record(fields.into_iter())
}

fn context_value(value: &ContextValue) -> RestrictedExpression {
    match value {
        ContextValue::Long(value) => RestrictedExpression::new_long(*value),
        ContextValue::Bool(value) => RestrictedExpression::new_bool(*value),
        ContextValue::Text(value) => text(value),
        ContextValue::Set(values) => RestrictedExpression::new_set(values.iter().map(|value| text(value))),
    }
}

/// `kind/id`, unambiguous: `%` and `/` in the kind are percent-encoded. Empty without a resource.
fn resource_id(facts: &Facts) -> String {
    match &facts.resource {
        None => String::new(),
        Some(resource) if resource.kind.contains(['%', '/']) => {
            format!("{}/{}", resource.kind.replace('%', "%25").replace('/', "%2F"), resource.id)
        }
        Some(resource) => format!("{}/{}", resource.kind, resource.id),
    }
}

/// What is not known counts as high.
fn risk_class_name(class: RiskClass) -> &'static str {
    match class {
        RiskClass::Minimal => "minimal",
        RiskClass::Limited => "limited",
        RiskClass::High | RiskClass::Unknown => "high",
        RiskClass::Unacceptable => "unacceptable",
    }
}

fn legal_basis_name(basis: LegalBasis) -> &'static str {
    match basis {
        LegalBasis::Consent => "consent",
        LegalBasis::Contract => "contract",
        LegalBasis::LegalObligation => "legal_obligation",
        LegalBasis::VitalInterests => "vital_interests",
        LegalBasis::PublicTask => "public_task",
        LegalBasis::LegitimateInterests => "legitimate_interests",
    }
}
