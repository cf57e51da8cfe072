//! Ledgers whose hashes hold and whose content does not: each rule of the verifier by one violation.

use ledger::layout::{Claim, Facts, InputLost, Origin, Outcome};
use ledger::verify::{Fault, FaultKind, Options};
use ledger::{Hash, Run, event_type};

use crate::oracle::{Case, agree, verify};
use crate::sample::{self, Partition, Parts};

type Edit = fn(&mut Vec<Parts>, &mut Run);

/// Frame 0 begins, frame 1 decides and rejects, frame 2 takes over, frame 3 reroutes and decides.
fn ledger() -> Partition {
    let mut partition = Partition::new(0);
    partition.begin();
    partition.answers(&[event_type::DECIDED, event_type::REJECTED]);
    partition.take_over();
    partition.answers(&[event_type::REROUTED, event_type::DECIDED]);
    partition
}

/// The ledger with one frame edited and the frames after it written on top of that.
fn edited(frame: usize, edit: Edit) -> Vec<u8> {
    let mut partition = ledger();
    let frames = std::mem::take(&mut partition.frames);
    let mut head = frames[frame].0.clone();
    for (at, (before, original)) in frames.iter().enumerate() {
        let forged = match at.cmp(&frame) {
            std::cmp::Ordering::Less => original.clone(),
            std::cmp::Ordering::Equal => sample::forge(before, original, edit),
            std::cmp::Ordering::Greater => {
                let mut moved = sample::forge(before, original, |_, run| run.prev_head = head.run_head);
                moved = relink(&head, moved);
                moved
            }
        };
        head = forged.head.clone();
        partition.frames.push((before.clone(), forged));
    }
    partition.head = head;
    sample::export_blindly(&[partition])
}

/// The same events on another head.
fn relink(head: &ledger::Head, frame: ledger::Frame) -> ledger::Frame {
    let mut rest = frame.bytes.as_slice();
    let (mut prev, mut hashes, mut bytes) = (head.run_head, Vec::new(), Vec::new());
    let mut run_head = Hash::ZERO;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        let mut content = rest[5..5 + length].to_vec();
        if rest[0] == 1 {
            content[..32].copy_from_slice(&prev.0);
            prev = ledger::StoredEvent::decode(&content).unwrap().event_hash;
            hashes.push(prev);
        } else {
            let mut run = Run::decode(&content).unwrap();
            run.prev_head = head.run_head;
            run.events_head = prev;
            run.run_root = ledger::tree::root(ledger::tree::Algorithm::H3, &hashes);
            content = run.encode().unwrap();
            run_head = run.run_head().unwrap();
        }
        bytes.push(rest[0]);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(content);
        rest = &rest[5 + length..];
    }
    let head = ledger::Head { run_head, ..frame.head };
    ledger::Frame { bytes, head, ..frame }
}

fn facts(part: &mut Parts, change: impl FnOnce(&mut Facts)) {
    let mut facts = Facts::decode(&part.sections[0].bytes).unwrap();
    change(&mut facts);
    part.sections[0].bytes = facts.encode().unwrap();
}

fn outcome_no(part: &mut Parts, number: u64) {
    let mut outcome = Outcome::decode(&part.sections[1].bytes).unwrap();
    outcome.outcome_no = number;
    part.sections[1].bytes = outcome.encode().unwrap();
}

fn lost(part: &mut Parts, change: impl FnOnce(&mut InputLost)) {
    let mut lost = InputLost::decode(&part.sections[0].bytes).unwrap();
    change(&mut lost);
    part.sections[0].bytes = lost.encode().unwrap();
}

fn origin(part: &mut Parts, origin: Option<Origin>) {
    let mut claim = Claim::decode(&part.sections[0].bytes).unwrap();
    claim.origin = origin;
    part.sections[0].bytes = claim.encode().unwrap();
}

