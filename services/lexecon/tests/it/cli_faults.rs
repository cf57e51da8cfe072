//! What the program says when something is damaged, in the way or not as configured, and whether the command that it
//! names mends it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use engine::kv::rocks::RocksKv;
use engine::kv::{Kv as _, Space, Write};
use serde_json::Value;

use crate::cli::{Ended, lexecon, lexecon_with};
use crate::doors::skip;
use crate::running::{Running, program, request, until};

const SOON: Duration = Duration::from_secs(30);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stop(mut running: Running) -> PathBuf {
    running.signal("TERM");
    assert_eq!(running.ended(SOON).code(), Some(0));
    running.data.clone()
}

/// A request with the time at which it occurred, so that a repeat is the same body.
fn dated(number: usize, at: jiff::Timestamp) -> String {
    let mut body: Value = serde_json::from_str(&request(number)).unwrap();
    body["occurred_at"] = at.to_string().into();
    body.to_string()
}

/// A directory in which a few requests were decided, and what they were answered with.
struct Decided {
    _directory: tempfile::TempDir,
    data: PathBuf,
    bodies: Vec<String>,
    answers: Vec<Value>,
}

impl Decided {
    fn new() -> Decided {
        let directory = tempfile::tempdir().unwrap();
        let bodies: Vec<_> = (0..10).map(|number| dated(number, jiff::Timestamp::now())).collect();
        let running = Running::on(&directory.path().join("data"), &[]);
        let answers = answers(&running, &bodies);
        Decided { data: stop(running), _directory: directory, bodies, answers }
    }

    /// Starts again, and requires the same answers to the same requests.
    fn answers_the_same(&self) {
        let running = Running::on(&self.data, &[]);
        assert_eq!(answers(&running, &self.bodies), self.answers);
        stop(running);
    }
}

