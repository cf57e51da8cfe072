//! Who may use whom. The table below is the architecture; this test reads what cargo resolved and compares.
//!
//! Invariants: dependencies point downwards only; the pure rooms never reach a runtime, a socket or a database, not
//! even through others; a foreign crate with a single user in the table has no other; RocksDB, the longest build
//! there is, is compiled once for running and testing. Each rule is shown to find a planted violation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

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
    ("tokio", &["lexecon", "replay-tests"]),
    ("anyhow", &["lexecon", "replay-tests"]),
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

fn graph() -> Graph {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--locked".into()])
        .exec()
        .unwrap();
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|p| (p.id.clone(), p.name.to_string())).collect();
    let mut graph = Graph::default();
    for package in metadata.workspace_packages() {
        let named = package.dependencies.iter().map(|d| d.name.clone()).collect();
        graph.named.insert(package.name.to_string(), named);
    }
    for node in metadata.resolve.unwrap().nodes {
        let used = node.deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development));
        let used = used.map(|d| names[&d.pkg].clone());
        graph.built_with.entry(names[&node.id].clone()).or_default().extend(used);
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
type Unit = (String, String, String, Vec<String>, Vec<usize>);

fn units(arguments: &[&str]) -> Vec<Unit> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--release", "--workspace", "--locked", "--unit-graph", "-Zunstable-options"])
        // The plan of a build is printed by an unstable option; nothing is compiled here.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    plan["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| {
            let features = unit["features"].as_array().unwrap().iter().map(text).collect();
            let below = unit["dependencies"].as_array().unwrap().iter();
            let below = below.map(|d| usize::try_from(d["index"].as_u64().unwrap()).unwrap()).collect();
            (text(&unit["pkg_id"]), unit["target"]["kind"][0].to_string(), text(&unit["mode"]), features, below)
        })
        .collect()
}

/// Every different way in which a crate is built in a plan, written out with all that it stands on.
fn builds_of(units: &[Unit], name: &str) -> BTreeSet<String> {
    fn write(units: &[Unit], at: usize, seen: &mut BTreeSet<usize>, out: &mut BTreeSet<String>) {
        if seen.insert(at) {
            let (id, kind, mode, features, below) = &units[at];
            out.insert(format!("{id} {kind} {mode} {features:?}"));
            below.iter().for_each(|below| write(units, *below, seen, out));
        }
    }
    let is_it = |u: &Unit| u.0.contains(&format!("/{name}#")) || u.0.contains(&format!("#{name}@"));
    let wanted = units.iter().enumerate().filter(|(_, u)| is_it(u) && u.2 == "run-custom-build");
    wanted
        .map(|(at, _)| {
            let mut out = BTreeSet::new();
            write(units, at, &mut BTreeSet::new(), &mut out);
            out.into_iter().collect::<Vec<_>>().join("\n")
        })
        .collect()
}

#[test]
fn rocksdb_is_compiled_once_for_running_testing_and_linting() {
    let run = units(&["build", "--bins"]);
    // What the comparison must see: the same crate over a library with one feature more is another build.
    let mut planted = run.clone();
    let lz4 = planted.iter_mut().find(|unit| unit.0.contains("lz4-sys") && unit.2 == "run-custom-build").unwrap();
    lz4.3.push("planted".to_owned());
    assert_ne!(builds_of(&run, "librocksdb-sys"), builds_of(&planted, "librocksdb-sys"));

    let all: BTreeSet<String> = [run, units(&["test"]), units(&["check", "--all-targets"])]
        .iter()
        .flat_map(|plan| builds_of(plan, "librocksdb-sys"))
        .collect();
    let all: Vec<_> = all.into_iter().collect();
    assert_eq!(all.len(), 1, "librocksdb-sys is built in {} ways:\n{}", all.len(), all.join("\n---\n"));
}
