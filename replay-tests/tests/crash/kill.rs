//! Kill rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::verify::{Options, Verifier};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Server, run};

/// Coordinate and hash of an acknowledged decision.
pub type Acknowledged = BTreeMap<String, (u64, u64, String)>;

fn rounds() -> usize {
    std::env::var("LEXECON_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100)
}

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
    static AT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    AT.get_or_init(|| jiff::Timestamp::now().to_string())
}

pub fn acknowledged(answer: &Value) -> Option<(u64, u64, String)> {
    let ledger = &answer["ledger"];
    Some((ledger["partition"].as_u64()?, ledger["seq"].as_u64()?, ledger["event_hash"].as_str()?.to_owned()))
}

struct Load {
    stop: Arc<AtomicBool>,
    in_flight: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// Writers with one connection each: single requests, batches, and repeats of what was sent before.
    fn start(address: &str, round: usize, known: &Arc<Mutex<Acknowledged>>, sent: &Arc<Mutex<Vec<String>>>) -> Load {
        let (stop, in_flight) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..6)
            .map(|writer| {
                let (address, stop, in_flight) = (address.to_owned(), stop.clone(), in_flight.clone());
                let (known, sent) = (known.clone(), sent.clone());
                std::thread::spawn(move || write(&address, round, writer, &stop, &in_flight, &known, &sent))
            })
            .collect();
        Load { stop, in_flight, threads }
    }

    fn join(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn write(
    address: &str,
    round: usize,
    writer: usize,
    stop: &AtomicBool,
    in_flight: &AtomicUsize,
    known: &Mutex<Acknowledged>,
    sent: &Mutex<Vec<String>>,
) {
    let mut rng = ChaCha20Rng::seed_from_u64((round * 16 + writer) as u64);
    let Some(mut client) = Client::connect(address) else { return };
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let count = if rng.random_ratio(1, 3) { 20 } else { 1 };
        let ids: Vec<String> = (0..count)
            .map(|_| {
                let mut sent = sent.lock().unwrap();
                if rng.random_ratio(1, 6) && !sent.is_empty() {
                    return sent[rng.random_range(0..sent.len())].clone();
                }
                number += 1;
                let id = format!("r{round}-{writer}-{number}");
                sent.push(id.clone());
                id
            })
            .collect();
        in_flight.fetch_add(1, Ordering::SeqCst);
        let answers = if count == 1 {
            client.call("POST", "/v1/decisions", Some(&body(&ids[0]))).map(|(_, answer)| vec![answer])
        } else {
            let requests: Vec<Value> = ids.iter().map(|id| body(id)).collect();
            let answer = client.call("POST", "/v1/decisions:batch", Some(&json!({ "requests": requests })));
            answer.map(|(_, answer)| answer["results"].as_array().cloned().unwrap_or_default())
        };
        let Some(answers) = answers else { return };
        in_flight.fetch_sub(1, Ordering::SeqCst);
        let mut known = known.lock().unwrap();
        for (id, answer) in ids.iter().zip(&answers) {
            if let Some(coordinate) = acknowledged(answer) {
                let before = known.insert(id.clone(), coordinate.clone());
                assert!(before.is_none_or(|before| before == coordinate), "{id} was answered by two events");
            }
        }
    }
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

#[test]
fn every_acknowledged_decision_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (known, sent) = (Arc::new(Mutex::new(Acknowledged::new())), Arc::new(Mutex::new(Vec::new())));
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (mut in_flight_at_kill, mut slowest) = (0, Duration::ZERO);
    let rounds = rounds();
    for round in 0..rounds {
        let since = Instant::now();
        let server = Server::start(&data);
        slowest = slowest.max(since.elapsed());
        let before = known.lock().unwrap().clone();
        if !before.is_empty() {
            verify_by_repeat(&server.address, &before, 200, &mut rng);
        }
        let load = Load::start(&server.address, round, &known, &sent);
        let until = Instant::now() + Duration::from_micros(rng.random_range(30_000..350_000));
        while Instant::now() < until {
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        in_flight_at_kill += usize::from(load.in_flight.load(Ordering::SeqCst) > 0);
        server.kill();
        load.join();
    }
    let known = known.lock().unwrap().clone();
    let server = Server::start(&data);
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    server.kill();
    let events = verify_export(&data, directory.path(), &known);
    let (code, out, err) = run("lexecon", &["replay", "--json", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "replay: {out}{err}");
    let (code, out, err) = run("lexecon", &["rebuild", "--json", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "rebuild: {out}{err}");
    println!(
        "kill -9: {rounds} rounds, {in_flight_at_kill} with requests in flight, {} acknowledged, {events} events: 0 lost, 0 doubled, \
         0 chain breaks; slowest start {slowest:?}",
        known.len()
    );
    assert!(in_flight_at_kill * 10 >= rounds * 8, "only {in_flight_at_kill} of {rounds} kills met requests in flight");
}

/// The ledger alone: it verifies, accounts for its input, and holds every acknowledged event once.
pub fn verify_export(data: &Path, beside: &Path, known: &Acknowledged) -> u64 {
    let file = beside.join("all.ledger");
    let (code, out, err) =
        run("lexecon", &["ledger", "export", "--data", data.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    assert_eq!(code, 0, "export: {out}{err}");
    let (code, out, err) = run("ledger-verify", &[file.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "ledger-verify: {out}{err}");
    let bytes = std::fs::read(&file).unwrap();
    let mut verifier = Verifier::new(Options::default());
    verifier.feed(&bytes).unwrap();
    let report = verifier.finish().unwrap();
    let mut parser = ledger::export::Parser::default();
    parser.feed(&bytes);
    let (mut hashes, mut keys) = (BTreeMap::new(), BTreeSet::new());
    while let Some(record) = parser.next_record().unwrap() {
        if record.kind == ledger::RecordKind::Event {
            let event = ledger::StoredEvent::decode(record.bytes).unwrap();
            hashes.insert((u64::from(event.body.chain.partition), event.body.seq), event.event_hash.to_string());
            if event.body.event_type == ledger::event_type::DECIDED {
                let facts = ledger::layout::Facts::decode(event.section(ledger::section_tag::FACTS).unwrap()).unwrap();
                assert!(keys.insert(facts.request_key), "a request was decided twice");
            }
        }
    }
    for (id, (partition, seq, hash)) in known {
        assert_eq!(hashes.get(&(*partition, *seq)), Some(hash), "{id}");
    }
    report.events
}
