//! Parts of a data directory restored from another time, or taken from another directory: they do not fit each other,
//! and whoever opens them must say so.
//!
//! What no program can notice from inside: all parts restored together from one old copy. That takes a head that is
//! known from elsewhere (`ledger-verify --expect-head`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::damage::{Known, Seen, copy, files, fill, look};
use crate::server::Server;

const TIMES: usize = 6;

/// Copies of one data directory, each after more work than the one before, and another deployment.
struct Copies {
    directory: tempfile::TempDir,
    known: Vec<Known>,
}

impl Copies {
    fn new() -> Copies {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let (mut known, mut now) = (Vec::new(), Known::new());
        for time in 0..TIMES {
            fill(&data, &format!("t{time}-"), &mut now);
            copy(&data, &directory.path().join(format!("time{time}")));
            known.push(now.clone());
        }
        fill(&directory.path().join("other"), "other", &mut Known::new());
        Copies { directory, known }
    }

    fn time(&self, time: usize) -> PathBuf {
        self.directory.path().join(format!("time{time}"))
    }

    fn other(&self) -> PathBuf {
        self.directory.path().join("other")
    }

    /// A copy of `base` in which `parts` come from `from`.
    fn mixed(&self, base: &Path, from: &Path, parts: &[&str]) -> PathBuf {
        let mixed = self.directory.path().join("mixed");
        let _ = fs::remove_dir_all(&mixed);
        copy(base, &mixed);
        for part in parts {
            let (target, source) = (mixed.join(part), from.join(part));
            if source.is_dir() {
                fs::remove_dir_all(&target).unwrap();
                copy(&source, &target);
            } else {
                fs::copy(&source, &target).unwrap();
            }
        }
        mixed
    }

    fn look(&self, data: &Path, known: &Known, what: &str) -> Seen {
        look(data, &self.directory.path().join("mixed.ledger"), known, what)
    }
}

/// What the server says when it does not start.
fn refused_by_serve(data: &Path, what: &str) -> String {
    let settings = [("LEXECON_ENGINE__START_TIMEOUT_MS", "5000")];
    match Server::configured(data, &settings) {
        Ok(server) => panic!("{what}: served on {}", server.address),
        Err(why) => {
            assert!(!why.contains("panicked"), "{what}: {why}");
            why
        }
    }
}

#[test]
fn an_old_log_is_refused() {
    let copies = Copies::new();
    let mut tried = 0;
    for new in 1..TIMES {
        for old in 0..new {
            let what = format!("the log of time {old} under the anchor of time {new}");
            let mixed = copies.mixed(&copies.time(new), &copies.time(old), &["log"]);
            assert_eq!(copies.look(&mixed, &copies.known[new], &what), Seen::Refused, "{what}");
            tried += 1;
        }
    }
    let new = TIMES - 1;
    let mixed = copies.mixed(&copies.time(new), &copies.time(0), &["log"]);
    let why = refused_by_serve(&mixed, "an old log");
    assert!(why.contains("anchor"), "{why}");
    let mut older = 0;
    for old in 0..new {
        let what = format!("log and anchor of time {old} under the state of time {new}");
        let mixed = copies.mixed(&copies.time(new), &copies.time(old), &["log", "anchor"]);
        let why = refused_by_serve(&mixed, &what);
        assert!(why.contains("restore") && why.contains("partition"), "{what}: {why}");
        older += 1;
    }
    // The other way round nothing is lost: what the log holds beyond its anchor was written by a process that died.
    let mixed = copies.mixed(&copies.time(new), &copies.time(0), &["anchor"]);
    assert_eq!(copies.look(&mixed, &copies.known[new], "an old anchor"), Seen::Intact);
    let mixed = copies.mixed(&copies.time(new), &copies.time(0), &["state"]);
    Server::start(&mixed).kill();
    assert_eq!(copies.look(&mixed, &copies.known[new], "an old state"), Seen::Intact);
    println!(
        "restored: {tried} old logs under a newer anchor and {older} old logs with their anchors under a newer state, all refused; \
         an old anchor or state beside a newer log loses nothing"
    );
}

#[test]
fn parts_of_another_data_directory_are_refused() {
    let copies = Copies::new();
    let base = copies.time(TIMES - 1);
    let known = &copies.known[TIMES - 1];
    let rows: [(&[&str], &str); 5] = [
        (&["log"], "another log"),
        (&["anchor"], "belongs to another log"),
        (&["log", "anchor"], "keys|ledger"),
        (&["log", "anchor", "keys"], "ledger"),
        (&["state"], "state in the data directory belongs to ledger"),
    ];
    for (parts, says) in rows {
        let what = format!("{parts:?} of another data directory");
        let mixed = copies.mixed(&base, &copies.other(), parts);
        let why = refused_by_serve(&mixed, &what);
        assert!(says.split('|').any(|says| why.contains(says)), "{what}: {why}");
    }
    // File by file, from the other deployment and from earlier times of this one.
    let (mut refused, mut intact) = (0, 0);
    let log = |data: &Path| files(&data.join("log"));
    let sources: Vec<PathBuf> = (0..TIMES - 1).map(|time| copies.time(time)).chain([copies.other()]).collect();
    for source in &sources {
        for target in log(&base) {
            let ending = |file: &Path| file.extension().map(std::ffi::OsStr::to_owned);
            let kind = |file: &Path| match file.file_stem().unwrap().to_str().unwrap() {
                name if name.starts_with(|c: char| c.is_ascii_digit()) => String::new(),
                name => name.split('-').next().unwrap().to_owned(),
            };
            let alike = |file: &PathBuf| ending(file) == ending(&target) && kind(file) == kind(&target);
            for replacement in log(source).into_iter().filter(alike).take(3) {
                if fs::read(&replacement).unwrap() == fs::read(&target).unwrap() {
                    continue;
                }
                let mixed = copies.mixed(&base, source, &[]);
                fs::copy(&replacement, mixed.join(target.strip_prefix(&base).unwrap())).unwrap();
                let name = |file: &Path| file.strip_prefix(copies.directory.path()).unwrap().display().to_string();
                match copies.look(&mixed, known, &format!("{} in place of {}", name(&replacement), name(&target))) {
                    Seen::Refused => refused += 1,
                    Seen::Intact => intact += 1,
                }
            }
        }
    }
    println!(
        "spliced: {} parts of another data directory refused; {} files of the log replaced one at a time by others of its kind, \
         {refused} refused, {intact} without loss: 0 silently accepted",
        rows.len(),
        refused + intact
    );
    assert!(refused > 20);
}
