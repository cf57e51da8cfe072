//! Damaged files: any byte flipped, any length cut. The log is refused, or a read is, or nothing acknowledged is missing;
//! it never opens and answers with less.
//!
//! Every byte of the small files is flipped; of each other file every byte in steps, which a variable of the environment
//! sets to one for the whole enumeration: `EVENTLOG_FLIP_EVERY=1`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use eventlog::{Error, EventLog, Position, ReadLimit, Removal, Topic};

use crate::embedded::{commit, copy, open, stage};

/// What was acknowledged as durable: value by topic, partition and position.
type Kept = BTreeMap<(Topic, u32, Position), Vec<u8>>;

/// A closed log with records in files and in the write-ahead log, and a removed key.
fn fixture(data: &Path) -> Kept {
    let mut kept = Kept::new();
    let mut log = open(data).unwrap();
    for number in 0..24u8 {
        let partition = u32::from(number % 2);
        let key = incompressible(number, 60);
        let position = stage(&mut log, partition, &key);
        kept.insert((Topic::Keys, partition, position), key);
        let frame = incompressible(number, 700);
        let position = commit(&mut log, partition, &frame);
        kept.insert((Topic::Ledger, partition, position), frame);
        if number == 15 {
            // Flushes everything, in several blocks of a file: what follows is in the write-ahead log alone.
            let ticket = log.remove(Topic::Keys, 0, Removal::Below(Position(1)));
            assert!(log.poll(std::time::Duration::ZERO).iter().any(|done| done.ticket == ticket));
            kept.remove(&(Topic::Keys, 0, Position::ZERO));
        }
    }
    kept
}

fn incompressible(seed: u8, bytes: u32) -> Vec<u8> {
    (0..bytes).map(|place| crate::child::hash(&[[seed; 4], place.to_be_bytes()].concat()) as u8).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    refused_to_open: u32,
    refused_to_read: u32,
    nothing_lost: u32,
    accepted_silently: u32,
    /// Refusals that name the damaged file, or what is missing.
    named: u32,
}

impl Outcome {
    fn count(&mut self, data: &Path, kept: &Kept, file: &str, what: &str) {
        match look(data, kept) {
            Look::Whole => self.nothing_lost += 1,
            Look::Refused(opened, error) => {
                if opened {
                    self.refused_to_read += 1;
                } else {
                    self.refused_to_open += 1;
                }
                let text = error.to_string();
                assert!(says_what_to_do(&error), "{file} {what}: {text}");
                let name = file.rsplit('/').next().unwrap_or(file);
                let short = matches!(error, Error::TailBelowAnchor { .. });
                let named = short || text.contains(name);
                self.named += u32::from(named);
            }
            Look::Less(missing) => {
                println!("SILENT: {file} {what}: {missing}");
                self.accepted_silently += 1;
            }
        }
    }
}

enum Look {
    Whole,
    Refused(bool, Error),
    Less(String),
}

fn look(data: &Path, kept: &Kept) -> Look {
    let log = match open(data) {
        Ok(log) => log,
        Err(error) => return Look::Refused(false, error),
    };
    let reader = log.reader();
    let mut found = Kept::new();
    for topic in [Topic::Keys, Topic::Ledger] {
        for partition in 0..2 {
            match reader.read(topic, partition, Position::ZERO, ReadLimit::default()) {
                Ok(read) => {
                    found.extend(read.into_iter().map(|record| ((topic, partition, record.position), record.value)))
                }
                Err(error) => return Look::Refused(true, error),
            }
        }
    }
    if found == *kept {
        return Look::Whole;
    }
    let differs = kept.iter().find(|(place, value)| found.get(*place) != Some(*value));
    Look::Less(differs.map_or("records came back".to_owned(), |(place, _)| format!("{place:?}")))
}

fn says_what_to_do(error: &Error) -> bool {
    let text = error.to_string();
    let kind = matches!(
        error,
        Error::Damaged { .. }
            | Error::TailBelowAnchor { .. }
            | Error::FrameDiffersFromAnchor { .. }
            | Error::AnchorDamaged { .. }
            | Error::Foreign { .. }
            | Error::Storage { .. }
    );
    kind && ["restore", "look at the disk", "use an empty directory"].iter().any(|remedy| text.contains(remedy))
}

