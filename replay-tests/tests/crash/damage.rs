//! Damaged files: whatever byte of whatever file is flipped or cut, nothing wrong is accepted in silence.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Server, run};

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
    // Copies of keys keep their modes, and their directory must be closed as well.
    let keys = to.join("keys");
    if keys.exists() {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(keys, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// Acknowledged events by request id.
fn fill(data: &Path) -> BTreeMap<String, Value> {
    let server = Server::start(data);
    let mut client = Client::connect(&server.address).unwrap();
    let mut known = BTreeMap::new();
    for round in 0..40 {
        let requests: Vec<Value> = (0..10)
            .map(|n| json!({"request_id": format!("d{round}-{n}"), "actor": {"id": format!("agent-{n}")}, "action": "read_file", "risk_class": "minimal",
                             "subjects": [{"id": format!("p{n}"), "role": "owner"}]}))
            .collect();
        let (_, answer) = client.call("POST", "/v1/decisions:batch", Some(&json!({ "requests": requests }))).unwrap();
        for (n, result) in answer["results"].as_array().unwrap().iter().enumerate() {
            known.insert(format!("d{round}-{n}"), result["ledger"].clone());
        }
    }
    server.kill();
    known
}

/// What the damage led to.
enum Seen {
    Refused,
    Intact,
}

/// Exports the ledger of a damaged copy: refused with a message, or every acknowledged event is there.
fn look(data: &Path, out: &Path, known: &BTreeMap<String, Value>, what: &str) -> Seen {
    let (code, _, err) =
        run("lexecon", &["ledger", "export", "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    if code != 0 {
        assert!(!err.trim().is_empty(), "{what}: refused without a word");
        assert!(!err.contains("panicked"), "{what}: {err}");
        return Seen::Refused;
    }
    let (code, verdict, _) = run("ledger-verify", &[out.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{what}: a damaged ledger was exported: {verdict}");
    let bytes = fs::read(out).unwrap();
    let mut parser = ledger::export::Parser::default();
    parser.feed(&bytes);
    let mut hashes = BTreeMap::new();
    while let Some(record) = parser.next_record().unwrap() {
        if record.kind == ledger::RecordKind::Event {
            let event = ledger::StoredEvent::decode(record.bytes).unwrap();
            hashes.insert((u64::from(event.body.chain.partition), event.body.seq), event.event_hash.to_string());
        }
    }
    for (id, place) in known {
        let found = hashes.get(&(place["partition"].as_u64().unwrap(), place["seq"].as_u64().unwrap()));
        assert_eq!(
            found.map(String::as_str),
            place["event_hash"].as_str(),
            "{what}: {id} was acknowledged and is silently lost"
        );
    }
    Seen::Intact
}

#[test]
fn damaged_files_are_never_accepted_in_silence() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let known = fill(&data);
    let (mut refused, mut intact, mut tried) = (0, 0, 0);
    for file in files(&data)
        .iter()
        .filter(|file| file.strip_prefix(&data).unwrap().starts_with("log") || file.ends_with("anchor"))
    {
        let length = fs::metadata(file).unwrap().len();
        let name = file.strip_prefix(&data).unwrap().display().to_string();
        let places: Vec<u64> = if length == 0 { Vec::new() } else { (0..6).map(|n| length * n / 6).collect() };
        for (n, place) in places.iter().enumerate() {
            for cut in [false, true] {
                if cut && n % 3 != 1 {
                    continue;
                }
                let broken = directory.path().join("broken");
                let _ = fs::remove_dir_all(&broken);
                copy(&data, &broken);
                let target = broken.join(file.strip_prefix(&data).unwrap());
                let mut bytes = fs::read(&target).unwrap();
                if cut {
                    bytes.truncate(*place as usize)
                } else {
                    bytes[*place as usize] ^= 0x55
                }
                fs::write(&target, bytes).unwrap();
                let out = directory.path().join("broken.ledger");
                let _ = fs::remove_file(&out);
                tried += 1;
                match look(&broken, &out, &known, &format!("{name} at {place}, cut: {cut}")) {
                    Seen::Refused => refused += 1,
                    Seen::Intact => intact += 1,
                }
            }
        }
    }
    println!("damage: {tried} files flipped or cut, {refused} refused, {intact} without loss: 0 silently accepted");
    assert!(refused > 0 && tried > 30);
}

/// The derived state may be damaged or gone: it is a fold, and a start without it serves the same answers.
#[test]
fn state_is_only_a_fold() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let known = fill(&data);
    fs::remove_dir_all(data.join("state")).unwrap();
    let server = Server::start(&data);
    let mut client = Client::connect(&server.address).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    for (id, place) in known.iter().take(50) {
        let path =
            format!("/v1/requests?tenant=default&actor=agent-{}&request_id={id}", id.rsplit('-').next().unwrap());
        loop {
            let (status, answer) = client.call("GET", &path, None).unwrap();
            if status == 200 {
                assert_eq!(answer["ledger"], *place, "{id}");
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{id}: {status} {answer}");
        }
    }
    server.kill();
}
