//! The embedded log: the suite, what is refused and how, backups, erasure, bounds.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use eventlog::{
    Done, Error, EventLog, NewRecord, Position, ReadLimit, Removal, Topic,
    conformance::{Capabilities, Report, suite},
    embedded::{Embedded, Settings, rebuild_anchor},
    faults::{Faulty, Odds},
};
use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteBatch};
use tempfile::TempDir;

pub(crate) fn settings(data: &Path) -> Settings {
    Settings { partitions: 2, write_buffer_bytes: 64 << 10, ..Settings::at(data) }
}

pub(crate) fn open(data: &Path) -> Result<Embedded, Error> {
    Embedded::open(settings(data))
}

pub(crate) fn commit(log: &mut Embedded, partition: u32, frame: &[u8]) -> Position {
    let at = log.reader().tail(Topic::Ledger, partition).unwrap();
    let ticket = log.append(partition, at, frame.to_vec());
    let answers = log.poll(Duration::ZERO);
    let answer = answers.iter().find(|answer| answer.ticket == ticket).unwrap();
    assert_eq!(Done::Committed(at), answer.done);
    at
}

pub(crate) fn stage(log: &mut Embedded, partition: u32, value: &[u8]) -> Position {
    let ticket = log.stage(vec![NewRecord::new(Topic::Keys, partition, *b"", value)]);
    let answers = log.poll(Duration::ZERO);
    let answer = answers.into_iter().find(|answer| answer.ticket == ticket).unwrap();
    let Done::Staged { positions } = answer.done else { panic!("{answer:?}") };
    positions[0]
}

fn remove(log: &mut Embedded, topic: Topic, partition: u32, positions: Removal) {
    let ticket = log.remove(topic, partition, positions);
    let answers = log.poll(Duration::ZERO);
    let answer = answers.iter().find(|answer| answer.ticket == ticket).unwrap();
    assert_eq!(Done::Removed, answer.done);
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn run_suite(adapter: &str, faultless: bool, wrap: &dyn Fn(Embedded) -> Box<dyn EventLog>) -> Report {
    let root = tempfile::tempdir().unwrap();
    let made = Cell::new(0);
    let data = RefCell::new(root.path().to_owned());
    let connect = || wrap(open(&data.borrow()).unwrap());
    let make = || {
        made.set(made.get() + 1);
        data.replace(root.path().join(made.get().to_string()));
        connect()
    };
    let capabilities = Capabilities {
        adapter,
        faultless,
        patience: Duration::from_secs(20),
        record_bytes_max: settings(root.path()).record_bytes_max,
        reopen: Some(&connect),
        rival: None,
    };
    let report = suite(make, &capabilities);
    println!("{report}");
    report
}

#[test]
fn embedded_conforms() {
    let report = run_suite("embedded", true, &|log| Box::new(log));
    // One process has the database, so there are no rivals.
    assert!(report.conforms() && report.skipped.len() == 1, "{report}");
}

#[test]
fn faulty_embedded_conforms() {
    for seed in 0..3 {
        let adapter = format!("faulty embedded, seed {seed}");
        let report = run_suite(&adapter, false, &|log| Box::new(Faulty::new(log, seed, Odds::STORMY)));
        assert!(report.conforms() && report.skipped.len() == 1, "{report}");
    }
}

/// A log with frames, keys and requests, closed.
fn fixture() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let mut log = open(data.path()).unwrap();
    for number in 0..5u8 {
        stage(&mut log, 1, &[number; 40]);
        commit(&mut log, 0, &[number; 100]);
        commit(&mut log, 1, &[number; 50]);
    }
    drop(log);
    data
}

