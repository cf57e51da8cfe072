//! Who may use whom. The table below is the architecture; this test reads what cargo resolved and compares.
//!
//! Invariants: dependencies point downwards only; the pure rooms never reach a runtime, a socket or a database, not
//! even through others; a foreign crate with a single user in the table has no other; RocksDB, the longest build
//! there is, is compiled once for running and testing. Each rule is shown to find a planted violation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each room and the rooms that it may name in its manifest.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &["policy"]),
    ("engine", &["domain", "eventlog", "ledger", "policy", "wire"]),
    ("eventlog", &[]),
    ("ledger", &[]),
    ("lexecon", &["domain", "engine", "eventlog", "ledger", "policy", "wire"]),
    ("policy", &[]),
    ("replay-tests", &["domain", "engine", "eventlog", "ledger", "lexecon", "policy", "wire"]),
    ("wire", &["domain", "policy"]),
];

/// Foreign crates that only these rooms may name.
const ONLY_USERS: &[(&str, &[&str])] = &[
    ("apache-avro", &["wire"]),
    ("serde_avro_fast", &["wire"]),
    ("cedar-policy", &["policy"]),
    ("cedar-policy-core", &["policy"]),
    ("rdkafka", &["eventlog"]),
    ("rocksdb", &["engine", "eventlog"]),
    ("axum", &["lexecon"]),
    ("hyper", &["lexecon"]),
    ("hyper-util", &["lexecon"]),
    ("reqwest", &["lexecon", "replay-tests"]),
    ("tokio", &["engine", "lexecon", "replay-tests"]),
];

/// Rooms whose whole closure is checked.
const PURE: &[&str] = &["domain", "ledger", "policy"];

/// What a pure room never reaches. `ledger-verify` is built from `ledger`: what auditors must trust stays small.
const NOT_PURE: &[&str] =
    &["tokio", "mio", "async-std", "smol", "hyper", "axum", "reqwest", "rocksdb", "librocksdb-sys", "rdkafka-sys"];

/// And `ledger` no format of ours but its own.
const NOT_LEDGER: &[&str] = &["apache-avro", "cedar-policy"];

/// What the rules look at: names only, so that a test can write one down.
#[derive(Clone, Default)]
struct Graph {
    /// Room → crates that its manifest names, tests included.
    named: BTreeMap<String, BTreeSet<String>>,
    /// Crate → crates that it is built with, tests excluded.
    built_with: BTreeMap<String, BTreeSet<String>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What cargo says, with arguments; `CARGO` is the one that runs this test.
fn cargo(arguments: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        // The plan of a build is printed by an unstable option; nothing is compiled here.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

// cargo's own words and not the crate `cargo_metadata`: its features would make another build of serde_json, and with it
// of everything that stands on that, for the tests than for the program.
fn graph() -> Graph {
    let metadata = cargo(&["metadata", "--format-version", "1", "--locked"]);
    let names: BTreeMap<_, _> =
        list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let members: BTreeSet<_> = list(&metadata["workspace_members"]).iter().map(text).collect();
    let mut graph = Graph::default();
    for package in list(&metadata["packages"]).iter().filter(|p| members.contains(&text(&p["id"]))) {
        let named = list(&package["dependencies"]).iter().map(|d| text(&d["name"])).collect();
        graph.named.insert(text(&package["name"]), named);
    }
    for node in list(&metadata["resolve"]["nodes"]) {
        let is_built = |d: &&Value| list(&d["dep_kinds"]).iter().any(|k| k["kind"] != "dev");
        let used = list(&node["deps"]).iter().filter(is_built).map(|d| names[&text(&d["pkg"])].clone());
        graph.built_with.entry(names[&text(&node["id"])].clone()).or_default().extend(used);
    }
    graph
}

fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    let rooms: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    for (room, named) in &graph.named {
        let Some(allowed) = rooms.get(room.as_str()) else {
            faults.push(format!("{room} has no place in the table of layers"));
            continue;
        };
        for name in named.iter().filter(|n| graph.named.contains_key(*n)) {
            if !allowed.contains(&name.as_str()) {
                faults.push(format!("{room} may not use {name}"));
            }
        }
        for (foreign, users) in ONLY_USERS {
            if named.contains(*foreign) && !users.contains(&room.as_str()) {
                faults.push(format!("{room} may not use {foreign}, only {} may", users.join(" and ")));
            }
        }
    }
    for room in LAYERS.iter().map(|(room, _)| room).filter(|r| !graph.named.contains_key(**r)) {
        faults.push(format!("{room} stands in the table of layers and is no member"));
    }
    for room in PURE {
        let banned = NOT_PURE.iter().chain(if *room == "ledger" { NOT_LEDGER } else { &[] });
        for name in banned {
            if let Some(way) = way(graph, room, name) {
                faults.push(format!("{room} reaches {name}: {}", way.join(" → ")));
            }
        }
    }
    faults
}

/// The shortest way from one crate to another, if there is one.
fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::from([from.to_owned()]);
    let mut next = 0;
    while let Some(way) = ways.get(next).cloned() {
        next += 1;
        for name in graph.built_with.get(way.last()?).into_iter().flatten() {
            if seen.insert(name.clone()) {
                let mut longer = way.clone();
                longer.push(name.clone());
                if name == to {
                    return Some(longer);
                }
                ways.push(longer);
            }
        }
    }
    None
}

