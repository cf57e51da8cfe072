//! Tampering with exports: every byte flipped, records deleted, repeated, swapped, spliced, rehashed, cut off.

use ledger::verify::{Anchor, FaultKind, Options};
use ledger::{Hash, RecordKind, hash};

use crate::oracle::{Case, agree, verify};
use crate::sample;

/// One record of an export: where its framing starts, and its content.
#[derive(Clone)]
struct Piece {
    at: usize,
    kind: u8,
    content: Vec<u8>,
}

fn pieces(file: &[u8]) -> Vec<Piece> {
    let mut at = ledger::export::MAGIC.len();
    let mut pieces = Vec::new();
    while at < file.len() {
        let length = u32::from_be_bytes(file[at + 1..at + 5].try_into().unwrap()) as usize;
        let content = file[at + 5..at + 5 + length].to_vec();
        pieces.push(Piece { at, kind: file[at], content });
        at += 5 + length;
    }
    pieces
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    let mut file = ledger::export::MAGIC.to_vec();
    for piece in pieces {
        file.push(piece.kind);
        file.extend((piece.content.len() as u32).to_be_bytes());
        file.extend(&piece.content);
    }
    file
}

/// Names of the fields of an export, one for every byte.
fn fields(file: &[u8]) -> Vec<&'static str> {
    let mut names = vec!["magic"; ledger::export::MAGIC.len()];
    let mut put = |name, count| names.extend(std::iter::repeat_n(name, count));
    for piece in pieces(file) {
        put("kind", 1);
        put("length", 4);
        let content = &piece.content;
        let number =
            |at: usize, bytes: usize| content[at..at + bytes].iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
        match piece.kind {
            0 => put("document", content.len()),
            1 => {
                for (name, count) in [
                    ("prev_hash", 32),
                    ("event tag", 17),
                    ("format", 1),
                    ("suite", 1),
                    ("ledger_id", 16),
                    ("partition", 4),
                    ("chain_epoch", 4),
                    ("seq", 8),
                    ("writer_epoch", 4),
                    ("event_type", 2),
                    ("event_id", 16),
                    ("recorded_at", 8),
                    ("schema_hash", 32),
                    ("n_sections", 2),
                ] {
                    put(name, count);
                }
                let mut at = 147;
                for _ in 0..number(145, 2) {
                    for (name, count) in [("entry tag", 2), ("entry kind", 1), ("entry length", 8), ("entry hash", 32)]
                    {
                        put(name, count);
                        at += count;
                    }
                }
                while at < content.len() {
                    let length = number(at + 2, 8);
                    for (name, count) in [("section tag", 2), ("section length", 8), ("section", length)] {
                        put(name, count);
                        at += count;
                    }
                }
            }
            2 => {
                for (name, count) in [
                    ("run tag", 15),
                    ("run format", 1),
                    ("run ledger_id", 16),
                    ("run partition", 4),
                    ("run chain_epoch", 4),
                    ("first_seq", 8),
                    ("last_seq", 8),
                    ("prev_head", 32),
                    ("events_head", 32),
                    ("run_root", 32),
                    ("n_inputs", 2),
                ] {
                    put(name, count);
                }
                let mut at = 154;
                for _ in 0..number(152, 2) {
                    let topic = number(at, 1);
                    for (name, count) in [
                        ("topic length", 1),
                        ("topic", topic),
                        ("input_partition", 4),
                        ("from_offset", 8),
                        ("to_offset", 8),
                        ("requests", 8),
                        ("decisions", 8),
                        ("rejected", 8),
                        ("non_request", 8),
                    ] {
                        put(name, count);
                        at += count;
                    }
                }
            }
            _ => {
                put("n_heads", 4);
                for _ in 0..number(0, 4) {
                    for (name, count) in [("head partition", 4), ("head last_seq", 8), ("head run_head", 32)] {
                        put(name, count);
                    }
                }
            }
        }
    }
    assert_eq!(names.len(), file.len());
    names
}

