//! Explicit-state model of one partition: two processes, one log, everything that may go wrong, exhaustively within
//! small bounds.
//!
//! What is explored is what runs: `Owner::step`, the fold, `ledger::accept` and the log in memory with its fates; only
//! threads and clocks are left out, and who comes next and how the log answers is a choice. The bounds are stated by
//! each test and printed with what was explored; time is not bounded, because any wait may end at any time.
//! See `state` for the choices, `process` for what counts as one step, `judge` for what must hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

mod explore;
mod judge;
mod process;
mod state;

use engine::kv::memory::MemoryKv;
use engine::owner::Limits;
use eventlog::memory::{LogState, WriteFate};
use eventlog::{NewRecord, Topic};
use replay_tests::defect::Defect;
use replay_tests::sample;

use explore::{Explored, Found, explore};
use state::{Bounds, State, World};

/// More states than any bounds here have; who meets it has taken away what makes them finite.
const STATES_MAX: usize = 3_000_000;
const NONE: Bounds = Bounds { writers: 2, requests: 0, faults: 0, crashes: 0, reassignments: 0, returns: 0, jumps: 0 };

/// What is exhausted, and whether consumed requests are removed, as on the embedded log.
const EXHAUSTED: [(&str, Bounds, bool); 6] = [
    ("one process and its log", Bounds { writers: 1, requests: 2, faults: 1, crashes: 1, ..NONE }, true),
    ("a fault", Bounds { requests: 1, faults: 1, ..NONE }, false),
    ("a crash", Bounds { requests: 1, crashes: 1, ..NONE }, false),
    ("a reassignment", Bounds { requests: 2, reassignments: 1, ..NONE }, false),
    ("a return", Bounds { requests: 2, returns: 1, ..NONE }, false),
    ("requests removed under a writer", Bounds { requests: 2, ..NONE }, true),
];

/// A request that names a data subject, its repeat, and one of another body under the same id.
fn world() -> World {
    let limits =
        Limits { batch_events_max: 8, backoff_first_us: 1, backoff_max_us: 1, recheck_us: 0, ..Limits::default() };
    let record = |variant| {
        NewRecord::new(
            Topic::Requests,
            0,
            Vec::new(),
            wire::frame_request(&sample::request("actor", 2, variant)).unwrap(),
        )
    };
    World { ctx: sample::context(1, 1, limits), requests: vec![record(0), record(0), record(1)], removes: false }
}

/// Explores from a log on which one process has put the bundle in force and is gone.
fn from_running(left: Bounds, removes: bool, defect: Option<Defect>, states_max: usize) -> Result<Explored, Found> {
    let world = World { requests: world().requests[..left.requests].to_vec(), removes, ..world() };
    let mut inputs = LogState::new(1);
    inputs.write(sample::beginning(1, usize::MAX), WriteFate::Plain).unwrap();
    let begun = State::new(&world, LogState::new(1), inputs, &MemoryKv::default(), NONE, None);
    let begun = judge::drain(&world, begun);
    let (log, inputs) = ((*begun.log).clone(), (*begun.inputs).clone());
    let first = State::new(&world, log, inputs, &begun.processes[0].kv, left, defect);
    explore(&world, first, defect, states_max)
}

fn holds(name: &str, left: Bounds, removes: bool) {
    let explored = from_running(left, removes, None, STATES_MAX).unwrap_or_else(|found| panic!("{name}: {found}"));
    let Explored { states, transitions, depth, audited, ends, seconds } = explored;
    println!("model: {name}: {left:?}");
    println!(
        "model: {name}: {states} states, {transitions} transitions, depth {depth}, {audited} logs audited, {ends} brought to an end, \
         {seconds:.1} s: 0 violations"
    );
}

#[test]
fn every_state_within_the_bounds_holds() {
    for (name, left, removes) in EXHAUSTED {
        holds(name, left, removes);
    }
}

/// Other bounds than those above, for a longer search: `MODEL_BOUNDS` holds the seven numbers of [`Bounds`] in their
/// order, and 1 where consumed requests are removed.
#[test]
#[ignore = "takes as long as its bounds are wide"]
fn other_bounds_hold() {
    let text = std::env::var("MODEL_BOUNDS")
        .expect("MODEL_BOUNDS=writers,requests,faults,crashes,reassignments,returns,jumps,removes");
    let numbers: Vec<u8> = text.split(',').map(|number| number.parse().unwrap()).collect();
    let [writers, requests, faults, crashes, reassignments, returns, jumps, removes] = numbers.try_into().unwrap();
    let left =
        Bounds { writers: writers.into(), requests: requests.into(), faults, crashes, reassignments, returns, jumps };
    holds("other bounds", left, removes == 1);
}

/// Each defect with bounds in which it does harm, and in which nothing is found without it.
#[test]
fn the_judge_finds_planted_defects() {
    let one = Bounds { writers: 1, requests: 1, ..NONE };
    let two = Bounds { writers: 2, ..one };
    for (defect, left) in [
        (Defect::CommitAssumed, Bounds { faults: 1, crashes: 1, ..one }),
        (Defect::FrameBeforeKeys, one),
        (Defect::AcceptByEpoch, Bounds { faults: 1, ..one }),
        (Defect::LocalInputPosition, Bounds { requests: 2, crashes: 1, ..one }),
        (Defect::LateSweep, two),
        (Defect::DedupOutsideBatch, Bounds { requests: 2, crashes: 1, ..one }),
        (Defect::SaidNotDecided, Bounds { faults: 1, ..one }),
        (Defect::KeyringNotRead, Bounds { faults: 1, ..one }),
    ] {
        if let Err(found) = from_running(left, false, None, STATES_MAX) {
            panic!("without {defect:?} there is something else: {found}");
        }
        match from_running(left, false, Some(defect), STATES_MAX) {
            Err(found) => println!("model: {defect:?}: {found}"),
            Ok(explored) => panic!("{defect:?} was not found: {explored:?}"),
        }
    }
}
