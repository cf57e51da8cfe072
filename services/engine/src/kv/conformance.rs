//! The table that every [`Kv`] passes: one row is a name, writes, and what must be readable afterwards.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use super::memory::MemoryKv;
use super::rocks::{RocksKv, Settings};
use super::*;

fn put(space: Space, key: &[u8], value: &[u8]) -> Write {
    Write::Put(space, key.to_vec(), value.to_vec())
}

fn delete(key: &[u8]) -> Write {
    Write::Delete(Space::State, key.to_vec())
}

fn delete_range(from: &[u8], to: &[u8]) -> Write {
    Write::DeleteRange(Space::State, from.to_vec(), to.to_vec())
}

type Row = (&'static str, Vec<Vec<Write>>, &'static str);

/// Keys and values that stand in `State` afterwards are written `k=v k=v`, in order.
fn rows() -> Vec<Row> {
    let s = |key: &str, value: &str| put(Space::State, key.as_bytes(), value.as_bytes());
    vec![
        ("nothing", vec![vec![]], ""),
        ("put", vec![vec![s("b", "1"), s("a", "2")]], "a=2 b=1"),
        ("overwrite", vec![vec![s("a", "1")], vec![s("a", "2")]], "a=2"),
        ("empty value", vec![vec![s("a", "")]], "a="),
        ("delete", vec![vec![s("a", "1"), s("b", "1")], vec![delete(b"a")]], "b=1"),
        ("delete what is absent", vec![vec![delete(b"a")]], ""),
        ("later wins: put, delete", vec![vec![s("a", "1"), delete(b"a")]], ""),
        ("later wins: delete, put", vec![vec![s("a", "1")], vec![delete(b"a"), s("a", "2")]], "a=2"),
        (
            "range is half open",
            vec![vec![s("a", "1"), s("b", "1"), s("b2", "1"), s("c", "1")], vec![delete_range(b"b", b"c")]],
            "a=1 c=1",
        ),
        (
            "range, then put in it",
            vec![vec![s("a", "1"), s("b", "1")], vec![delete_range(b"a", b"z"), s("b", "2")]],
            "b=2",
        ),
        ("put, then range over it", vec![vec![s("a", "1"), delete_range(b"a", b"b")]], ""),
        ("range turned round", vec![vec![s("a", "1"), s("b", "1")], vec![delete_range(b"b", b"a")]], "a=1 b=1"),
        (
            "prefixes sort first",
            vec![vec![s("ab", "1"), s("a", "1"), s("b", "1"), s("a\u{0}", "1")]],
            "a=1 a\u{0}=1 ab=1 b=1",
        ),
        (
            "spaces are apart",
            vec![
                vec![s("a", "1"), put(Space::Requests, b"a", b"2")],
                vec![Write::DeleteRange(Space::Requests, vec![], vec![0xff])],
            ],
            "a=1",
        ),
    ]
}

fn content(kv: &dyn Kv) -> String {
    let entries = kv.scan(Space::State, b"", &[0xff; 8], usize::MAX, false).unwrap();
    let shown: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)))
        .collect();
    shown.join(" ")
}

/// Runs the table on fresh stores from `make`; every store it returns must show the same content.
pub(crate) fn check(adapter: &str, mut make: impl FnMut(&[Vec<Write>]) -> Vec<Arc<dyn Kv>>) {
    for (name, batches, expected) in rows() {
        for kv in make(&batches) {
            assert_eq!(content(&*kv), expected, "{adapter}: {name}");
        }
    }
    let keys: Vec<Vec<u8>> = ["a", "b", "b\u{0}", "c", "d"].iter().map(|key| key.as_bytes().to_vec()).collect();
    let batch = keys
        .iter()
        .map(|key| Write::Put(Space::State, key.clone(), key.clone()))
        .chain([put(Space::State, &[0xff, 0xff], b"top")])
        .collect();
    for kv in make(&[batch]) {
        scans(adapter, &*kv);
        let mut wanted = vec![b"d".to_vec(), b"none".to_vec(), b"a".to_vec(), b"d".to_vec()];
        let found = kv.get_many(Space::State, &wanted).unwrap();
        wanted.remove(1);
        assert_eq!(found.get(1), Some(&None), "{adapter}: get_many, absent");
        let present: Vec<Vec<u8>> = found.into_iter().flatten().collect();
        assert_eq!(present, wanted, "{adapter}: get_many, order");
        assert_eq!(kv.get(Space::State, &[0xff, 0xff]).unwrap(), Some(b"top".to_vec()));
        assert_eq!(kv.get(Space::Keyring, b"a").unwrap(), None);
    }
}

