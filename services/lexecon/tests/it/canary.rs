//! Values of persons never come out of a log, a metric, an error or a look-up, and stand in no file: neither of the data
//! directory nor of an export or a backup.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::lexecon;
use crate::running::{Kept, Running, call, request, until};

const CANARY: &str = "Kanarienvogel";

fn personal(id: &str) -> Value {
    let mut body: Value = serde_json::from_str(&request(1)).unwrap();
    body["request_id"] = json!(id);
    body["actor"] = json!({"id": format!("{CANARY}-actor"), "kind": "person", "on_behalf_of": {"id": format!("{CANARY}-chief"), "kind": "person"}});
    body["subjects"] = json!([
        {"id_type": "email", "id": format!("{CANARY}@example.com"), "role": "recipient", "fields": {"name": format!("Anna {CANARY}")}},
        {"id_type": "national", "id": format!("17-{CANARY}"), "role": "payee"},
    ]);
    body
}

#[test]
fn personal_values_come_out_nowhere() {
    let running = Running::with(&[("LEXECON_TELEMETRY__LEVEL", "trace")]);
    let mut told = Vec::new();
    let mut post = |body: &Value| told.push(running.post("/v1/decisions", &body.to_string()));

    post(&personal("decided"));
    let mut conflicting = personal("decided");
    conflicting["amount"] = json!({"minor_units": 1, "currency": "EUR"});
    post(&conflicting);
    // Rejections, at the edge and recorded, each with a value at fault.
    let mut faulty = |change: &dyn Fn(&mut Value)| {
        let mut body = personal("faulty");
        change(&mut body);
        post(&body);
    };
    faulty(&|body| body["tenant"] = json!("nobody"));
    faulty(&|body| body["occurred_at"] = json!(CANARY));
    faulty(&|body| body["occurred_at"] = json!("2001-01-01T00:00:00Z"));
    faulty(&|body| body["subjects"][0]["fields"][CANARY] = json!(17));
    faulty(&|body| body["subjects"][0][CANARY] = json!(17));
    faulty(&|body| body["subjects"][0]["id_type"] = json!(CANARY));
    faulty(&|body| body["subjects"][0]["fields"]["name"] = json!(format!("{CANARY}\u{0}")));
    faulty(&|body| body["subjects"][1]["id"] = json!(""));
    faulty(&|body| body["actor"]["id"] = json!(format!("{CANARY}@example.com")));
    faulty(&|body| body["actor"]["kind"] = json!(CANARY));
    faulty(&|body| body["risk"] = json!(CANARY));
    faulty(&|body| body["context"] = json!({"note": {"deep": CANARY}}));
    let batch = json!({"requests": [personal("in-batch"), {"request_id": CANARY}]});
    told.push(running.post("/v1/decisions:batch", &batch.to_string()));
    let octets = [("content-type", "application/octet-stream")];
    told.push(call(running.address, "POST", "/v1/requests:raw", &octets, format!("\0\0\0\0\u{1}{CANARY}").as_bytes()));
    // In paths, queries and headers.
    told.push(running.get(&format!("/v1/{CANARY}")));
    told.push(running.get(&format!("/v1/decisions?{CANARY}={CANARY}")));
    told.push(running.get(&format!("/v1/decisions?limit={CANARY}")));
    told.push(running.get(&format!("/v1/decisions/{CANARY}")));
    told.push(running.get(&format!("/v1/decisions?actor={CANARY}-actor")));
    told.push(running.get(&format!("/v1/requests?tenant=default&actor={CANARY}-actor&request_id=decided")));
    told.push(running.get("/v1/decisions?limit=100"));
    told.push(running.get("/v1/dead-letters"));
    told.push(running.get("/v1/outcomes?partition=0"));
    told.push(running.get("/v1/statistics"));
    let headers = [
        ("x-request-id", "Kanarienvogel@example.com"),
        ("authorization", "Bearer Kanarienvogel"),
        ("traceparent", CANARY),
    ];
    told.push(call(running.address, "GET", "/health", &headers, b""));
    told.push(call(running.address, CANARY, "/health", &[], b""));
    let mut broken = Kept::open(running.address);
    let _ = broken.send(format!("GET / HTTP/1.1\r\n{CANARY}\r\n\r\n").as_bytes());
    told.extend(broken.answer());

    assert_eq!(told[0].status, 200, "{}", told[0].text());
    assert_eq!(told[1].status, 409, "{}", told[1].text());
    for answer in &told {
        let headers = answer
            .headers
            .iter()
            .filter(|(name, _)| *name != "location")
            .map(|(name, value)| format!("{name}: {value}"));
        let all = format!("{} {}", headers.collect::<Vec<_>>().join("\n"), answer.text());
        assert!(!all.contains(CANARY), "{all}");
    }
    assert!(!running.get("/metrics").text().contains(CANARY));
    let logs = running.logs();
    assert!(logs.lines().count() > 10, "the log says nothing, so it proves nothing: {logs}");
    assert!(!logs.contains(CANARY), "{}", logs.lines().find(|line| line.contains(CANARY)).unwrap_or_default());
}

/// Files under a path, and which of them hold these bytes.
fn scan(path: &Path, bytes: &[u8], read: &mut usize, hits: &mut Vec<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            scan(&entry.unwrap().path(), bytes, read, hits);
        }
        return;
    }
    let text = std::fs::read(path).unwrap();
    *read += 1;
    if text.windows(bytes.len()).any(|window| window == bytes) {
        hits.push(path.display().to_string());
    }
}

#[test]
fn personal_values_are_in_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // Uncompressed, so that what is written is what is looked for.
    let plain = [("LEXECON_LOG__COMPRESSION", "off"), ("LEXECON_LOG__COMPRESSION_OLDEST", "off")];
    let running = Running::on(&data, &plain);
    for number in 0..50 {
        let answer = running.post("/v1/decisions", &personal(&format!("written-{number}")).to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let octets = [("content-type", "application/octet-stream")];
    let garbage = format!("\0\0\0\0\u{1}{CANARY}");
    assert_eq!(call(running.address, "POST", "/v1/requests:raw", &octets, garbage.as_bytes()).status, 202);
    let set_aside = until(crate::running::START, || running.get("/v1/dead-letters").json()["items"].get(0).map(drop));
    set_aside.expect("a dead letter");

    let url = format!("http://{}", running.address);
    let at = |name: &str| directory.path().join(name).display().to_string();
    let ask = |args: &[&str]| lexecon(args.iter().copied().chain(["--url", url.as_str()])).is(0);
    ask(&["ledger", "export", "--out", &at("binary.ledger")]);
    ask(&["ledger", "export", "--format", "json", "--out", &at("events.json")]);
    ask(&["backup", &at("backup")]);
    let lines = std::fs::read_to_string(directory.path().join("events.json")).unwrap();
    assert!(
        lines.lines().filter(|line| line.contains("read_document")).count() >= 50,
        "the export says nothing: {lines}"
    );
    running.stop();

    // The scan sees what is there: the action is no personal value, and stands in clear wherever an event does.
    let (mut read, mut seen, mut hits) = (0, Vec::new(), Vec::new());
    scan(directory.path(), b"read_document", &mut read, &mut seen);
    for place in ["events.json", "binary.ledger", "/data/log/", "/backup/log/"] {
        assert!(seen.iter().any(|path| path.contains(place)), "nothing is found in {place}: {seen:?}");
    }
    read = 0;
    scan(directory.path(), CANARY.as_bytes(), &mut read, &mut hits);
    println!("{read} files scanned for {CANARY}: {} hits", hits.len());
    assert_eq!(hits, Vec::<String>::new());
}
