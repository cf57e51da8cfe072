//! A process that dies while it computes, again and again on the same record: the third death sets it aside.
//!
//! `strace` kills the program at the n-th write of one of its threads into the state. Which write lies between storing
//! the crash guard and removing it is found by trying; the guard in the state says when it was met.

use std::path::Path;
use std::time::Duration;

use engine::kv::rocks::{RocksKv, Settings};
use engine::kv::{Kv, Space};
use serde_json::Value;

use crate::client::Client;
use crate::evidence::{Acknowledged, acknowledged, body, verify_export};
use crate::server::{Server, run};
use crate::strace::{self, can_trace, numbered_files};

/// One partition and one thread that decides, so that each attempt goes the same way.
const SETTINGS: [(&str, &str); 2] = [("LEXECON_TOPOLOGY__PARTITIONS", "1"), ("LEXECON_ENGINE__WORKERS", "1")];
/// The default of the engine's limit.
const DEATHS: u64 = 3;
const ATTEMPTS_MAX: usize = 150;
const WRITES_MAX: u32 = 30;
/// File numbers that the state may reach meanwhile.
const FILES_AHEAD: u64 = 30;

/// Where the guard says the process died, and how often before that.
fn guard(data: &Path) -> Option<(u64, u64)> {
    let kv = RocksKv::open(&data.join("state"), &Settings::default()).unwrap();
    let guard = kv.get(Space::Attempts, &0_u32.to_be_bytes()).unwrap()?;
    let number = |at: usize| u64::from_be_bytes(guard[at..at + 8].try_into().unwrap());
    (number(8) > number(0)).then(|| (number(0), number(16)))
}

/// One life under `strace`. Returns whether the request was answered.
fn live(data: &Path, write: u32, id: &str) -> Option<Value> {
    let state = numbered_files(&data.join("state"), FILES_AHEAD);
    let mut server = strace::server(&format!("write:signal=SIGKILL:when={write}"), &state, data, &SETTINGS).ok()?;
    let call = |mut client: Client| client.call("POST", "/v1/decisions?wait=2000", Some(&body(id)));
    let answer = Client::connect(&server.address).and_then(call);
    server.ends_within(Duration::from_millis(if answer.is_some() { 0 } else { 3_000 }));
    answer.map(|(_, answer)| answer)
}

#[test]
fn what_kills_the_process_three_times_is_set_aside() {
    if !can_trace("crash_loop::what_kills_the_process_three_times_is_set_aside") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // The first start writes more than later ones.
    Server::configured(&data, &SETTINGS).unwrap().kill();
    let mut known = Acknowledged::new();
    let (mut write, mut number, mut lives, mut deaths) = (1, 0, 0, Vec::new());
    while deaths.len() < DEATHS as usize {
        lives += 1;
        assert!(lives <= ATTEMPTS_MAX, "the guard was met {deaths:?} in {lives} lives");
        let id = format!("loop-{number}");
        match live(&data, write, &id) {
            Some(answer) => {
                if let Some(coordinate) = acknowledged(&answer) {
                    known.insert(id, coordinate);
                    number += 1;
                }
                deaths.clear();
            }
            None => match guard(&data) {
                // The same write again meets the same guard.
                Some(met) if deaths.last() != Some(&met) => {
                    deaths.push(met);
                    continue;
                }
                _ => {}
            },
        }
        write = write % WRITES_MAX + 1;
    }
    let offset = deaths[0].0;
    assert!(deaths.iter().zip(0..).all(|(met, count)| *met == (offset, count)), "{deaths:?}");

    let server = Server::configured(&data, &SETTINGS).unwrap();
    let mut client = Client::connect(&server.address).unwrap();
    let (status, answer) = client.call("POST", "/v1/decisions", Some(&body("after-1"))).unwrap();
    assert_eq!(status, 200, "what comes behind is decided: {answer}");
    known.insert("after-1".into(), acknowledged(&answer).unwrap());
    let url = format!("http://{}", server.address);
    let (code, out, err) = run("lexecon", &["dlq", "list", "--json", "--url", &url]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("quarantined"), "{out}");
    server.kill();
    let events = verify_export(&data, directory.path(), &known).events;
    println!(
        "crash loop: {lives} lives, killed {DEATHS} times while computing offset {offset}, then set aside as quarantined; {} \
         others decided, {events} events verify",
        known.len()
    );
}
