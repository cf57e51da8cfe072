//! Framed bytes, as a broker would bring them: in the right partition, in a wrong one, twice.

use domain::ids::{ActorId, Tenant};
use domain::routing::{Routing, RoutingKey};
use serde_json::{Value, json};

use crate::running::{Answer, Running, call, request, until};

/// A request by number as a producer frames it, and where it belongs.
fn framed(number: usize, partitions: u32) -> (Vec<u8>, u32, String) {
    let mut body: Value = serde_json::from_str(&request(number)).unwrap();
    body["occurred_at"] = json!(jiff::Timestamp::now().to_string());
    let parsed = lexecon::http::json::request(body.to_string().as_bytes(), 16, 0).unwrap_or_else(|_| panic!("{body}"));
    let actor = body["actor"]["id"].as_str().unwrap();
    let key = RoutingKey::of(&Tenant::new("default").unwrap(), &ActorId::new(actor).unwrap(), Routing::Actor);
    let ask = format!("/v1/requests?tenant=default&actor={actor}&request_id=r-{number}");
    (wire::frame_request(&parsed).unwrap(), key.partition(partitions), ask)
}

fn send(running: &Running, partition: u32, bytes: &[u8]) {
    let octets = [("content-type", "application/octet-stream")];
    let path = format!("/v1/requests:raw?partition={partition}");
    let receipt: Answer = call(running.address, "POST", &path, &octets, bytes);
    assert_eq!(receipt.status, 202, "{}", receipt.text());
    assert_eq!(receipt.json()["partition"], partition);
}

#[test]
fn framed_requests_are_decided_once_wherever_they_are_put() {
    // A repeat makes no event of its own: the account knows of it when the next event, or the advance of the input, does.
    let running = Running::with(&[("LEXECON_ENGINE__INPUT_ADVANCE_MS", "1000")]);
    let partitions = u32::try_from(running.announced["partitions"].as_u64().unwrap()).unwrap();
    let found = |ask: &str| {
        let answer = until(crate::running::START, || Some(running.get(ask)).filter(|answer| answer.status == 200));
        answer.unwrap_or_else(|| panic!("{ask} is not decided: {}", running.logs())).json()
    };
    let (bytes, right, ask) = framed(1, partitions);
    send(&running, right, &bytes);
    let decided = found(&ask);
    assert_eq!((&decided["kind"], &decided["ledger"]["partition"]), (&"decided".into(), &right.into()), "{decided}");
    // Over the other door it is known already; and the same bytes again are the same event.
    send(&running, right, &bytes);

    for number in [2, 3] {
        let (bytes, right, ask) = framed(number, partitions);
        send(&running, (right + 1) % partitions, &bytes);
        let moved = until(crate::running::START, || {
            Some(running.get(&ask))
                .filter(|answer| answer.status == 200)
                .map(|answer| answer.json())
                .filter(|entry| entry["kind"] == "decided")
        });
        let moved = moved.expect("a decision");
        assert_eq!(moved["ledger"]["partition"], right, "{moved}");
    }
    assert_eq!(found(&ask)["ledger"], decided["ledger"], "the repeat made another event");

    let mut last = Value::Null;
    let settled = until(crate::running::START, || {
        let position = running.get("/v1/ledger/partitions").json()["position"].as_str().unwrap().to_owned();
        let statistics = running.get(&format!("/v1/statistics?after={position}")).json();
        let account = running.get(&format!("/v1/ledger/conservation?after={position}")).json();
        let of = |name: &str| -> u64 {
            let items = account["items"].as_array().unwrap().iter().filter(|item| item["topic"] == "requests");
            items.map(|item| item[name].as_u64().unwrap()).sum()
        };
        // Three and one repeat; two of them stood in the log twice: misplaced, and in their place.
        let sums = ["requests", "decisions", "duplicates", "rejected"].map(of);
        last = account.clone();
        (sums[0] == 6).then_some((statistics, sums, account))
    });
    let (statistics, sums, all) = settled.unwrap_or_else(|| panic!("the account is not that of what was sent: {last}"));
    assert_eq!((sums, &all["holds"]), ([6, 3, 1, 2], &true.into()), "{all}");
    assert_eq!(
        (&statistics["kinds"]["decided"], &statistics["kinds"]["rerouted"]),
        (&3.into(), &2.into()),
        "{statistics}"
    );
    let warnings = running.logs().matches("found in another partition than its own").count();
    assert_eq!(warnings, 1, "misplaced requests are warned about once: {}", running.logs());
    let counted = running.get("/metrics").text();
    let counted = counted.lines().find(|line| {
        line.starts_with("lexecon_decisions_total{")
            && line.contains("reason=\"rerouted\"")
            && line.contains("outcome=\"none\"")
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 2")), "{counted:?}");
}
