//! Damaged files: whatever byte of whatever file is flipped or cut, nothing wrong is accepted in silence.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Server, run};

/// How many random changes of each sort.
const RANDOM: usize = 100;

pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a directory with the modes of its files and directories: that of keys must stay closed.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        let directory = target.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        fs::copy(&file, &target).unwrap();
        fs::set_permissions(directory, fs::metadata(file.parent().unwrap()).unwrap().permissions()).unwrap();
    }
}

/// Acknowledged events by request id.
pub type Known = BTreeMap<String, Value>;

/// Works for a while and is killed. What was acknowledged is kept.
pub fn fill(data: &Path, name: &str, known: &mut Known) {
    let server = Server::start(data);
    let mut client = Client::connect(&server.address).unwrap();
    for round in 0..15 {
        let requests: Vec<Value> = (0..10)
            .map(|n| json!({"request_id": format!("{name}{round}-{n}"), "actor": {"id": format!("agent-{n}")}, "action": "read_file", "risk_class": "minimal",
                             "subjects": [{"id": format!("p{n}"), "role": "owner"}]}))
            .collect();
        let (_, answer) = client.call("POST", "/v1/decisions:batch", Some(&json!({ "requests": requests }))).unwrap();
        for (n, result) in answer["results"].as_array().unwrap().iter().enumerate() {
            assert!(result["ledger"].is_object(), "{result}");
            known.insert(format!("{name}{round}-{n}"), result["ledger"].clone());
        }
    }
    server.kill();
}

/// Several lives: the log of each is written out into tables by the start of the next, the last is only in the
/// write-ahead log.
fn lives(data: &Path) -> Known {
    let mut known = Known::new();
    ["a", "b", "c"].iter().for_each(|name| fill(data, name, &mut known));
    known
}

/// What the damage led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Refused,
    Intact,
}

/// Exports the ledger of a damaged copy: refused with a message, or every acknowledged event is there.
pub fn look(data: &Path, out: &Path, known: &Known, what: &str) -> Seen {
    let _ = fs::remove_file(out);
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

/// A data directory, and a copy of it that is damaged in one place at a time.
struct Damaged {
    directory: tempfile::TempDir,
    data: PathBuf,
    known: Known,
}

impl Damaged {
    fn new() -> Damaged {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let known = lives(&data);
        Damaged { directory, data, known }
    }

    /// Changes one file of a fresh copy and looks what comes of it.
    fn look(&self, file: &Path, change: &str, damage: impl FnOnce(&mut Vec<u8>)) -> Seen {
        let broken = self.directory.path().join("broken");
        let _ = fs::remove_dir_all(&broken);
        copy(&self.data, &broken);
        let name = file.strip_prefix(&self.data).unwrap();
        let mut bytes = fs::read(file).unwrap();
        damage(&mut bytes);
        fs::write(broken.join(name), bytes).unwrap();
        let what = format!("{}: {change}", name.display());
        look(&broken, &self.directory.path().join("broken.ledger"), &self.known, &what)
    }

    fn files(&self, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let found = files(&self.data).into_iter().filter(|file| wanted(file.strip_prefix(&self.data).unwrap()));
        found.filter(|file| fs::metadata(file).unwrap().len() > 0).collect()
    }
}

fn is_log(file: &Path) -> bool {
    file.starts_with("log")
}

fn has_ending(file: &Path, ending: &str) -> bool {
    is_log(file) && file.extension().is_some_and(|found| found == ending)
}

#[test]
fn damaged_files_are_never_accepted_in_silence() {
    let damaged = Damaged::new();
    let (mut refused, mut intact) = (0, 0);
    let mut count = |seen| match seen {
        Seen::Refused => refused += 1,
        Seen::Intact => intact += 1,
    };
    let all = damaged.files(|file| is_log(file) || file.ends_with("anchor"));
    for file in &all {
        let length = fs::metadata(file).unwrap().len() as usize;
        for place in (0..6).map(|n| length * n / 6) {
            count(damaged.look(file, &format!("flipped at {place}"), |bytes| bytes[place] ^= 0x55));
        }
        for place in [length / 6, length * 4 / 6] {
            count(damaged.look(file, &format!("cut at {place}"), |bytes| bytes.truncate(place)));
        }
    }
    println!(
        "damage: each of {} files flipped in 6 places and cut in 2, {refused} refused, {intact} without loss: 0 silently accepted",
        all.len()
    );
    assert!(refused > 0 && all.len() > 5);
}

#[test]
fn a_hundred_random_changes_of_each_sort_are_never_accepted_in_silence() {
    type Change = fn(&mut Vec<u8>, usize, u8);
    let damaged = Damaged::new();
    let mut rng = ChaCha20Rng::seed_from_u64(15);
    let sorts: [(&str, &str, Change); 3] = [
        ("the end of the write-ahead log cut off", "log", |bytes, place, _| bytes.truncate(place)),
        ("a byte of the write-ahead log flipped", "log", |bytes, place, mask| bytes[place] ^= mask),
        ("a byte of a table flipped", "sst", |bytes, place, mask| bytes[place] ^= mask),
    ];
    for (name, ending, change) in sorts {
        let files = damaged.files(|file| has_ending(file, ending));
        assert!(!files.is_empty(), "no file {ending}");
        let (mut refused, mut intact) = (0, 0);
        for _ in 0..RANDOM {
            let file = &files[rng.random_range(0..files.len())];
            let place = rng.random_range(0..fs::metadata(file).unwrap().len() as usize);
            let mask = rng.random_range(1..=255);
            match damaged.look(file, &format!("{name}, {place}, {mask}"), |bytes| change(bytes, place, mask)) {
                Seen::Refused => refused += 1,
                Seen::Intact => intact += 1,
            }
        }
        println!(
            "{name}: {RANDOM} at random over {} files, {refused} refused, {intact} without loss: 0 silently accepted",
            files.len()
        );
        assert!(refused > RANDOM / 4, "only {refused} of {RANDOM} were noticed");
    }
}

/// The derived state may be damaged or gone: it is a fold, and a start without it serves the same answers.
#[test]
fn state_is_only_a_fold() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut known = Known::new();
    fill(&data, "d", &mut known);
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
