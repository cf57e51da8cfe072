//! Erasing removed keys from the medium.
//!
//! A deletion leaves the value in its file until that file is compacted, and in the write-ahead log until the log is
//! dropped. So: flush every family, which ends the write-ahead log; compact the whole family of keys, its oldest level
//! too; wait until the files that held the value are unlinked; and look that no deletion is left, because a compaction
//! that failed does not say so. What a file system or a drive keeps of an unlinked file is beyond this; such bytes are
//! wrapped under a key period's key, which is destroyed at the period's end.

use std::{
    fs,
    time::{Duration, Instant},
};

use rocksdb::{BottommostLevelCompaction, CompactOptions, FlushOptions};

use super::{fault, store::Store};
use crate::{Error, Topic};

/// Files are unlinked in the background, within milliseconds, unless a reader still has them open.
const UNLINK_WAIT_MAX: Duration = Duration::from_secs(10);
const UNLINK_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Erases what was removed from [`Topic::Keys`] before the call.
pub(super) fn erase(store: &Store) -> Result<(), Error> {
    flush(store)?;
    let keys = store.family(Topic::Keys)?;
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(true);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    store
        .db
        .compact_range_cf_opt(keys, None::<&[u8]>, None::<&[u8]>, &options);
    let files = store.db.live_files().map_err(|error| store.fault(&error))?;
    let keys = files
        .iter()
        .filter(|file| file.column_family_name == Topic::Keys.as_str());
    let deletions: u64 = keys.map(|file| file.num_deletions).sum();
    if deletions > 0 {
        return Err(incomplete(
            store,
            &format!("{deletions} removed keys are still in its files"),
        ));
    }
    await_unlinked(store)
}

/// Writes all memtables to files at one place of the write-ahead log, which begins a new one.
pub(super) fn flush(store: &Store) -> Result<(), Error> {
    let mut families = vec![store.meta()?];
    for topic in Topic::ALL {
        families.push(store.family(topic)?);
    }
    let mut options = FlushOptions::default();
    options.set_wait(true);
    store
        .db
        .flush_cfs_opt(&families, &options)
        .map_err(|error| store.fault(&error))
}

fn await_unlinked(store: &Store) -> Result<(), Error> {
    let deadline = Instant::now() + UNLINK_WAIT_MAX;
    loop {
        let left = obsolete(store)?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(incomplete(
                store,
                &format!("{} still exist", left.join(", ")),
            ));
        }
        std::thread::sleep(UNLINK_LOOK_EVERY);
    }
}

/// Files of the directory that hold records and belong to no state of the database.
fn obsolete(store: &Store) -> Result<Vec<String>, Error> {
    let live = store.db.live_files().map_err(|error| store.fault(&error))?;
    let oldest = store
        .db
        .property_int_value("rocksdb.min-log-number-to-keep");
    let oldest = oldest.map_err(|error| store.fault(&error))?.unwrap_or(0);
    let fault = |error| fault::of_io(&store.directory, &error);
    let mut obsolete = Vec::new();
    for entry in fs::read_dir(&store.directory).map_err(fault)? {
        let name = entry
            .map_err(fault)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        let dead = match name.split_once('.') {
            Some((_, "sst")) => !live
                .iter()
                .any(|file| file.name.trim_start_matches('/') == name),
            Some((number, "log")) => number.parse::<u64>().is_ok_and(|number| number < oldest),
            _ => false,
        };
        if dead {
            obsolete.push(name);
        }
    }
    Ok(obsolete)
}

fn incomplete(store: &Store, detail: &str) -> Error {
    Error::Storage {
        path: store.directory.clone(),
        detail: format!("erasure is incomplete: {detail}"),
    }
}
