//! The interface as a client sees it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::running::{Answer, Kept, Running, call, request, until};

fn is_problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["type"], format!("urn:lexecon:problem:{code}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], answer.headers["x-request-id"].as_str());
    assert!(!problem["detail"].as_str().unwrap().is_empty() && !problem["title"].as_str().unwrap().is_empty());
    problem
}

#[test]
fn one_request_is_decided_and_found_again() {
    let running = Running::start();
    let first = running.post("/v1/decisions", &request(1));
    assert_eq!(first.status, 200, "{}", first.text());
    let decision = first.json();
    for field in [
        "decision_id",
        "outcome",
        "reason_code",
        "policies",
        "obligations",
        "explanation",
        "recorded_at",
        "bundle_hash",
        "mode",
    ] {
        assert!(decision.get(field).is_some(), "{field} is missing: {decision}");
    }
    assert!(["permit", "deny", "escalate"].contains(&decision["outcome"].as_str().unwrap()));
    let (partition, seq) =
        (decision["ledger"]["partition"].as_u64().unwrap(), decision["ledger"]["seq"].as_u64().unwrap());
    assert_eq!(decision["ledger"]["event_hash"].as_str().unwrap().len(), 64);
    let position = format!("{partition}:{seq}");
    assert_eq!(first.headers["lexecon-position"], position);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(first.headers[name], value, "{name}");
    }
    assert!(first.headers["content-security-policy"].contains("default-src 'none'"));

    let id = decision["decision_id"].as_str().unwrap();
    let entry = running.get(&format!("/v1/decisions/{id}?after={position}"));
    assert_eq!(entry.status, 200, "{}", entry.text());
    let entry = entry.json();
    for (name, value) in decision.as_object().unwrap() {
        assert_eq!(entry[name], *value, "{name}");
    }
    assert_eq!(entry["kind"], "decided");
    let found = running.get(&format!("/v1/requests?tenant=default&actor=agent-1&request_id=r-1&after={position}"));
    assert_eq!(found.json(), entry);
}

#[test]
fn a_repeat_has_the_same_bytes_and_another_body_is_a_conflict() {
    let running = Running::start();
    let body = |amount: u64| json!({"request_id": "r", "actor": {"id": "a"}, "action": "pay", "occurred_at": now(), "amount": {"minor_units": amount, "currency": "EUR"}});
    let mut first = body(1);
    let answered = running.post("/v1/decisions", &first.to_string());
    let again = running.post("/v1/decisions", &first.to_string());
    assert_eq!((answered.status, &answered.body), (200, &again.body), "{}", answered.text());
    assert_eq!(answered.headers["lexecon-position"], again.headers["lexecon-position"]);
    first["amount"]["minor_units"] = 2.into();
    let conflict = running.post("/v1/decisions", &first.to_string());
    let problem = is_problem(&conflict, 409, "conflict");
    assert_eq!(problem["reason_code"], "conflict");
    assert!(problem["ledger"]["seq"].is_u64());
    assert_eq!(
        running.post("/v1/decisions", &first.to_string()).json()["ledger"],
        problem["ledger"],
        "a repeated conflict is one event"
    );
}

#[test]
fn a_repeat_that_does_not_say_when_it_occurred_is_a_repeat() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut running = Running::on(&data, &[]);
    let first = running.post("/v1/decisions", &request(1));
    let again = running.post("/v1/decisions", &request(1));
    assert_eq!((first.status, &first.body), (200, &again.body), "{} {}", first.text(), again.text());
    running.signal("TERM");
    assert!(running.ended(Duration::from_secs(30)).success());
    let running = Running::on(&data, &[]);
    let again = running.post("/v1/decisions", &request(1));
    assert_eq!((again.status, &again.body), (200, &first.body), "after a restart: {}", again.text());
    let mut other: Value = serde_json::from_str(&request(1)).unwrap();
    other["action"] = json!("delete_file");
    is_problem(&running.post("/v1/decisions", &other.to_string()), 409, "conflict");
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[test]
fn refusals_are_recorded_and_named() {
    let running = Running::start();
    let check = |change: Value, reason: &str| {
        let mut body: Value = serde_json::from_str(&request(1)).unwrap();
        body["request_id"] = json!(format!("refused-{reason}"));
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let problem = is_problem(&running.post("/v1/decisions", &body.to_string()), 422, "rejected");
        assert_eq!(problem["reason_code"], reason, "{problem}");
        let (partition, seq) = (&problem["ledger"]["partition"], &problem["ledger"]["seq"]);
        let id = problem["decision_id"].as_str().unwrap();
        let entry = running.get(&format!("/v1/decisions/{id}?after={partition}:{seq}")).json();
        assert_eq!(
            (entry["kind"].as_str(), entry["reason_code"].as_str()),
            (Some("rejected"), Some(reason)),
            "{entry}"
        );
        assert_eq!(entry["outcome"], Value::Null);
    };
    check(json!({"tenant": "nobody"}), "unknown_tenant");
    check(json!({"occurred_at": "2001-01-01T00:00:00Z"}), "too_old");
    check(json!({"occurred_at": "2999-01-01T00:00:00Z"}), "from_the_future");
}