/// Prepares a data directory and opens it; the error must be the expected one and say what to do.
fn refused(prepare: impl FnOnce(&Path), expected: impl FnOnce(&Error) -> bool, says: &[&str]) {
    let data = fixture();
    prepare(data.path());
    let error = open(data.path()).map(drop).unwrap_err();
    assert!(expected(&error), "{error:?}");
    let text = error.to_string();
    for words in says {
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    println!("{text}");
}

/// Changes the database behind the log's back.
fn tamper(data: &Path, change: impl FnOnce(&DB)) {
    let directory = data.join("log");
    let names = DB::list_cf(&Options::default(), &directory).unwrap();
    let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    let db = DB::open_cf_descriptors(&Options::default(), &directory, families).unwrap();
    change(&db);
}

fn key(partition: u32, position: u64) -> Vec<u8> {
    [partition.to_be_bytes().as_slice(), &position.to_be_bytes()].concat()
}

fn put(data: &Path, family: &str, key: &[u8], value: &[u8]) {
    tamper(data, |db| db.put_cf(db.cf_handle(family).unwrap(), key, value).unwrap());
}

#[test]
fn what_cannot_be_trusted_is_refused_with_a_remedy() {
    let empty = tempfile::tempdir().unwrap();
    let older = fixture();
    let mut log = open(older.path()).unwrap();
    commit(&mut log, 1, b"one more");
    drop(log);

    let is_locked = |error: &Error| matches!(error, Error::Locked { .. });
    let first = open(empty.path()).unwrap();
    let error = open(empty.path()).map(drop).unwrap_err();
    assert!(is_locked(&error), "{error:?}");
    assert!(error.to_string().contains("stop it"), "{error}");
    drop(first);

    refused(
        |data| fs::remove_file(data.join("anchor")).unwrap(),
        |error| matches!(error, Error::AnchorMissing { .. }),
        &["anchor", "restore both from one backup"],
    );
    refused(
        |data| fs::write(data.join("anchor"), b"nothing").unwrap(),
        |error| matches!(error, Error::AnchorDamaged { .. }),
        &["anchor", "restore"],
    );
    refused(
        |data| {
            fs::copy(older.path().join("anchor"), data.join("anchor")).unwrap();
        },
        |error| matches!(error, Error::AnchorDamaged { .. }),
        &["another log"],
    );
    refused(
        |data| fs::remove_dir_all(data.join("log")).unwrap(),
        |error| matches!(error, Error::TailBelowAnchor { topic: Topic::Ledger, tail: Position(0), .. }),
        &["ledger partition", "restore a backup"],
    );
    refused(
        |data| fs::remove_file(data.join("log/CURRENT")).unwrap(),
        |error| matches!(error, Error::Damaged { .. }),
        &["CURRENT", "restore a backup"],
    );
    refused(
        |data| {
            fs::remove_dir_all(data.join("log")).unwrap();
            fs::remove_file(data.join("anchor")).unwrap();
            fs::create_dir(data.join("log")).unwrap();
            fs::write(data.join("log/thesis.doc"), b"").unwrap();
        },
        |error| matches!(error, Error::Foreign { .. }),
        &["thesis.doc", "use an empty directory"],
    );
}

#[test]
fn directories_of_others_and_of_other_times_are_refused() {
    refused(
        |data| put(data, "default", b"format", &2u64.to_be_bytes()),
        |error| matches!(error, Error::NewerFormat { found: 2, known: 1, .. }),
        &["newer version"],
    );
    refused(
        |data| put(data, "default", b"partitions", &3u64.to_be_bytes()),
        |error| matches!(error, Error::PartitionsDiffer { stored: 3, configured: 2, .. }),
        &["3 partitions"],
    );
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("log"), b"a file").unwrap();
    let error = open(data.path()).map(drop).unwrap_err();
    assert!(matches!(error, Error::NotWritable { .. }), "{error:?}");

    let data = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.create_if_missing(true);
    let stranger = DB::open(&options, data.path().join("log")).unwrap();
    stranger.put(b"row", b"of another").unwrap();
    drop(stranger);
    let error = open(data.path()).map(drop).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error:?}");

    let data = tempfile::tempdir().unwrap();
    let mut stranger = DB::open(&options, data.path().join("log")).unwrap();
    stranger.create_cf("stranger", &options).unwrap();
    drop(stranger);
    let error = open(data.path()).map(drop).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error:?}");
}

#[test]
fn a_full_medium_is_named() {
    let data = tempfile::tempdir().unwrap();
    // Where a new anchor is written first: a device on which there is never any space.
    std::os::unix::fs::symlink("/dev/full", data.path().join("anchor.unfinished")).unwrap();
    let error = open(data.path()).map(drop).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
    fs::remove_file(data.path().join("anchor.unfinished")).unwrap();
    commit(&mut open(data.path()).unwrap(), 0, b"works when there is");
}

