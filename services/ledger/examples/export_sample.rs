//! Writes a large export of made-up decisions, to measure `ledger-verify --time` with:
//! `cargo run --release -p ledger --example export_sample -- FILE EVENTS SUBJECTS`
//!
//! With one subject a stored event has 1.3 KiB, without any 0.9 KiB.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    clippy::cast_possible_truncation,
    dead_code,
    reason = "a program for measurements, built from the sample of the tests"
)]

use std::io::Write;

use ledger::export::ExportWriter;
use ledger::{accept, event_type};

#[path = "../tests/ledger/sample.rs"]
mod sample;

const EVENTS_PER_BATCH: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, events, subjects] = arguments.as_slice() else {
        println!("usage: export_sample FILE EVENTS SUBJECTS");
        return;
    };
    let events: usize = events.parse().unwrap();
    let mut partition = sample::Partition::new(0);
    partition.subjects = subjects.parse().unwrap();
    partition.payload = 200;

    let mut out = Vec::new();
    let mut writer = ExportWriter::new(&mut out);
    writer.schema(sample::DOCUMENT, &mut out).unwrap();
    let mut file = std::fs::File::create(file).unwrap();
    partition.begin();
    let mut written = 0;
    while written < events {
        for (before, frame) in partition.frames.drain(..) {
            let accepted = accept(&before, &frame.bytes).unwrap();
            writer.frame(&before, &accepted, &frame.bytes, &mut out).unwrap();
        }
        file.write_all(&out).unwrap();
        out.clear();
        partition.answers(&[event_type::DECIDED; EVENTS_PER_BATCH]);
        written += EVENTS_PER_BATCH;
    }
    for (before, frame) in partition.frames.drain(..) {
        let accepted = accept(&before, &frame.bytes).unwrap();
        writer.frame(&before, &accepted, &frame.bytes, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    file.write_all(&out).unwrap();
}
