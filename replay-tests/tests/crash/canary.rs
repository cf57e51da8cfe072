//! No personal value in clear in any file: values that occur nowhere else are sent, and every byte that is written
//! afterwards is searched for them.
//!
//! A consumed request is removed from its queue some time after it was decided; there it lies sealed, so the answer must
//! be the same at any time. Files may be compressed: what the stores hold is therefore read through them as well.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use engine::kv::rocks::{RocksKv, Settings};
use engine::kv::{Kv, Space, Write};
use eventlog::embedded::Embedded;
use eventlog::{EventLog, NewRecord, Position, ReadLimit, Topic};
use serde_json::{Value, json};

use crate::client::Client;
use crate::damage::{copy, files};
use crate::server::{Server, run};

/// Each stands for one kind of value, and none is part of another.
const CANARIES: [&str; 7] = [
    "zaunkoenig-actor",
    "rotkehlchen-principal",
    "stieglitz@example.org",
    "gimpel-0815-payee",
    "Amsel Nachtigall",
    "wiedehopf in the context",
    "pirol-conversation",
];
const ENTRIES_MAX: usize = 1_000_000;

fn request(number: usize) -> Value {
    let [actor, principal, email, payee, name, context, conversation] = CANARIES;
    json!({
        "request_id": format!("canary-{number}"),
        "actor": {"id": actor, "kind": "agent", "roles": ["assistant"], "on_behalf_of": {"id": principal, "kind": "person"}},
        "action": "send_email",
        "risk_class": "minimal",
        "context": {"note": context, "conversation": conversation},
        "subjects": [
            {"id_type": "email", "id": email, "role": "recipient", "fields": {"name": name}},
            {"id_type": "national", "id": payee, "role": "payee"},
        ],
    })
}

/// The values as they stand, as hexadecimal digits, and as base64 at each of the three places of a group.
struct Scanner {
    needles: Vec<(&'static str, Vec<u8>)>,
    bytes: u64,
}

impl Scanner {
    fn new() -> Scanner {
        let mut needles = Vec::new();
        for canary in CANARIES {
            needles.push((canary, canary.as_bytes().to_vec()));
            needles.push((canary, hex::encode(canary).into_bytes()));
            needles.push((canary, hex::encode_upper(canary).into_bytes()));
            needles.extend((0..3).map(|before| (canary, base64_inside(canary.as_bytes(), before))));
        }
        Scanner { needles, bytes: 0 }
    }

    fn hits(&mut self, bytes: &[u8]) -> Vec<&'static str> {
        self.bytes += bytes.len() as u64;
        let occurs = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        self.needles.iter().filter(|(_, needle)| occurs(needle)).map(|(canary, _)| *canary).collect()
    }

    fn must_not_hit(&mut self, bytes: &[u8], place: &str) {
        let hits = self.hits(bytes);
        assert!(hits.is_empty(), "{place} holds {hits:?} in clear");
    }

    /// Every file below, its bytes and its name. Returns how many.
    fn directory(&mut self, root: &Path) -> usize {
        let files = files(root);
        for file in &files {
            // One that was removed since it was listed is gone.
            let Ok(bytes) = fs::read(file) else { continue };
            self.must_not_hit(&bytes, &file.display().to_string());
            self.must_not_hit(file.to_str().unwrap().as_bytes(), "a file name");
        }
        files.len()
    }

    /// Every row of the stores of a directory that nobody uses. Returns how many.
    fn stores(&mut self, data: &Path) -> usize {
        let rows = rows(data);
        for (place, bytes) in &rows {
            self.must_not_hit(bytes, place);
        }
        rows.len()
    }
}

/// The middle of a base64 text that does not depend on what stands before and after the value.
fn base64_inside(value: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded = [vec![0; before], value.to_vec()].concat();
    let groups = padded.chunks_exact(3).skip(before.div_ceil(3));
    let digits = groups.flat_map(|group| {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize])
    });
    digits.collect()
}

/// What the log and the state hold, uncompressed, with the place of each.
fn rows(data: &Path) -> Vec<(String, Vec<u8>)> {
    let mut rows = Vec::new();
    let log = Embedded::open(eventlog::embedded::Settings::at(data)).unwrap();
    let reader = log.reader();
    for topic in Topic::ALL {
        for partition in 0..log.partitions() {
            let mut from = Position::ZERO;
            loop {
                let records = reader.read(topic, partition, from, ReadLimit::default()).unwrap();
                let Some(last) = records.last() else { break };
                from = last.position.next();
                for record in records {
                    let place = format!("{topic} partition {partition} position {}", record.position);
                    let headers = record.headers.into_iter().flat_map(|(name, value)| [name.into_bytes(), value]);
                    rows.push((place, [record.key, record.value].into_iter().chain(headers).flatten().collect()));
                }
            }
        }
    }
    if data.join("state").exists() {
        let kv = RocksKv::open(&data.join("state"), &Settings::default()).unwrap();
        for space in Space::ALL {
            for (key, value) in kv.scan(space, &[], &[0xff; 64], ENTRIES_MAX, false).unwrap() {
                rows.push((format!("a row of {}", space.name()), [key, value].concat()));
            }
        }
    }
    rows
}

