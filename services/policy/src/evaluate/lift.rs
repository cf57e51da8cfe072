//! Reads a policy's structure: which tests the index may answer in its place, and which facts it looks at.
//!
//! Soundness. A lifted guard lets the index leave a policy out when the guard is false. That is exact only if Cedar
//! would have found the policy unsatisfied and without an error, so a guard is lifted only from a top-level conjunct
//! whose predecessors cannot fail: Cedar evaluates scope, then `when` and `unless` clauses, left to right, and stops at
//! the first false. What can fail after strict validation is arithmetic, extension functions, tags and attributes
//! of entities that a request does not bring; `is_total` names what cannot.

use std::collections::BTreeSet;

use cedar_policy::Policy;
use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, EntityOrSlot, EntityType, EntityUID, Expr, Literal, Policy as Tree,
    PrincipalConstraint, ResourceConstraint, Template, UnaryOp, Var,
};

use crate::evaluate::present::Needs;
use crate::facts::ActorKind;

/// A question about a request that the index answers without Cedar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    /// The principal is in one of these roles, through the hierarchy as well.
    Role(BTreeSet<String>),
    /// The request belongs to one of these tenants.
    Tenant(BTreeSet<String>),
    /// The principal is of this kind.
    Kind(ActorKind),
    /// All of these classes are among the data classes.
    ClassesInclude(BTreeSet<String>),
    /// All data classes are among these; true when there are none.
    ClassesWithin(BTreeSet<String>),
    /// Some data class is among these.
    ClassesMeet(BTreeSet<String>),
}

/// A test with its polarity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Guard {
    pub test: Test,
    pub negated: bool,
}

/// What the index knows of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifted {
    /// Necessary conditions, in no particular order.
    pub guards: BTreeSet<Guard>,
    /// Names in the action scope; `None` when it is unconstrained. Groups are not expanded here.
    pub actions: Option<BTreeSet<String>>,
    /// What the request must present for this policy.
    pub needs: Needs,
}

/// Reads one policy. A policy whose structure cannot be read is never left out and sees everything.
pub(crate) fn lift(policy: &Policy) -> Lifted {
    let Ok(Tree::Static(tree)) = policy.to_pst() else {
        return Lifted { needs: Needs::ALL, ..Lifted::default() };
    };
    let body = tree.body();
    let mut lifted = Lifted { actions: action_names(&body.action), ..Lifted::default() };
    scope(body, &mut lifted);
    let mut liftable = true;
    for clause in body.clauses() {
        let (expr, negated) = match clause {
            Clause::When(expr) => (expr, false),
            Clause::Unless(expr) => (expr, true),
        };
        needs(expr, &mut lifted.needs);
        liftable = liftable && conjuncts(expr, negated, &mut lifted.guards);
    }
    lifted
}

/// Whether evaluating a policy could end in an error.
pub(crate) fn can_fail(policy: &Policy) -> bool {
    let Ok(Tree::Static(tree)) = policy.to_pst() else {
        return true;
    };
    !tree.body().clauses().iter().all(|clause| match clause {
        Clause::When(expr) | Clause::Unless(expr) => is_total(expr),
    })
}

fn action_names(scope: &ActionConstraint) -> Option<BTreeSet<String>> {
    match scope {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(BTreeSet::from([uid.eid.to_string()])),
        ActionConstraint::In(uids) => Some(uids.iter().map(|uid| uid.eid.to_string()).collect()),
    }
}

fn scope(body: &Template, lifted: &mut Lifted) {
    let mut positive = |test: Test| {
        lifted.guards.insert(Guard { test, negated: false });
    };
    let (kind, parent) = match &body.principal {
        PrincipalConstraint::Any => (None, None),
        PrincipalConstraint::Eq(EntityOrSlot::Entity(uid)) => (kind_of(&uid.ty), None),
        PrincipalConstraint::Is(ty) => (kind_of(ty), None),
        PrincipalConstraint::In(EntityOrSlot::Entity(uid)) => (None, Some(uid)),
        PrincipalConstraint::IsIn(ty, EntityOrSlot::Entity(uid)) => (kind_of(ty), Some(uid)),
        _ => (None, None),
    };
    if let Some(kind) = kind {
        positive(Test::Kind(kind));
    }
    if let Some(parent) = parent {
        if let Some(test) = parent_test(std::slice::from_ref(parent)) {
            positive(test);
        }
        lifted.needs.add(Needs::PRINCIPAL);
    }
    if let ResourceConstraint::In(EntityOrSlot::Entity(uid)) | ResourceConstraint::IsIn(_, EntityOrSlot::Entity(uid)) =
        &body.resource
    {
        if is_type(&uid.ty, "Tenant") {
            lifted.guards.insert(Guard { test: Test::Tenant(BTreeSet::from([uid.eid.to_string()])), negated: false });
        }
        lifted.needs.add(Needs::RESOURCE);
    }
}

