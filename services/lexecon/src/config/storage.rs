//! `[log]` and `[state]`: the two databases of a data directory. The first is the truth, the second a fold of it.

use serde::{Deserialize, Serialize};

use super::bounds::{count, number, within};

/// Which event log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// In the data directory.
    #[default]
    Embedded,
}

/// Of blocks in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    Off,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Which one.
    pub kind: LogKind,
    /// Bytes of the largest record, key and headers included. A frame of the ledger needs 1 MiB.
    #[serde(deserialize_with = "count::<_, 1_048_576, 67_108_864>")]
    pub record_bytes_max: usize,
    /// Bytes of one topic's memtable; it is written to a file when full.
    #[serde(deserialize_with = "count::<_, 65_536, 1_073_741_824>")]
    pub write_buffer_bytes: usize,
    /// Bytes of all memtables and cached blocks together; at least two write buffers.
    #[serde(deserialize_with = "count::<_, 1_048_576, 68_719_476_736>")]
    pub memory_bytes_max: usize,
    /// Bytes of all write-ahead logs together; beyond it memtables are written to files.
    #[serde(deserialize_with = "within::<_, 1_048_576, 68_719_476_736>")]
    pub wal_bytes_max: u64,
    /// Files held open.
    #[serde(deserialize_with = "number::<_, 32, 1_048_576>")]
    pub open_files_max: u32,
    /// Compression of young files.
    pub compression: Compression,
    /// Compression of the oldest level, where nearly everything lies.
    pub compression_oldest: Compression,
    /// Space that the file system must have left, or nothing more is accepted until it has.
    #[serde(deserialize_with = "within::<_, 0, 1_099_511_627_776>")]
    pub free_bytes_min: u64,
    /// How often a log without work finds out whether it could write.
    #[serde(deserialize_with = "within::<_, 10, 60_000>")]
    pub probe_ms: u64,
    /// First wait before a broken log is opened again; doubles with each attempt that fails.
    #[serde(deserialize_with = "within::<_, 1, 60_000>")]
    pub reopen_first_ms: u64,
    /// Longest wait before a broken log is opened again.
    #[serde(deserialize_with = "within::<_, 1, 600_000>")]
    pub reopen_max_ms: u64,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            kind: LogKind::Embedded,
            record_bytes_max: 1 << 20,
            write_buffer_bytes: 16 << 20,
            memory_bytes_max: 96 << 20,
            wal_bytes_max: 64 << 20,
            open_files_max: 256,
            compression: Compression::Lz4,
            compression_oldest: Compression::Zstd,
            free_bytes_min: 64 << 20,
            probe_ms: 1_000,
            reopen_first_ms: 100,
            reopen_max_ms: 5_000,
        }
    }
}

/// `[state]`: the owners' state and the read models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Bytes for blocks, indexes and filters in memory, write buffers included.
    #[serde(deserialize_with = "count::<_, 1_048_576, 68_719_476_736>")]
    pub block_cache_bytes: usize,
    /// Bytes of writes that are not yet in files, all spaces together.
    #[serde(deserialize_with = "count::<_, 1_048_576, 17_179_869_184>")]
    pub write_buffer_bytes: usize,
    /// Files held open.
    #[serde(deserialize_with = "number::<_, 32, 1_048_576>")]
    pub open_files_max: u32,
    /// Threads that write memtables out and compact.
    #[serde(deserialize_with = "number::<_, 1, 64>")]
    pub background_jobs: u32,
    /// Filter bits a key; 10 lets one in a hundred absent keys through.
    #[serde(deserialize_with = "number::<_, 1, 32>")]
    pub bloom_bits_per_key: u32,
    /// Whether writes go through a write-ahead log. Without it half the bytes are written, and a start folds the ledger
    /// from the last flush.
    pub write_ahead: bool,
    /// Bytes of the write-ahead log at which it is cut.
    #[serde(deserialize_with = "within::<_, 1_048_576, 68_719_476_736>")]
    pub write_ahead_bytes_max: u64,
}

impl Default for State {
    fn default() -> State {
        State {
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
