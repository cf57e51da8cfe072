//! Reads against traffic that is known: counts, the account of what was consumed, times, positions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::running::{Running, START, call, request, until};

const OCTETS: [(&str, &str); 1] = [("content-type", "application/octet-stream")];

fn counts(names: &Value) -> BTreeMap<String, u64> {
    let names = names.as_array().unwrap().iter();
    names.map(|one| (one["name"].as_str().unwrap().to_owned(), one["count"].as_u64().unwrap())).collect()
}

fn total(items: &Value, name: &str) -> u64 {
    items.as_array().unwrap().iter().map(|item| item[name].as_u64().unwrap()).sum()
}

/// Every place where anything is waiting to be reflected: the heads of all partitions.
fn heads(running: &Running) -> String {
    running.get("/v1/ledger/partitions").json()["position"].as_str().unwrap().to_owned()
}

/// What was told to the sender, by name.
#[derive(Default)]
struct Told {
    outcomes: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    policies: BTreeMap<String, u64>,
}

impl Told {
    fn count(&mut self, answer: &Value) {
        *self.outcomes.entry(answer["outcome"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
        *self.reasons.entry(answer["reason_code"].as_str().unwrap().to_owned()).or_default() += 1;
        for policy in answer["policies"].as_array().into_iter().flatten() {
            *self.policies.entry(policy.as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
}

/// 20 decisions of two actions, one of them sent twice, a conflict, two refusals and a dead letter.
fn traffic(running: &Running) -> Told {
    let mut told = Told::default();
    for number in 0..20 {
        let mut body: Value = serde_json::from_str(&request(number)).unwrap();
        body["occurred_at"] = json!(jiff::Timestamp::now().to_string());
        if number % 4 == 0 {
            body["action"] = json!("delete_file");
        }
        let answer = running.post("/v1/decisions", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        told.count(&answer.json());
        if number == 7 {
            assert_eq!(running.post("/v1/decisions", &body.to_string()).body, answer.body);
            body["action"] = json!("delete_file");
            let conflict = running.post("/v1/decisions", &body.to_string());
            assert_eq!(conflict.status, 409, "{}", conflict.text());
            told.count(&conflict.json());
        }
    }
    for number in 100..102 {
        let mut body: Value = serde_json::from_str(&request(number)).unwrap();
        body["tenant"] = json!("nobody");
        let refused = running.post("/v1/decisions", &body.to_string());
        assert_eq!(refused.status, 422, "{}", refused.text());
        told.count(&refused.json());
    }
    assert_eq!(call(running.address, "POST", "/v1/requests:raw", &OCTETS, b"\0\0\0\0\x01garbage").status, 202);
    until(START, || running.get("/v1/dead-letters").json()["items"].get(0).map(drop)).expect("a dead letter");
    told.count(&json!({"reason_code": "undecodable"}));
    told
}

#[test]
fn statistics_and_the_account_are_those_of_the_traffic() {
    let running = Running::start();
    let told = traffic(&running);
    // A dead letter is staged before the event that records it, so it is seen a moment earlier.
    let statistics = until(START, || {
        let answer = running.get(&format!("/v1/statistics?after={}", heads(&running)));
        Some(answer).filter(|answer| answer.json()["answers"].as_u64() >= Some(24))
    });
    let statistics = statistics.expect("everything that was sent");
    let (header, body) = (statistics.headers["lexecon-position"].clone(), statistics.json());
    assert_eq!((&body["position"], &body["answers"]), (&json!(header), &json!(24)), "{body}");
    let counted = |value: &Value| -> BTreeMap<String, u64> {
        let all = value.as_object().unwrap().iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap()));
        all.filter(|(_, count)| *count > 0).collect()
    };
    // What was answered without evaluation has no outcome; the hours count it apart.
    let evaluated = told.outcomes.iter().filter(|(name, _)| *name != "none").map(|(name, n)| (name.clone(), *n));
    assert_eq!(counted(&body["outcomes"]), evaluated.collect(), "{body}");
    assert_eq!(counted(&body["reasons"]), told.reasons, "{body}");
    let kinds = [("decided", 20), ("rejected", 3), ("conflicted", 1)].map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(counted(&body["kinds"]), BTreeMap::from(kinds), "{body}");
    assert_eq!(counts(&body["policies"]["names"]), told.policies, "{body}");
    let actions = counts(&body["actions"]["names"]);
    assert_eq!((actions["read_document"], actions["delete_file"]), (17, 6), "{body}");
    for name in ["permit", "deny", "escalate", "none"] {
        assert_eq!(total(&body["hours"], name), told.outcomes.get(name).copied().unwrap_or(0), "{name}: {body}");
    }

    let account = running.get(&format!("/v1/ledger/conservation?after={}", heads(&running))).json();
    assert_eq!(account["holds"], true, "{account}");
    let requests: Vec<Value> =
        account["items"].as_array().unwrap().iter().filter(|item| item["topic"] == "requests").cloned().collect();
    for item in &requests {
        let of = |name: &str| item[name].as_u64().unwrap();
        assert_eq!(of("to_offset") - of("from_offset"), of("requests") + of("non_request"), "{item}");
        assert_eq!(of("requests"), of("decisions") + of("rejected") + of("duplicates"), "{item}");
    }
    let requests = json!(requests);
    let sums = ["requests", "decisions", "rejected", "duplicates"].map(|name| total(&requests, name));
    // The repeat was answered from what is known and never reached the log; refused are conflict, tenants, dead letter.
    assert_eq!(sums, [24, 20, 4, 0], "{account}");
}

#[test]
fn decisions_are_found_by_time_action_and_outcome() {
    let running = Running::start();
    let mut recorded = Vec::new();
    let mut positions = Vec::new();
    for number in 0..6 {
        let mut body: Value = serde_json::from_str(&request(number)).unwrap();
        if number % 2 == 0 {
            body["action"] = json!("delete_file");
        }
        let answer = running.post("/v1/decisions", &body.to_string());
        positions.push(answer.headers["lexecon-position"].clone());
        let answer = answer.json();
        recorded.push((answer["recorded_at"].as_str().unwrap().to_owned(), answer));
    }
    let after = positions.join(",");
    let found = |query: &str| -> Vec<String> {
        let page = running.get(&format!("/v1/decisions?limit=100&after={after}&{query}"));
        assert_eq!(page.status, 200, "{query}: {}", page.text());
        let mut ids: Vec<_> = page.json()["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["request_id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let expected = |keep: &dyn Fn(usize, &str, &Value) -> bool| -> Vec<String> {
        let kept = recorded.iter().enumerate().filter(|(number, (at, answer))| keep(*number, at, answer));
        kept.map(|(number, _)| format!("r-{number}")).collect()
    };
    let third = recorded[3].0.clone();
    // `from` counts, `to` does not.
    assert_eq!(found(&format!("from={third}")), expected(&|_, at, _| at >= third.as_str()));
    assert_eq!(found(&format!("to={third}")), expected(&|_, at, _| at < third.as_str()));
    assert!(found(&format!("from={third}")).contains(&"r-3".to_owned()));
    assert_eq!(found(&format!("from={third}&to={third}")), Vec::<String>::new());
    assert_eq!(found("from=2001-01-01T00:00:00Z&to=2999-01-01T00:00:00Z").len(), 6);
    assert_eq!(found("action=delete_file"), ["r-0", "r-2", "r-4"]);
    for outcome in ["permit", "deny", "escalate"] {
        assert_eq!(found(&format!("outcome={outcome}")), expected(&|_, _, answer| answer["outcome"] == outcome));
    }
    assert_eq!(running.get("/v1/decisions?from=yesterday").json()["code"], "invalid_query");
}

#[test]
fn every_read_of_the_ledger_carries_a_position_and_can_wait_for_one() {
    let running = Running::start();
    let decided = running.post("/v1/decisions", &request(1));
    let position = decided.headers["lexecon-position"].clone();
    let decision = decided.json();
    let (partition, id) =
        (decision["ledger"]["partition"].as_u64().unwrap(), decision["decision_id"].as_str().unwrap().to_owned());
    assert_eq!(call(running.address, "POST", "/v1/requests:raw", &OCTETS, b"\0\0\0\0\x01garbage").status, 202);
    let letter = until(START, || running.get("/v1/dead-letters").json()["items"].get(0).cloned());
    let letter = letter.expect("a dead letter");
    let letter = format!("/v1/dead-letters/{}/{}", letter["partition"], letter["position"]);
    let check = |path: &str, parameter: &str| {
        let join = if path.contains('?') { '&' } else { '?' };
        let answer = running.get(&format!("{path}{join}{parameter}={position}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let header = answer.headers.get("lexecon-position").unwrap_or_else(|| panic!("{path} names no position"));
        let seq = |text: &str| -> u64 {
            let of = |part: &str| {
                part.split_once(':').filter(|(p, _)| *p == partition.to_string()).map(|(_, seq)| seq.parse().unwrap())
            };
            text.split(',')
                .find_map(of)
                .unwrap_or_else(|| panic!("{path}: {text} says nothing of partition {partition}"))
        };
        assert!(seq(header) >= seq(&position), "{path}: {header} is before {position}");
        let early = running.get(&format!("{path}{join}{parameter}={partition}:999999999&wait=20"));
        assert_eq!((early.status, early.json()["code"].as_str()), (503, Some("position_not_reached")), "{path}");
        let wrong = running.get(&format!("{path}{join}{parameter}=99999:1"));
        assert_eq!((wrong.status, wrong.json()["code"].as_str()), (400, Some("invalid_query")), "{path}");
    };
    check(&format!("/v1/decisions/{id}"), "after");
    check("/v1/decisions", "after");
    check("/v1/requests?tenant=default&actor=agent-1&request_id=r-1", "after");
    check(&format!("/v1/outcomes?partition={partition}"), "position");
    check("/v1/ledger/partitions", "after");
    check("/v1/ledger/conservation", "after");
    check("/v1/statistics", "after");
    check("/v1/policies/active", "after");
    check("/v1/dead-letters", "after");
    check(&letter, "after");
    // What an operator does is an event too, and the answer names it.
    let done = running.post(&format!("{letter}:discard"), "");
    assert_eq!(done.status, 200, "{}", done.text());
    let (at, body) = (done.headers["lexecon-position"].clone(), done.json());
    assert_eq!(at, format!("{}:{}", body["partition"], body["seq"]));
    assert_eq!(running.get(&format!("{letter}?after={at}")).json()["state"], "discarded");
}
