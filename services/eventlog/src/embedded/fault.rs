//! What the system and RocksDB say, in the terms of this boundary.
//!
//! RocksDB gives a kind and a sentence; the sentence is all that tells a full disk from a missing right or a lock, so it
//! is looked into here and nowhere else.

use std::{fs, io, path::Path};

use rocksdb::ErrorKind;

use crate::Error;

/// An error of the file system.
pub(super) fn of_io(path: &Path, error: &io::Error) -> Error {
    let path = path.to_path_buf();
    let detail = error.to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { path, detail },
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists => Error::NotWritable { path, detail },
        _ => Error::Storage { path, detail },
    }
}

/// An error of the database in `directory`.
pub(super) fn of_rocksdb(directory: &Path, error: &rocksdb::Error) -> Error {
    let mut detail = error.to_string();
    let path = directory.to_path_buf();
    if error.kind() == ErrorKind::Corruption {
        detail.push_str(&suspects(directory, &detail));
    }
    let says = |sentence: &str| detail.contains(sentence);
    if says("lock ") && says("LOCK") {
        return Error::Locked { directory: path };
    }
    if says("No space left on device") || says("Disk quota exceeded") {
        return Error::NoSpace { path, detail };
    }
    if says("Permission denied") || says("Read-only file system") || says("Not a directory") {
        return Error::NotWritable { path, detail };
    }
    // Opening never creates over an existing database, so a file that is not there has been taken away.
    let missing = says("No such file or directory") || says("does not exist");
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::NotFound => Error::Damaged { directory: path, detail },
        ErrorKind::InvalidArgument if says("olumn famil") => Error::Foreign { directory: path, detail },
        _ if missing => Error::Damaged { directory: path, detail },
        _ => Error::Storage { path, detail },
    }
}

/// RocksDB names the file of a damaged table or MANIFEST, but not of a damaged write-ahead log.
fn suspects(directory: &Path, detail: &str) -> String {
    if [".sst", ".log", "MANIFEST", "CURRENT", "WAL"].iter().any(|named| detail.contains(named)) {
        return String::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut logs: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
    logs.sort_unstable();
    format!(" in the write-ahead log {}", logs.join(" or "))
}
