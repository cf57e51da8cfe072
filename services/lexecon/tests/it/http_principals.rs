//! Every operation of the document with every kind of principal there is today; and the log line of each answer.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::running::{Kept, Running, call, request, until};

const TOKEN: &str = "correct-horse-battery-staple";
/// The one operation that needs no token: whoever restarts a hung process must not need a secret.
const OPEN: &str = "/health/live";

#[test]
fn every_operation_needs_the_token_and_only_the_token() {
    let running = Running::with(&[("LEXECON_HTTP__TOKEN", TOKEN)]);
    let bearer = format!("Bearer {TOKEN}");
    let document = call(running.address, "GET", "/openapi.json", &[("authorization", &bearer)], b"").json();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.insert((method.to_ascii_uppercase(), path.clone()));
        }
    }
    assert!(operations.len() >= 20, "{operations:?}");
    let heads = || {
        call(running.address, "GET", "/v1/ledger/partitions", &[("authorization", &bearer)], b"").json()["items"]
            .clone()
    };
    let before = heads();
    let strangers: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", "Bearer correct-horse-battery-stapl")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==")],
        &[
            ("authorization", "Bearer correct-horse-battery-staple"),
            ("authorization", "Bearer another-token-of-somebody"),
        ],
    ];
    for (method, path) in &operations {
        let real = path
            .replace("{id}", "01234567-89ab-8def-8123-456789abcdef")
            .replace("{partition}", "0")
            .replace("{position}", "0");
        let ask = |headers: &[(&str, &str)]| {
            // A body that would be decided, if it were let in.
            let headers = [headers, &[("content-type", "application/json")]].concat();
            Kept::open(running.address).call(method, &real, &headers, request(1).as_bytes()).expect("an answer")
        };
        for headers in strangers {
            let answer = ask(headers);
            if path == OPEN {
                assert_eq!(answer.status, 200, "{method} {path}");
                continue;
            }
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (401, Some("unauthorized")),
                "{method} {path} {headers:?}"
            );
            assert!(answer.headers["www-authenticate"].starts_with("Bearer"), "{method} {path}");
        }
        if path == "/v1/decisions" && method == "POST" {
            assert_eq!(heads(), before, "a stranger's request was decided");
        }
        let answer = ask(&[("authorization", &bearer)]);
        assert!(![401, 403].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    }
    assert!(!running.logs().contains(TOKEN), "the token is in the log");
}

#[test]
fn the_log_names_the_request_and_the_trace() {
    let running = Running::with(&[("LEXECON_TELEMETRY__LEVEL", "debug")]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let check = |id: &str, path: &str, status: u64, route: &str, level: &str| {
        let headers = [("x-request-id", id), ("traceparent", parent.as_str())];
        let answer = call(running.address, "GET", path, &headers, b"");
        assert_eq!((u64::from(answer.status), answer.headers["x-request-id"].as_str()), (status, id), "{path}");
        let line = until(crate::running::START, || {
            let lines = running.logs();
            let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["request_id"] == id)
        });
        let line = line.unwrap_or_else(|| panic!("no line of {id}: {}", running.logs()));
        assert_eq!(line["trace_id"], trace, "{line}");
        assert_eq!(
            (&line["method"], &line["route"], &line["status"]),
            (&"GET".into(), &route.into(), &status.into()),
            "{line}"
        );
        assert_eq!(line["level"], level, "{line}");
        assert!(line["micros"].is_u64(), "{line}");
    };
    check("log-1", "/health/live", 200, "/health/live", "DEBUG");
    check("log-2", "/v1/decisions/01234567-89ab-8def-8123-456789abcdef", 404, "/v1/decisions/{id}", "INFO");
    check("log-3", "/v1/nothing", 404, "unmatched", "INFO");
    check("log-4", "/v1/decisions?after=0:999999999&wait=10", 503, "/v1/decisions", "WARN");
    // Without a trace of the caller's there is one all the same, and the drawn id is the one that was answered.
    let answer = call(running.address, "GET", "/health/live", &[], b"");
    let id = answer.headers["x-request-id"].clone();
    let line = until(crate::running::START, || {
        let lines = running.logs();
        lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["request_id"] == id.as_str())
    });
    let drawn = line.expect("a line")["trace_id"].as_str().unwrap().to_owned();
    assert!(drawn.len() == 32 && drawn != trace && drawn.bytes().all(|byte| byte.is_ascii_hexdigit()), "{drawn}");
}
