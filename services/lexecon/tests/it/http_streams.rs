//! Outcomes as a page after a number, as server-sent events, and as the command that follows them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::running::{Answer, Kept, Running, program, request, until};

const SOON: Duration = Duration::from_secs(20);

/// An open stream of outcomes.
struct Events {
    kept: Kept,
    rest: String,
}

impl Events {
    fn open(running: &Running, query: &str, last: Option<&str>) -> Events {
        let mut kept = Kept::open(running.address);
        let resumed = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let ask = format!("GET /v1/outcomes{query} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{resumed}\r\n");
        kept.send(ask.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(kept.0.read_line(&mut head).unwrap() > 0, "the stream ended: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
        Events { kept, rest: String::new() }
    }

    /// The next message, an event or a comment.
    fn message(&mut self) -> String {
        loop {
            if let Some((message, rest)) = self.rest.split_once("\n\n") {
                let message = message.to_owned();
                self.rest = rest.to_owned();
                return message;
            }
            let chunk = self.kept.chunk().expect("the stream goes on");
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event, as its id and its data.
    fn next(&mut self) -> (String, Value) {
        loop {
            let message = self.message();
            if message.starts_with(':') {
                continue;
            }
            let field = |name: &str| {
                let line = message.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_else(|| panic!("no {name} in {message}"))
            };
            assert_eq!(field("event: "), "outcome", "{message}");
            return (field("id: ").to_owned(), serde_json::from_str(field("data: ")).unwrap());
        }
    }
}

fn decide(running: &Running, numbers: std::ops::Range<usize>) -> Vec<Value> {
    let decided = |number| {
        let answer: Answer = running.post("/v1/decisions", &request(number));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    numbers.map(decided).collect()
}

#[test]
fn a_stream_sends_every_outcome_once_and_goes_on_where_it_was_left() {
    let running = Running::with(&[("LEXECON_HTTP__STREAM_KEEPALIVE_MS", "100")]);
    let mut all = Events::open(&running, "", None);
    let before = decide(&running, 0..20);
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    let mut by_decision = BTreeMap::new();
    for _ in 0..20 {
        let (id, data) = all.next();
        let (partition, number) = (data["partition"].as_u64().unwrap(), data["outcome_no"].as_u64().unwrap());
        assert_eq!(id, format!("{partition}:{number}"));
        let expected = numbers.entry(partition).or_default();
        assert_eq!(number, *expected, "numbers of partition {partition} are not dense");
        *expected += 1;
        by_decision.insert(data["decision_id"].as_str().unwrap().to_owned(), data);
    }
    for decision in &before {
        let outcome = &by_decision[decision["decision_id"].as_str().unwrap()];
        for name in ["outcome", "reason_code", "recorded_at"] {
            assert_eq!(outcome[name], decision[name], "{name}");
        }
        assert_eq!(outcome["seq"], decision["ledger"]["seq"]);
        assert_eq!(outcome["event_hash"], decision["ledger"]["event_hash"]);
    }

    // One partition: what the page after a number says is what a resumed stream sends.
    let (partition, count) = numbers.iter().max_by_key(|(_, count)| **count).map(|(p, c)| (*p, *c)).unwrap();
    assert!(count >= 3, "{numbers:?}");
    let page = running.get(&format!("/v1/outcomes?partition={partition}&after=0")).json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len() as u64, count - 1, "{page}");
    let mut resumed = Events::open(&running, &format!("?partition={partition}"), Some(&format!("{partition}:0")));
    let mut after = Events::open(&running, &format!("?partition={partition}&after=0"), None);
    for item in items {
        assert_eq!(&resumed.next().1, item);
        assert_eq!(&after.next().1, item);
    }
    // Full pages name the next one, and no outcome is on two.
    let mut seen = 0;
    let mut query = String::new();
    loop {
        let page = running.get(&format!("/v1/outcomes?partition={partition}&limit=2{query}")).json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["outcome_no"], seen, "{page}");
            seen += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        query = format!("&after={next}");
    }
    assert_eq!(seen, count);

    // A quiet stream gives signs of life, and goes on with what comes then.
    assert!(all.message().starts_with(':'), "a quiet stream gave no sign of life");
    let later = decide(&running, 20..21).remove(0);
    assert_eq!(all.next().1["decision_id"], later["decision_id"]);
}

#[test]
fn a_stream_does_not_wait_for_a_position_and_a_wrong_question_is_refused() {
    let running = Running::start();
    let ask = |query: &str| {
        let mut kept = Kept::open(running.address);
        kept.call("GET", &format!("/v1/outcomes{query}"), &[("accept", "text/event-stream")], b"").unwrap()
    };
    for query in ["?position=0:1", "?wait=10", "?after=3", "?partition=999", "?limit=x"] {
        let refused = ask(query);
        assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("invalid_query")), "{query}");
    }
}

#[test]
fn the_command_follows_what_is_decided() {
    let running = Running::start();
    let before = decide(&running, 0..3);
    let url = format!("http://{}", running.address);
    let mut child = program()
        .args(["outcomes", "--follow", "--json", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str::<Value>(&line).unwrap());
        }
    });
    let ids = |count: usize| {
        let mut ids: Vec<_> = (0..count)
            .map(|_| told.recv_timeout(SOON).expect("an outcome")["decision_id"].clone())
            .map(|id| id.to_string())
            .collect();
        ids.sort();
        ids
    };
    let expected = |decisions: &[Value]| {
        let mut ids: Vec<_> = decisions.iter().map(|decision| decision["decision_id"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(3), expected(&before));
    let later = decide(&running, 3..6);
    assert_eq!(ids(3), expected(&later));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = until(SOON, || child.try_wait().unwrap());
    if status.is_none() {
        let _ = child.kill();
    }
    assert_eq!(status.expect("it ends when told").code(), Some(0));
}