#[test]
fn each_rule_is_enforced_where_it_is_broken() {
    use FaultKind::*;
    // Seqs: 0–1 begin, 2–3 answers, 4–6 take-over (claim, loss, decision), 7–8 answers. Offsets from 100.
    let table: &[(&str, usize, Edit, FaultKind, u64)] = &[
        ("ranges tile", 1, |_, run| run.inputs[0].from_offset -= 1, Accounting, 3),
        ("counts fill the range", 1, |_, run| run.inputs[0].non_request += 1, Accounting, 3),
        (
            "no more answers than requests",
            2,
            |_, run| {
                run.inputs[0].requests -= 3;
                run.inputs[0].non_request += 3
            },
            Accounting,
            6,
        ),
        (
            "decisions are counted",
            1,
            |_, run| {
                run.inputs[0].decisions = 0;
                run.inputs[0].rejected = 2
            },
            Accounting,
            3,
        ),
        ("lost offsets count as rejected", 2, |_, run| run.inputs[0].rejected = 1, Accounting, 6),
        ("a run names known inputs", 1, |_, run| run.inputs[0].partition = 7, Accounting, 3),
        ("a run names the inputs of its events", 1, |_, run| run.inputs.clear(), Accounting, 3),
        ("inputs are sorted", 0, |_, run| run.inputs.push(sample::range("a", 0, 0, [0; 4])), Accounting, 1),
        ("inputs are unique", 0, |_, run| run.inputs.push(sample::range("commands", 0, 3, [0; 4])), Accounting, 1),
        ("outcome numbers are dense", 1, |parts, _| outcome_no(&mut parts[1], 2), Accounting, 3),
        ("outcome numbers start at 0", 1, |parts, _| outcome_no(&mut parts[0], 1), Accounting, 2),
        ("type 3 carries the next number", 3, |parts, _| outcome_no(&mut parts[0], 4), Accounting, 7),
        ("an offset is answered once", 1, |parts, _| facts(&mut parts[1], |f| f.input_offset = 100), Accounting, 3),
        (
            "an answered offset is in the range",
            1,
            |parts, _| facts(&mut parts[1], |f| f.input_offset = 102),
            Accounting,
            3,
        ),
        ("a lost offset is not answered", 2, |parts, _| facts(&mut parts[2], |f| f.input_offset = 103), Accounting, 6),
        ("lost ranges do not run backwards", 2, |parts, _| lost(&mut parts[1], |l| l.to_offset = 0), Accounting, 5),
        (
            "the first claim names an input once",
            0,
            |parts, _| {
                let claim = Claim::decode(&parts[0].sections[0].bytes).unwrap();
                let mut twice = claim.origin.unwrap();
                twice.inputs.push(twice.inputs[0].clone());
                origin(&mut parts[0], Some(twice));
            },
            Accounting,
            0,
        ),
        ("recorded time does not go back", 1, |parts, _| parts[1].body.recorded_at_us = 0, LinkBroken, 3),
        ("schemas are declared before use", 1, |parts, _| parts[1].body.schema_hash = Hash([1; 32]), BodyMismatch, 3),
        (
            "a declared schema has its hash",
            0,
            |parts, _| {
                let end = parts[1].sections[0].bytes.len() - 1;
                parts[1].sections[0].bytes[end] ^= 1
            },
            BodyMismatch,
            1,
        ),
        ("Avro sections have a schema", 1, |parts, _| parts[1].body.schema_hash = Hash::ZERO, Undecodable, 3),
        ("facts are readable", 1, |parts, _| parts[0].sections[0].bytes.push(0), Undecodable, 2),
        (
            "outcomes are readable",
            1,
            |parts, _| {
                parts[0].sections[1].bytes.pop();
            },
            Undecodable,
            2,
        ),
        ("facts are clear", 1, |parts, _| parts[0].sections[0].kind = ledger::SectionKind::Sealed, Undecodable, 2),
        ("layout numbers are known", 1, |parts, _| parts[0].sections[0].bytes[0] = 2, Undecodable, 2),
        ("event types below 32 are known", 0, |parts, _| parts[1].body.event_type = 14, Undecodable, 1),
        ("the first claim says where it began", 0, |parts, _| origin(&mut parts[0], None), Undecodable, 0),
        (
            "later claims do not",
            2,
            |parts, _| origin(&mut parts[0], Some(Origin { partitions: 1, routing: 0, inputs: Vec::new() })),
            Undecodable,
            4,
        ),
        (
            "a claim raises the epoch by one",
            2,
            |parts, _| parts.iter_mut().for_each(|p| p.body.writer_epoch = 3),
            Forked,
            4,
        ),
        (
            "only a claim raises the epoch",
            3,
            |parts, _| parts.iter_mut().for_each(|p| p.body.writer_epoch = 3),
            Forked,
            7,
        ),
        (
            "an old writer does not go on",
            3,
            |parts, _| parts.iter_mut().for_each(|p| p.body.writer_epoch = 1),
            Forked,
            7,
        ),
        ("a batch has one epoch", 3, |parts, _| parts[1].body.writer_epoch = 1, Forked, 8),
        ("a claim stands first", 1, |parts, _| parts[1].body.event_type = event_type::WRITER_CLAIMED, Forked, 3),
        ("nothing follows the end", 1, |parts, _| parts[0].body.event_type = event_type::EPOCH_CLOSED, Forked, 3),
        ("the first frame is a claim", 0, |parts, _| parts[0].body.event_type = event_type::TENANT_CREATED, Forked, 0),
    ];
    let untouched = edited(1, |_, _| ());
    assert!(verify(&untouched, Options::default()).is_ok(), "the forger itself breaks nothing");
    let cases: Vec<Case> =
        table.iter().map(|(name, frame, edit, ..)| Case::new(*name, edited(*frame, *edit))).collect();
    let results = agree(&cases, false, &[]);
    for ((name, _, _, kind, seq), result) in table.iter().zip(results) {
        let fault: Fault = result.expect_err(name);
        assert_eq!((fault.kind, fault.partition, fault.seq), (*kind, Some(0), Some(*seq)), "{name}: {fault:?}");
    }
}

#[test]
fn a_report_counts_what_was_asked_and_answered() {
    let report = verify(&sample::export_blindly(&[ledger()]), Options::default()).unwrap();
    assert_eq!((report.events, report.runs), (9, 4));
    assert_eq!((report.requests, report.decisions, report.rejected, report.duplicates()), (11, 3, 6, 2));
}
