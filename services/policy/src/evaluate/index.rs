//! The index: which policies are put before Cedar for a request. Never a flat set.
//!
//! Policies are put into buckets of equal tenant, action, part and guards when a bundle is compiled, each bucket with
//! a Cedar set of its own, so that nothing is built while deciding. A request's candidates are the union of four lists
//! (its tenant or any, its action or any); within a list, buckets that require a role or a data class are found by
//! name, the rest are looked through. INVARIANT: leaving a bucket out never changes a verdict; `lift` says why.
//! Memory is linear in policies times the actions that their scope names. Rejected: a cache of sets per combination of
//! guards, which is exponential at worst and needs eviction, and so shared mutable state.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Policy, PolicyId, PolicySet as CedarSet};

use crate::bundle::Bundle;
use crate::bundle::policies::Part;
use crate::evaluate::lift::{Guard, Lifted, Test, lift};
use crate::evaluate::present::Needs;
use crate::facts::{ActorKind, Facts};

/// Defects that tests plant to prove that the comparison with the reference finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    DropsWildcard,
    IgnoresNegation,
    StopsAtFirstBucket,
    IgnoresCase,
    AnyClassInsteadOfAll,
}

/// Policies that are candidates for exactly the same requests.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub part: Part,
    pub guards: Vec<Guard>,
    pub needs: Needs,
    pub set: CedarSet,
    /// Positions of the rules in the bundle.
    pub members: Vec<u32>,
    /// The action scope is unconstrained.
    pub any_action: bool,
}

/// Bucket numbers by what finds them.
#[derive(Clone, Debug, Default)]
struct List {
    scanned: Vec<u32>,
    by_role: BTreeMap<String, Vec<u32>>,
    by_class: BTreeMap<String, Vec<u32>>,
}

#[derive(Clone, Debug, Default)]
struct Actions {
    any: List,
    named: BTreeMap<String, List>,
}

/// The index over all policies of a bundle.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    any_tenant: Actions,
    tenants: BTreeMap<String, Actions>,
    planted: Option<Planted>,
}

/// What selecting looks at.
pub(crate) struct Query<'a> {
    pub facts: &'a Facts,
    /// Roles with all that they are part of, sorted.
    pub roles: &'a [&'a str],
    /// Whether the bundle declares the action for this kind of actor.
    pub declared: bool,
}

/// Where a bucket belongs: tenant, action, part, guards.
type Key = (Option<String>, Option<String>, Part, BTreeSet<Guard>);

impl Index {
    pub fn build(bundle: &Bundle, planted: Option<Planted>) -> Index {
        let mut groups: BTreeMap<Key, (Needs, Vec<u32>)> = BTreeMap::new();
        let mut compiled: Vec<Policy> = Vec::with_capacity(bundle.policies().len());
        for (position, rule) in (0u32..).zip(bundle.policies()) {
            let lifted = lift(&rule.cedar);
            // Through its syntax tree a policy loses its source positions, which Cedar copies into every value.
            let bare = rule.cedar.to_pst().and_then(Policy::from_pst).unwrap_or_else(|_| rule.cedar.clone());
            compiled.push(bare.new_id(PolicyId::new(position.to_string())));
            for action in actions(bundle, &lifted) {
                for tenant in tenants(&lifted) {
                    let key = (tenant, action.clone(), rule.part, lifted.guards.clone());
                    let (needs, members) = groups.entry(key).or_default();
                    needs.add(lifted.needs);
                    members.push(position);
                }
            }
        }
        let mut index = Index {
            buckets: Vec::with_capacity(groups.len()),
            any_tenant: Actions::default(),
            tenants: BTreeMap::new(),
            planted,
        };
        for ((tenant, action, part, guards), (needs, members)) in groups {
            index.add((tenant, action, part, guards), needs, members, &compiled);
        }
        index
    }

    fn add(&mut self, (tenant, action, part, guards): Key, needs: Needs, members: Vec<u32>, compiled: &[Policy]) {
        let Ok(number) = u32::try_from(self.buckets.len()) else {
            return;
        };
        let own = members.iter().filter_map(|position| compiled.get(usize::try_from(*position).ok()?)).cloned();
        // Ids are positions and so unique, which is all that from_policies asks for.
        let set = CedarSet::from_policies(own).unwrap_or_default();
        let any_action = action.is_none();
        let actions = match tenant {
            None => &mut self.any_tenant,
            Some(tenant) => self.tenants.entry(tenant).or_default(),
        };
        let list = match action {
            None => &mut actions.any,
            Some(action) => actions.named.entry(action).or_default(),
        };
        list.file(number, &guards);
        self.buckets.push(Bucket { part, guards: guards.into_iter().collect(), needs, set, members, any_action });
    }

