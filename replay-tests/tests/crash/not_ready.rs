//! Readiness is truthful: while the medium fails, nobody is told that anything was decided, and everybody is told that
//! nothing would be; afterwards the same process works again, without a restart.
//!
//! The faults are put into system calls of the running program and taken out again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::evidence::{
    Acknowledged, SHOWN_WITHIN, acknowledged, becomes, decide, decide_and_keep, get, verify_by_repeat, verify_export,
};
use crate::load::{Load, Said};
use crate::server::Server;
use crate::strace::{Attached, can_trace, numbered_files};

/// A log that is broken waits up to 5 s between two attempts to open it again.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// File numbers that the log may reach while it fails.
const FILES_AHEAD: u64 = 300;

/// One way in which the medium fails.
struct Fault {
    name: &'static str,
    inject: &'static str,
    /// The files whose calls fail; none: all.
    files: fn(&Path) -> Vec<String>,
}

const FAULTS: [Fault; 2] = [
    Fault { name: "fdatasync says EIO", inject: "fdatasync:error=EIO", files: |_| Vec::new() },
    Fault { name: "write says ENOSPC", inject: "write:error=ENOSPC", files: files_of_the_log },
];

/// Of the log alone: a program that cannot write at all, not even to wake its own threads, is another fault.
fn files_of_the_log(data: &Path) -> Vec<String> {
    numbered_files(&data.join("log"), FILES_AHEAD)
}

/// Nobody asks for anything: the log itself finds out.
fn idle(fault: &Fault) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let mut known = Acknowledged::new();
    (0..30).for_each(|number| decide_and_keep(&server, &format!("before-{number}"), &mut known));
    becomes(&server, 200, SHOWN_WITHIN);

    let tracer = Attached::to(server.pid(), fault.inject, &(fault.files)(&data));
    let shown = becomes(&server, 503, SHOWN_WITHIN);
    let why = get(&server, "/health/ready").1.to_string();
    assert!(why.contains("log"), "{why}");
    let until = Instant::now() + Duration::from_secs(2);
    let mut refused = 0;
    while Instant::now() < until {
        let (status, answer) = decide(&server, &format!("meanwhile-{refused}")).expect("an answer");
        assert_eq!(acknowledged(&answer), None, "acknowledged while not ready: {answer}");
        assert!(status == 202 || status == 503, "{status} {answer}");
        refused += 1;
    }
    assert_eq!(get(&server, "/health/ready").0, 503);
    assert_eq!(get(&server, "/health/live").0, 200);

    drop(tracer);
    let back = becomes(&server, 200, BACK_WITHIN);
    (0..refused).for_each(|number| decide_and_keep(&server, &format!("meanwhile-{number}"), &mut known));
    verify_and_end(server, &data, directory.path(), &known);
    println!(
        "{}, nobody asks: not ready after {shown:?}, {refused} refused, 0 acknowledged, ready again after {back:?} without a \
         restart, {} acknowledged in all",
        fault.name,
        known.len()
    );
}

/// In the middle of work: what is in flight is unknown, and the same process must find out by itself.
fn under_load(fault: &Fault) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let said = Arc::new(Said::default());
    let server = Server::start(&data);
    let (mut slowest_shown, mut slowest_back) = (Duration::ZERO, Duration::ZERO);
    let rounds = 3;
    for round in 0..rounds {
        let load = Load::start(&server.address, round, &said);
        let wanted = said.known().len() + 50;
        let deadline = Instant::now() + Duration::from_secs(20);
        while said.known().len() < wanted {
            assert!(Instant::now() < deadline, "nothing is decided in round {round}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let tracer = Attached::to(server.pid(), fault.inject, &(fault.files)(&data));
        slowest_shown = slowest_shown.max(becomes(&server, 503, SHOWN_WITHIN));
        said.set_not_ready(true);
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            assert_eq!(get(&server, "/health/ready").0, 503);
            std::thread::park_timeout(Duration::from_millis(20));
        }
        said.set_not_ready(false);
        assert_eq!(said.acknowledged_wrongly(), 0, "acknowledged while not ready");
        drop(tracer);
        slowest_back = slowest_back.max(becomes(&server, 200, BACK_WITHIN));
        load.join();
    }
    let known = said.known();
    verify_and_end(server, &data, directory.path(), &known);
    println!(
        "{}, under load: {rounds} rounds, not ready after at most {slowest_shown:?}, 0 acknowledged meanwhile, ready again after \
         at most {slowest_back:?} without a restart, {} acknowledged in all, 0 lost",
        fault.name,
        known.len()
    );
}

fn verify_and_end(server: Server, data: &Path, beside: &Path, known: &Acknowledged) {
    let mut rng = ChaCha20Rng::seed_from_u64(14);
    assert_eq!(verify_by_repeat(&server.address, known, usize::MAX, &mut rng), known.len());
    server.stop();
    verify_export(data, beside, known);
}

#[test]
fn a_medium_that_fails_shows_before_anybody_asks() {
    if can_trace("not_ready::a_medium_that_fails_shows_before_anybody_asks") {
        FAULTS.iter().for_each(idle);
    }
}

#[test]
fn a_medium_that_fails_under_load_loses_nothing() {
    if can_trace("not_ready::a_medium_that_fails_under_load_loses_nothing") {
        FAULTS.iter().for_each(under_load);
    }
}
