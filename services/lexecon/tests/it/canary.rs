//! Values of persons never come out of a log, a metric, an error or a look-up.

use serde_json::{Value, json};

use crate::running::{Kept, Running, call, request};

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