    /// All buckets.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The candidates for a request, in bucket order.
    pub fn select(&self, query: &Query<'_>) -> Vec<&Bucket> {
        let mut numbers = Vec::with_capacity(16);
        let own = self.tenants.get(&query.facts.tenant);
        for actions in std::iter::once(&self.any_tenant).chain(own) {
            if self.planted != Some(Planted::DropsWildcard) {
                actions.any.collect(query, &mut numbers);
            }
            if query.declared
                && let Some(list) = actions.named.get(&query.facts.action)
            {
                list.collect(query, &mut numbers);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        let mut found: Vec<&Bucket> = numbers
            .into_iter()
            .filter_map(|number| self.buckets.get(usize::try_from(number).ok()?))
            .filter(|bucket| self.may_match(bucket, query))
            .collect();
        if self.planted == Some(Planted::StopsAtFirstBucket) {
            found.truncate(1);
        }
        found
    }

    fn may_match(&self, bucket: &Bucket, query: &Query<'_>) -> bool {
        // An action that the schema does not declare meets no permit: no author can have meant it. What tightens
        // and speaks about any action still applies, or a new verb would be a way around it.
        if !query.declared && (bucket.part == Part::Permit || !bucket.any_action) {
            return false;
        }
        bucket.guards.iter().all(|guard| {
            let negated = guard.negated && self.planted != Some(Planted::IgnoresNegation);
            self.holds(&guard.test, query) != negated
        })
    }

    fn holds(&self, test: &Test, query: &Query<'_>) -> bool {
        let classes = &query.facts.data_classes;
        match test {
            Test::Role(any) if self.planted == Some(Planted::IgnoresCase) => {
                query.roles.iter().any(|role| any.iter().any(|known| known.eq_ignore_ascii_case(role)))
            }
            Test::Role(any) => query.roles.iter().any(|role| any.contains(*role)),
            Test::Tenant(any) => any.contains(&query.facts.tenant),
            Test::Kind(kind) => query.facts.actor.kind == *kind,
            Test::ClassesInclude(all) => all.is_subset(classes),
            Test::ClassesWithin(allowed) if self.planted == Some(Planted::AnyClassInsteadOfAll) => {
                !classes.is_disjoint(allowed)
            }
            Test::ClassesWithin(allowed) => classes.is_subset(allowed),
            Test::ClassesMeet(any) => !classes.is_disjoint(any),
        }
    }

    /// Whether a bundle with this action for this kind of actor declares it.
    pub fn declares(bundle: &Bundle, action: &str, kind: ActorKind) -> bool {
        bundle.vocabulary().actions.get(action).is_some_and(|action| action.kinds.contains(&kind))
    }
}

impl List {
    /// Files a bucket under the one guard that leaves the fewest requests, if a name can find it.
    fn file(&mut self, number: u32, guards: &BTreeSet<Guard>) {
        let positive = || guards.iter().filter(|guard| !guard.negated).map(|guard| &guard.test);
        let roles = positive().find_map(|test| match test {
            Test::Role(any) => Some(any.iter().collect::<Vec<_>>()),
            _ => None,
        });
        let classes = positive().find_map(|test| match test {
            Test::ClassesInclude(all) => all.first().map(|first| vec![first]),
            Test::ClassesMeet(any) => Some(any.iter().collect()),
            _ => None,
        });
        let (map, names) = match (roles, classes) {
            (Some(names), _) => (&mut self.by_role, names),
            (None, Some(names)) => (&mut self.by_class, names),
            (None, None) => return self.scanned.push(number),
        };
        for name in names {
            map.entry(name.clone()).or_default().push(number);
        }
    }

    fn collect(&self, query: &Query<'_>, out: &mut Vec<u32>) {
        out.extend_from_slice(&self.scanned);
        if !self.by_role.is_empty() {
            for role in query.roles {
                out.extend(self.by_role.get(*role).into_iter().flatten());
            }
        }
        if !self.by_class.is_empty() {
            for class in &query.facts.data_classes {
                out.extend(self.by_class.get(class).into_iter().flatten());
            }
        }
    }
}

/// The action keys of a policy: `None` for any action, groups expanded to their members.
fn actions(bundle: &Bundle, lifted: &Lifted) -> Vec<Option<String>> {
    match &lifted.actions {
        None => vec![None],
        Some(names) => bundle
            .vocabulary()
            .actions
            .iter()
            .filter(|(name, action)| names.contains(*name) || !action.groups.is_disjoint(names))
            .map(|(name, _)| Some(name.clone()))
            .collect(),
    }
}

/// The tenant keys of a policy: `None` for any tenant.
fn tenants(lifted: &Lifted) -> Vec<Option<String>> {
    let named = lifted.guards.iter().find_map(|guard| match &guard.test {
        Test::Tenant(any) if !guard.negated => Some(any.iter().cloned().map(Some).collect()),
        _ => None,
    });
    named.unwrap_or_else(|| vec![None])
}
