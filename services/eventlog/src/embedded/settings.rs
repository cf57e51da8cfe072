//! Every limit of the embedded log, with its default and why it is that.
//!
//! Deliberately not serde: the binary's configuration has its own types and converts.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::Error;

/// How an embedded log is made and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database. Made if it does not exist.
    pub directory: PathBuf,
    /// The head anchor: beside the database, never inside, so that nothing that rewrites the one touches the other.
    pub anchor: PathBuf,
    /// Partitions of each topic, 1 to 4,096. Fixed for the log's life.
    pub partitions: u32,
    /// Largest record, key and headers included. Default 1 MiB, as brokers have it; at most 64 MiB.
    pub record_bytes_max: usize,
    /// Memtable of one topic that is flushed when full. Default 16 MiB: about 250 frames of 64 KiB.
    pub write_buffer_bytes: usize,
    /// All memtables and cached blocks together. Default 96 MiB. Must hold at least two write buffers.
    pub memory_bytes_max: usize,
    /// All write-ahead logs together; beyond it memtables are flushed. Default 64 MiB, which is read in well under a
    /// second when the log is opened.
    pub wal_bytes_max: u64,
    /// Files held open. Default 256.
    pub open_files_max: u32,
    /// Compression of young files. Default LZ4.
    pub compression: Compression,
    /// Compression of the oldest level, where nearly everything lies. Default Zstandard.
    pub compression_oldest: Compression,
    /// Space that the file system must have left, or nothing more is accepted until it has. Default 64 MiB: enough to
    /// finish what was accepted, to write memtables out and to open the database again.
    pub free_bytes_min: u64,
    /// How often a log without work finds out whether it could write. Default 1 s.
    pub probe_every: Duration,
    /// First wait before a broken log is reopened; doubles with each attempt that fails. Default 100 ms.
    pub reopen_after_min: Duration,
    /// Longest wait before a broken log is reopened. Default 5 s, so that it works again soon after the cause is gone.
    pub reopen_after_max: Duration,
}

/// Of blocks in files. Ciphertext does not shrink; frames are mostly ciphertext with clear facts between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Off,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}

impl Settings {
    /// Defaults, in a data directory: the database is `log` in it, the anchor `anchor`. A checkpoint is laid out so too.
    pub fn at(data: impl AsRef<Path>) -> Self {
        let data = data.as_ref();
        Self {
            directory: data.join("log"),
            anchor: data.join("anchor"),
            partitions: 8,
            record_bytes_max: 1 << 20,
            write_buffer_bytes: 16 << 20,
            memory_bytes_max: 96 << 20,
            wal_bytes_max: 64 << 20,
            open_files_max: 256,
            compression: Compression::Lz4,
            compression_oldest: Compression::Zstd,
            free_bytes_min: 64 << 20,
            probe_every: Duration::from_secs(1),
            reopen_after_min: Duration::from_millis(100),
            reopen_after_max: Duration::from_secs(5),
        }
    }

    /// Refuses what cannot work, before anything is touched.
    pub(super) fn check(&self) -> Result<(), Error> {
        let rules = [
            ("partitions", (1..=4_096).contains(&self.partitions), "1 to 4096"),
            ("record_bytes_max", (1..=64 << 20).contains(&self.record_bytes_max), "1 to 67108864"),
            ("write_buffer_bytes", (64 << 10..=1 << 30).contains(&self.write_buffer_bytes), "65536 to 1073741824"),
            (
                "memory_bytes_max",
                self.memory_bytes_max / 2 >= self.write_buffer_bytes,
                "at least twice write_buffer_bytes",
            ),
            ("wal_bytes_max", self.wal_bytes_max >= 1 << 20, "at least 1048576"),
            ("open_files_max", (32..=1 << 20).contains(&self.open_files_max), "32 to 1048576"),
            (
                "probe_every",
                (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.probe_every),
                "10 ms to 60 s",
            ),
            (
                "reopen_after_max",
                !self.reopen_after_min.is_zero() && self.reopen_after_max >= self.reopen_after_min,
                "at least reopen_after_min, which is above zero",
            ),
            ("anchor", !self.anchor.starts_with(&self.directory), "outside directory"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((name, _, rule)) => Err(Error::Setting { name, detail: rule.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Settings)) -> Option<&'static str> {
        let mut settings = Settings::at("data");
        change(&mut settings);
        match settings.check() {
            Err(Error::Setting { name, .. }) => Some(name),
            _ => None,
        }
    }

    #[test]
    fn each_rule_is_named() {
        assert_eq!(None, check(|_| {}));
        assert_eq!(Some("partitions"), check(|s| s.partitions = 0));
        assert_eq!(Some("record_bytes_max"), check(|s| s.record_bytes_max = 65 << 20));
        assert_eq!(Some("write_buffer_bytes"), check(|s| s.write_buffer_bytes = 1));
        assert_eq!(Some("memory_bytes_max"), check(|s| s.memory_bytes_max = 1 << 20));
        assert_eq!(Some("wal_bytes_max"), check(|s| s.wal_bytes_max = 0));
        assert_eq!(Some("open_files_max"), check(|s| s.open_files_max = 1));
        assert_eq!(Some("probe_every"), check(|s| s.probe_every = Duration::ZERO));
        assert_eq!(Some("reopen_after_max"), check(|s| s.reopen_after_min = Duration::ZERO));
        assert_eq!(Some("anchor"), check(|s| s.anchor = s.directory.join("anchor")));
    }
}
