//! Doors that other tests pass by: the answer that comes before the decision, framed bytes, repeats in one batch, the
//! export as JSON, dead letters of a directory, a directory that may not be written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use domain::ids::{Action, ActorId, RequestId, Tenant};
use domain::request::{Actor, ActorKind, Request, RiskClass};
use ledger::export::{Parser, decode_heads};
use ledger::{RecordKind, StoredEvent};
use serde_json::{Value, json};

use crate::cli::lexecon;
use crate::running::{Running, call, program, request, until};

const SOON: Duration = Duration::from_secs(20);
const OCTETS: [(&str, &str); 1] = [("content-type", "application/octet-stream")];

fn url(running: &Running) -> String {
    format!("http://{}", running.address)
}

/// Says that a test did not run, and has it counted (see ops/test).
pub fn skip(name: &str, why: &str) {
    println!("skipped: {name}: {why}");
    if let Some(skips) = std::env::var_os("LEXECON_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(skips).unwrap();
        writeln!(file, "{name}: {why}").unwrap();
    }
}

#[test]
fn what_is_not_decided_in_time_is_in_the_log_and_found_at_its_location() {
    let running = Running::start();
    // With a wait of 0 only a decision that is there already is in time; a sync takes longer than nothing.
    let seen = (0..50).find_map(|number| {
        let answer = running.post("/v1/decisions?wait=0", &request(number));
        assert!([200, 202].contains(&answer.status), "{}", answer.text());
        (answer.status == 202).then_some((number, answer))
    });
    let (number, answer) = seen.expect("50 decisions in no time");
    let problem = answer.json();
    assert_eq!((&problem["code"], &problem["status"]), (&"pending".into(), &202.into()), "{problem}");
    let location = answer.headers["location"].clone();
    let found = until(SOON, || Some(running.get(&location)).filter(|answer| answer.status == 200));
    assert_eq!(found.expect("the decision").json()["request_id"], format!("r-{number}"));
    // Some of a batch, too; each says for itself where it is found.
    let bodies: Vec<Value> = (100..150).map(|number| serde_json::from_str(&request(number)).unwrap()).collect();
    let answer = running.post("/v1/decisions:batch?wait=0", &json!({"requests": bodies}).to_string());
    let results = answer.json()["results"].as_array().unwrap().clone();
    let pending: Vec<_> = results.iter().filter(|result| result["code"] == "pending").collect();
    assert!(!pending.is_empty(), "{results:?}");
    for result in pending {
        let location = result["location"].as_str().unwrap();
        assert!(until(SOON, || (running.get(location).status == 200).then_some(())).is_some(), "{location}");
    }
}

#[test]
fn framed_bytes_are_decided_like_any_request() {
    let running = Running::start();
    let now = jiff::Timestamp::now().as_microsecond();
    let request = Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: RequestId::new("framed-1").unwrap(),
        actor: Actor {
            id: ActorId::new("agent-1").unwrap(),
            kind: ActorKind::Agent,
            model: None,
            roles: Default::default(),
            on_behalf_of: None,
        },
        action: Action::new("read_document").unwrap(),
        tool: None,
        resource: None,
        intent: None,
        data_classes: Default::default(),
        practice: None,
        risk_class: RiskClass::Minimal,
        risk: None,
        confidence_percent: None,
        amount: None,
        purpose: None,
        legal_basis: None,
        approval: None,
        context: BTreeMap::new(),
        subjects: Vec::new(),
        occurred_at_us: now,
    };
    let framed = wire::framing::join(wire::NEWEST, &wire::encode_request(&request).unwrap());
    // Whatever partition a producer takes: it is forwarded to where it belongs, and decided once.
    for partition in 0..8 {
        let path = format!("/v1/requests:raw?partition={partition}");
        let sent = call(running.address, "POST", &path, &OCTETS, &framed);
        assert_eq!((sent.status, &sent.json()["partition"]), (202, &partition.into()), "{}", sent.text());
    }
    let found = until(SOON, || {
        let answer = running.get("/v1/requests?tenant=default&actor=agent-1&request_id=framed-1");
        Some(answer).filter(|answer| answer.status == 200)
    });
    let found = found.expect("a decision").json();
    assert_eq!((&found["kind"], &found["action"]), (&"decided".into(), &"read_document".into()), "{found}");
    let listed = lexecon(["decisions", "list", "--json", "--actor", "agent-1", "--url", &url(&running)]).is(0).json();
    let decided = listed["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "decided").count();
    assert_eq!(decided, 1, "{listed}");
}