/// What a changed bit in a field is reported as.
fn expected(field: &str) -> &'static [FaultKind] {
    use FaultKind::*;
    match field {
        "magic" | "event tag" | "format" | "suite" | "run tag" | "run format" | "n_inputs" | "topic length"
        | "n_heads" => &[Undecodable],
        // The first event, taken for a schema document, is missing from its batch.
        "kind" => &[Undecodable, LinkBroken],
        // A longer record swallows what follows; at the end of the file there is nothing to swallow.
        "length" => &[Undecodable, Truncated],
        "prev_hash" | "first_seq" | "last_seq" | "prev_head" | "events_head" | "head run_head" => &[LinkBroken],
        "ledger_id" | "partition" | "chain_epoch" | "seq" | "writer_epoch" | "event_type" | "event_id"
        | "recorded_at" | "schema_hash" | "entry length" | "entry hash" | "section tag" | "section"
        | "run ledger_id" | "run partition" | "run chain_epoch" | "run_root" | "document" => &[BodyMismatch],
        // Counts, tags and kinds either stop being readable or no longer match what is stored.
        "n_sections" | "entry tag" | "entry kind" | "section length" => &[Undecodable, BodyMismatch],
        "topic" => &[Undecodable, Accounting],
        "input_partition" | "from_offset" | "to_offset" | "requests" | "decisions" | "rejected" | "non_request" => {
            &[Accounting]
        }
        "head partition" => &[Undecodable, LinkBroken],
        "head last_seq" => &[Truncated, LinkBroken],
        other => panic!("{other} is not in the table"),
    }
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let file = sample::export(&sample::partitions());
    let fields = fields(&file);
    let report = verify(&file, Options::default()).unwrap();
    assert_eq!((report.partitions, report.partitions_declared), (3, Some(3)));
    let (mut flips, mut undiagnosed) = (0, 0);
    for (at, field) in fields.iter().enumerate() {
        for mask in [0x01, 0x80, 0xFF] {
            let mut bad = file.clone();
            bad[at] ^= mask;
            let fault =
                verify(&bad, Options::default()).expect_err(&format!("byte {at} ({field}) ^ {mask:#x} went unnoticed"));
            if mask != 0xFF {
                let kinds = expected(field);
                assert!(kinds.contains(&fault.kind), "byte {at} ({field}) ^ {mask:#x}: {fault:?}");
            }
            undiagnosed += u64::from(fault.partition.is_none());
            flips += 1;
        }
    }
    println!("{flips} flips of {} bytes: all found, {undiagnosed} without a partition", file.len());
}

#[test]
fn the_oracle_agrees_on_flips() {
    let file = sample::export(&sample::partitions());
    let mut cases = vec![Case::new("untouched", file.clone())];
    // The first bytes of every kind of field, and a sample of all the others.
    let mut met = std::collections::BTreeSet::new();
    let fields = fields(&file);
    let mut seen = std::collections::BTreeMap::new();
    for (at, field) in fields.iter().enumerate() {
        let count = seen.entry(*field).or_insert(0_usize);
        *count += 1;
        let masks: &[u8] = match (*count <= 3, at % 97) {
            (true, _) => &[0x01, 0x80],
            (false, 0) => &[0x80],
            (false, _) => &[],
        };
        for mask in masks {
            met.insert(*field);
            let mut bad = file.clone();
            bad[at] ^= mask;
            cases.push(Case::new(format!("byte {at} ({field}) ^ {mask:#x}"), bad));
        }
    }
    assert!(cases.len() > 300 && met.len() == seen.len());
    let results = agree(&cases, false, &[]);
    assert!(results[0].is_ok() && results[1..].iter().all(Result::is_err));
    println!("the oracle agrees on {} files", cases.len());
}

