//! Measures evaluation on one thread: `cargo run --release -p policy --example evaluate [PROBES]`.
//!
//! Synthetic bundles of 10, 200 and 2,000 policies, spread over tenants, actions, roles and data classes as bundles of
//! organisations are; ten that all concern one action; and the shipped bundles on the facts of their own tests. Each tenant has ten of them. Prints microseconds per decision (10th, 50th and 99th percentile of batches), how many policies the
//! index put before Cedar, and how long compiling takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use policy::facts::{Actor, ActorKind, Amount, ContextValue, Facts, Resource, RiskClass};
use policy::{Bundle, BundleSource};

const ACTIONS: [&str; 6] =
    ["read_record", "update_record", "send_message", "send_money", "delete_record", "grant_access"];
const ROLES: [&str; 8] = ["clerk", "analyst", "finance", "support", "lead", "auditor", "operator", "guest"];
const CLASSES: [&str; 4] = ["public", "internal", "personal", "secret"];
const BATCH: usize = 100;

/// A policy set of `count` policies. The first ten speak about every tenant, the others about one each.
/// `dense`: all of them speak about one action, so that every one is a candidate of every request.
fn policies(count: usize, dense: bool) -> String {
    let mut out = String::new();
    for n in 0..count {
        let action = ACTIONS[if dense { 0 } else { n % ACTIONS.len() }];
        let role = ROLES[n % ROLES.len()];
        let tenant = if n < 10 { "principal".to_owned() } else { format!("principal in Tenant::\"t-{}\"", n / 10) };
        let scope = format!("({tenant}, action == Action::\"{action}\", resource)");
        let text = match n % 5 {
            0 => format!(
                "permit {scope} when {{ principal in Role::\"{role}\" }} when {{ [DataClass::\"public\", DataClass::\"internal\"].containsAll(context.data_classes) }};"
            ),
            1 => format!("forbid {scope} when {{ context has risk_score && context.risk_score >= {} }};", 85 + n % 10),
            2 => format!(
                "@outcome(\"escalate\") permit {scope} when {{ context has amount && context.amount.minor_units > {} }} unless {{ context.approved }};",
                50_000 + n
            ),
            3 => format!(
                "forbid {scope} when {{ context.data_classes.contains(DataClass::\"secret\") }} unless {{ principal in Role::\"{role}\" }};"
            ),
            _ => format!(
                "permit {scope} when {{ context.facts has internal && context.facts.internal && context.delegation_depth < 3 }};"
            ),
        };
        out.push_str(&format!("@id(\"policy-{n}\")\n{text}\n"));
    }
    out
}

fn bundle(count: usize, dense: bool) -> Bundle {
    let list = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let manifest = format!(
        "format = 1\nname = \"bench\"\nversion = \"1.0.0\"\ndescription = \"Synthetic.\"\nmode = \"strict\"\n\
         schema = \"schema.cedarschema\"\npolicies = [\"all.cedar\"]\nroles = [{}]\ndata_classes = [{}]\n",
        list(&ROLES),
        list(&CLASSES)
    );
    let schema = format!(
        "type TenantFacts = {{ internal?: Bool }};\naction {} appliesTo {{ principal: [User, Agent, Model, AiSystem], \
         resource: [Resource], context: RequestContext }};\n",
        ACTIONS.join(", ")
    );
    let files = BTreeMap::from([
        ("manifest.toml".to_owned(), manifest.into_bytes()),
        ("schema.cedarschema".to_owned(), schema.into_bytes()),
        ("all.cedar".to_owned(), policies(count, dense).into_bytes()),
    ]);
    Bundle::parse(&BundleSource { files }).unwrap()
}

fn requests() -> Vec<Facts> {
    (0..200)
        .map(|n: usize| Facts {
            tenant: format!("t-{}", n % 20),
            actor: Actor {
                id: format!("agent-{n}"),
                kind: if n.is_multiple_of(3) { ActorKind::Person } else { ActorKind::Agent },
                roles: BTreeSet::from([ROLES[n % 8].to_owned(), ROLES[(n / 8) % 8].to_owned()]),
                model: Some("model-1".to_owned()),
                delegation_depth: u8::try_from(n % 4).unwrap(),
            },
            action: ACTIONS[n % ACTIONS.len()].to_owned(),
            tool: Some("office".to_owned()),
            resource: Some(Resource { kind: "record".to_owned(), id: format!("{n}") }),
            data_classes: BTreeSet::from([CLASSES[n % 4].to_owned(), "internal".to_owned()]),
            practice: None,
            risk_class: RiskClass::Limited,
            risk_score: Some(u8::try_from(n % 100).unwrap()),
            confidence_percent: Some(90),
            amount: n.is_multiple_of(2).then(|| Amount { minor_units: 1_000 * n as i64, currency: *b"EUR" }),
            purpose: Some("service".to_owned()),
            legal_basis: None,
            approved: false,
            subject_count: 1,
            recorded_at_us: 1_750_000_000_000_000,
            context: BTreeMap::from([("internal".to_owned(), ContextValue::Bool(n.is_multiple_of(2)))]),
        })
        .collect()
}

/// A bundle that the project ships, measured on the facts of its own tests.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the bundle that the project ships")]
fn shipped(name: &str) -> Bundle {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compliance/bundles").join(name);
    let mut files = BTreeMap::new();
    for dir in ["", "policies", "tests"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    Bundle::parse(&BundleSource { files }).unwrap()
}

fn main() {
    let batches: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    println!("bundle | policies | compile ms | considered | p10 µs | p50 µs | p99 µs | permit deny escalate");
    for count in [10, 200, 2_000] {
        measure("spread", &bundle(count, false), &requests(), batches);
    }
    let one_action: Vec<Facts> =
        requests().into_iter().map(|facts| Facts { action: ACTIONS[0].to_owned(), ..facts }).collect();
    measure("dense", &bundle(10, true), &one_action, batches);
    for name in ["enterprise-general", "eu-ai-act"] {
        let bundle = shipped(name);
        let given: Vec<Facts> = bundle.tests().iter().map(|case| case.given.clone()).collect();
        measure(name, &bundle, &given, batches);
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure(name: &str, bundle: &Bundle, requests: &[Facts], batches: usize) {
    let started = Instant::now();
    let set = bundle.compile();
    let compile_ms = started.elapsed().as_millis();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut considered = 0;
    for facts in requests {
        let explanation = set.explain(facts);
        considered += explanation.first_stratum + explanation.oversight_stratum;
        *outcomes.entry(explanation.verdict.outcome.as_str()).or_default() += 1;
    }
    let mut per_decision_ns: Vec<u128> = Vec::with_capacity(batches);
    for batch in 0..batches {
        let started = Instant::now();
        for n in 0..BATCH {
            let verdict = set.evaluate(&requests[(batch * BATCH + n) % requests.len()]);
            assert!(!verdict.explanation.is_empty());
        }
        per_decision_ns.push(started.elapsed().as_nanos() / BATCH as u128);
    }
    per_decision_ns.sort_unstable();
    let at = |percent: usize| per_decision_ns[(per_decision_ns.len() - 1) * percent / 100] as f64 / 1_000.0;
    let share = |outcome: &str| outcomes.get(outcome).copied().unwrap_or(0);
    println!(
        "{name} | {} | {compile_ms} | {:.1} | {:.1} | {:.1} | {:.1} | {} {} {}",
        bundle.policies().len(),
        considered as f64 / requests.len() as f64,
        at(10),
        at(50),
        at(99),
        share("permit"),
        share("deny"),
        share("escalate")
    );
}
