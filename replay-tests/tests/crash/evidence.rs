//! What a caller knows, and what the ledger alone must say about it.
//!
//! The parent keeps it outside of the process that it kills: request id, coordinate and hash of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use eventlog::embedded::{Embedded, Settings};
use eventlog::{EventLog, Topic};
use ledger::verify::{Options, Verifier};
use ledger::{RecordKind, StoredEvent, event_type, section_tag};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Server, run};

/// Coordinate and hash of an acknowledged decision.
pub type Acknowledged = BTreeMap<String, (u64, u64, String)>;

/// Partition and offset of a record of the requests topic.
pub type Offsets = BTreeSet<(u64, u64)>;

/// How soon a fault must show.
pub const SHOWN_WITHIN: Duration = Duration::from_secs(5);

pub fn body(id: &str) -> Value {
    let number: u64 = id.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let action = ["read_file", "send_email", "delete_file", "send_money"][(number % 4) as usize];
    let mut body = json!({
        "request_id": id,
        "actor": {"id": format!("agent-{}", number % 23), "kind": "agent"},
        "action": action,
        "risk_class": "minimal",
        // Fixed, so that a repeat has the same body. Inside the retention of ids.
        "occurred_at": started_at(),
    });
    if number.is_multiple_of(3) {
        body["subjects"] =
            json!([{"id_type": "email", "id": format!("person{}@example.org", number % 40), "role": "recipient"}]);
    }
    body
}

fn started_at() -> &'static str {
    static AT: OnceLock<String> = OnceLock::new();
    AT.get_or_init(|| jiff::Timestamp::now().to_string())
}

pub fn acknowledged(answer: &Value) -> Option<(u64, u64, String)> {
    let ledger = &answer["ledger"];
    Some((ledger["partition"].as_u64()?, ledger["seq"].as_u64()?, ledger["event_hash"].as_str()?.to_owned()))
}

pub fn get(server: &Server, path: &str) -> (u16, Value) {
    Client::connect(&server.address).and_then(|mut client| client.call("GET", path, None)).expect("an answer")
}

pub fn decide(server: &Server, id: &str) -> Option<(u16, Value)> {
    let call = |mut client: Client| client.call("POST", "/v1/decisions?wait=2000", Some(&body(id)));
    Client::connect(&server.address).and_then(call)
}

/// Decides one that must be acknowledged, and keeps it.
pub fn decide_and_keep(server: &Server, id: &str, known: &mut Acknowledged) {
    let (status, answer) = decide(server, id).expect("an answer");
    assert_eq!(status, 200, "{id}: {answer}");
    known.insert(id.to_owned(), acknowledged(&answer).unwrap());
}