/// Recomputes links and run from a changed event on, as somebody would who hides a change: up to the end of its
/// batch, of its partition, or of the file.
fn rehash(pieces: &mut [Piece], from: usize, batches: usize, heads: bool) {
    let mut prev: Option<Hash> = None;
    let mut hashes = Vec::new();
    let mut done = 0;
    let start = (0..from).rev().find(|at| pieces[*at].kind != 1).map_or(0, |at| at + 1);
    let mut head_entry = None;
    for piece in &mut pieces[start..] {
        match piece.kind {
            1 => {
                let seq_is_first = u64::from_be_bytes(piece.content[75..83].try_into().unwrap()) == 0;
                if seq_is_first && prev.is_some() {
                    break;
                }
                let prev_hash = prev.unwrap_or(Hash::from_slice(&piece.content[..32]).unwrap());
                piece.content[..32].copy_from_slice(&prev_hash.0);
                let event = ledger::StoredEvent::decode(&piece.content).unwrap();
                hashes.push((prev_hash, event.event_hash));
                prev = Some(event.event_hash);
            }
            2 => {
                let mut run = ledger::Run::decode(&piece.content).unwrap();
                run.prev_head = hashes[0].0;
                run.events_head = hashes.last().unwrap().1;
                let leaves = hashes.iter().map(|(_, hash)| *hash);
                run.run_root = ledger::tree::root(ledger::tree::Algorithm::H3, leaves);
                piece.content = run.encode().unwrap();
                prev = Some(hash::run_head(&run.events_head, &piece.content));
                head_entry = Some((run.chain.partition, run.last_seq, prev.unwrap()));
                hashes.clear();
                done += 1;
                if done == batches {
                    break;
                }
            }
            _ => break,
        }
    }
    if heads {
        let (partition, last_seq, run_head) = head_entry.unwrap();
        let piece = pieces.last_mut().unwrap();
        let mut stated = ledger::export::decode_heads(&piece.content).unwrap();
        let entry = stated.iter_mut().find(|entry| entry.partition == partition).unwrap();
        assert_eq!(entry.last_seq, last_seq);
        entry.run_head = run_head;
        piece.content = ledger::export::encode_heads(&stated).unwrap();
    }
}

#[test]
fn deleted_repeated_swapped_spliced_cut_and_rehashed_records_are_found() {
    let file = sample::export(&sample::partitions());
    let whole = pieces(&file);
    let event = RecordKind::Event as u8;
    let mut cases = Vec::new();
    for (at, piece) in whole.iter().enumerate() {
        let mut put = |name: &str, pieces: &[Piece]| {
            cases.push(Case::new(format!("{name} record {at}"), join(pieces)));
        };
        let mut bad = whole.clone();
        bad.remove(at);
        put("without", &bad);
        let mut bad = whole.clone();
        bad.insert(at, piece.clone());
        put("twice", &bad);
        if at + 1 < whole.len() {
            let mut bad = whole.clone();
            bad.swap(at, at + 1);
            put("swapped", &bad);
        }
        let other = whole.iter().rposition(|other| other.kind == piece.kind && other.at != piece.at);
        if let Some(other) = other {
            let mut bad = whole.clone();
            bad[at] = whole[other].clone();
            put("spliced into", &bad);
            bad.insert(at, piece.clone());
            put("spliced after", &bad);
        }
        put("cut before", &whole[..at]);
        let in_front = file[..piece.at + 5 + piece.content.len() / 2].to_vec();
        cases.push(Case::new(format!("cut inside record {at}"), in_front));
        if piece.kind == event {
            let mut bad = whole.clone();
            // Recorded time: a plausible change that no layout notices.
            bad[at].content[112] ^= 1;
            for (name, batches) in [("batch", 1), ("two batches", 2)] {
                let mut rehashed = bad.clone();
                rehash(&mut rehashed, at, batches, false);
                cases.push(Case::new(format!("event {at} rehashed to the end of its {name}"), join(&rehashed)));
            }
            rehash(&mut bad, at, usize::MAX, false);
            cases.push(Case::new(format!("event {at} rehashed to the end of its partition"), join(&bad)));
        }
    }
    let results = agree(&cases, false, &[]);
    for (case, result) in cases.iter().zip(&results) {
        assert!(result.is_err(), "{} went unnoticed", case.name);
    }
    println!("{} tampered files: all found, the oracle agrees on kind and place", cases.len());
}

