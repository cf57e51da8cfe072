//! The database: its identity, where its partitions end, what is read from it, and whether it agrees with its anchor.
//!
//! Facts that shaped this, each repeated by a test: RocksDB's default recovery mode drops synced records after one
//! damaged byte and opens; a truncated last record of the write-ahead log or the MANIFEST reads as a crash in any mode,
//! which is what the anchor is for.

use std::path::{Path, PathBuf};

use rocksdb::{Cache, ColumnFamily, ColumnFamilyDescriptor, DB, Options, ReadOptions, WriteBatch, WriteOptions};

use super::{
    anchor::{self, Head, Mark},
    fault, options, rows,
    settings::Settings,
};
use crate::{Error, Position, ReadLimit, Record, Topic};

/// An open database of this log's format.
pub(super) struct Store {
    pub(super) db: DB,
    pub(super) directory: PathBuf,
    pub(super) log_id: [u8; 16],
    partitions: u32,
}

/// Tails and starts of one partition, by topic number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: Position,
    pub(super) tail: Position,
}

impl Store {
    /// Opens, or makes one where there is none and `fresh` permits it.
    pub(super) fn open(settings: &Settings, fresh: bool) -> Result<Self, Error> {
        let directory = settings.directory.clone();
        let fault = |error: rocksdb::Error| fault::of_rocksdb(&directory, &error);
        let cache = Cache::new_lru_cache(settings.memory_bytes_max);
        let options = options::database(settings, &cache, fresh).map_err(fault)?;
        if !fresh {
            refuse_strange_families(&options, &directory)?;
        }
        let names = ["default"].into_iter().chain(Topic::ALL.map(Topic::as_str));
        let families =
            names.map(|name| ColumnFamilyDescriptor::new(name, options::family(settings, &cache))).collect::<Vec<_>>();
        let db = DB::open_cf_descriptors(&options, &directory, families).map_err(fault)?;
        Self { db, directory, log_id: [0; 16], partitions: settings.partitions }.identified()
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Reads what kind of log it is; writes it when the store is new.
    fn identified(mut self) -> Result<Self, Error> {
        let Some(format) = self.number(rows::FORMAT_ROW)? else {
            return self.initialised();
        };
        let format = u32::try_from(format).unwrap_or(u32::MAX);
        if format > rows::FORMAT {
            let directory = self.directory;
            return Err(Error::NewerFormat { directory, found: format, known: rows::FORMAT });
        }
        let stored = self.number(rows::PARTITIONS_ROW)?.unwrap_or(0);
        let stored = u32::try_from(stored).unwrap_or(u32::MAX);
        if stored != self.partitions {
            let (directory, configured) = (self.directory, self.partitions);
            return Err(Error::PartitionsDiffer { directory, stored, configured });
        }
        let id = self.get(self.meta()?, rows::ID_ROW)?.unwrap_or_default();
        self.log_id = id.try_into().map_err(|_| self.damaged("the row \"id\" is not 16 bytes"))?;
        Ok(self)
    }

    fn initialised(mut self) -> Result<Self, Error> {
        let names = ["default"].into_iter().chain(Topic::ALL.map(Topic::as_str));
        for name in names {
            let family =
                self.db.cf_handle(name).ok_or_else(|| self.damaged(&format!("column family {name} is missing")))?;
            let mut rows = self.db.raw_iterator_cf(family);
            rows.seek_to_first();
            rows.status().map_err(|error| self.fault(&error))?;
            if rows.valid() {
                let detail = format!("a database with rows in {name} and no row \"format\"");
                return Err(Error::Foreign { directory: self.directory.clone(), detail });
            }
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Error::Storage {
            path: self.directory.clone(),
            detail: format!("the system gave no random bytes: {error}"),
        })?;
        let mut batch = WriteBatch::default();
        let meta = self.meta()?;
        batch.put_cf(meta, rows::FORMAT_ROW, u64::from(rows::FORMAT).to_be_bytes());
        batch.put_cf(meta, rows::PARTITIONS_ROW, u64::from(self.partitions).to_be_bytes());
        batch.put_cf(meta, rows::ID_ROW, id);
        self.write(batch, true)?;
        self.log_id = id;
        Ok(self)
    }

    /// The family of a topic's records.
    pub(super) fn family(&self, topic: Topic) -> Result<&ColumnFamily, Error> {
        let missing = || self.damaged(&format!("column family {topic} is missing"));
        self.db.cf_handle(topic.as_str()).ok_or_else(missing)
    }

    /// The family of everything else.
    pub(super) fn meta(&self) -> Result<&ColumnFamily, Error> {
        let missing = || self.damaged("column family default is missing");
        self.db.cf_handle("default").ok_or_else(missing)
    }

    /// Writes a batch; durable when it returns if `synced`, and then so is all before it.
    pub(super) fn write(&self, batch: WriteBatch, synced: bool) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(synced);
        self.db.write_opt(batch, &options).map_err(|error| self.fault(&error))
    }

