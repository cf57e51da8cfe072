//! Proofs that can fail: `rebuild` and `replay` say no, with exit code 1 and the place, when there is something to find.
//!
//! Rows of the derived state are changed where they lie. A ledger cannot be changed where it lies without being caught
//! at open, so it is forged as somebody would who can write everything: one outcome is another one, every hash after it
//! is computed again, and a log is made of it. Without a head known from elsewhere that verifies. It does not replay.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::kv::rocks::{RocksKv, Settings};
use engine::kv::{Kv, Space, Write};
use eventlog::embedded::Embedded;
use eventlog::{Completion, Done, EventLog, LogReader, NewRecord, Position, ReadLimit, Topic};
use ledger::layout::Outcome;
use ledger::{ChainId, FrameBuilder, Head, NewEvent, Section, accept, event_type, section_tag};
use serde_json::Value;

use crate::damage::{Known, Seen, copy, fill, look};
use crate::server::run;

fn prove(command: &str, data: &Path) -> (i32, Value, String) {
    let (code, out, err) = run("lexecon", &[command, "--json", "--data", data.to_str().unwrap()]);
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

fn unequal(report: &Value) -> Vec<String> {
    let parts = report["parts"].as_array().unwrap().iter();
    parts.filter(|part| part["equal"] == false).map(|part| part["name"].as_str().unwrap().to_owned()).collect()
}

/// The row in the middle of a space.
fn middle(kv: &RocksKv, space: Space) -> Option<(Vec<u8>, Vec<u8>)> {
    let rows = kv.scan(space, &[], &[0xff; 64], 1_000_000, false).unwrap();
    rows.get(rows.len() / 2).cloned()
}

#[test]
fn rebuild_finds_a_changed_row() {
    let directory = tempfile::tempdir().unwrap();
    let (data, other) = (directory.path().join("data"), directory.path().join("other"));
    let mut known = Known::new();
    fill(&data, "d", &mut known);
    let (code, report, err) = prove("rebuild", &data);
    assert_eq!((code, unequal(&report)), (0, vec![]), "{err}");
    let changed = directory.path().join("changed");
    let mut found = Vec::new();
    for space in [
        Space::State,
        Space::Decisions,
        Space::Requests,
        Space::Actors,
        Space::Outcomes,
        Space::Statistics,
        Space::Conservation,
    ] {
        for (name, flip) in [("flipped", true), ("removed", false)] {
            let _ = fs::remove_dir_all(&changed);
            copy(&data, &changed);
            let kv = RocksKv::open(&changed.join("state"), &Settings::default()).unwrap();
            let (key, mut value) = middle(&kv, space).unwrap();
            if flip {
                let Some(last) = value.last_mut() else { continue };
                *last ^= 1;
                kv.write(vec![Write::Put(space, key, value)]).unwrap();
            } else {
                kv.write(vec![Write::Delete(space, key)]).unwrap();
            }
            drop(kv);
            let (code, report, err) = prove("rebuild", &changed);
            assert_eq!(code, 1, "a row of {} {name}: {report} {err}", space.name());
            let parts = unequal(&report);
            assert_eq!(parts.len(), 1, "a row of {} {name}: {parts:?}", space.name());
            assert!(space != Space::State || parts == ["state"], "{parts:?}");
            found.push(format!("{} {name}: {}", space.name(), parts[0]));
        }
    }
    fill(&other, "other", &mut Known::new());
    let _ = fs::remove_dir_all(&changed);
    copy(&data, &changed);
    fs::remove_dir_all(changed.join("state")).unwrap();
    copy(&other.join("state"), &changed.join("state"));
    let (code, report, err) = prove("rebuild", &changed);
    assert_ne!(code, 0, "the state of another data directory: {report}");
    println!(
        "rebuild: {} changed rows found and named ({}); state of another data directory: exit {code} {}",
        found.len(),
        found.join(", "),
        if code == 1 { unequal(&report).join(", ") } else { format!("{report} {err}") }
    );
}

/// Waits until everything that was handed to the log is done. Returns what was refused.
fn settle(log: &mut Embedded, mut waiting: usize) -> Vec<Done> {
    let (deadline, mut refused) = (Instant::now() + Duration::from_secs(20), Vec::new());
    while waiting > 0 {
        assert!(Instant::now() < deadline, "the log does not answer");
        for Completion { done, .. } in log.poll(Duration::from_millis(50)) {
            match done {
                Done::Assigned(_) => continue,
                Done::Failed(_) | Done::Conflict | Done::Unknown => refused.push(done),
                _ => {}
            }
            waiting -= 1;
        }
    }
    refused
}

/// The frames of a partition with the first decision of the last frame that has one turned round, and all behind it
/// made again. Returns its seq, if there is one.
fn forged(frames: &[Vec<u8>], chain: ChainId) -> Option<(Vec<Vec<u8>>, u64)> {
    let decided = |frame: &ledger::Accepted<'_>| {
        frame.events.iter().find(|event| event.body.event_type == event_type::DECIDED).map(|event| event.body.seq)
    };
    let mut heads = vec![Head::genesis(chain)];
    let mut target = None;
    for (number, bytes) in frames.iter().enumerate() {
        let frame = accept(&heads[number], bytes).unwrap();
        target = decided(&frame).map(|seq| (number, seq)).or(target);
        heads.push(frame.head);
    }
    let (number, seq) = target?;
    let mut made: Vec<Vec<u8>> = frames[..number].to_vec();
    let mut head = heads[number].clone();
    for (bytes, before) in frames[number..].iter().zip(&heads[number..]) {
        let frame = accept(before, bytes).unwrap();
        let mut builder = FrameBuilder::new(&head, frame.head.writer_epoch);
        for event in &frame.events {
            let section = |entry: &ledger::SectionEntry| {
                let mut bytes = event.section(entry.tag).unwrap().to_vec();
                if event.body.seq == seq && entry.tag == section_tag::OUTCOME {
                    let mut outcome = Outcome::decode(&bytes).unwrap();
                    outcome.outcome = 1 - outcome.outcome.min(1);
                    bytes = outcome.encode().unwrap();
                }
                Section { tag: entry.tag, kind: entry.kind, bytes }
            };
            let sections = event.body.sections.iter().map(section).collect();
            let (event_type, recorded_at_us) = (event.body.event_type, event.body.recorded_at_us);
            let schema_hash = event.body.schema_hash;
            builder.push(NewEvent { event_type, recorded_at_us, schema_hash, sections }).unwrap();
        }
        let frame = builder.finish(frame.run.inputs.clone()).unwrap();
        head = frame.head;
        made.push(frame.bytes);
    }
    Some((made, seq))
}