fn scans(adapter: &str, kv: &dyn Kv) {
    for (from, to, limit, reverse, expected) in [
        ("a", "c", 9, false, "a b b0"),
        ("a", "c", 9, true, "b0 b a"),
        ("a", "c", 2, false, "a b"),
        ("a", "c", 2, true, "b0 b"),
        ("aa", "b", 9, false, ""),
        ("c", "c", 9, false, ""),
        ("d", "a", 9, true, ""),
        ("a", "z", 0, false, ""),
        ("b", "zz", 9, true, "d c b0 b"),
        ("", "a", 9, false, ""),
    ] {
        let found: Vec<String> = kv
            .scan(Space::State, from.as_bytes(), to.as_bytes(), limit, reverse)
            .unwrap()
            .into_iter()
            .map(|(key, _)| String::from_utf8_lossy(&key).replace('\u{0}', "0"))
            .collect();
        assert_eq!(found.join(" "), expected, "{adapter}: scan {from}..{to} {limit} {reverse}");
    }
}

fn rocks_twice(settings: &Settings, flush: bool) -> impl FnMut(&[Vec<Write>]) -> Vec<Arc<dyn Kv>> {
    let settings = settings.clone();
    let mut directories = Vec::new();
    move |batches| {
        let directory = tempfile::tempdir().unwrap();
        let kv = RocksKv::open(directory.path(), &settings).unwrap();
        for batch in batches {
            kv.write(batch.clone()).unwrap();
            if flush {
                kv.flush().unwrap();
            }
        }
        let before = content(&kv);
        drop(kv);
        let kv = RocksKv::open(directory.path(), &settings).unwrap();
        assert_eq!(before, content(&kv), "closing and opening changes nothing");
        directories.push(directory);
        vec![Arc::new(kv)]
    }
}

#[test]
fn memory() {
    check("memory", |batches| {
        let kv = MemoryKv::new();
        let untouched = kv.clone();
        for batch in batches {
            kv.write(batch.clone()).unwrap();
        }
        assert_eq!(content(&untouched), "", "a snapshot does not change");
        let branch = kv.clone();
        assert!(branch == kv);
        branch.write(vec![put(Space::Places, b"x", b"y")]).unwrap();
        assert!(branch != kv, "content decides equality");
        vec![Arc::new(kv), Arc::new(branch)]
    });
}

#[test]
fn rocks() {
    check("rocks", rocks_twice(&Settings::default(), false));
}

#[test]
fn rocks_without_write_ahead_log() {
    let settings = Settings { write_ahead: false, ..Settings::default() };
    check("rocks, no log", rocks_twice(&settings, false));
    check("rocks, flushed", rocks_twice(&settings, true));
}

#[test]
fn a_second_process_and_a_damaged_file_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let kv = RocksKv::open(directory.path(), &Settings::default()).unwrap();
    let second = RocksKv::open(directory.path(), &Settings::default()).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "{second}");
    kv.write(vec![put(Space::State, b"key", &[7; 4096])]).unwrap();
    kv.flush().unwrap();
    drop(kv);
    let mut flipped = 0;
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "sst") {
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.get_mut(40).unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1);
    let error = match RocksKv::open(directory.path(), &Settings::default()) {
        Err(error) => error,
        Ok(kv) => kv.get(Space::State, b"key").unwrap_err(),
    };
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("lexecon rebuild --replace"), "{error}");
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(RocksKv::open(directory.path(), &Settings::default()).unwrap());
    let mut options = rocksdb::Options::default();
    options.create_missing_column_families(true);
    let mut names: Vec<&str> = Space::ALL.iter().map(|space| space.name()).collect();
    names.push("windows");
    drop(rocksdb::DB::open_cf(&options, directory.path(), names).unwrap());
    let error = RocksKv::open(directory.path(), &Settings::default()).unwrap_err();
    assert!(matches!(&error, Error::UnknownSpace { name, .. } if name == "windows"), "{error}");
}