#[test]
fn no_suffix_of_the_ledger_can_be_cut_off() {
    let frames = 5;
    for partition in 0..2 {
        for cut in 1..=frames {
            refused(
                |data| {
                    tamper(data, |db| {
                        let family = db.cf_handle("ledger").unwrap();
                        let mut batch = WriteBatch::default();
                        (frames - cut..frames).for_each(|at| batch.delete_cf(family, key(partition, at)));
                        db.write(batch).unwrap();
                    });
                },
                |error| {
                    *error
                        == Error::TailBelowAnchor {
                            topic: Topic::Ledger,
                            partition,
                            tail: Position(frames - cut),
                            anchored: Position(frames),
                            anchor: anchor_of(error),
                        }
                },
                &["restore a backup"],
            );
        }
    }
}

fn anchor_of(error: &Error) -> std::path::PathBuf {
    match error {
        Error::TailBelowAnchor { anchor, .. } => anchor.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_changed_frame_is_found() {
    // A row as the log writes it, with another frame.
    let row = |frame: &[u8]| [&[1][..], &[0; 8], &[0; 4], &[0; 4], frame].concat();
    refused(
        |data| put(data, "ledger", &key(1, 4), &row(b"forged")),
        |error| matches!(error, Error::FrameDiffersFromAnchor { partition: 1, position: Position(4), .. }),
        &["was changed", "restore a backup"],
    );
}

#[test]
fn lost_keys_and_gaps_are_found() {
    refused(
        |data| {
            tamper(data, |db| {
                let mut batch = WriteBatch::default();
                batch.put_cf(db.cf_handle("default").unwrap(), b"t\x04\0\0\0\x01", 4u64.to_be_bytes());
                batch.delete_cf(db.cf_handle("keys").unwrap(), key(1, 4));
                db.write(batch).unwrap();
            });
        },
        |error| {
            let lost = |topic: &Topic, partition: &u32| (*topic, *partition) == (Topic::Keys, 1);
            matches!(error, Error::TailBelowAnchor { topic, partition, .. } if lost(topic, partition))
        },
        &["keys partition 1", "restore a backup"],
    );
    let data = fixture();
    tamper(data.path(), |db| db.delete_cf(db.cf_handle("ledger").unwrap(), key(0, 2)).unwrap());
    let log = open(data.path()).unwrap();
    let read = log.reader().read(Topic::Ledger, 0, Position::ZERO, ReadLimit::default());
    let error = read.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Damaged { .. }) && text.contains("no frame at 2"), "{text}");
}

#[test]
fn an_anchor_is_rebuilt_only_when_asked() {
    let data = fixture();
    let before = fs::read(data.path().join("log/IDENTITY")).unwrap();
    fs::remove_file(data.path().join("anchor")).unwrap();
    assert!(open(data.path()).is_err());
    rebuild_anchor(&settings(data.path())).unwrap();
    let log = open(data.path()).unwrap();
    assert_eq!(Ok(Position(5)), log.reader().tail(Topic::Ledger, 1));
    assert_eq!(before, fs::read(data.path().join("log/IDENTITY")).unwrap());
    drop(log);
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join("log")).unwrap();
    assert!(rebuild_anchor(&settings(empty.path())).is_err());
}

#[test]
fn a_store_above_its_anchor_is_fine() {
    // As a crash between the two syncs leaves it: the newest slot was not written.
    let data = fixture();
    let earlier = fs::read(data.path().join("anchor")).unwrap();
    let mut log = open(data.path()).unwrap();
    commit(&mut log, 0, b"above");
    drop(log);
    fs::write(data.path().join("anchor"), earlier).unwrap();
    let log = open(data.path()).unwrap();
    assert_eq!(Ok(Position(6)), log.reader().tail(Topic::Ledger, 0));
}