/// A scanner that finds nothing proves nothing: a value put into a file, into each kind of store, and encoded, is found.
fn planted_values_are_found(data: &Path, scratch: &Path) {
    let mut scanner = Scanner::new();
    for canary in CANARIES {
        let inside = format!("..{canary}..");
        for bytes in [inside.clone(), hex::encode(&inside), hex::encode_upper(&inside)] {
            assert_eq!(scanner.hits(bytes.as_bytes()), [canary], "{bytes}");
        }
        for before in 0..3 {
            let found =
                scanner.hits(&base64_inside(&[vec![7; before], canary.as_bytes().to_vec(), vec![7; 3]].concat(), 0));
            assert_eq!(found, [canary], "base64 after {before} bytes");
        }
    }
    let planted = |plant: &dyn Fn(&Path), what: &str| {
        let _ = fs::remove_dir_all(scratch);
        copy(data, scratch);
        plant(scratch);
        let mut scanner = Scanner::new();
        let in_files = files(scratch).iter().any(|file| !scanner.hits(&fs::read(file).unwrap()).is_empty());
        let in_rows = what != "file" && rows(scratch).iter().any(|(_, bytes)| !scanner.hits(bytes).is_empty());
        assert!(in_files || in_rows, "a value planted in a {what} was not found");
        assert!(what == "file" || in_rows, "a value planted in a {what} was not found in its row");
    };
    planted(&|root| fs::write(root.join("log/LOG.old"), format!("x{}x", CANARIES[3])).unwrap(), "file");
    planted(
        &|root| {
            let kv = RocksKv::open(&root.join("state"), &Settings::default()).unwrap();
            kv.write(vec![Write::Put(Space::Actors, vec![0; 8], CANARIES[2].into())]).unwrap();
        },
        "row of the state",
    );
    planted(
        &|root| {
            let mut log = Embedded::open(eventlog::embedded::Settings::at(root)).unwrap();
            log.submit(NewRecord::new(Topic::Requests, 0, Vec::new(), CANARIES[0]));
            for _ in 0..2 {
                log.poll(std::time::Duration::from_millis(200));
            }
        },
        "record of the log",
    );
}

/// Keys are for their owner only, in the data and in a backup.
fn keys_are_closed(data: &Path) {
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let keys = data.join("keys");
    assert_eq!(mode(&keys), 0o700, "{}", keys.display());
    let inside = files(&keys);
    assert!(!inside.is_empty());
    inside.iter().for_each(|key| assert_eq!(mode(key), 0o600, "{}", key.display()));
}

#[test]
fn no_personal_value_stands_in_clear() {
    let directory = tempfile::tempdir().unwrap();
    let (data, copied) = (directory.path().join("data"), directory.path().join("copied"));
    let mut scanner = Scanner::new();
    let server = Server::configured(&data, &[("LEXECON_TELEMETRY__LEVEL", "debug")]).unwrap();
    let mut client = Client::connect(&server.address).unwrap();
    let mut ask = |method: &str, path: &str, body: &Value| client.call(method, path, Some(body)).expect("an answer");
    for number in 0..20 {
        let (status, answer) = ask("POST", "/v1/decisions", &request(number));
        assert_eq!(status, 200, "{answer}");
        scanner.directory(&data);
    }
    let mut conflicting = request(0);
    conflicting["action"] = json!("delete_file");
    assert_eq!(ask("POST", "/v1/decisions", &conflicting).0, 409);
    let mut refused = request(100);
    refused["occurred_at"] = json!("2001-01-01T00:00:00Z");
    ask("POST", "/v1/decisions", &refused);
    let poison = format!("\0\0\0\0\u{1}{}", CANARIES.join(" "));
    let raw = client.send("POST", "/v1/requests:raw", "application/octet-stream", poison.as_bytes()).unwrap();
    assert_eq!(raw.0, 202);
    let (status, metrics) = client.send("GET", "/metrics", "text/plain", b"").unwrap();
    assert_eq!(status, 200);
    scanner.must_not_hit(&metrics, "metrics");
    let url = format!("http://{}", server.address);
    let out = |name: &str| directory.path().join(name).display().to_string();
    for (format, name) in [("ledger", "a.ledger"), ("json", "a.json")] {
        let arguments = ["ledger", "export", "--format", format, "--url", &url, "--out", &out(name)];
        let (code, said, err) = run("lexecon", &arguments);
        assert_eq!(code, 0, "{said}{err}");
        scanner.must_not_hit(&fs::read(out(name)).unwrap(), name);
    }
    let (code, said, err) = run("lexecon", &["backup", copied.to_str().unwrap(), "--url", &url]);
    assert_eq!(code, 0, "{said}{err}");
    let working = scanner.directory(&data);
    let logs = server.stop();
    assert!(logs.lines().count() > 20, "the log says nothing, so it proves nothing: {logs}");
    scanner.must_not_hit(logs.as_bytes(), "logs");
    // A second start writes memory out into tables, and removes what was consumed.
    Server::start(&data).stop();
    let stopped = scanner.directory(&data) + scanner.directory(&copied);
    let rows = scanner.stores(&data) + scanner.stores(&copied);
    keys_are_closed(&data);
    keys_are_closed(&copied);
    let bytes = scanner.bytes;
    planted_values_are_found(&data, &directory.path().join("scratch"));
    println!(
        "canaries: {} values, {working} files while it worked, {stopped} files of the stopped data and of a backup, {rows} rows of \
         their stores, two exports, logs and metrics; {bytes} bytes searched in four spellings, 0 hits; planted values are found",
        CANARIES.len()
    );
}