/// Waits until readiness is this, and says how long it took; what it was instead.
pub fn reaches(server: &Server, status: u16, within: Duration) -> Result<Duration, Value> {
    let since = Instant::now();
    loop {
        let (found, why) = get(server, "/health/ready");
        if found == status {
            return Ok(since.elapsed());
        }
        if since.elapsed() >= within {
            return Err(why);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The same, when it must.
pub fn becomes(server: &Server, status: u16, within: Duration) -> Duration {
    reaches(server, status, within).unwrap_or_else(|why| panic!("readiness was not {status} within {within:?}: {why}"))
}

/// Every acknowledged id, or a sample of them, is answered by the same event.
pub fn verify_by_repeat(address: &str, known: &Acknowledged, sample: usize, rng: &mut ChaCha20Rng) -> usize {
    let ids: Vec<&String> = known.keys().collect();
    let mut client = Client::connect(address).expect("the server listens");
    let chosen: Vec<&String> =
        if sample >= ids.len() { ids } else { (0..sample).map(|_| ids[rng.random_range(0..ids.len())]).collect() };
    for chunk in chosen.chunks(200) {
        let requests: Vec<Value> = chunk.iter().map(|id| body(id)).collect();
        let (status, answer) =
            client.call("POST", "/v1/decisions:batch", Some(&json!({ "requests": requests }))).expect("an answer");
        assert_eq!(status, 200, "{answer}");
        for (id, result) in chunk.iter().zip(answer["results"].as_array().unwrap()) {
            let coordinate =
                acknowledged(result).unwrap_or_else(|| panic!("{id} was acknowledged and is lost: {result}"));
            assert_eq!(coordinate, known[*id], "{id} is another event now");
        }
    }
    chosen.len()
}

/// What the ledger alone says.
#[derive(Debug, Default)]
pub struct Told {
    pub events: u64,
    pub consumed: u64,
    pub decided: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Where requests lay that were refused.
    pub refused_at: Offsets,
}

/// The ledger alone: it verifies, accounts for its input, and holds every acknowledged event once.
pub fn verify_export(data: &Path, beside: &Path, known: &Acknowledged) -> Told {
    let file = beside.join("all.ledger");
    let _ = std::fs::remove_file(&file);
    let (code, out, err) =
        run("lexecon", &["ledger", "export", "--data", data.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    assert_eq!(code, 0, "export: {out}{err}");
    verify_file(&file, known)
}

/// The same of an export that is there.
pub fn verify_file(file: &Path, known: &Acknowledged) -> Told {
    let (code, out, err) = run("ledger-verify", &[file.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "ledger-verify: {out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let number = |name: &str| report[name].as_u64().unwrap();
    let mut told = Told {
        events: number("events"),
        consumed: number("requests"),
        decided: number("decisions"),
        rejected: number("rejected"),
        duplicates: number("duplicates"),
        refused_at: Offsets::new(),
    };
    let bytes = std::fs::read(file).unwrap();
    let mut verifier = Verifier::new(Options::default());
    verifier.feed(&bytes).unwrap();
    assert_eq!(verifier.finish().unwrap().events, told.events);
    let mut parser = ledger::export::Parser::default();
    parser.feed(&bytes);
    let (mut hashes, mut keys) = (BTreeMap::new(), BTreeSet::new());
    let mut consumed = 0;
    while let Some(record) = parser.next_record().unwrap() {
        if record.kind == RecordKind::Run {
            let run = ledger::Run::decode(record.bytes).unwrap();
            consumed +=
                run.inputs.iter().filter(|input| input.topic == "requests").map(|input| input.requests).sum::<u64>();
        }
        if record.kind != RecordKind::Event {
            continue;
        }
        let event = StoredEvent::decode(record.bytes).unwrap();
        hashes.insert((u64::from(event.body.chain.partition), event.body.seq), event.event_hash.to_string());
        let facts = || ledger::layout::Facts::decode(event.section(section_tag::FACTS).unwrap()).unwrap();
        if event.body.event_type == event_type::DECIDED {
            assert!(keys.insert(facts().request_key), "a request was decided twice");
        }
        if event.body.event_type == event_type::REJECTED {
            let facts = facts();
            told.refused_at.insert((u64::from(facts.input_partition), facts.input_offset));
        }
    }
    assert_eq!(keys.len() as u64, told.decided, "the verifier counts what stands in the file");
    assert_eq!(consumed, told.consumed, "the verifier adds up what stands in the runs");
    for (id, (partition, seq, hash)) in known {
        assert_eq!(hashes.get(&(*partition, *seq)), Some(hash), "{id}");
    }
    told
}

/// How many requests were ever put into the log, as the log itself says.
pub fn submitted(data: &Path) -> u64 {
    let log = Embedded::open(Settings::at(data)).unwrap();
    let reader = log.reader();
    (0..log.partitions()).map(|partition| reader.tail(Topic::Requests, partition).unwrap().0).sum()
}

/// Offsets of all dead letters that came from requests, and how many letters there are.
pub fn dead_letters(server: &Server) -> (Offsets, usize) {
    let (mut offsets, mut count, mut cursor) = (Offsets::new(), 0, String::new());
    loop {
        let (status, page) = get(server, &format!("/v1/dead-letters?limit=500{cursor}"));
        assert_eq!(status, 200, "{page}");
        for letter in page["items"].as_array().unwrap() {
            let origin = &letter["origin"];
            count += 1;
            if origin["topic"] == "requests" {
                offsets.insert((origin["partition"].as_u64().unwrap(), origin["offset"].as_u64().unwrap()));
            }
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (offsets, count),
        }
    }
}
