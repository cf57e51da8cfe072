//! Which bundle is in force: chosen at a start, changed at another, kept when nothing or nothing valid is chosen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cli::{lexecon, root};
use crate::running::{Running, request};

fn bundle(name: &str) -> PathBuf {
    root().join("compliance/bundles").join(name)
}

fn hash(name: &str) -> String {
    let checked = lexecon(["policy", "check", bundle(name).to_str().unwrap(), "--json"]).is(0).json();
    checked["bundle"]["hash"].as_str().unwrap().to_owned()
}

/// A copy of a bundle with one more policy at the end of a file; the line where that stands.
fn altered(name: &str, to: &Path, policy: &str) -> usize {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(drop).unwrap() }
        }
    }
    copy(&bundle(name), to);
    let file = to.join("policies/permits.cedar");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n{policy}\n")).unwrap();
    text.lines().count() + 2
}

/// Decides one request and says under which bundle, and that it is the one in force everywhere.
fn decided_under(running: &Running, number: usize) -> String {
    let answer = running.post("/v1/decisions", &request(number));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let active = running.get(&format!("/v1/policies/active?after={}", answer.headers["lexecon-position"]));
    let (position, active) = (active.headers["lexecon-position"].clone(), active.json());
    assert_eq!(active["uniform"], true, "{active}");
    let items = active["items"].as_array().unwrap();
    assert_eq!(items.len(), position.split(',').count(), "{position}: {active}");
    let decision = answer.json();
    for item in items {
        assert_eq!(item["bundle_hash"], decision["bundle_hash"], "{active}");
    }
    decision["bundle_hash"].as_str().unwrap().to_owned()
}

fn activations(running: &Running) -> Value {
    running.get("/v1/policies/active").json()["items"].clone()
}

/// Every event is made again byte for byte, and the export holds: with several bundles in one ledger too.
fn proved(data: &Path, decisions: u64) {
    let source = ["--data", data.to_str().unwrap()];
    let replayed = lexecon(["replay", "--json"].into_iter().chain(source)).is(0).json();
    assert_eq!(replayed["same"], true, "{replayed}");
    assert!(replayed["reproduced"].as_u64().unwrap() >= decisions, "{replayed}");
    let rebuilt = lexecon(["rebuild", "--json"].into_iter().chain(source)).is(0).json();
    assert_eq!(rebuilt["equal"], true, "{rebuilt}");
    let file = data.with_extension("ledger");
    let _ = fs::remove_file(&file);
    lexecon(["ledger", "export", "--out", file.to_str().unwrap()].into_iter().chain(source)).is(0);
    let verifier = Path::new(env!("CARGO_BIN_EXE_lexecon")).with_file_name("ledger-verify");
    let verified = Command::new(verifier).arg(&file).arg("--json").output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn the_chosen_bundle_is_in_force_and_a_change_is_an_event_of_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (general, european) = (hash("enterprise-general"), hash("eu-ai-act"));
    assert_ne!(general, european);

    let running = Running::given(&data, &["--policy", "eu-ai-act"], &[]);
    assert_eq!(decided_under(&running, 1), european);
    let first = activations(&running);
    running.stop();

    let running = Running::on(&data, &[]);
    assert_eq!(decided_under(&running, 2), european, "without a choice what is in force stays");
    running.stop();

    let same = bundle("eu-ai-act").display().to_string();
    let running = Running::given(&data, &["--policy", &same], &[]);
    assert_eq!(decided_under(&running, 3), european);
    assert_eq!(activations(&running), first, "the same bundle was activated again");
    running.stop();

    let running = Running::on(&data, &[("LEXECON_POLICY__FIRST", "enterprise-general")]);
    assert_eq!(decided_under(&running, 4), general);
    for (now, before) in activations(&running).as_array().unwrap().iter().zip(first.as_array().unwrap()) {
        assert!(now["seq"].as_u64() > before["seq"].as_u64(), "{now}: no new event");
    }
    running.stop();
    proved(&data, 4);

    // Back to a bundle whose text the ledger holds already; by a command that starts on the directory.
    let file = directory.path().join("request.json");
    fs::write(&file, request(5)).unwrap();
    let args = ["decide", file.to_str().unwrap(), "--json", "--data", data.to_str().unwrap(), "--policy", "eu-ai-act"];
    let line = lexecon(args).is(0).lines().remove(0);
    assert_eq!(line["bundle_hash"], european.as_str(), "{line}");
    let running = Running::on(&data, &[]);
    assert_eq!(decided_under(&running, 6), european);
    running.stop();
    proved(&data, 6);
}

#[test]
fn a_broken_choice_stops_the_start_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let running = Running::given(&data, &["--policy", "eu-ai-act"], &[]);
    let (before, events) = (activations(&running), running.get("/v1/ledger/partitions").json()["position"].clone());
    running.stop();

    let broken = directory.path().join("broken");
    let line = altered(
        "enterprise-general",
        &broken,
        "@id(\"planted\") permit (principal, action, resource) when { context.nothing };",
    );
    let refused = |policy: &str, exit: i32, says: &[&str]| {
        let common = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--policy", policy];
        let ended = lexecon(common).is(exit);
        assert!(ended.out.is_empty(), "{}", ended.out);
        ended.says(says);
        lexecon(common.into_iter().chain(["--json"])).is(exit).says(says);
    };
    let place = format!("{}/policies/permits.cedar:{line}:", broken.display());
    refused(broken.to_str().unwrap(), 1, &[&place, "validation"]);
    refused("eu-ai-akt", 2, &["--policy", "eu-ai-akt", "enterprise-general, eu-ai-act"]);
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(empty.to_str().unwrap(), 1, &["manifest.toml"]);

    let exported = lexecon(["ledger", "partitions", "--json", "--data", data.to_str().unwrap()]).is(0).json();
    assert_eq!(exported["position"], events, "a refused bundle wrote something");
    let running = Running::on(&data, &[]);
    assert_eq!(activations(&running), before);
    assert_eq!(decided_under(&running, 1), hash("eu-ai-act"));

    // A new ledger with a broken choice is not begun.
    let fresh = directory.path().join("fresh");
    let args =
        ["serve", "--listen", "127.0.0.1:0", "--data", fresh.to_str().unwrap(), "--policy", broken.to_str().unwrap()];
    lexecon(args).is(1).says(&[&place]);
    assert!(!fresh.exists(), "a broken bundle touched the data directory");
}