fn records(reader: &dyn LogReader, topic: Topic, partition: u32) -> Vec<eventlog::Record> {
    let (mut found, mut from) = (Vec::new(), Position::ZERO);
    loop {
        let records = reader.read(topic, partition, from, ReadLimit::default()).unwrap();
        let Some(last) = records.last() else { return found };
        from = last.position.next();
        found.extend(records);
    }
}

/// Makes `to/log` anew with what `from/log` holds, one decision turned round. Returns its partition and seq.
fn forge(from: &Path, to: &Path) -> (u32, u64) {
    let source = Embedded::open(eventlog::embedded::Settings::at(from)).unwrap();
    let reader = source.reader();
    let mut log = Embedded::open(eventlog::embedded::Settings::at(to)).unwrap();
    let mut forgery = None;
    for partition in 0..source.partitions() {
        for topic in Topic::ALL.into_iter().filter(|topic| topic.is_submitted() || topic.is_staged()) {
            for record in records(reader.as_ref(), topic, partition) {
                let (headers, key, value) = (record.headers, record.key, record.value);
                let record = NewRecord { topic, partition, key, headers, value };
                if topic.is_submitted() {
                    log.submit(record)
                } else {
                    log.stage(vec![record])
                };
                assert_eq!(settle(&mut log, 1), []);
            }
        }
        let mut frames: Vec<Vec<u8>> =
            records(reader.as_ref(), Topic::Ledger, partition).into_iter().map(|record| record.value).collect();
        let ledger_id = ledger::ledger_id_of(&frames[0]).unwrap();
        if forgery.is_none()
            && let Some((made, seq)) = forged(&frames, ChainId { ledger_id, partition, chain_epoch: 0 })
        {
            assert_ne!(made, frames);
            (frames, forgery) = (made, Some((partition, seq)));
        }
        for (frame, at) in frames.into_iter().zip(0..) {
            log.append(partition, Position(at), frame);
            assert_eq!(settle(&mut log, 1), []);
        }
    }
    forgery.expect("a decision")
}

#[test]
fn replay_finds_a_forged_decision_that_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fill(&data, "d", &mut Known::new());
    let (code, report, err) = prove("replay", &data);
    assert_eq!((code, &report["same"]), (0, &Value::Bool(true)), "{report} {err}");

    let forgery = directory.path().join("forgery");
    copy(&data, &forgery);
    for part in ["log", "state"] {
        fs::remove_dir_all(forgery.join(part)).unwrap();
    }
    fs::remove_file(forgery.join("anchor")).unwrap();
    let (partition, seq) = forge(&data, &forgery);
    let verified = look(&forgery, &directory.path().join("forged.ledger"), &Known::new(), "a forgery");
    assert_eq!(verified, Seen::Intact, "every hash of the forgery is right");
    let (code, report, err) = prove("replay", &forgery);
    assert_eq!(code, 1, "{report} {err}");
    let difference = &report["first_difference"];
    assert_eq!((&difference["partition"], &difference["seq"]), (&partition.into(), &seq.into()), "{report}");
    println!(
        "replay: partition {partition} seq {seq} turned round, every hash made again: verifies, and replay says {difference}"
    );
}
