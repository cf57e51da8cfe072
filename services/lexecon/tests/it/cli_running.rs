//! Commands against a running system, and against its directory after it stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Ended, lexecon, root};
use crate::running::{Running, until};

fn url(running: &Running) -> String {
    format!("http://{}", running.address)
}

fn examples() -> Vec<String> {
    let mut paths: Vec<_> =
        fs::read_dir(root().join("examples/requests")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| path.display().to_string()).collect()
}

fn decide(source: &[&str]) -> Ended {
    decide_files(&examples(), source)
}

/// The examples with the time at which they occurred, as producers state it: only then is a repeat the same body.
fn dated(folder: &Path) -> Vec<String> {
    let now = jiff::Timestamp::now().to_string();
    let write = |path: &String| {
        let mut body: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        body["occurred_at"] = now.as_str().into();
        let to = folder.join(Path::new(path).file_name().unwrap());
        fs::write(&to, body.to_string()).unwrap();
        to.display().to_string()
    };
    examples().iter().map(write).collect()
}

fn decide_files(files: &[String], source: &[&str]) -> Ended {
    lexecon(["decide", "--json"].into_iter().chain(files.iter().map(String::as_str)).chain(source.iter().copied()))
}

/// The verifier, built beside the program.
fn verify(export: &Path) -> (i32, Value) {
    let program = Path::new(env!("CARGO_BIN_EXE_lexecon")).with_file_name("ledger-verify");
    assert!(program.exists(), "{} is missing: cargo build --release --workspace --bins", program.display());
    let output = Command::new(program).arg(export).arg("--json").output().unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

fn stop(mut running: Running) -> PathBuf {
    running.signal("TERM");
    assert_eq!(running.ended(Duration::from_secs(20)).code(), Some(0));
    running.data.clone()
}

#[test]
fn a_running_system_and_its_directory_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::on(&directory.path().join("data"), &[]);
    let url = url(&running);
    let decided = decide(&["--url", &url]).is(0).lines();
    assert_eq!(decided.len(), examples().len());
    for line in &decided {
        let name = Path::new(line["file"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(line["outcome"], name.split('-').next().unwrap(), "{line}");
    }
    lexecon(["decide", &examples()[0], "--url", &url]).is(0).says(&["deny", "ledger ", "policies: "]);

    let questions: &[&[&str]] = &[
        &["decisions", "list", "--limit", "1000"],
        &["decisions", "list", "--outcome", "deny"],
        &["decisions", "list", "--action", "send_email"],
        &["decisions", "list", "--actor", "agent-bank-07"],
        &["decisions", "get", decided[0]["decision_id"].as_str().unwrap()],
        &["requests", "get", "example-deny-credentials-sent", "--actor", "agent-mail-02"],
        &["outcomes"],
    ];
    // Read models follow: look until all is there.
    let all = until(Duration::from_secs(20), || {
        let list = lexecon(["decisions", "list", "--json", "--url", &url]).is(0).json();
        (list["items"].as_array().unwrap().len() == decided.len()).then_some(list)
    });
    assert!(all.is_some(), "the read models do not catch up");
    let ask = |question: &[&str], source: [&str; 2]| {
        let mut lines = lexecon(question.iter().copied().chain(["--json"]).chain(source)).is(0).lines();
        lines.iter_mut().filter_map(Value::as_object_mut).for_each(|line| drop(line.remove("position")));
        lines
    };
    let online: Vec<_> = questions.iter().map(|question| ask(question, ["--url", &url])).collect();
    assert_eq!(online[0][0]["items"].as_array().unwrap().len(), decided.len());
    assert_eq!(online[1][0]["items"].as_array().unwrap().len(), 5);
    assert_eq!(online[6].len(), decided.len());
    lexecon(["decisions", "get", "00000000-0000-4000-8000-000000000000", "--url", &url]).is(1).says(&["not_found"]);
    lexecon(["ledger", "partitions", "--data", running.data.to_str().unwrap()]).is(3).says(&["in use", "--url"]);

    let export = directory.path().join("online.ledger");
    lexecon(["ledger", "export", "--out", export.to_str().unwrap(), "--url", &url]).is(0).says(&["ledger-verify"]);
    let data = stop(running);
    let source = ["--data", data.to_str().unwrap()];
    for (question, online) in questions.iter().zip(&online) {
        assert_eq!(&ask(question, source), online, "{question:?}");
    }
    let offline = directory.path().join("offline.ledger");
    lexecon(["ledger", "export", "--out", offline.to_str().unwrap()].into_iter().chain(source)).is(0);
    assert_eq!(verify(&export).1["verdict"], "VALID");
    let (code, verified) = verify(&offline);
    assert_eq!((code, &verified["verdict"]), (0, &"VALID".into()), "{verified}");
    lexecon(["ledger", "export", "--out", offline.to_str().unwrap()].into_iter().chain(source))
        .is(2)
        .says(&["exists already"]);
    assert!(!offline.with_file_name("offline.ledger.part").exists());
}

#[test]
fn replay_and_rebuild_prove_a_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::on(&directory.path().join("data"), &[]);
    decide(&["--url", &url(&running)]).is(0);
    let data = stop(running);
    let source = ["--json", "--data", data.to_str().unwrap()];
    let replayed = lexecon(["replay"].into_iter().chain(source)).is(0).json();
    assert_eq!((&replayed["same"], &replayed["first_difference"]), (&true.into(), &Value::Null), "{replayed}");
    assert!(replayed["reproduced"].as_u64().unwrap() >= examples().len() as u64, "{replayed}");
    let rebuilt = lexecon(["rebuild"].into_iter().chain(source)).is(0).json();
    assert_eq!(rebuilt["equal"], true, "{rebuilt}");
    assert!(rebuilt["parts"].as_array().unwrap().len() >= 4, "{rebuilt}");
    // A directory with nothing in it, and none at all.
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for command in ["replay", "rebuild"] {
        lexecon([command, "--data", empty.to_str().unwrap()]).is(3).says(&["lexecon serve"]);
    }
}

#[test]
fn deciding_on_a_directory_needs_no_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").display().to_string();
    let files = dated(directory.path());
    let first = decide_files(&files, &["--data", &data]).is(0).lines();
    let again = decide_files(&files, &["--data", &data]).is(0).lines();
    assert_eq!(first, again, "a repeat has the same bytes");
    let outcomes: BTreeMap<_, _> = first.iter().map(|line| (line["outcome"].to_string(), ())).collect();
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn what_is_refused_is_said_and_ends_with_1() {
    let running = Running::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.json");
    fs::write(&file, r#"{"request_id": "r", "actor": {"id": "a"}, "action": "pay", "unknown": 1}"#).unwrap();
    let refused =
        lexecon(["decide", "--json", file.to_str().unwrap(), &examples()[0], "--url", &url(&running)]).is(1).lines();
    assert_eq!((&refused[0]["outcome"], &refused[0]["status"]), (&Value::Null, &400.into()));
    assert!(refused[0]["problem"].to_string().contains("unknown") && refused[1]["outcome"] == "deny", "{refused:?}");
    lexecon(["decide", file.to_str().unwrap(), "--url", &url(&running)]).is(1).says(&["refused", "unknown"]);
}

#[test]
fn load_sends_at_its_rate_and_counts_every_outcome() {
    let running = Running::start();
    let url = url(&running);
    let load = |more: &[&str]| lexecon(["load", "--rate", "400", "--duration", "2s", "--url", &url].iter().chain(more));
    let report = load(&["--json", "--seed", "11"]).is(0).json();
    let count = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    assert_eq!((count("/sent"), count("/answered"), count("/not_sent")), (800, 800, 0), "{report}");
    for outcome in ["permit", "deny", "escalate"] {
        assert!(count(&format!("/outcomes/{outcome}")) >= 40, "{report}");
    }
    assert_eq!(count("/outcomes/permit") + count("/outcomes/deny") + count("/outcomes/escalate"), 800);
    assert!(report["reasons"].as_object().unwrap().len() >= 6, "{report}");
    let rate = report["achieved_rate"].as_f64().unwrap();
    assert!((200.0..440.0).contains(&rate), "{report}");
    for latency in ["latency", "service"] {
        let at = |name: &str| report[latency][name].as_u64().unwrap();
        assert!(0 < at("p50_us") && at("p50_us") <= at("p99_us") && at("p99_us") <= at("max_us"), "{report}");
    }
    // In batches, for people, and without a bar where there is no terminal.
    let told = load(&["--batch", "50", "--seed", "12"]).is(0);
    told.says(&["800 requests", "permit", "deny", "escalate", "p99.9", "from when it was due"]);
    assert_eq!(told.err, "");
    // An unknown tenant is refused, and the exit code says that not all were decided.
    let refused = load(&["--tenants", "nobody", "--json"]).is(1).json();
    assert_eq!(refused["refused"]["rejected"], 800, "{refused}");
}

#[test]
fn a_server_that_stalls_is_charged_for_what_was_due() {
    let running = Running::start();
    let url = url(&running);
    let args = ["load", "--rate", "200", "--duration", "3s", "--connections", "2", "--json", "--url", &url];
    let load = std::thread::spawn({
        let args = args.map(str::to_owned);
        move || lexecon(args)
    });
    until(Duration::from_secs(10), || {
        running.get("/v1/outcomes?partition=0").json()["items"].as_array().filter(|i| !i.is_empty()).map(drop)
    });
    running.signal("STOP");
    std::thread::park_timeout(Duration::from_millis(1000));
    running.signal("CONT");
    let report = load.join().unwrap().is(0).json();
    let at = |part: &str, name: &str| report[part][name].as_u64().unwrap();
    // Two calls were waiting in the stall, about two hundred were due in it.
    assert!(at("latency", "p90_us") > 300_000, "{report}");
    assert!(at("service", "p90_us") < at("latency", "p90_us"), "{report}");
}

#[test]
fn a_file_of_requests_is_answered_line_by_line_in_its_order() {
    let running = Running::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests.jsonl");
    let bodies: Vec<Value> = dated(directory.path())
        .iter()
        .map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        .collect();
    let mut lines: Vec<String> = bodies.iter().map(Value::to_string).collect();
    lines.push("{\"request_id\":\"broken\"".into());
    fs::write(&file, lines.join("\n")).unwrap();
    for batch in ["1", "4"] {
        let args = ["load", "--json", "--batch", batch, "--file", file.to_str().unwrap(), "--url", &url(&running)];
        let answers = lexecon(args).is(1).lines();
        assert_eq!(answers.len(), lines.len());
        for (answer, body) in answers.iter().zip(&bodies) {
            if answer.get("refused").is_none() {
                assert_eq!(answer["request_id"], body["request_id"]);
                let expected = body["request_id"].as_str().unwrap().split('-').nth(1).unwrap();
                assert_eq!(answer["outcome"], expected, "{answer}");
            }
        }
        assert!(answers.last().unwrap().get("refused").is_some());
        let decided = answers.iter().filter(|answer| answer["outcome"].is_string()).count();
        assert!(decided >= bodies.len() - 3, "only the batch with the broken line may be refused: {answers:?}");
    }
}

#[test]
fn dead_letters_are_listed_shown_and_dealt_with() {
    let running = Running::start();
    let source = ["--url", &url(&running)];
    let octets = [("content-type", "application/octet-stream")];
    for garbage in [b"\0\0\0\0\x01garbage", b"\0\0\0\0\x01rubbish"] {
        let sent = crate::running::call(running.address, "POST", "/v1/requests:raw", &octets, garbage);
        assert_eq!(sent.status, 202, "{}", sent.text());
    }
    let dlq = |args: &[&str], code: i32| lexecon(["dlq"].iter().chain(args).chain(&source)).is(code);
    let items = until(Duration::from_secs(20), || {
        let list = dlq(&["list", "--json"], 0).json();
        list["items"].as_array().filter(|items| items.len() == 2).cloned()
    });
    let items = items.expect("two dead letters");
    let id = |item: &Value| format!("{}:{}", item["partition"], item["position"]);
    let (one, two) = (id(&items[0]), id(&items[1]));
    dlq(&["list"], 0).says(&[&one, &two, "undecodable", "2 dead letters"]);
    dlq(&["show", &one], 0).says(&["undecodable", "open"]);
    dlq(&["retry", &one], 0).says(&[&one]);
    dlq(&["retry", &one], 1).says(&["already"]);
    dlq(&["discard", &two], 0).says(&[&two]);
    dlq(&["discard", &two], 1).says(&["already"]);
    let states: Vec<_> = [&one, &two].map(|id| dlq(&["show", id, "--json"], 0).json()["state"].clone()).into();
    assert_eq!(states, ["retried", "discarded"]);
    lexecon(["dlq", "show", "0:99999"].into_iter().chain(source)).is(1).says(&["not_found"]);
}

#[test]
fn a_backup_taken_while_running_can_be_started_and_verified() {
    let running = Running::start();
    let source = ["--url", &url(&running)];
    let directory = tempfile::tempdir().unwrap();
    let files = dated(directory.path());
    let decided = decide_files(&files, &source).is(0).lines();
    let backup = directory.path().join("backup");
    lexecon(["backup", backup.to_str().unwrap()].into_iter().chain(source))
        .is(0)
        .says(&["keys", "lexecon serve --data"]);
    lexecon(["backup", backup.to_str().unwrap()].into_iter().chain(source)).is(1);
    let inside = running.data.join("inside");
    lexecon(["backup", inside.to_str().unwrap(), "--data", running.data.to_str().unwrap()]).is(2).says(&["outside"]);
    let replayed = lexecon(["replay", "--json", "--data", backup.to_str().unwrap()]).is(0).json();
    assert!(replayed["reproduced"].as_u64().unwrap() >= decided.len() as u64, "{replayed}");
    let restored = Running::on(&backup, &[]);
    assert_eq!(
        decide_files(&files, &["--url", &url(&restored)]).is(0).lines(),
        decided,
        "what was decided is decided the same"
    );
}