#[test]
fn a_backup_taken_while_writing_is_a_log() {
    let data = tempfile::tempdir().unwrap();
    let mut log = open(data.path()).unwrap();
    let backup = log.backup();
    let targets: Vec<_> = (0..4).map(|number| data.path().join(format!("backup-{number}"))).collect();
    let (start, started) = std::sync::mpsc::channel::<usize>();
    let thread = std::thread::spawn({
        let targets = targets.clone();
        move || {
            for number in started {
                backup.checkpoint(&targets[number]).unwrap();
            }
        }
    });
    let mut before = Vec::new();
    for number in 0..200u32 {
        stage(&mut log, 0, &number.to_be_bytes());
        commit(&mut log, 0, &number.to_be_bytes());
        if number % 50 == 20 {
            before.push(number + 1);
            start.send(before.len() - 1).unwrap();
        }
    }
    drop(start);
    thread.join().unwrap();
    assert!(matches!(log.backup().checkpoint(&targets[0]), Err(Error::NotWritable { .. })));
    let id = log.reader().topic_id(Topic::Keys, 0);
    for (target, before) in targets.iter().zip(before) {
        let copy = open(target).unwrap();
        let reader = copy.reader();
        let tail = reader.tail(Topic::Ledger, 0).unwrap();
        assert!(tail.0 >= u64::from(before), "{tail} of {before} before it began");
        let frames = reader.read(Topic::Ledger, 0, Position::ZERO, ReadLimit::default()).unwrap();
        let keys = reader.read(Topic::Keys, 0, Position::ZERO, ReadLimit::default()).unwrap();
        assert_eq!(tail.0, frames.len() as u64);
        assert!(keys.len() >= frames.len(), "a frame without its key");
        for (number, frame) in (0u32..).zip(&frames) {
            assert_eq!(number.to_be_bytes(), *frame.value);
        }
        assert_eq!(id, reader.topic_id(Topic::Keys, 0));
    }
}

/// Files that contain the bytes.
fn containing(directory: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(containing(&path, bytes));
        } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_removed_key_is_gone_from_every_file() {
    // Not compressible, and never equal to another record's bytes.
    let secret = |number: u64| -> Vec<u8> {
        (0..8).flat_map(|part| crate::child::hash(&[number as u8, part]).to_be_bytes()).collect()
    };
    for (name, reopened) in [("in the write-ahead log", false), ("in a file", true)] {
        let data = tempfile::tempdir().unwrap();
        let mut log = open(data.path()).unwrap();
        for number in 0..20 {
            stage(&mut log, (number % 2) as u32, &secret(number));
            commit(&mut log, 0, &[number as u8; 30]);
        }
        if reopened {
            drop(log);
            log = open(data.path()).unwrap();
            // Recovery has written everything to files by now.
            stage(&mut log, 0, b"another");
        }
        for number in 0..20 {
            assert!(!containing(data.path(), &secret(number)).is_empty(), "{name}: {number}");
        }
        remove(&mut log, Topic::Keys, 0, Removal::Exactly(vec![Position(3), Position(7)]));
        remove(&mut log, Topic::Keys, 1, Removal::Below(Position(5)));
        let gone = |number: u64| [6, 14].contains(&number) || (number % 2 == 1 && number < 10);
        for number in 0..20 {
            // What stays may be moved to another file while the files are read, and then be seen in neither.
            let until = Instant::now() + Duration::from_secs(10);
            let mut found = containing(data.path(), &secret(number));
            while !gone(number) && found.is_empty() && Instant::now() < until {
                found = containing(data.path(), &secret(number));
            }
            assert_eq!(gone(number), found.is_empty(), "{name}: {number} in {found:?}");
        }
        drop(log);
        let log = open(data.path()).unwrap();
        let read = |partition| {
            let read = log.reader().read(Topic::Keys, partition, Position::ZERO, ReadLimit::default());
            read.unwrap().iter().map(|record| record.position.0).collect::<Vec<_>>()
        };
        assert_eq!(vec![5, 6, 7, 8, 9], read(1), "{name}");
        assert_eq!(vec![0, 1, 2, 4, 5, 6, 8, 9], read(0)[..8], "{name}");
    }
}

#[test]
fn write_ahead_logs_stay_bounded() {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings {
        partitions: 2,
        write_buffer_bytes: 1 << 20,
        memory_bytes_max: 4 << 20,
        wal_bytes_max: 2 << 20,
        ..Settings::at(data.path())
    };
    let mut log = Embedded::open(settings).unwrap();
    let mut largest = 0;
    for number in 0..300u32 {
        let mut frame = vec![0; 100 << 10];
        frame[..4].copy_from_slice(&number.to_be_bytes());
        commit(&mut log, number % 2, &frame);
        let files = fs::read_dir(data.path().join("log")).unwrap().flatten();
        let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
        largest = largest.max(logs.map(|file| file.metadata().map_or(0, |data| data.len())).sum());
    }
    println!("30 MB of frames, write-ahead logs at most {largest} bytes");
    // The limit, one frame beyond it, and a log that is being flushed while the next is written.
    assert!(largest < 3 * (2 << 20), "{largest}");
}
