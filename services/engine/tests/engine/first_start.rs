//! A first start that was killed: whatever it left behind, the next one starts, and decides.

use std::fs;
use std::path::Path;
use std::time::Duration;

use domain::routing::Routing;
use engine::datadir::{DataDir, Deployment};
use engine::keys::Secrets;
use engine::kv::rocks::RocksKv;
use engine::settings::Settings;
use engine::system::System;
use eventlog::embedded::Embedded;
use ledger::LedgerId;

use crate::system::{bundle, decide, request};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    // Modes are part of what a start checks.
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
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

/// Takes away what a first start makes after the moment at which it was killed.
type Undo = fn(&Path);

fn without(data: &Path, names: &[&str]) {
    for name in names {
        let path = data.join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

fn only_files(directory: &Path, keep: fn(&str) -> bool) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if !keep(entry.file_name().to_str().unwrap()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

const EVERYTHING: &[&str] = &["lexecon.toml", "lock", "log", "anchor", "keys", "state"];

const STATES: &[(&str, Undo)] = &[
    ("nothing", |data| without(data, EVERYTHING)),
    ("the lock", |data| without(data, &["lexecon.toml", "log", "anchor", "keys", "state"])),
    ("an empty description", |data| {
        without(data, &["lexecon.toml", "log", "anchor", "keys", "state"]);
        fs::write(data.join("lexecon.new"), "").unwrap();
    }),
    ("half a description", |data| {
        let text = fs::read_to_string(data.join("lexecon.toml")).unwrap();
        without(data, &["lexecon.toml", "log", "anchor", "keys", "state"]);
        fs::write(data.join("lexecon.new"), &text[..text.len() / 2]).unwrap();
    }),
    ("a whole description under its first name", |data| {
        fs::rename(data.join("lexecon.toml"), data.join("lexecon.new")).unwrap();
        without(data, &["log", "anchor", "keys", "state"]);
    }),
    ("the description", |data| without(data, &["log", "anchor", "keys", "state"])),
    ("an empty log", |data| {
        without(data, &["anchor", "keys", "state"]);
        only_files(&data.join("log"), |_| false);
    }),
    ("a log that was begun", |data| {
        without(data, &["anchor", "keys", "state"]);
        only_files(&data.join("log"), |name| name == "LOCK" || name == "IDENTITY" || name == "LOG");
    }),
    ("a log without its anchor", |data| without(data, &["anchor", "keys", "state"])),
    ("half an anchor under its first name", |data| {
        let anchor = fs::read(data.join("anchor")).unwrap();
        fs::write(data.join("anchor.unfinished"), &anchor[..anchor.len() / 3]).unwrap();
        without(data, &["anchor", "keys", "state"]);
    }),
    ("the log", |data| without(data, &["keys", "state"])),
    ("no keys in their directory", |data| {
        without(data, &["state"]);
        only_files(&data.join("keys"), |_| false);
    }),
    ("one key under its first name", |data| {
        without(data, &["state"]);
        let keys = data.join("keys");
        only_files(&keys, |name| name == "index.key");
        fs::rename(keys.join("index.key"), keys.join("index.key.new")).unwrap();
    }),
    ("one key under its name, the others under their first", |data| {
        without(data, &["state"]);
        for entry in fs::read_dir(data.join("keys")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "index.key" {
                fs::rename(&path, path.with_extension("key.new")).unwrap();
            }
        }
    }),
    ("the keys", |data| without(data, &["state"])),
    ("an empty state", |data| only_files(&data.join("state"), |_| false)),
    ("a state that was begun", |data| {
        only_files(&data.join("state"), |name| name == "LOCK" || name == "IDENTITY" || name == "LOG");
    }),
];

#[test]
fn a_first_start_that_was_killed_anywhere_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    // All that a first start makes before anything is written into the ledger, in its order.
    let settings = Settings::new(&whole);
    let fresh = Deployment { ledger_id: LedgerId([7; 16]), partitions: 8, routing: Routing::Actor, chain_epoch: 0 };
    let held = DataDir::open_or_create(&whole, &fresh, settings.terms).unwrap();
    drop(Embedded::open(settings.log.clone()).unwrap());
    drop(Secrets::open_or_create(&held.keys()).unwrap());
    drop(RocksKv::open(&held.state(), &settings.kv).unwrap());
    drop(held);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (number, (name, undo)) in STATES.iter().enumerate() {
        let data = directory.path().join(format!("state-{number}"));
        copy(&whole, &data);
        undo(&data);
        let (system, _) = System::start(Settings::new(&data), Some(&bundle()), &[])
            .unwrap_or_else(|error| panic!("killed with {name}: {error}"));
        let view = decide(&runtime, &system, &request("k-1", "agent-1", "read", true));
        assert!(view.outcome.is_some(), "killed with {name}");
        assert_eq!(system.drain(Duration::from_secs(5)), 0);
        fs::remove_dir_all(&data).unwrap();
    }
}