#[test]
fn the_workspace_keeps_to_the_layers() {
    let graph = graph();
    assert!(way(&graph, "lexecon", "tokio").is_some(), "the graph is read wrongly: lexecon is built with tokio");
    let faults = faults(&graph);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_rule_finds_a_planted_violation() {
    let real = graph();
    let check = |room: &str, planted: &str, expected: &str| {
        let mut graph = real.clone();
        graph.named.entry(room.to_owned()).or_default().insert(planted.to_owned());
        let found = faults(&graph);
        assert!(found.iter().any(|f| f == expected), "{room} + {planted}: expected {expected:?}, found {found:?}");
    };
    check("policy", "domain", "policy may not use domain");
    check("ledger", "wire", "ledger may not use wire");
    check("eventlog", "domain", "eventlog may not use domain");
    check("engine", "lexecon", "engine may not use lexecon");
    check("engine", "replay-tests", "engine may not use replay-tests");
    check("engine", "cedar-policy", "engine may not use cedar-policy, only policy may");
    check("engine", "apache-avro", "engine may not use apache-avro, only wire may");
    check("engine", "rdkafka", "engine may not use rdkafka, only eventlog may");
    check("engine", "axum", "engine may not use axum, only lexecon may");
    check("types", "serde", "types has no place in the table of layers");

    let mut graph = real.clone();
    graph.named.remove("wire");
    assert!(faults(&graph).contains(&"wire stands in the table of layers and is no member".to_owned()));

    for (room, link) in [("domain", "policy"), ("policy", "cedar-policy"), ("ledger", "sha3")] {
        let mut graph = real.clone();
        assert!(graph.built_with[room].contains(link), "{room} is built with {link}");
        graph.built_with.entry(link.to_owned()).or_default().insert("far-away".to_owned());
        graph.built_with.insert("far-away".to_owned(), BTreeSet::from(["tokio".to_owned()]));
        let expected = format!("{room} reaches tokio: {room} → {link} → far-away → tokio");
        assert!(faults(&graph).contains(&expected), "expected {expected:?}, found {:?}", faults(&graph));
    }
}

/// One unit of a build that cargo plans: what it is, with which features, on top of which units.
#[derive(Clone)]
struct Unit {
    package: String,
    what: String,
    features: Vec<String>,
    below: Vec<usize>,
}

fn plan(arguments: &[&str]) -> Vec<Unit> {
    let asked = [arguments, &["--release", "--workspace", "--locked", "--unit-graph", "-Zunstable-options"]].concat();
    let unit = |unit: &Value| Unit {
        package: text(&unit["pkg_id"]),
        what: format!("{} {}", unit["target"]["kind"], unit["mode"]),
        features: list(&unit["features"]).iter().map(text).collect(),
        below: list(&unit["dependencies"])
            .iter()
            .map(|d| usize::try_from(d["index"].as_u64().unwrap()).unwrap())
            .collect(),
    };
    list(&cargo(&asked)["units"]).iter().map(unit).collect()
}

/// Foreign units of a plan, each written as what it is and, by hash, all that it stands on.
fn builds(plan: &[Unit]) -> BTreeMap<u64, String> {
    fn write(plan: &[Unit], at: usize, done: &mut BTreeMap<usize, u64>) -> u64 {
        if let Some(hash) = done.get(&at) {
            return *hash;
        }
        let unit = &plan[at];
        let below: BTreeSet<u64> = unit.below.iter().map(|below| write(plan, *below, done)).collect();
        let mut hasher = DefaultHasher::new();
        (&unit.package, &unit.what, &unit.features, below).hash(&mut hasher);
        done.insert(at, hasher.finish());
        hasher.finish()
    }
    let mut done = BTreeMap::new();
    let foreign = plan.iter().enumerate().filter(|(_, unit)| !unit.package.starts_with("path+"));
    foreign.map(|(at, unit)| (write(plan, at, &mut done), format!("{} {}", unit.package, unit.what))).collect()
}

/// What is built for `run` in a way in which it is not built for `test`.
fn built_again(run: &[Unit], test: &[Unit]) -> Vec<String> {
    let test = builds(test);
    builds(run).into_iter().filter(|(hash, _)| !test.contains_key(hash)).map(|(_, what)| what).collect()
}

#[test]
fn what_is_built_for_running_is_not_built_again_for_testing() {
    let (run, test) = (plan(&["build", "--bins"]), plan(&["test"]));
    let is_rocksdb = |unit: &&Unit| unit.package.contains("librocksdb-sys") && unit.what.contains("run-custom-build");
    assert_eq!(test.iter().filter(is_rocksdb).count(), 1, "RocksDB, half an hour of compiling, is built once");

    // What the comparison must see: one feature more of a library far down makes other builds of all above it.
    let mut planted = test.clone();
    let lz4 =
        planted.iter_mut().find(|unit| unit.package.contains("lz4-sys") && unit.what.contains("run-custom-build"));
    lz4.unwrap().features.push("planted".to_owned());
    let found = built_again(&run, &planted);
    assert!(found.iter().any(|what| what.contains("librocksdb-sys")) && found.len() < 20, "{found:#?}");

    let again = built_again(&run, &test);
    assert!(
        again.is_empty(),
        "built once for running and once for testing, unify their features in the manifests:\n{}",
        again.join("\n")
    );
}
