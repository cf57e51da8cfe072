//! The table of bad bodies: code, path, and that no value is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const NOW: i64 = 1_700_000_000_000_000;
const DEPTH: usize = 16;

/// A body that is right, with `change` merged in at the top.
fn body(change: &str) -> String {
    let base = r#""request_id":"r1","actor":{"id":"agent-7"},"action":"read""#;
    if change.is_empty() { format!("{{{base}}}") } else { format!("{{{base},{change}}}") }
}

fn check(bytes: &[u8], code: &str, path: &str, error_code: &str, says: &str) {
    let shown = String::from_utf8_lossy(bytes);
    let shown: String = shown.chars().take(200).collect();
    let problem = request(bytes, DEPTH, NOW).expect_err(&shown);
    let text = serde_json::to_string(&problem).unwrap();
    assert_eq!(problem.code, code, "{shown}: {text}");
    let (found_path, found_code) = problem.errors.first().map_or(("", ""), |error| (error.path.as_str(), error.code));
    assert_eq!((found_path, found_code), (path, error_code), "{shown}: {text}");
    assert!(text.contains(says), "{shown}: {text}");
    assert!(!text.contains("CANARY"), "{shown}: a value is told: {text}");
    for word in ["struct ", "enum ", "Body", "u8", "i64", "BTreeMap"] {
        assert!(!text.contains(word), "{shown}: {word:?} is Rust: {text}");
    }
}

fn field(change: &str, path: &str, error_code: &str, says: &str) {
    check(body(change).as_bytes(), "invalid_fields", path, error_code, says);
}

