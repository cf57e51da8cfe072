//! A directory without a process: what it was decided under, what of it is damaged, and what can be done about it.

use std::time::Duration;

use domain::decide::Terms;
use engine::kv::rocks::RocksKv;
use engine::kv::{Kv as _, Space, Write};
use engine::offline::Offline;
use engine::runtime::clock::wall_us;
use engine::settings::Settings;
use engine::system::System;
use eventlog::embedded::Embedded;
use eventlog::{Done, EventLog, NewRecord, Position, ReadLimit, Topic};

use crate::system::{bundle, decide, request};

/// Writes records into a log that nobody uses, as a defect or an intruder would.
fn write(data: &std::path::Path, write: impl FnOnce(&mut Embedded)) {
    let mut log = Embedded::open(Settings::new(data).log).unwrap();
    write(&mut log);
    assert!(log.poll(Duration::ZERO).iter().all(|one| !matches!(one.done, Done::Failed(_) | Done::Unknown)));
    log.flush().unwrap();
}

#[test]
fn the_directory_says_what_it_was_decided_under() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let hour_us = 3_600_000_000;
    let terms = Terms { dedup_retention_us: 20 * 24 * hour_us, future_max_us: 2 * hour_us };
    let start = |terms| System::start(Settings { terms, ..Settings::new(&data) }, Some(&bundle()), &[]).unwrap();
    let (system, _) = start(terms);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut ahead = request("ahead", "agent-1", "read", false);
    ahead.occurred_at_us = wall_us() + hour_us;
    let view = decide(&runtime, &system, &ahead);
    assert!(view.outcome.is_some(), "refused although the terms allow it: {}", view.detail);
    let backup = directory.path().join("backup");
    std::fs::create_dir(&backup).unwrap();
    system.backup(&backup).unwrap();
    assert!(system.backup(&backup).is_err(), "a backup over a backup");
    assert_eq!(system.drain(Duration::from_secs(5)), 0);
    for place in [&data, &backup] {
        let offline = Offline::open(place).unwrap();
        assert_eq!(offline.terms(), terms);
        let replayed = offline.replay(&mut |_, _| {}).unwrap();
        assert!(replayed.is_same(), "{replayed:?}");
        let rebuilt = offline.rebuild(&mut |_, _| {}).unwrap();
        assert!(rebuilt.parts.iter().all(|part| part.equal), "{rebuilt:?}");
    }
    // Others from now on: said once, and from then on the directory's.
    let others = Terms { future_max_us: 0, ..terms };
    let (system, started) = start(others);
    assert!(started.notices.iter().any(|notice| notice.contains("clock.future_max_ms was 7200000")), "{started:?}");
    system.drain(Duration::from_secs(5));
    let replayed = Offline::open(&data).unwrap().replay(&mut |_, _| {}).unwrap();
    let difference = replayed.first_difference.expect("judged by other terms, the request is refused");
    assert_eq!((difference.partition, difference.seq), (view.partition, view.seq));
    let (system, started) = start(others);
    assert!(started.notices.is_empty(), "{started:?}");
    system.drain(Duration::from_secs(5));
}

#[test]
fn one_letter_that_cannot_be_opened_hides_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let start = || System::start(Settings::new(&data), Some(&bundle()), &[]).unwrap().0;
    let system = start();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    system.submit_raw(3, b"\0\0\0\0\x01poison").unwrap();
    while system.letters().count().unwrap() < 1 {
        assert!(std::time::Instant::now() < deadline, "no dead letter");
        std::thread::yield_now();
    }
    system.drain(Duration::from_secs(5));
    write(&data, |log| {
        log.stage(vec![NewRecord::new(Topic::DeadLetters, 1, *b"", *b"\x01not sealed by anybody")]);
    });
    let offline = Offline::open(&data).unwrap();
    let (views, next) = offline.letters().unwrap().page((0, Position::ZERO), 10).unwrap();
    let seen: Vec<_> = views.iter().map(|view| (view.partition, view.position.0, view.reason_code.as_str())).collect();
    assert_eq!((seen, next), (vec![(1, 0, "unreadable"), (3, 0, "undecodable")], None));
    assert!(views[0].detail.contains("cannot be opened") && !views[0].kept, "{:?}", views[0]);
    drop(offline);
    let system = start();
    assert!(system.retry(1, Position::ZERO, "test", Duration::ZERO).is_err(), "there is nothing to retry");
    let done = system.discard(1, Position::ZERO, "test", Duration::from_secs(20)).unwrap();
    assert_eq!(done.state(), "discarded");
    system.drain(Duration::from_secs(5));
}

#[test]
fn a_frame_that_nobody_can_place_ends_the_fold() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (system, _) = System::start(Settings::new(&data), Some(&bundle()), &[]).unwrap();
    system.drain(Duration::from_secs(5));
    let mut tail = Position::ZERO;
    write(&data, |log| {
        let reader = log.reader();
        tail = reader.tail(Topic::Ledger, 2).unwrap();
        let frames = reader.read(Topic::Ledger, 2, Position::ZERO, ReadLimit::default()).unwrap();
        // A frame of the same ledger and another partition: whole, of no head that this partition ever had.
        let strange = reader.read(Topic::Ledger, 5, Position::ZERO, ReadLimit::default()).unwrap();
        assert!(!frames.is_empty());
        log.append(2, tail, strange[strange.len() - 1].value.clone());
    });
    let offline = Offline::open(&data).unwrap();
    let wanted = format!("partition 2, position {tail}");
    let Err(read) = offline.reader() else { panic!("read over a fork") };
    let Err(rebuilt) = offline.rebuild(&mut |_, _| {}) else { panic!("rebuilt over a fork") };
    for error in [read.to_string(), rebuilt.to_string()] {
        assert!(error.contains(&wanted) && error.contains("verify the ledger"), "{error}");
    }
}

#[test]
fn a_rebuild_says_what_differs_and_replaces_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (system, _) = System::start(Settings::new(&data), Some(&bundle()), &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let view = decide(&runtime, &system, &request("n-1", "agent-1", "read", true));
    system.drain(Duration::from_secs(5));
    let offline = Offline::open(&data).unwrap();
    assert!(offline.rebuild(&mut |_, _| {}).unwrap().parts.iter().all(|part| part.equal));
    drop(offline);
    // One row of state, and one of a read model, that the ledger does not give.
    let kv = RocksKv::open(&data.join("state"), &Settings::new(&data).kv).unwrap();
    let key = [&view.partition.to_be_bytes()[..], &[0xfe, 1, 2, 3]].concat();
    kv.write([Space::State, Space::Outcomes].map(|space| Write::Put(space, key.clone(), vec![1])).into()).unwrap();
    drop(kv);
    let offline = Offline::open(&data).unwrap();
    let unequal: Vec<_> =
        offline.rebuild(&mut |_, _| {}).unwrap().parts.into_iter().filter(|part| !part.equal).collect();
    assert_eq!(unequal.iter().map(|part| part.name).collect::<Vec<_>>(), ["state", "outcomes"]);
    let replaced = offline.replace(&mut |_| {}).unwrap();
    assert_eq!(replaced.parts.len(), 6);
    let offline = Offline::open(&data).unwrap();
    let rebuilt = offline.rebuild(&mut |_, _| {}).unwrap();
    assert!(rebuilt.parts.iter().all(|part| part.equal), "{rebuilt:?}");
    let digest = |name: &str| rebuilt.parts.iter().find(|part| part.name == name).map(|part| part.digest_after);
    assert!(replaced.parts.iter().all(|part| digest(part.name) == Some(part.digest)));
}
