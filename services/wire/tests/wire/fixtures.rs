//! Frozen bytes of every released schema, with what they mean.
//!
//! `schemas/<subject>/fixtures/<name>.vN.bin` is the datum, `.json` beside it what the Avro crate's generic reader makes of
//! it under version N. A new sample's fixture is written by `WIRE_FIXTURES=write cargo test -p wire fixtures`; one that
//! exists is never written again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::foreign::meaning;
use crate::samples::{self, Sample};

fn folder(subject: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(subject).join("fixtures")
}

fn write_missing(sample: &Sample) {
    let bin = folder(sample.subject).join(format!("{}.v1.bin", sample.name));
    if std::env::var("WIRE_FIXTURES").as_deref() == Ok("write") && !bin.exists() {
        fs::create_dir_all(folder(sample.subject)).unwrap();
        let json = serde_json::to_string_pretty(&meaning(&sample.document, &sample.bytes)).unwrap();
        fs::write(bin.with_extension("json"), json + "\n").unwrap();
        fs::write(bin, &sample.bytes).unwrap();
    }
}

#[test]
fn fixtures_still_mean_what_they_meant() {
    let samples = samples::all();
    samples.iter().for_each(write_missing);
    for sample in &samples {
        let bin = folder(sample.subject).join(format!("{}.v1.bin", sample.name));
        let bytes = fs::read(&bin).unwrap_or_else(|error| panic!("{}: {error}", bin.display()));
        let json: Json = serde_json::from_slice(&fs::read(bin.with_extension("json")).unwrap()).unwrap();
        assert_eq!(meaning(&sample.document, &bytes), json, "{}", bin.display());
        assert_eq!((sample.again)(&bytes).unwrap(), bytes, "{}", bin.display());
        assert_eq!(sample.bytes, bytes, "{}: the writer changed", bin.display());
    }
}

/// A fixture that nobody reads proves nothing.
#[test]
fn every_fixture_is_read() {
    let read: BTreeSet<_> =
        samples::all().iter().map(|sample| (sample.subject, format!("{}.v1", sample.name))).collect();
    for subject in ["request", "decision", "policy", "command", "outcome", "dead-letter"] {
        for file in fs::read_dir(folder(subject)).unwrap() {
            let stem = file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(read.contains(&(subject, stem.clone())), "{subject}/{stem} has no sample");
        }
    }
}