#[test]
fn what_is_no_json() {
    check(b"", "invalid_json", "", "", "line 1");
    check(b"{", "invalid_json", "", "", "line 1");
    check(b"{\"request_id\": CANARY}", "invalid_json", "", "", "column 16");
    check(b"{\"request_id\":\"\xff\xfe\"}", "invalid_utf8", "", "", "byte 15");
    check(b"{\"request_id\":\"\\ud800\"}", "invalid_json", "", "", "");
    check(format!("{} 1", body("")).as_bytes(), "invalid_json", "", "", "trailing");
    check(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes(), "too_deep", "", "", "16");
    check(
        body(&format!(r#""context":{{"a":{}1{}}}"#, "[".repeat(20), "]".repeat(20))).as_bytes(),
        "too_deep",
        "",
        "",
        "16",
    );
    check(b"\xef\xbb\xbf{}", "invalid_json", "", "", "");
    check(br#"{"request_id":1e400}"#, "invalid_json", "", "", "");
}

#[test]
fn what_has_another_shape() {
    check(b"[]", "invalid_fields", "", "wrong_type", "an object");
    check(br#"["r1","default",{"id":"a"},"read"]"#, "invalid_fields", "", "wrong_type", "an object");
    check(
        br#"{"request_id":"r1","action":"read","actor":["a"]}"#,
        "invalid_fields",
        "actor",
        "wrong_type",
        "an object",
    );
    field(r#""subjects":[["email","x","r"]]"#, "subjects[0]", "wrong_type", "an object");
    field(r#""risk_class":{"high":null}"#, "risk_class", "wrong_type", "a text");
    field(r#""amount":[1,"EUR"]"#, "amount", "wrong_type", "an object");
    check(b"null", "invalid_fields", "", "wrong_type", "an object");
    check(b"\"CANARY\"", "invalid_fields", "", "wrong_type", "an object");
    check(b"{}", "invalid_fields", "request_id", "missing_field", "add it");
    check(br#"{"request_id":"r1","action":"read"}"#, "invalid_fields", "actor", "missing_field", "add it");
    check(
        br#"{"request_id":"r1","action":"read","actor":{}}"#,
        "invalid_fields",
        "actor.id",
        "missing_field",
        "add it",
    );
    field(r#""resources":{}"#, "resources", "unknown_field", "known are request_id");
    field(r#""CANARY@x":1"#, "", "unknown_field", "known are");
    field(r#""request_id":"r2""#, "request_id", "duplicate_field", "keep one");
    field(r#""context":{"a":1,"a":2}"#, "context.a", "duplicate_field", "keep one");
    field(
        r#""subjects":[{"id":"x","role":"r","fields":{"CANARY":"1","CANARY":"2"}}]"#,
        "subjects[0].fields",
        "duplicate_field",
        "",
    );
    field(r#""subjects":[{"id":"x","role":"r","CANARY":"1"}]"#, "subjects[0]", "unknown_field", "known are id_type");
    field(r#""subjects":[{"id":"x","role":"r","fields":{"CANARY":1}}]"#, "subjects[0].fields", "wrong_type", "a text");
    field(r#""subjects":[{"role":"r"}]"#, "subjects[0].id", "missing_field", "");
    field(r#""tool":17"#, "tool", "wrong_type", "a text");
    field(r#""data_classes":"CANARY""#, "data_classes", "wrong_type", "a list");
    field(r#""data_classes":["ok",{}]"#, "data_classes[1]", "wrong_type", "a text");
    field(r#""confidence_percent":"CANARY""#, "confidence_percent", "wrong_type", "0 to 255");
    field(r#""confidence_percent":300"#, "confidence_percent", "out_of_range", "0 to 255");
    field(r#""confidence_percent":50.5"#, "confidence_percent", "wrong_type", "whole number");
    field(
        r#""amount":{"minor_units":9223372036854775808,"currency":"EUR"}"#,
        "amount.minor_units",
        "out_of_range",
        "64 bits",
    );
    field(r#""risk_class":"CANARY""#, "risk_class", "unknown_value", "one of minimal, limited");
    field(r#""legal_basis":"CANARY, expected a b""#, "legal_basis", "unknown_value", "one of consent");
    field(r#""context":{"limit":1.5}"#, "context.limit", "wrong_type", "whole number");
    field(r#""context":{"limit":{"a":1}}"#, "context.limit", "wrong_type", "list of texts");
    field(r#""context":{"limit":null}"#, "context.limit", "wrong_type", "list of texts");
    field(r#""context":{"limit":["a",1]}"#, "context.limit[1]", "wrong_type", "a text");
    field(r#""context":{"limit":18446744073709551615}"#, "context.limit", "out_of_range", "64 bits");
}

#[test]
fn what_has_values_that_are_not_allowed() {
    let with = |id: &str, actor: &str, action: &str| {
        format!(r#"{{"request_id":"{id}","actor":{{"id":"{actor}"}},"action":"{action}"}}"#).into_bytes()
    };
    check(&with("", "a", "read"), "invalid_fields", "request_id", "empty", "must not be empty");
    check(&with("CANARY with space", "a", "read"), "invalid_fields", "request_id", "bad_character", "visible ASCII");
    check(&with(&"x".repeat(201), "a", "read"), "invalid_fields", "request_id", "too_long", "200 bytes");
    check(&with("r", "", "read"), "invalid_fields", "actor.id", "empty", "");
    check(&with("r", "CANARY@example.com", "read"), "invalid_fields", "actor.id", "email_not_allowed", "opaque");
    check(&with("r", "a", "read it CANARY"), "invalid_fields", "action", "bad_character", "letters");
    field(r#""tenant":"CANARY Inc""#, "tenant", "bad_character", "lower-case");
    field(r#""tenant":"""#, "tenant", "empty", "");
    field(r#""resource":{"kind":"account","id":""}"#, "resource.id", "empty", "");
    field(r#""data_classes":["ok","not ok CANARY"]"#, "data_classes[1]", "bad_character", "");
    field(r#""amount":{"minor_units":1,"currency":"eur"}"#, "amount.currency", "bad_currency", "upper-case");
    field(r#""amount":{"minor_units":1,"currency":"EURO"}"#, "amount.currency", "bad_currency", "three");
    field(r#""amount":{"minor_units":-1,"currency":"EUR"}"#, "amount.minor_units", "out_of_range", "negative");
    field(r#""risk":{}"#, "risk", "either_or", "exactly one");
    field(r#""risk":{"score":101}"#, "risk.score", "out_of_range", "100");
    field(r#""confidence_percent":101"#, "confidence_percent", "out_of_range", "100");
    field(r#""occurred_at":"CANARY""#, "occurred_at", "bad_time", "RFC 3339");
    field(r#""occurred_at":"2026-01-31""#, "occurred_at", "bad_time", "offset");
    field(r#""approval":{"event_id":"CANARY"}"#, "approval.event_id", "bad_id", "UUID");
    field(r#""context":{"CANARY key":1}"#, "context[0]", "bad_character", "the name");
    field(
        r#""subjects":[{"id":"x","role":"r","fields":{"CANARY key":"1"}}]"#,
        "subjects[0].fields[0]",
        "bad_character",
        "the name",
    );
    field(r#""subjects":[{"id":"x","role":"r"},{"id":"x","role":"q"}]"#, "subjects[1]", "duplicate", "");
    field(r#""actor":{"id":"b"}"#, "actor", "duplicate_field", "");
    let many = vec![r#"{"id":"x","role":"r"}"#; 17].join(",");
    field(&format!(r#""subjects":[{many}]"#), "subjects", "too_many", "16");
    // All faults are told, not the first.
    let problem = request(br#"{"request_id":"","actor":{"id":""},"action":""}"#, DEPTH, NOW).unwrap_err();
    assert_eq!(problem.errors.len(), 3);
}

#[test]
fn what_is_right_is_taken_whole() {
    let full = body(
        r#""tenant":"acme","tool":"mailer","resource":{"kind":"account","id":"4711"},"intent":"pay the bill","data_classes":["b","a","a"],
        "practice":"social_scoring","risk_class":"high","risk":{"dimensions":{"security":1,"privacy":2,"compliance":3,"operational":4,
        "reputational":5,"financial":6}},"confidence_percent":90,"amount":{"minor_units":995,"currency":"EUR"},"purpose":"billing",
        "legal_basis":"contract","approval":{"event_id":"01234567-89ab-8def-8123-456789abcdef"},
        "context":{"n":-1,"b":true,"t":"x","s":["b","a"]},"occurred_at":"2026-01-31T12:00:00.5+02:00",
        "subjects":[{"id_type":"email","id":"anna@example.com","role":"recipient","fields":{"name":"Anna"}}]"#,
    );
    let request = request(full.as_bytes(), DEPTH, NOW).unwrap();
    assert_eq!(request.tenant.as_str(), "acme");
    assert_eq!(request.occurred_at_us, 1_769_853_600_500_000);
    assert_eq!(request.data_classes.len(), 2);
    assert_eq!(request.context.len(), 4);
    assert_eq!(request.subjects[0].fields.len(), 1);
    assert_eq!(request.risk.unwrap().score(), 3);

    let least = super::request(body("").as_bytes(), DEPTH, NOW).unwrap();
    assert_eq!((least.tenant.as_str(), least.occurred_at_us), ("default", NOW));
    let nulls = super::request(body(r#""tool":null,"risk":null"#).as_bytes(), DEPTH, NOW).unwrap();
    assert_eq!(nulls, least);
}

#[test]
fn a_batch_keeps_each_fault_with_its_request() {
    let one = body("");
    let batch_of = |parts: &[&str]| format!(r#"{{"requests":[{}]}}"#, parts.join(",")).into_bytes();
    let codes = |parts: &[&str]| -> Vec<&'static str> {
        batch(&batch_of(parts), DEPTH, 3, NOW)
            .unwrap()
            .into_iter()
            .map(|one| one.map_or_else(|problem| problem.code, |_| "ok"))
            .collect()
    };
    assert_eq!(codes(&[&one]), ["ok"]);
    assert_eq!(codes(&[&one, r#"{"request_id":1}"#, &one]), ["ok", "invalid_fields", "ok"]);
    assert_eq!(codes(&[&body(r#""confidence_percent":101"#), &one, "[]"]), ["invalid_fields", "ok", "invalid_fields"]);
    let whole = |bytes: &[u8]| batch(bytes, DEPTH, 3, NOW).unwrap_err();
    assert_eq!(whole(&batch_of(&[])).code, "invalid_fields");
    assert_eq!(whole(&batch_of(&[&one, &one, &one, &one])).code, "batch_too_large");
    assert_eq!(whole(b"{\"requests\":[{]}").code, "invalid_json");
    assert_eq!(whole(b"{\"requests\":[],\"more\":1}").errors[0].path, "more");
    assert_eq!(whole(b"[]").errors[0].code, "wrong_type");
}
