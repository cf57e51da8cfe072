//! Killed at each sync: what was said to be durable before it must be there after it, whichever it is.
//!
//! Three stretches of a life, each again and again with the kill one sync later, until one survives: the first start in
//! an empty directory; a later start, with its claims; and work with a stop after it. Syncs are counted for each thread
//! by itself, so what the log's own thread syncs at a start, behind all that was synced to open the stores, is counted
//! once more by itself: on the files that it writes. When a server works it is traced from when it listens.

use std::path::Path;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::client::Client;
use crate::evidence::{Acknowledged, acknowledged, body, decide, verify_by_repeat, verify_export};
use crate::server::{Server, was_killed};
use crate::strace::{self, Attached, can_trace};

/// More syncs than this mean that a stretch never ends.
const SYNCS_MAX: u32 = 200;
/// More files than the log makes meanwhile.
const FILES_MAX: u32 = 1_000;
const CALLS: [&str; 2] = ["fdatasync", "fsync"];

/// Which syncs count.
#[derive(Clone, Copy)]
struct Syncs {
    call: &'static str,
    /// Only those of the log's write-ahead log and anchor.
    of_the_writer: bool,
}

const AT_STARTS: [Syncs; 3] = [
    Syncs { call: "fdatasync", of_the_writer: false },
    Syncs { call: "fsync", of_the_writer: false },
    Syncs { call: "fdatasync", of_the_writer: true },
];

impl Syncs {
    fn name(self) -> String {
        format!("{}{}", self.call, if self.of_the_writer { " of the log's writer" } else { "" })
    }

    /// Starts, killed at that sync. Returns whether it was.
    fn kill_start(self, sync: u32, data: &Path) -> bool {
        let log = data.join("log");
        let wal = (1..FILES_MAX).map(|number| log.join(format!("{number:06}.log")));
        let paths = wal.chain([data.join("anchor")]).filter(|_| self.of_the_writer);
        let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        strace::server(&format!("{}:signal=SIGKILL:when={sync}", self.call), &paths, data, &[]).is_err()
    }
}

/// Sends a fixed piece of work; what was acknowledged until the end of the process is kept.
fn work(server: &Server, name: &str, known: &mut Acknowledged) -> Option<()> {
    let mut keep = |id: String, answer: &Value| {
        if let Some(coordinate) = acknowledged(answer) {
            known.insert(id, coordinate);
        }
    };
    for number in 0..3 {
        let id = format!("{name}-{number}");
        let (_, answer) = decide(server, &id)?;
        keep(id, &answer);
    }
    let ids: Vec<String> = (10..30).map(|number| format!("{name}-{number}")).collect();
    let requests: Vec<Value> = ids.iter().map(|id| body(id)).collect();
    let (_, answer) = Client::connect(&server.address)?.call(
        "POST",
        "/v1/decisions:batch",
        Some(&json!({ "requests": requests })),
    )?;
    for (id, answer) in ids.into_iter().zip(answer["results"].as_array()?) {
        keep(id, answer);
    }
    Some(())
}

/// Starts in an empty directory, killed at that sync. Returns whether it was.
fn first_start(syncs: Syncs, sync: u32, root: &Path) -> bool {
    let data = root.join("first");
    let killed = syncs.kill_start(sync, &data);
    let server = Server::start(&data);
    let mut known = Acknowledged::new();
    work(&server, "first", &mut known).expect("an answer");
    assert_eq!(known.len(), 23, "all are acknowledged after a start that was killed");
    server.kill();
    verify_export(&data, root, &known);
    std::fs::remove_dir_all(&data).unwrap();
    killed
}

/// Works and stops, killed at that sync counted from when it listens.
fn work_and_stop(call: &str, sync: u32, data: &Path, known: &mut Acknowledged) -> bool {
    let mut server = Server::start(data);
    let tracer = Attached::to(server.pid(), &format!("{call}:signal=SIGKILL:when={sync}"), &[]);
    let answered = work(&server, &format!("work-{call}-{sync}"), known).is_some();
    if answered {
        server.ask_to_stop();
    }
    let ended = server.ends_within(Duration::from_secs(20)).expect("it ends, killed or stopped");
    drop(tracer);
    assert!(was_killed(ended) || ended.success(), "{ended}");
    was_killed(ended)
}

#[test]
fn killed_at_each_sync_of_a_first_start() {
    if !can_trace("syncs::killed_at_each_sync_of_a_first_start") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for syncs in AT_STARTS {
        let kills = (1..SYNCS_MAX).take_while(|sync| first_start(syncs, *sync, directory.path())).count();
        assert!((10..SYNCS_MAX as usize - 1).contains(&kills), "{kills} kills at {}", syncs.name());
        println!(
            "first start killed at each {}: {kills} kills, each started again, decided and verifies",
            syncs.name()
        );
    }
}

#[test]
fn killed_at_each_sync_of_later_starts_and_work() {
    if !can_trace("syncs::killed_at_each_sync_of_later_starts_and_work") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    Server::start(&data).kill();
    let (mut known, mut verified) = (Acknowledged::new(), 0);
    for syncs in AT_STARTS {
        let mut kills = 0;
        while syncs.kill_start(kills + 1, &data) {
            kills += 1;
            assert!(kills < SYNCS_MAX, "a start syncs without end");
            verify_export(&data, directory.path(), &known);
            verified += 1;
        }
        println!("later start killed at each {}: {kills} kills, every export verifies", syncs.name());
        assert!(syncs.call != "fdatasync" || kills >= 2, "only {kills}");
    }
    for call in CALLS {
        let mut kills = 0;
        while work_and_stop(call, kills + 1, &data, &mut known) {
            kills += 1;
            assert!(kills < SYNCS_MAX, "the work syncs without end");
            verify_export(&data, directory.path(), &known);
            verified += 1;
        }
        println!("work and stop killed at each {call}: {kills} kills, {} acknowledged so far, 0 lost", known.len());
        assert!(call != "fdatasync" || kills >= 8, "only {kills}");
    }
    let server = Server::start(&data);
    verify_by_repeat(&server.address, &known, usize::MAX, &mut ChaCha20Rng::seed_from_u64(13));
    server.kill();
    println!("killed at each sync: {verified} exports verified, {} acknowledged, 0 lost", known.len());
}