#[test]
fn a_complete_forgery_is_found_by_what_is_known_from_elsewhere() {
    let partitions = sample::partitions();
    let file = sample::export(&partitions);
    let mut forged = pieces(&file);
    let at = forged.iter().rposition(|piece| piece.kind == 1).unwrap();
    // The event type 500 of partition 2 stands just before the last event; its content is opaque.
    let target = at - 1;
    let mut body = ledger::StoredEvent::decode(&forged[target].content).unwrap().body;
    let section = b"a later typo";
    body.sections[0].hash = hash::section_hash(1, 0, section);
    let prev = forged[target].content[..32].to_vec();
    forged[target].content =
        [prev, body.encode().unwrap(), 1_u16.to_be_bytes().to_vec(), 12_u64.to_be_bytes().to_vec(), section.to_vec()]
            .concat();
    rehash(&mut forged, target, usize::MAX, true);
    let forged = join(&forged);
    assert_ne!(forged, file);

    let (_, last) = partitions[2].frames.last().unwrap();
    let head = &last.head;
    let event = last.events[last.events.len() - 2];
    let anchor = |seq, hash| Anchor { partition: 2, seq, hash };
    let end = anchor(head.next_seq - 1, head.run_head);
    let receipt = anchor(event.seq, event.event_hash);
    let beyond = anchor(head.next_seq, Hash::ZERO);
    let other = Anchor { partition: 9, ..end };
    let cases = || [Case::new("forged", forged.clone()), Case::new("untouched", file.clone())];
    let kinds = |anchors: &[Anchor]| {
        let results = agree(&cases(), false, anchors);
        results.into_iter().map(|result| result.err().map(|fault| fault.kind)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[]), [None, None], "without an anchor a forgery passes, as the output says");
    for known in [end, receipt] {
        assert_eq!(kinds(&[known]), [Some(FaultKind::Forked), None]);
    }
    for gone in [beyond, other] {
        assert_eq!(kinds(&[gone]), [Some(FaultKind::Truncated); 2]);
    }
}

#[test]
fn pruned_sections_and_partial_exports_are_valid() {
    let file = sample::export(&sample::partitions());
    let whole = pieces(&file);
    let mut pruned = whole.clone();
    let mut removed = 0;
    for piece in pruned.iter_mut().filter(|piece| piece.kind == 1) {
        let event = ledger::StoredEvent::decode(&piece.content).unwrap();
        let mut kept = piece.content[..32 + event.body_bytes.len()].to_vec();
        for entry in &event.body.sections {
            if entry.kind == ledger::SectionKind::Sealed {
                removed += 1;
                continue;
            }
            kept.extend(entry.tag.to_be_bytes());
            kept.extend(entry.length.to_be_bytes());
            kept.extend(event.section(entry.tag).unwrap());
        }
        piece.content = kept;
    }
    // Without the first batch of every partition.
    let mut partial = Vec::new();
    let mut skipping = false;
    for piece in &whole {
        let starts = piece.kind == 1 && piece.content[75..83] == [0; 8];
        skipping |= starts;
        if !skipping {
            partial.push(piece.clone());
        }
        skipping &= piece.kind != 2;
    }
    let cases = [Case::new("pruned", join(&pruned)), Case::new("partial", join(&partial))];
    let results = agree(&cases, true, &[]);
    assert_eq!(results[0].as_ref().unwrap().pruned, removed);
    assert!(removed > 0);
    assert_eq!(results[1].as_ref().unwrap().partial, [(0, 2), (1, 2), (2, 2)]);
    let strict = agree(&cases[1..], false, &[]);
    assert_eq!(strict[0].as_ref().unwrap_err().kind, FaultKind::LinkBroken);
}