    /// Writes and syncs a row that nobody reads.
    pub(super) fn probe(&self) -> Result<(), Error> {
        let errors = self.db.property_int_value("rocksdb.background-errors").map_err(|error| self.fault(&error))?;
        if let Some(errors @ 1..) = errors {
            let detail = format!("{errors} background flushes or compactions failed");
            return Err(Error::Storage { path: self.directory.clone(), detail });
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(self.meta()?, rows::PROBE_ROW, []);
        self.write(batch, true)
    }

    /// Where a partition of a topic starts and ends.
    pub(super) fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, Error> {
        let last = self.last(topic, partition)?;
        let found = last.map_or(Position::ZERO, Position::next);
        if topic == Topic::Ledger {
            return Ok(Bounds { start: Position::ZERO, tail: found });
        }
        let tail = Position(self.number(&rows::tail_row(topic, partition))?.unwrap_or(0));
        let start = Position(self.number(&rows::start_row(topic, partition))?.unwrap_or(0));
        if found > tail || start > tail {
            let detail =
                format!("{topic} partition {partition} holds {found} positions from {start} on, its tail says {tail}");
            return Err(self.damaged(&detail));
        }
        Ok(Bounds { start, tail })
    }

    /// Refuses a store that is short of its anchor or differs from it.
    pub(super) fn check(&self, mark: &Mark, path: &Path) -> Result<(), Error> {
        let anchor = path.to_path_buf();
        let strange = |detail: &str| Error::AnchorDamaged { anchor: path.into(), detail: detail.into() };
        if mark.log_id != self.log_id {
            return Err(strange("it belongs to another log"));
        }
        if u32::try_from(mark.heads.len()) != Ok(self.partitions) {
            return Err(strange("it has another number of partitions"));
        }
        for (partition, head) in (0..).zip(&mark.heads) {
            for topic in Topic::ALL {
                let (tail, anchored) = (self.bounds(topic, partition)?.tail, head.tail(topic));
                if tail < anchored {
                    return Err(Error::TailBelowAnchor { topic, partition, tail, anchored, anchor });
                }
            }
            if let Some(position) = head.tail(Topic::Ledger).previous()
                && self.frame_hash(partition, position)? != Some(head.frame)
            {
                return Err(Error::FrameDiffersFromAnchor { partition, position, anchor });
            }
        }
        Ok(())
    }

    /// What the anchor of this store should say now.
    pub(super) fn mark(&self) -> Result<Mark, Error> {
        let mut heads = Vec::new();
        for partition in 0..self.partitions {
            let mut head = Head::default();
            for (topic, tail) in Topic::ALL.into_iter().zip(&mut head.tails) {
                *tail = self.bounds(topic, partition)?.tail.0;
            }
            if let Some(position) = head.tail(Topic::Ledger).previous() {
                let frame = self.frame_hash(partition, position)?;
                head.frame = frame.ok_or_else(|| self.gap(partition, position))?;
            }
            heads.push(head);
        }
        Ok(Mark { log_id: self.log_id, heads })
    }

    fn frame_hash(&self, partition: u32, at: Position) -> Result<Option<anchor::FrameHash>, Error> {
        let row = self.get(self.family(Topic::Ledger)?, &rows::key(partition, at))?;
        let Some(row) = row else { return Ok(None) };
        let record = rows::decode(at, &row).ok_or_else(|| self.unreadable(Topic::Ledger, partition, at))?;
        Ok(Some(anchor::hash(&record.value)))
    }

    /// Records from `from` up to `bounds.tail`.
    pub(super) fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Position,
        bounds: Bounds,
        limit: ReadLimit,
    ) -> Result<Vec<Record>, Error> {
        let from = from.max(bounds.start);
        let mut read: Vec<Record> = Vec::new();
        if from >= bounds.tail {
            return Ok(read);
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(rows::key(partition, bounds.tail));
        let mut rows = self.db.raw_iterator_cf_opt(self.family(topic)?, options);
        rows.seek(rows::key(partition, from));
        let mut bytes = 0usize;
        let mut expected = from;
        while let Some((key, row)) = rows.item() {
            let place = rows::place(key).filter(|(found, _)| *found == partition);
            let (_, position) =
                place.ok_or_else(|| self.damaged(&format!("{topic} has a row that names no record")))?;
            let record = rows::decode(position, row).ok_or_else(|| self.unreadable(topic, partition, position))?;
            if topic == Topic::Ledger && position != expected {
                return Err(self.gap(partition, expected));
            }
            expected = position.next();
            bytes = bytes.saturating_add(record.size());
            if !read.is_empty() && (read.len() >= limit.records || bytes > limit.bytes) {
                return Ok(read);
            }
            read.push(record);
            rows.next();
        }
        rows.status().map_err(|error| self.fault(&error))?;
        if topic == Topic::Ledger && expected < bounds.tail {
            return Err(self.gap(partition, expected));
        }
        Ok(read)
    }

    pub(super) fn fault(&self, error: &rocksdb::Error) -> Error {
        fault::of_rocksdb(&self.directory, error)
    }

    pub(super) fn damaged(&self, detail: &str) -> Error {
        Error::Damaged { directory: self.directory.clone(), detail: detail.to_owned() }
    }

    fn gap(&self, partition: u32, position: Position) -> Error {
        self.damaged(&format!("ledger partition {partition} has no frame at {position}"))
    }

    fn unreadable(&self, topic: Topic, partition: u32, position: Position) -> Error {
        self.damaged(&format!("the record of {topic} partition {partition} at {position} cannot be decoded"))
    }

    fn get(&self, family: &ColumnFamily, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.db.get_cf(family, key).map_err(|error| self.fault(&error))
    }

    fn number(&self, key: &[u8]) -> Result<Option<u64>, Error> {
        let Some(row) = self.get(self.meta()?, key)? else {
            return Ok(None);
        };
        match <[u8; 8]>::try_from(row) {
            Ok(bytes) => Ok(Some(u64::from_be_bytes(bytes))),
            Err(_) => Err(self.damaged("a counter is not 8 bytes")),
        }
    }

    fn last(&self, topic: Topic, partition: u32) -> Result<Option<Position>, Error> {
        let mut rows = self.db.raw_iterator_cf(self.family(topic)?);
        rows.seek_for_prev(rows::key(partition, Position(u64::MAX)));
        rows.status().map_err(|error| self.fault(&error))?;
        let place = rows.key().and_then(rows::place).filter(|(found, _)| *found == partition);
        Ok(place.map(|(_, position)| position))
    }
}

fn refuse_strange_families(options: &Options, directory: &Path) -> Result<(), Error> {
    let found = DB::list_cf(options, directory).map_err(|error| fault::of_rocksdb(directory, &error))?;
    let known = |name: &str| name == "default" || Topic::ALL.iter().any(|topic| topic.as_str() == name);
    match found.into_iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(Error::Foreign {
            directory: directory.to_path_buf(),
            detail: format!("a database with a column family {name:?} that this version does not know"),
        }),
    }
}
