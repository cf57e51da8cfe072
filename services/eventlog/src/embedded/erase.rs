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

/// Files are unlinked in the background, within milliseconds, unless a reader or a backup still needs them.
pub(super) const UNLINK_WAIT_MAX: Duration = Duration::from_secs(1);
const UNLINK_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Erases what was removed from [`Topic::Keys`] before the call. False if files that hold it still exist after the wait,
/// because a backup is being taken: then the removal must be repeated.
pub(super) fn erase(store: &Store, unlink_wait_max: Duration) -> Result<bool, Error> {
    flush(store)?;
    let keys = store.family(Topic::Keys)?;
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(true);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    store.db.compact_range_cf_opt(keys, None::<&[u8]>, None::<&[u8]>, &options);
    let files = store.db.live_files().map_err(|error| store.fault(&error))?;
    let keys = files.iter().filter(|file| file.column_family_name == Topic::Keys.as_str());
    let deletions: u64 = keys.map(|file| file.num_deletions).sum();
    if deletions > 0 {
        return Err(Error::Storage {
            path: store.directory.clone(),
            detail: format!("{deletions} removed keys are still in files after a compaction"),
        });
    }
    await_unlinked(store, Instant::now() + unlink_wait_max)
}

/// Writes all memtables to files at one place of the write-ahead log, which begins a new one.
pub(super) fn flush(store: &Store) -> Result<(), Error> {
    let mut families = vec![store.meta()?];
    for topic in Topic::ALL {
        families.push(store.family(topic)?);
    }
    let mut options = FlushOptions::default();
    options.set_wait(true);
    store.db.flush_cfs_opt(&families, &options).map_err(|error| store.fault(&error))
}

fn await_unlinked(store: &Store, deadline: Instant) -> Result<bool, Error> {
    loop {
        let left = obsolete(store)?;
        if left.is_empty() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            tracing::warn!(files = left.join(", "), "removed keys are in files that are still in use");
            return Ok(false);
        }
        std::thread::sleep(UNLINK_LOOK_EVERY);
    }
}

/// Files of the directory that hold records and belong to no state of the database.
fn obsolete(store: &Store) -> Result<Vec<String>, Error> {
    let live = store.db.live_files().map_err(|error| store.fault(&error))?;
    let oldest = store.db.property_int_value("rocksdb.min-log-number-to-keep");
    let oldest = oldest.map_err(|error| store.fault(&error))?.unwrap_or(0);
    let fault = |error| fault::of_io(&store.directory, &error);
    let mut obsolete = Vec::new();
    for entry in fs::read_dir(&store.directory).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name().to_string_lossy().into_owned();
        let dead = match name.split_once('.') {
            Some((_, "sst")) => !live.iter().any(|file| file.name.trim_start_matches('/') == name),
            Some((number, "log")) => number.parse::<u64>().is_ok_and(|number| number < oldest),
            _ => false,
        };
        if dead {
            obsolete.push(name);
        }
    }
    Ok(obsolete)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rocksdb::WriteBatch;

    use super::*;
    use crate::embedded::{open::open, settings::Settings};

    #[test]
    fn files_that_a_backup_holds_are_no_erasure() {
        let data = tempfile::tempdir().unwrap();
        let (store, _anchor) = open(&Settings::at(data.path())).unwrap();
        let change = |change: &dyn Fn(&mut WriteBatch)| {
            let mut batch = WriteBatch::default();
            change(&mut batch);
            store.write(batch, false).unwrap();
        };
        let keys = store.family(Topic::Keys).unwrap();
        change(&|batch| batch.put_cf(keys, b"a", b"secret"));
        flush(&store).unwrap();
        // As a backup does while it copies.
        store.db.disable_file_deletions().unwrap();
        change(&|batch| batch.delete_cf(keys, b"a"));
        assert_eq!(Ok(false), erase(&store, Duration::from_millis(20)));
        store.db.enable_file_deletions().unwrap();
        change(&|batch| batch.delete_cf(keys, b"a"));
        assert_eq!(Ok(true), erase(&store, UNLINK_WAIT_MAX));
    }
}