/// The files that hold anything, relative to the data directory.
fn files(data: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(data.join("log")).unwrap().flatten().map(|entry| entry.file_name());
    let mut files: Vec<PathBuf> = read
        .filter(|name| {
            let name = name.to_string_lossy();
            let holds = ["MANIFEST-", "CURRENT", "IDENTITY"].iter().any(|start| name.starts_with(start));
            holds || name.ends_with(".log") || name.ends_with(".sst")
        })
        .map(|name| Path::new("log").join(name))
        .collect();
    files.push("anchor".into());
    files.sort();
    files
}

/// Damages one file of a copy in each of the given ways, and looks.
fn damage(original: &Path, kept: &Kept, file: &Path, ways: impl Iterator<Item = (String, Vec<u8>)>) -> Outcome {
    let mut outcome = Outcome::default();
    let name = file.display().to_string();
    let scratch = tempfile::tempdir().unwrap();
    for (what, bytes) in ways {
        let data = scratch.path().join("data");
        copy(original, &data);
        fs::write(data.join(file), bytes).unwrap();
        outcome.count(&data, kept, &name, &what);
        fs::remove_dir_all(&data).unwrap();
    }
    println!("{name}: {outcome:?}");
    outcome
}

fn step(bytes: usize) -> usize {
    let set = std::env::var("EVENTLOG_FLIP_EVERY").ok().and_then(|text| text.parse().ok());
    // About 150 places in each file; a prime, so that the places lie differently in each block.
    set.unwrap_or(if bytes <= 300 { 1 } else { [3, 7, 13, 23, 61, 127][(bytes / 500).min(5)] })
}

#[test]
fn a_flipped_byte_is_never_accepted_silently() {
    let original = tempfile::tempdir().unwrap();
    let kept = fixture(original.path());
    assert!(matches!(look(original.path(), &kept), Look::Whole));
    // That look has recovered the log: begin again.
    let original = tempfile::tempdir().unwrap();
    let kept = fixture(original.path());
    let (mut total, mut all_refused, mut refused_to_read, mut named) = (0, 0, 0, 0);
    for file in files(original.path()) {
        let whole = fs::read(original.path().join(&file)).unwrap();
        let places = (0..whole.len()).step_by(step(whole.len()));
        let outcome = damage(
            original.path(),
            &kept,
            &file,
            places.map(|place| {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << (place % 8);
                (format!("byte {place} of {}", whole.len()), bytes)
            }),
        );
        assert_eq!(0, outcome.accepted_silently, "{}", file.display());
        let holds_records = file.extension().is_some();
        let refused = outcome.refused_to_open + outcome.refused_to_read;
        assert!(!holds_records || refused > 0, "no flip in {} was noticed", file.display());
        refused_to_read += outcome.refused_to_read;
        named += outcome.named;
        all_refused += refused;
        total += refused + outcome.nothing_lost;
    }
    assert!(refused_to_read > 0, "no damage was met only when reading");
    println!("{total} flipped bytes, {all_refused} refused, {named} naming the file, 0 silently accepted");
    assert!(named * 100 >= all_refused * 95, "most refusals name the file");
}

#[test]
fn a_file_cut_short_is_never_accepted_silently() {
    let original = tempfile::tempdir().unwrap();
    let kept = fixture(original.path());
    let mut total = 0;
    for file in files(original.path()) {
        let whole = fs::read(original.path().join(&file)).unwrap();
        let lengths = (0..whole.len()).step_by(step(whole.len()) * 3);
        let outcome = damage(
            original.path(),
            &kept,
            &file,
            lengths.map(|length| (format!("cut to {length} of {}", whole.len()), whole[..length].to_vec())),
        );
        assert_eq!(0, outcome.accepted_silently, "{}", file.display());
        total += outcome.refused_to_open + outcome.refused_to_read + outcome.nothing_lost;
    }
    println!("{total} cut files, 0 silently accepted");
}

#[test]
fn a_missing_file_is_never_accepted_silently() {
    let original = tempfile::tempdir().unwrap();
    let kept = fixture(original.path());
    for file in files(original.path()) {
        let scratch = tempfile::tempdir().unwrap();
        copy(original.path(), scratch.path());
        fs::remove_file(scratch.path().join(&file)).unwrap();
        let mut outcome = Outcome::default();
        if file == Path::new("anchor") {
            let error = open(scratch.path()).map(drop).unwrap_err();
            assert!(matches!(error, Error::AnchorMissing { .. }), "{error:?}");
            continue;
        }
        outcome.count(scratch.path(), &kept, &file.display().to_string(), "removed");
        assert_eq!(0, outcome.accepted_silently, "{}", file.display());
    }
}