/// Collects guards from a conjunction; says whether what follows it may be lifted too.
fn conjuncts(expr: &Expr, negated: bool, guards: &mut BTreeSet<Guard>) -> bool {
    match expr {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => conjuncts(expr, !negated, guards),
        // not (a or b) is not a and not b, evaluated in the same order.
        Expr::BinaryOp { op, left, right }
            if (*op == BinaryOp::And && !negated) || (*op == BinaryOp::Or && negated) =>
        {
            conjuncts(left, negated, guards) && conjuncts(right, negated, guards)
        }
        _ => {
            if let Some(test) = test_of(expr) {
                guards.insert(Guard { test, negated });
            }
            is_total(expr)
        }
    }
}

fn test_of(expr: &Expr) -> Option<Test> {
    match expr {
        Expr::BinaryOp { op: BinaryOp::Or, left, right } => match (test_of(left)?, test_of(right)?) {
            (Test::Role(mut a), Test::Role(b)) => {
                a.extend(b);
                Some(Test::Role(a))
            }
            (Test::Tenant(mut a), Test::Tenant(b)) => {
                a.extend(b);
                Some(Test::Tenant(a))
            }
            _ => None,
        },
        Expr::BinaryOp { op: BinaryOp::In, left, right } => {
            let Expr::Var(var) = left.as_ref() else {
                return None;
            };
            let test = parent_test(&entities(right)?)?;
            match (var, &test) {
                (Var::Principal, _) | (Var::Resource, Test::Tenant(_)) => Some(test),
                _ => None,
            }
        }
        Expr::BinaryOp { op: BinaryOp::Eq, left, right } if is_context(left, "tenant") => {
            let tenant = entities(right)?;
            tenant.iter().all(|uid| is_type(&uid.ty, "Tenant")).then(|| Test::Tenant(names(&tenant)))
        }
        Expr::BinaryOp { op, left, right } if is_context(left, "data_classes") => {
            let classes = class_names(right)?;
            match op {
                BinaryOp::Contains | BinaryOp::ContainsAll => Some(Test::ClassesInclude(classes)),
                BinaryOp::ContainsAny => Some(Test::ClassesMeet(classes)),
                _ => None,
            }
        }
        Expr::BinaryOp { op, left, right } if is_context(right, "data_classes") => {
            let classes = class_names(left)?;
            match op {
                BinaryOp::ContainsAll => Some(Test::ClassesWithin(classes)),
                BinaryOp::ContainsAny => Some(Test::ClassesMeet(classes)),
                _ => None,
            }
        }
        Expr::Is { expr, entity_type, in_expr: None } => match expr.as_ref() {
            Expr::Var(Var::Principal) => kind_of(entity_type).map(Test::Kind),
            _ => None,
        },
        _ => None,
    }
}

fn parent_test(parents: &[EntityUID]) -> Option<Test> {
    let all = |name: &str| parents.iter().all(|uid| is_type(&uid.ty, name));
    if parents.is_empty() {
        None
    } else if all("Role") {
        Some(Test::Role(names(parents)))
    } else if all("Tenant") {
        Some(Test::Tenant(names(parents)))
    } else {
        None
    }
}

fn class_names(expr: &Expr) -> Option<BTreeSet<String>> {
    let uids = entities(expr)?;
    uids.iter().all(|uid| is_type(&uid.ty, "DataClass")).then(|| names(&uids))
}

fn names(uids: &[EntityUID]) -> BTreeSet<String> {
    uids.iter().map(|uid| uid.eid.to_string()).collect()
}