#[test]
fn bad_input_is_refused_at_the_edge_and_nothing_is_written() {
    let running = Running::start();
    let heads = |_: ()| running.get("/v1/ledger/partitions").json()["items"].clone();
    // Read models may still be busy with the events of the start.
    let caught_up = |items: &Value| items.as_array().unwrap().iter().all(|item| item["lag_events"] == 0);
    let before = until(Duration::from_secs(10), || Some(heads(())).filter(caught_up)).expect("read models");
    let json_type = [("content-type", "application/json")];
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| call(running.address, "POST", path, headers, body);

    is_problem(&running.post("/v1/decisions", "{"), 400, "invalid_json");
    let problem = is_problem(
        &running.post("/v1/decisions", r#"{"request_id":"r","actor":{"id":"a"},"action":"x","tools":1}"#),
        400,
        "invalid_fields",
    );
    assert_eq!(problem["errors"][0]["path"], "tools");
    assert_eq!(problem["errors"][0]["code"], "unknown_field");
    is_problem(&post("/v1/decisions", &json_type, b"{\"request_id\":\"\xff\"}"), 400, "invalid_utf8");
    is_problem(&post("/v1/decisions", &[], b"{}"), 415, "unsupported_media_type");
    is_problem(
        &post("/v1/decisions", &[("content-type", "application/json; charset=latin1")], b"{}"),
        415,
        "unsupported_media_type",
    );
    is_problem(
        &post("/v1/decisions", &[("content-type", "application/json"), ("content-encoding", "gzip")], b"{}"),
        415,
        "unsupported_media_type",
    );
    is_problem(&post("/v1/decisions", &json_type, &vec![b' '; 200 * 1024]), 413, "too_large");
    is_problem(&running.post("/v1/decisions?wait=1000000", &request(1)), 400, "invalid_query");
    is_problem(&running.post("/v1/decisions?weight=1", &request(1)), 400, "invalid_query");
    is_problem(&running.post("/v1/decisions?wait=CANARY", &request(1)), 400, "invalid_query");
    is_problem(&running.post("/v1/decisions:batch", r#"{"requests":[]}"#), 400, "invalid_fields");
    let many = vec!["{}"; 501].join(",");
    is_problem(&running.post("/v1/decisions:batch", &format!(r#"{{"requests":[{many}]}}"#)), 413, "batch_too_large");
    is_problem(&running.get("/v1/decisions/not-an-id"), 400, "invalid_path");
    is_problem(&running.get("/v1/decisions/01234567-89ab-8def-8123-456789abcdef"), 404, "not_found");
    is_problem(&running.get("/v1/requests?tenant=default&actor=a&request_id=none"), 404, "not_found");
    is_problem(&running.get("/v1/decisions?outcome=CANARY"), 400, "invalid_query");
    is_problem(&running.get("/v1/decisions?cursor=CANARY"), 400, "invalid_query");
    is_problem(&running.get("/v1/decisions?after=CANARY"), 400, "invalid_query");
    is_problem(&running.get("/v1/outcomes"), 400, "invalid_query");
    is_problem(&running.get("/v1/nothing"), 404, "not_found");
    let refused = running.get("/v1/decisions:batch");
    is_problem(&refused, 405, "method_not_allowed");
    assert_eq!(refused.headers["allow"], "POST");
    assert_eq!(heads(()), before, "a refusal at the edge wrote something");
}

#[test]
fn a_batch_is_answered_in_order_each_by_itself() {
    let running = Running::start();
    let mut requests: Vec<Value> = (0..50).map(|number| serde_json::from_str(&request(number)).unwrap()).collect();
    requests[7]["confidence_percent"] = json!(101);
    requests[9] = json!({"request_id": "r"});
    requests[11]["tenant"] = json!("nobody");
    for request in &mut requests {
        request["occurred_at"] = json!(now());
    }
    requests.push(requests[3].clone());
    let answer = running.post("/v1/decisions:batch", &json!({ "requests": requests }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 51);
    for (place, result) in results.iter().enumerate() {
        match place {
            7 => assert_eq!(result["errors"][0]["path"], "confidence_percent", "{result}"),
            9 => assert_eq!(result["errors"][0]["path"], "actor", "{result}"),
            11 => assert_eq!(
                (result["reason_code"].as_str(), result["status"].as_u64()),
                (Some("unknown_tenant"), Some(422)),
                "{result}"
            ),
            _ => assert!(result["decision_id"].is_string(), "{place}: {result}"),
        }
        if [7, 9, 11].contains(&place) {
            assert_eq!(result["instance"], answer.headers["x-request-id"].as_str());
        }
    }
    assert_eq!(results[50], results[3], "the same request twice in a batch is one event");
    let again = running.post("/v1/decisions:batch", &json!({ "requests": [requests[0]] }).to_string()).json();
    assert_eq!(again["results"][0], results[0], "and so it is in another batch");
}

#[test]
fn a_decision_that_takes_longer_than_the_wait_is_found_at_its_location() {
    let running = Running::start();
    // With a wait of 0 hardly any decision can be in time, as each takes a sync of the disk.
    let mut numbers = 0..100;
    let late = numbers.find_map(|number| {
        let answer = running.post("/v1/decisions?wait=0", &request(number));
        assert!([200, 202].contains(&answer.status), "{}", answer.text());
        (answer.status == 202).then_some((number, answer))
    });
    let (number, answer) = late.expect("a decision that took longer than no time");
    is_problem(&answer, 202, "pending");
    let location = answer.headers["location"].clone();
    let found = until(Duration::from_secs(10), || Some(running.get(&location)).filter(|answer| answer.status == 200));
    assert_eq!(found.expect("the decision").json()["request_id"], format!("r-{number}"));
}

#[test]
fn ids_of_requests_are_kept_when_plain_and_made_otherwise() {
    let running = Running::start();
    let check = |given: &str, kept: bool| {
        let answer = call(running.address, "GET", "/health/live", &[("x-request-id", given)], b"");
        assert_eq!(answer.headers["x-request-id"] == given, kept, "{given}");
        assert!(answer.headers["x-request-id"].len() <= 64);
    };
    check("0190a5c0-7b2e-7000-8000-0123456789ab", true);
    check("a.b_c-1", true);
    check("anna@example.com", false);
    check("two words", false);
    check(&"x".repeat(65), false);
    check("", false);
}

#[test]
fn the_document_and_the_router_have_the_same_operations() {
    let running = Running::start();
    let document = running.get("/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.insert((path.clone(), method.to_ascii_uppercase()));
        }
    }
    for (path, _) in &documented {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let real = path
                .replace("{id}", "01234567-89ab-8def-8123-456789abcdef")
                .replace("{partition}", "0")
                .replace("{position}", "0");
            let mut kept = Kept::open(running.address);
            let answer = kept.call(method, &real, &[], b"").unwrap();
            let code =
                serde_json::from_slice::<Value>(&answer.body).map(|body| body["code"].clone()).unwrap_or_default();
            let routed = answer.status != 405 && !answer.text().contains("nothing at this path");
            let expected = documented.contains(&(path.clone(), method.to_owned()));
            assert_eq!(routed, expected, "{method} {real}: {} {code}", answer.status);
        }
    }
    // And what the issue names is there.
    for (method, path) in [
        ("POST", "/v1/decisions"),
        ("POST", "/v1/decisions:batch"),
        ("POST", "/v1/requests:raw"),
        ("GET", "/v1/decisions/{id}"),
        ("GET", "/v1/decisions"),
        ("GET", "/v1/requests"),
        ("GET", "/v1/outcomes"),
        ("GET", "/v1/ledger/partitions"),
        ("GET", "/v1/statistics"),
        ("GET", "/health"),
        ("GET", "/health/ready"),
        ("GET", "/health/live"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
    ] {
        assert!(documented.contains(&(path.to_owned(), method.to_owned())), "{method} {path}");
    }
}

#[test]
fn lists_are_paged_filtered_and_carry_their_position() {
    let running = Running::start();
    let requests: Vec<Value> = (0..30).map(|number| serde_json::from_str(&request(number)).unwrap()).collect();
    let answer = running.post("/v1/decisions:batch", &json!({ "requests": requests }).to_string());
    let position = answer.headers["lexecon-position"].clone();
    let mut seen = BTreeSet::new();
    let mut cursor = String::new();
    let began = Instant::now();
    loop {
        let page = running.get(&format!("/v1/decisions?limit=7&after={position}{cursor}"));
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.headers.contains_key("lexecon-position"));
        let page = page.json();
        assert!(page["items"].as_array().unwrap().len() <= 7);
        for item in page["items"].as_array().unwrap() {
            assert!(seen.insert(item["request_id"].as_str().unwrap().to_owned()), "twice: {item}");
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(seen.len(), 30);
    let of_one = running.get(&format!("/v1/decisions?tenant=default&actor=agent-3&limit=100&after={position}")).json();
    assert_eq!(of_one["items"].as_array().unwrap().len(), 4, "{of_one}");
    for item in of_one["items"].as_array().unwrap() {
        assert_eq!(item["actor"], "agent-3");
    }
    let none = running.get("/v1/decisions?action=never_done").json();
    assert_eq!((none["items"].as_array().unwrap().len(), &none["next"]), (0, &Value::Null));
    is_problem(&running.get("/v1/decisions?after=0:999999999&wait=50"), 503, "position_not_reached");
}
