//! Ordered bytes in RocksDB: one database, one column family per space.
//!
//! Choices, each for a reason:
//! - Memory is bounded by two numbers: the block cache (indexes and filters live in it too, in partitions, so that a
//!   store of any size fits) and the write buffers of all spaces together.
//! - Writes go to the write-ahead log without a sync. Point-in-time recovery then gives one prefix of the writes for
//!   all spaces, which is all that a fold needs; with the log off, atomic flush gives the same, only further back.
//! - Bloom filters over whole keys, because most look-ups are of requests that were never seen. No prefix extractor:
//!   every key begins with its partition, four bytes that a filter would say yes to always, and a scan over several
//!   partitions would have to ask for total order each time.
//! - Expired records are deleted oldest first, which leaves a run of tombstones at the front of a range that is
//!   scanned from its front; files rich in tombstones are therefore compacted early.

use std::fmt;
use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, ErrorKind, LogLevel, Options, ReadOptions, WriteBatch, WriteBufferManager, WriteOptions,
};

use super::{Entry, Error, Kv, Space, Write};

/// Settings of the derived store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Memory for blocks, indexes and filters, write buffers included. Bytes.
    pub block_cache_bytes: usize,
    /// Memory for writes that are not yet in files, all spaces together. Bytes.
    pub write_buffer_bytes: usize,
    /// Files held open at once.
    pub open_files_max: i32,
    /// Threads that flush and compact.
    pub background_jobs: i32,
    /// Filter bits a key; 10 lets one in a hundred absent keys through.
    pub bloom_bits_per_key: u8,
    /// Whether writes go through a write-ahead log, so that a killed process finds nearly all of them again. Without
    /// it half the bytes are written, and a restart folds the ledger from the last flush.
    pub write_ahead: bool,
    /// The write-ahead log is cut when it is larger. Bytes.
    pub write_ahead_bytes_max: u64,
}

impl Default for Settings {
    /// 96 MiB of cache, of which write buffers take up to 32.
    fn default() -> Self {
        Settings {
            block_cache_bytes: 96 << 20,
            write_buffer_bytes: 32 << 20,
            open_files_max: 256,
            background_jobs: 2,
            bloom_bits_per_key: 10,
            write_ahead: true,
            write_ahead_bytes_max: 64 << 20,
        }
    }
}

/// A store in a directory.
pub struct RocksKv {
    db: DB,
    directory: PathBuf,
    write_options: WriteOptions,
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl fmt::Debug for RocksKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksKv").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What the store holds in memory right now, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Blocks, indexes, filters and the write buffers' share.
    pub block_cache: usize,
    /// Write buffers.
    pub write_buffers: usize,
}

impl RocksKv {
    /// Opens the store in `directory`, which is made when it does not exist.
    ///
    /// # Errors
    /// [`Error`] says which directory and what to do.
    pub fn open(directory: &Path, settings: &Settings) -> Result<RocksKv, Error> {
        let fault = |error: rocksdb::Error| translate(directory, &error);
        std::fs::create_dir_all(directory)
            .map_err(|error| Error::NotWritable { directory: directory.to_owned(), detail: error.to_string() })?;
        let cache = Cache::new_lru_cache(settings.block_cache_bytes);
        let write_buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(settings.write_buffer_bytes, false, cache.clone());
        let options = database_options(settings, &write_buffers);
        if directory.join("CURRENT").exists() {
            refuse_unknown_spaces(directory, &options)?;
        }
        let spaces =
            Space::ALL.map(|space| ColumnFamilyDescriptor::new(space.name(), space_options(space, settings, &cache)));
        let db = DB::open_cf_descriptors(&options, directory, spaces).map_err(fault)?;
        let mut write_options = WriteOptions::default();
        write_options.set_sync(false);
        write_options.disable_wal(!settings.write_ahead);
        Ok(RocksKv { db, directory: directory.to_owned(), write_options, cache, write_buffers })
    }

    /// Puts everything written so far into files, all spaces together.
    ///
    /// # Errors
    /// [`Error`].
    pub fn flush(&self) -> Result<(), Error> {
        let families = Space::ALL.iter().map(|space| self.family(*space)).collect::<Result<Vec<_>, _>>()?;
        self.db
            .flush_cfs_opt(&families, &rocksdb::FlushOptions::default())
            .map_err(|error| translate(&self.directory, &error))
    }

