//! Requests near a bundle's own tests, so that every policy is met, with some facts replaced.

use std::collections::BTreeSet;

use crate::Bundle;
use crate::bundle::schema::FactKind;
use crate::facts::{ActorKind, Amount, ContextValue, Facts, LegalBasis, Resource, RiskClass};

/// SplitMix64 (Steele, Lea, Flood 2014): the same requests on every machine.
pub(super) struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn some(&mut self, from: &[String], most: usize) -> BTreeSet<String> {
        (0..self.below(most + 1)).map(|_| self.one(from).clone()).collect()
    }
}

/// Names that a bundle declares, with spellings that differ in case and names that it does not know.
pub(super) struct Pools {
    tenants: Vec<String>,
    roles: Vec<String>,
    classes: Vec<String>,
    actions: Vec<String>,
    practices: Vec<String>,
    amounts: Vec<i64>,
}

fn capitalised(name: &str) -> String {
    let mut text = name.to_owned();
    text[..1].make_ascii_uppercase();
    text
}

impl Pools {
    pub fn of(bundle: &Bundle) -> Pools {
        let with_case = |names: &BTreeSet<String>| -> Vec<String> {
            names.iter().flat_map(|n| [n.clone(), n.clone(), capitalised(n)]).chain(["unheard-of".to_owned()]).collect()
        };
        let cases = bundle.tests();
        let tenants: BTreeSet<String> = cases.iter().map(|case| case.given.tenant.clone()).collect();
        let practices: BTreeSet<String> = cases.iter().filter_map(|case| case.given.practice.clone()).collect();
        let amounts: BTreeSet<i64> =
            cases.iter().filter_map(|case| case.given.amount.as_ref().map(|a| a.minor_units)).collect();
        Pools {
            tenants: with_case(&tenants),
            roles: with_case(bundle.roles()),
            classes: with_case(bundle.data_classes()),
            actions: bundle.actions().map(str::to_owned).chain(["undeclared".to_owned()]).collect(),
            practices: practices.into_iter().chain(["unnamed".to_owned()]).collect(),
            amounts: amounts.into_iter().chain([0, -1, i64::MAX]).collect(),
        }
    }
}

/// A request near one of the bundle's own tests, with up to four facts replaced.
pub(super) fn generate(bundle: &Bundle, pools: &Pools, random: &mut Random) -> Facts {
    let mut facts = random.one(bundle.tests()).given.clone();
    for _ in 0..random.below(5) {
        replace_one(&mut facts, bundle, pools, random);
    }
    facts
}

fn replace_one(facts: &mut Facts, bundle: &Bundle, pools: &Pools, random: &mut Random) {
    let percents = [None, Some(0), Some(29), Some(30), Some(39), Some(59), Some(69), Some(79), Some(100)];
    let classes =
        [RiskClass::Minimal, RiskClass::Limited, RiskClass::High, RiskClass::Unacceptable, RiskClass::Unknown];
    match random.below(18) {
        0 => facts.tenant = random.one(&pools.tenants).clone(),
        1 | 2 => facts.actor.roles = random.some(&pools.roles, 3),
        3 => {
            let kinds = [ActorKind::Person, ActorKind::Agent, ActorKind::Model, ActorKind::System];
            facts.actor.kind = *random.one(&kinds);
        }
        4 => facts.action = random.one(&pools.actions).clone(),
        5 | 6 => facts.data_classes = random.some(&pools.classes, 3),
        7 => facts.practice = Some(random.one(&pools.practices).clone()),
        8 => facts.risk_class = *random.one(&classes),
        9 => facts.risk_score = *random.one(&percents),
        10 => facts.confidence_percent = *random.one(&percents),
        11 => {
            let currency = *random.one(&[*b"EUR", *b"USD", *b"CHF"]);
            facts.amount = Some(Amount { minor_units: *random.one(&pools.amounts), currency });
        }
        12 => facts.purpose = random.one(&[None, Some("care".to_owned())]).clone(),
        13 => {
            facts.legal_basis = *random.one(&[None, Some(LegalBasis::Consent), Some(LegalBasis::PublicTask)]);
        }
        14 => facts.approved = !facts.approved,
        15 => {
            facts.subject_count = u8::try_from(random.below(14)).unwrap();
            facts.actor.delegation_depth = u8::try_from(random.below(6)).unwrap();
        }
        16 => {
            let of = |kind: &str, id: &str| Some(Resource { kind: kind.to_owned(), id: id.to_owned() });
            let resources = [None, of("document", "7"), of("document", "8"), of("draft", "d-1"), of("draft", "x")];
            facts.resource = random.one(&resources).clone();
            facts.tool = random.one(&[None, Some("editor".to_owned()), Some("saw".to_owned())]).clone();
        }
        _ => {
            let names: Vec<&String> = bundle.vocabulary().facts.keys().collect();
            let name = (*random.one(&names)).clone();
            let set = BTreeSet::from(["stop".to_owned()]);
            let values = [
                ContextValue::Bool(true),
                ContextValue::Bool(false),
                ContextValue::Long(2),
                ContextValue::Long(i64::MAX),
                ContextValue::Text("stop".to_owned()),
                ContextValue::Set(set),
            ];
            // Mostly of the declared type: a fact of another type is refused before any policy is asked.
            let kind = bundle.vocabulary().facts[&name];
            let fits = |value: &&ContextValue| {
                matches!(
                    (value, kind),
                    (ContextValue::Bool(_), FactKind::Bool)
                        | (ContextValue::Long(_), FactKind::Long)
                        | (ContextValue::Text(_), FactKind::Text)
                        | (ContextValue::Set(_), FactKind::Set)
                )
            };
            let fitting: Vec<&ContextValue> = values.iter().filter(fits).collect();
            let value =
                if random.below(20) == 0 { random.one(&values).clone() } else { (*random.one(&fitting)).clone() };
            facts.context.insert(name, value);
        }
    }
}