fn answers(running: &Running, bodies: &[String]) -> Vec<Value> {
    let ask = |body: &String| {
        let answer = running.post("/v1/decisions", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    bodies.iter().map(ask).collect()
}

/// `serve` on a directory that cannot be started.
fn does_not_start(data: &Path, says: &[&str]) {
    let environment = [("LEXECON_ENGINE__START_TIMEOUT_MS", "5000")];
    let ended = lexecon_with(&environment, &["serve", "--listen", "127.0.0.1:0", "--json", "--data", text(data)]);
    let ended = ended.is(3);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    let message = told["error"]["message"].as_str().unwrap();
    for words in says {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
}

fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect()
}

#[test]
fn a_damaged_state_is_made_anew_by_the_command_that_the_start_names() {
    let decided = Decided::new();
    let data = &decided.data;
    // A second start writes what was in the write-ahead log into files.
    decided.answers_the_same();
    let command = format!("lexecon rebuild --replace --data {}", data.display());
    let damage: [(&str, &dyn Fn()); 2] = [
        ("CURRENT", &|| fs::write(data.join("state/CURRENT"), "MANIFEST-999999\n").unwrap()),
        ("every table", &|| {
            let tables = files(&data.join("state"), ".sst");
            assert!(!tables.is_empty(), "no tables to damage");
            for table in tables {
                let length = fs::metadata(&table).unwrap().len();
                fs::write(&table, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
            }
        }),
    ];
    for (what, damage) in damage {
        damage();
        does_not_start(data, &["lexecon rebuild --replace"]);
        lexecon(["rebuild", "--data", text(data)]).is(3).says(&[&command]);
        let replaced = lexecon(["rebuild", "--replace", "--json", "--data", text(data)]).is(0).json();
        assert_eq!((&replaced["replaced"], replaced["parts"].as_array().unwrap().len()), (&true.into(), 6), "{what}");
        let rebuilt = lexecon(["rebuild", "--json", "--data", text(data)]).is(0).json();
        assert_eq!(rebuilt["equal"], true, "{what}: {rebuilt}");
        decided.answers_the_same();
    }
    assert!(!data.join("rebuild").exists(), "what it worked in is left behind");
}

#[test]
fn a_state_that_is_not_the_ledgers_is_found_and_replaced() {
    let decided = Decided::new();
    let data = &decided.data;
    let kv = RocksKv::open(&data.join("state"), &Default::default()).unwrap();
    let partition = u32::try_from(decided.answers[0]["ledger"]["partition"].as_u64().unwrap()).unwrap();
    let key = [&partition.to_be_bytes()[..], &[0xfe, 1, 2, 3]].concat();
    kv.write(vec![Write::Put(Space::State, key, vec![1])]).unwrap();
    drop(kv);
    lexecon(["rebuild", "--data", text(data)]).is(1).says(&["DIFFERENT", "lexecon rebuild --replace"]);
    let told = lexecon(["rebuild", "--json", "--data", text(data)]).is(1).json();
    let unequal: Vec<_> = told["parts"].as_array().unwrap().iter().filter(|part| part["equal"] == false).collect();
    assert_eq!((unequal.len(), &unequal[0]["name"]), (1, &"state".into()), "{told}");
    lexecon(["rebuild", "--replace", "--data", text(data)]).is(0).says(&["state", "replaced"]);
    lexecon(["rebuild", "--data", text(data)]).is(0).says(&["equal"]);
    decided.answers_the_same();
}

#[test]
fn a_lost_anchor_is_rebuilt_only_when_that_is_said() {
    let decided = Decided::new();
    let data = &decided.data;
    let command = format!("lexecon ledger anchor rebuild --data {}", data.display());
    let anchor = data.join("anchor");
    let damage: [&dyn Fn(); 2] =
        [&|| fs::remove_file(&anchor).unwrap(), &|| fs::write(&anchor, vec![7; 16_384]).unwrap()];
    for damage in damage {
        damage();
        let damaged = fs::read(&anchor).ok();
        does_not_start(data, &[&command]);
        lexecon(["replay", "--data", text(data)]).is(3).says(&[&command]);
        lexecon(["ledger", "anchor", "rebuild", "--data", text(data)]).is(2).says(&["never acknowledged", "--yes"]);
        assert_eq!(fs::read(&anchor).ok(), damaged, "it was done without being said");
        let rebuilt = lexecon(["ledger", "anchor", "rebuild", "--yes", "--json", "--data", text(data)]).is(0).json();
        assert_eq!((&rebuilt["rebuilt"], rebuilt["items"].as_array().unwrap().len()), (&true.into(), 8), "{rebuilt}");
        decided.answers_the_same();
    }
    let running = Running::on(data, &[]);
    lexecon(["ledger", "anchor", "rebuild", "--yes", "--data", text(data)]).is(3).says(&["in use"]);
    stop(running);
}

#[test]
fn commands_on_a_directory_use_what_it_was_decided_under() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let ahead = dated(1, jiff::Timestamp::now() + Duration::from_secs(3_600));
    let running = Running::on(
        &data,
        &[
            ("LEXECON_CLOCK__FUTURE_MAX_MS", "7200000"),
            ("LEXECON_DEDUP__RETENTION_HOURS", "480"),
            ("LEXECON_TOPOLOGY__PARTITIONS", "4"),
            ("LEXECON_TOPOLOGY__ROUTING", "tenant"),
        ],
    );
    assert_eq!(running.post("/v1/decisions", &ahead).status, 200);
    stop(running);
    let check = |ended: Ended, member: &str| {
        let ended = ended.is(0);
        let told: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(told[member], true, "{told}");
        ended.err
    };
    // Without any configuration: the directory says it.
    assert_eq!(check(lexecon(["replay", "--json", "--data", text(&data)]), "same"), "");
    assert_eq!(check(lexecon(["rebuild", "--json", "--data", text(&data)]), "equal"), "");
    let file = directory.path().join("request.json");
    fs::write(&file, dated(2, jiff::Timestamp::now())).unwrap();
    lexecon(["decide", text(&file), "--data", text(&data)]).is(0);
    lexecon(["backup", text(&directory.path().join("backup")), "--data", text(&data)]).is(0);
    assert_eq!(check(lexecon(["replay", "--json", "--data", text(&data)]), "same"), "");
    // With another one: it is said, and the directory goes before.
    let config = directory.path().join("other.toml");
    fs::write(&config, "[topology]\npartitions = 16\n[clock]\nfuture_max_ms = 0\n").unwrap();
    let said = check(lexecon(["replay", "--json", "--data", text(&data), "--config", text(&config)]), "same");
    for words in ["topology.partitions is 16", "clock.future_max_ms is 0", "7200000", "480"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let variable = [("LEXECON_CONFIG", text(&config))];
    lexecon_with(&variable, &["decide", text(&file), "--data", text(&data)]).is(0).says(&["future_max_ms"]);
    // `serve` is what changes them, and names the keys that cannot be changed.
    does_not_start(&data, &["topology.partitions is 8", "in the configuration and 4"]);
    // Judged by other terms the same ledger comes out different, and that is said with exit code 1.
    let description = data.join("lexecon.toml");
    let changed = fs::read_to_string(&description).unwrap().replace("future_max_us = 7200000000", "future_max_us = 1");
    fs::write(&description, changed).unwrap();
    lexecon(["replay", "--data", text(&data)]).is(1).says(&["DIFFERENT"]);
    let told = lexecon(["replay", "--json", "--data", text(&data)]).is(1).json();
    assert!(told["same"] == false && told["first_difference"]["seq"].is_u64(), "{told}");
}

#[test]
fn what_a_running_system_cannot_do_is_said_with_the_way_to_do_it() {
    let running = Running::start();
    let url = format!("http://{}", running.address);
    for command in ["replay", "rebuild"] {
        let backup = format!("lexecon {command} --data DIR");
        lexecon([command, "--url", &url]).is(2).says(&["lexecon backup DIR", &backup]);
        lexecon([command, "--data", text(&running.data)]).is(3).says(&["in use", "lexecon backup DIR", &backup]);
    }
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    lexecon(["backup", text(&empty), "--url", &url]).is(0);
    lexecon(["replay", "--data", text(&empty)]).is(0).says(&["the same"]);
    lexecon(["backup", text(&empty), "--url", &url]).is(1).says(&["not empty"]);
}

#[test]
fn failures_have_one_shape_in_json() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("holiday.jpg"), b"x").unwrap();
    let broken = directory.path().join("broken.toml");
    fs::write(&broken, "[http]\npage_max = \"seven\"\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let cases: &[(&[&str], i32, &str, &str)] = &[
        (&["serve", "--data", text(&foreign), "--listen", "127.0.0.1:0"], 3, "data", "not Lexecon's"),
        (&["serve", "--config", text(&broken)], 2, "configuration", "http.page_max"),
        (&["serve", "--data", text(&foreign), "--listen", &address], 4, "listen", "--listen"),
        (&["replay", "--data", text(&foreign)], 3, "data", "lexecon serve"),
        (&["decied"], 2, "usage", "decide"),
        (&["serve", "--data"], 2, "usage", "--data"),
        (&["rebuild", "--url", "http://localhost"], 2, "usage", "lexecon backup"),
    ];
    for (args, exit, code, words) in cases {
        let told = lexecon(args.iter().chain(&["--json"])).is(*exit).json();
        assert_eq!(told["error"]["code"], *code, "{args:?}: {told}");
        assert!(told["error"]["message"].as_str().unwrap().contains(words), "{args:?}: {told}");
        assert_eq!(told.as_object().unwrap().len(), 1, "{args:?}: {told}");
    }
    lexecon(["--help", "--json"]).is(0).says(&["Usage"]);
}

#[test]
fn a_signal_ends_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let free = rustix::fs::statvfs(directory.path()).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)).unwrap();
    if free > 1 << 40 {
        return skip(
            "a_signal_ends_a_start",
            "more space is free than can be asked for, so nothing holds the start up",
        );
    }
    // Too little space: nothing is written, so no partition is owned, and the start waits.
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data", text(&directory.path().join("data"))])
        .envs([("LEXECON_LOG__FREE_BYTES_MIN", "1099511627776"), ("LEXECON_LOG__PROBE_MS", "10")])
        .stdout(Stdio::piped())
        .stderr(fs::File::create(directory.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let logs = || fs::read_to_string(directory.path().join("log")).unwrap();
    let held = until(SOON, || logs().contains("event log accepts nothing more").then_some(()));
    let began = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let ended = until(Duration::from_secs(10), || child.try_wait().unwrap());
    let _ = child.kill();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let _ = child.wait();
    assert!(held.is_some(), "the start was not held up: {}", logs());
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "after {:?}: {}", began.elapsed(), logs());
    assert_eq!(said, "", "it listened nevertheless");
}