/// The entities of a literal, or of a set of literals.
fn entities(expr: &Expr) -> Option<Vec<EntityUID>> {
    match expr {
        Expr::Literal(Literal::EntityUID(uid)) => Some(vec![uid.clone()]),
        Expr::Set(members) => members
            .iter()
            .map(|member| match member.as_ref() {
                Expr::Literal(Literal::EntityUID(uid)) => Some(uid.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn is_context(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::GetAttr { expr, attr }
        if attr == name && matches!(expr.as_ref(), Expr::Var(Var::Context)))
}

fn is_type(ty: &EntityType, name: &str) -> bool {
    ty.to_string() == name
}

fn kind_of(ty: &EntityType) -> Option<ActorKind> {
    match ty.to_string().as_str() {
        "User" => Some(ActorKind::Person),
        "Agent" => Some(ActorKind::Agent),
        "Model" => Some(ActorKind::Model),
        "AiSystem" => Some(ActorKind::System),
        _ => None,
    }
}

/// Whether a strictly validated expression cannot fail.
fn is_total(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Var(_) => true,
        Expr::UnaryOp { op, expr } => matches!(op, UnaryOp::Not | UnaryOp::IsEmpty) && is_total(expr),
        Expr::BinaryOp { op, left, right } => {
            let total = matches!(
                op,
                BinaryOp::Eq
                    | BinaryOp::NotEq
                    | BinaryOp::Less
                    | BinaryOp::LessEq
                    | BinaryOp::Greater
                    | BinaryOp::GreaterEq
                    | BinaryOp::And
                    | BinaryOp::Or
                    | BinaryOp::In
                    | BinaryOp::Contains
                    | BinaryOp::ContainsAll
                    | BinaryOp::ContainsAny
            );
            total && is_total(left) && is_total(right)
        }
        // The context and the resource are always there; validation has seen to optional attributes.
        Expr::GetAttr { expr, .. } => match expr.as_ref() {
            Expr::Var(Var::Context | Var::Resource) => true,
            inner @ Expr::GetAttr { .. } => is_context_path(inner),
            _ => false,
        },
        Expr::HasAttr { expr, .. } | Expr::Like { expr, .. } => is_total(expr),
        Expr::Is { expr, in_expr, .. } => is_total(expr) && in_expr.as_deref().is_none_or(is_total),
        Expr::IfThenElse { cond, then_expr, else_expr } => is_total(cond) && is_total(then_expr) && is_total(else_expr),
        Expr::Set(members) => members.iter().all(|member| is_total(member)),
        _ => false,
    }
}

/// Attributes of attributes are records only below the context; elsewhere they would be entities.
fn is_context_path(expr: &Expr) -> bool {
    match expr {
        Expr::GetAttr { expr, attr } => match expr.as_ref() {
            Expr::Var(Var::Context) => attr == "amount" || attr == "facts",
            inner => is_context_path(inner),
        },
        _ => false,
    }
}

/// Adds what an expression looks at. What is not understood counts as everything.
fn needs(expr: &Expr, out: &mut Needs) {
    match expr {
        Expr::Literal(_) => {}
        Expr::Var(Var::Principal) => out.add(Needs::PRINCIPAL),
        Expr::Var(Var::Resource) => out.add(Needs::RESOURCE),
        Expr::Var(Var::Action) => {}
        Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => needs(expr, out),
        Expr::BinaryOp { op, left, right } => {
            if *op == BinaryOp::In {
                out.add(hierarchy(left));
            }
            needs(left, out);
            needs(right, out);
        }
        Expr::GetAttr { expr, attr } => match expr.as_ref() {
            Expr::Var(Var::Context) => out.add(Needs::of_attribute(attr)),
            inner => needs(inner, out),
        },
        Expr::HasAttr { expr, attrs } => match expr.as_ref() {
            Expr::Var(Var::Context) => out.add(Needs::of_attribute(attrs.first())),
            inner => needs(inner, out),
        },
        Expr::Is { expr, in_expr, .. } => {
            needs(expr, out);
            if let Some(parent) = in_expr {
                out.add(hierarchy(expr));
                needs(parent, out);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            needs(cond, out);
            needs(then_expr, out);
            needs(else_expr, out);
        }
        Expr::Set(members) => members.iter().for_each(|member| needs(member, out)),
        Expr::Record(fields) => fields.values().for_each(|field| needs(field, out)),
        _ => *out = Needs::ALL,
    }
}

/// Principal, resource, action and tool bring their ancestors with them; anything else needs the bundle's entities.
fn hierarchy(left: &Expr) -> Needs {
    match left {
        Expr::Var(_) => Needs::default(),
        left if is_context(left, "tool") => Needs::default(),
        _ => Needs::HIERARCHY,
    }
}
