//! How RocksDB is set up: recovery that refuses damage, one write-ahead log, bounded memory and files.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options, WriteBufferManager};

use super::settings::{Compression, Settings};

/// Of the database. Creates one only if it is `fresh`.
pub(super) fn database(settings: &Settings, cache: &Cache, fresh: bool) -> Result<Options, rocksdb::Error> {
    // What the Rust interface has no call for. No resumption behind our back: after a failed write we reopen and look.
    let mut options =
        Options::default().get_options_from_string("track_and_verify_wals=true;max_bgerror_resume_count=0")?;
    options.create_if_missing(fresh);
    // The first start may have been killed between two families.
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    // All families are flushed at one place of the write-ahead log, so no cut of it leaves one ahead of another.
    options.set_atomic_flush(true);
    options.set_max_total_wal_size(settings.wal_bytes_max);
    options.set_max_open_files(i32::try_from(settings.open_files_max).unwrap_or(i32::MAX));
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_manifest_file_size(4 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    // Charged to the cache, so that one number bounds memtables and blocks together.
    let memtables = settings.memory_bytes_max / 2;
    let manager = WriteBufferManager::new_write_buffer_manager_with_cache(memtables, false, cache.clone());
    options.set_write_buffer_manager(&manager);
    Ok(options)
}

/// Of each column family.
pub(super) fn family(settings: &Settings, cache: &Cache) -> Options {
    let compression = |compression| match compression {
        Compression::Off => DBCompressionType::None,
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::Zstd => DBCompressionType::Zstd,
    };
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_format_version(6);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(settings.write_buffer_bytes);
    options.set_compression_type(compression(settings.compression));
    options.set_bottommost_compression_type(compression(settings.compression_oldest));
    options
}