    /// Rewrites a space without what was deleted from it: after a rebuild, and after keys were erased, because a
    /// deleted value otherwise stays on disk for as long as nothing else touches its file.
    ///
    /// # Errors
    /// [`Error`] of the flush that goes before.
    pub fn compact(&self, space: Space) -> Result<(), Error> {
        self.flush()?;
        self.db.compact_range_cf(self.family(space)?, None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// Memory in use, for metrics.
    pub fn memory(&self) -> Memory {
        Memory { block_cache: self.cache.get_usage(), write_buffers: self.write_buffers.get_usage() }
    }

    /// Bytes of a space's files.
    pub fn disk_bytes(&self, space: Space) -> u64 {
        self.family(space)
            .ok()
            .and_then(|family| self.db.property_int_value_cf(family, "rocksdb.total-sst-files-size").ok().flatten())
            .unwrap_or(0)
    }

    /// Writes a consistent copy into `directory`, which must not exist. Hard links where the file system allows.
    ///
    /// # Errors
    /// [`Error`].
    pub fn checkpoint(&self, directory: &Path) -> Result<(), Error> {
        rocksdb::checkpoint::Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(directory))
            .map_err(|error| translate(directory, &error))
    }

    fn family(&self, space: Space) -> Result<&ColumnFamily, Error> {
        self.db.cf_handle(space.name()).ok_or_else(|| Error::Storage {
            directory: self.directory.clone(),
            detail: format!("space {} is not open", space.name()),
        })
    }
}

fn database_options(settings: &Settings, write_buffers: &WriteBufferManager) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_write_buffer_manager(write_buffers);
    options.set_max_open_files(settings.open_files_max);
    options.set_max_background_jobs(settings.background_jobs);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(settings.write_ahead_bytes_max);
    options.set_paranoid_checks(true);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(3);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn space_options(space: Space, settings: &Settings, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(8 * 1024);
    table.set_bloom_filter(f64::from(settings.bloom_bits_per_key), false);
    table.set_whole_key_filtering(true);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 * 1024);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_top_level_index_and_filter(true);

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    // The share of one space; the write buffer manager flushes long before all of them are full.
    options.set_write_buffer_size(settings.write_buffer_bytes);
    options.set_max_write_buffer_number(2);
    options.set_arena_block_size(256 * 1024);
    options.set_target_file_size_base(32 << 20);
    options.set_max_bytes_for_level_base(128 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    if matches!(space, Space::State | Space::Requests) {
        options.set_memtable_prefix_bloom_ratio(0.05);
        options.set_memtable_whole_key_filtering(true);
    }
    if space == Space::State {
        options.add_compact_on_deletion_collector_factory(4_096, 2_048, 0.5);
    }
    options
}

fn refuse_unknown_spaces(directory: &Path, options: &Options) -> Result<(), Error> {
    let names = DB::list_cf(options, directory).map_err(|error| translate(directory, &error))?;
    let known =
        |name: &str| name == rocksdb::DEFAULT_COLUMN_FAMILY_NAME || Space::ALL.iter().any(|space| space.name() == name);
    match names.into_iter().find(|name| !known(name)) {
        Some(name) => Err(Error::UnknownSpace { directory: directory.to_owned(), name }),
        None => Ok(()),
    }
}

fn translate(directory: &Path, error: &rocksdb::Error) -> Error {
    let directory = directory.to_owned();
    let detail = error.as_ref().to_owned();
    let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    if says(&["lock hold by current process", "While lock file"]) {
        Error::Locked { directory }
    } else if says(&["No space left", "Disk quota exceeded"]) {
        Error::NoSpace { directory, detail }
    } else if says(&["Permission denied", "Read-only file system"]) {
        Error::NotWritable { directory, detail }
    } else if error.kind() == ErrorKind::Corruption || says(&["No such file or directory", "does not exist"]) {
        Error::Damaged { directory, detail }
    } else {
        Error::Storage { directory, detail }
    }
}

impl Kv for RocksKv {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.db.get_cf(self.family(space)?, key).map_err(|error| translate(&self.directory, &error))
    }

    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.db
            .batched_multi_get_cf(self.family(space)?, keys, false)
            .into_iter()
            .map(|found| {
                found.map(|value| value.map(|bytes| bytes.to_vec())).map_err(|error| translate(&self.directory, &error))
            })
            .collect()
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize, reverse: bool) -> Result<Vec<Entry>, Error> {
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(space)?, options);
        if reverse {
            iterator.seek_to_last();
        } else {
            iterator.seek_to_first();
        }
        let mut entries = Vec::new();
        while let Some((key, value)) = iterator.item() {
            entries.push((key.to_vec(), value.to_vec()));
            if entries.len() == limit {
                break;
            }
            if reverse {
                iterator.prev();
            } else {
                iterator.next();
            }
        }
        // An iterator that met a bad block ends early and says so only here.
        iterator.status().map_err(|error| translate(&self.directory, &error))?;
        Ok(entries)
    }

    fn write(&self, batch: Vec<Write>) -> Result<(), Error> {
        let mut writes = WriteBatch::with_capacity_bytes(batch.iter().map(|write| write.size() + 16).sum());
        for write in &batch {
            match write {
                Write::Put(space, key, value) => writes.put_cf(self.family(*space)?, key, value),
                Write::Delete(space, key) => writes.delete_cf(self.family(*space)?, key),
                Write::DeleteRange(space, from, to) if from < to => {
                    writes.delete_range_cf(self.family(*space)?, from, to);
                }
                Write::DeleteRange(..) => {}
            }
        }
        self.db.write_opt(writes, &self.write_options).map_err(|error| translate(&self.directory, &error))
    }
}