#[test]
fn the_same_request_twice_in_a_batch_is_one_event() {
    let running = Running::start();
    let mut body: Value = serde_json::from_str(&request(1)).unwrap();
    body["occurred_at"] = jiff::Timestamp::now().to_string().into();
    let mut other = body.clone();
    other["action"] = "send_email".into();
    let answer = running.post("/v1/decisions:batch", &json!({"requests": [body, body, other, body]}).to_string());
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert!(results[0]["decision_id"].is_string(), "{results:?}");
    assert_eq!((&results[0], &results[0]), (&results[1], &results[3]), "a repeat has the same bytes");
    assert_eq!(results[2]["code"], "conflict", "{results:?}");
    let of_request = |kind: &str| {
        let outcomes = lexecon(["outcomes", "--json", "--url", &url(&running)]).is(0).lines();
        outcomes.into_iter().filter(|line| line["request_id"] == "r-1" && line["kind"] == kind).collect::<Vec<_>>()
    };
    // The conflict comes after the decision, so with it all of them are there.
    assert!(until(SOON, || (of_request("conflicted").len() == 1).then_some(())).is_some(), "no conflict");
    let decided = of_request("decided");
    assert_eq!((decided.len(), &decided[0]["event_hash"]), (1, &results[0]["ledger"]["event_hash"]), "{decided:?}");
}

#[test]
fn the_ledger_as_json_is_the_ledger_as_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::on(&directory.path().join("data"), &[]);
    for number in 0..20 {
        assert_eq!(running.post("/v1/decisions", &request(number)).status, 200);
    }
    let export = |name: &str, format: &str, source: [&str; 2]| {
        let to = directory.path().join(name);
        let args = ["ledger", "export", "--format", format, "--out", to.to_str().unwrap()];
        lexecon(args.into_iter().chain(source)).is(0);
        fs::read(to).unwrap()
    };
    let url = url(&running);
    let online = export("online.json", "json", ["--url", &url]);
    let mut running = running;
    running.signal("TERM");
    assert!(running.ended(SOON).success());
    let data = running.data.display().to_string();
    let offline = export("offline.json", "json", ["--data", &data]);
    assert!(online == offline, "a running system and its directory export other lines");
    let lines: Vec<Value> = offline
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let mut parser = Parser::default();
    parser.feed(&export("ledger", "ledger", ["--data", &data]));
    let (mut events, mut heads) = (Vec::new(), Vec::new());
    while let Some(record) = parser.next_record().unwrap() {
        match record.kind {
            RecordKind::Event => {
                let event = StoredEvent::decode(record.bytes).unwrap();
                events.push((
                    event.body.event_id.to_string(),
                    event.event_hash.to_string(),
                    event.prev_hash.to_string(),
                ));
            }
            RecordKind::Heads => heads = decode_heads(record.bytes).unwrap(),
            RecordKind::Schema | RecordKind::Run => {}
        }
    }
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let mut of_json: Vec<_> =
        lines.iter().map(|line| (text(line, "event_id"), text(line, "event_hash"), text(line, "prev_hash"))).collect();
    of_json.sort();
    events.sort();
    assert!(events.len() > 20);
    assert_eq!(of_json, events);
    for head in heads {
        let of_partition = lines.iter().filter(|line| line["partition"] == head.partition);
        assert_eq!(of_partition.filter_map(|line| line["seq"].as_u64()).max(), Some(head.last_seq));
    }
    assert_eq!(lines.iter().filter(|line| line["outcome"].is_string()).count(), 20);
}

#[test]
fn dead_letters_of_a_directory_are_those_of_its_system() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::on(&directory.path().join("data"), &[]);
    for garbage in [b"\0\0\0\0\x01garbage", b"\0\0\0\0\x01rubbish"] {
        assert_eq!(call(running.address, "POST", "/v1/requests:raw", &OCTETS, garbage).status, 202);
    }
    let online = ["--json".to_owned(), "--url".to_owned(), url(&running)];
    let list = |source: &[String]| {
        let list = lexecon(["dlq", "list"].map(str::to_owned).iter().chain(source)).is(0).json();
        list["items"].as_array().unwrap().clone()
    };
    let before = until(SOON, || Some(list(&online)).filter(|items| items.len() == 2)).expect("two dead letters");
    running.signal("TERM");
    assert!(running.ended(SOON).success());
    let data = running.data.display().to_string();
    let offline = ["--json".to_owned(), "--data".to_owned(), data.clone()];
    assert_eq!(list(&offline), before);
    let id = format!("{}:{}", before[0]["partition"], before[0]["position"]);
    lexecon(["dlq", "discard", &id, "--data", &data]).is(0).says(&[&id]);
    lexecon(["dlq", "show", &id, "--data", &data]).is(0).says(&["discarded"]);
    lexecon(["dlq", "discard", &id, "--data", &data]).is(1).says(&["already"]);
    lexecon(["dlq", "show", "0:99", "--data", &data]).is(1).says(&["no dead letter"]);
}

#[test]
fn a_directory_that_may_not_be_written_is_refused() {
    if rustix::process::geteuid().is_root() {
        return skip("a_directory_that_may_not_be_written_is_refused", "root may write everywhere");
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let mode = |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    let ended = program().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output().unwrap();
    mode(0o700);
    assert_eq!(ended.status.code(), Some(3));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("writable by this user") && said.contains(data.to_str().unwrap()), "{said}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
}
