//! What lies in the log, and how a place in it is named.
//!
//! Records are opaque: the log never looks into key, headers or value. Debug output gives sizes and never bytes, because
//! a record may hold personal data and debug output ends in logs.

use std::fmt;

use crate::Topic;

/// A place in one partition of one topic: dense from 0, never used again, not even after a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The first place.
    pub const ZERO: Self = Self(0);

    /// The place after this one. Saturates, since 2⁶⁴ records cannot be written.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place before this one; none before the first.
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(place) => Some(Self(place)),
            None => None,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record as it was read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its place.
    pub position: Position,
    /// Routing key, or empty. A frame has none.
    pub key: Vec<u8>,
    /// Names and values, in the order written; a name may repeat.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes.
    pub value: Vec<u8>,
    /// When the log took it, by the log's own clock: microseconds since 1970-01-01 UTC. A hint, never hashed.
    pub appended_at_us: i64,
}

impl Record {
    /// Bytes that count against [`ReadLimit::bytes`] and against an adapter's largest record.
    pub fn size(&self) -> usize {
        size(&self.key, &self.headers, &self.value)
    }
}

/// A record to be written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NewRecord {
    /// Where to.
    pub topic: Topic,
    /// Which partition of it; the caller routes, the log never does.
    pub partition: u32,
    /// Routing key, or empty.
    pub key: Vec<u8>,
    /// Names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes.
    pub value: Vec<u8>,
}

impl NewRecord {
    /// A record without headers.
    pub fn new(topic: Topic, partition: u32, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { topic, partition, key: key.into(), headers: Vec::new(), value: value.into() }
    }

    /// Bytes that count against an adapter's largest record.
    pub fn size(&self) -> usize {
        size(&self.key, &self.headers, &self.value)
    }

    /// The record as a reader will see it.
    pub fn at(self, position: Position, appended_at_us: i64) -> Record {
        Record { position, key: self.key, headers: self.headers, value: self.value, appended_at_us }
    }
}

fn size(key: &[u8], headers: &[(String, Vec<u8>)], value: &[u8]) -> usize {
    // A header costs something even when it is empty, or a record of a million of them would count as nothing.
    let headers: usize = headers.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    key.len() + headers + value.len()
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("position", &self.position.0)
            .field("key_len", &self.key.len())
            .field("headers", &self.headers.len())
            .field("value_len", &self.value.len())
            .field("appended_at_us", &self.appended_at_us)
            .finish()
    }
}

impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRecord")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("key_len", &self.key.len())
            .field("headers", &self.headers.len())
            .field("value_len", &self.value.len())
            .finish()
    }
}

/// How much one read may return. At least one record comes back where there is one, even if it is larger than `bytes`,
/// so that a reader always moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most this many records; 0 counts as 1.
    pub records: usize,
    /// At most this many bytes of [`Record::size`].
    pub bytes: usize,
}

impl Default for ReadLimit {
    /// 1,000 records, 4 MiB: a handful of frames, or a large batch of requests.
    fn default() -> Self {
        Self { records: 1_000, bytes: 4 << 20 }
    }
}

/// What to remove from a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// Everything before this place; the partition's start moves there.
    Below(Position),
    /// These records. One that does not exist is no error: removing is idempotent.
    Exactly(Vec<Position>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_bytes() {
        let mut record = NewRecord::new(Topic::Requests, 3, *b"alice-key", *b"secret-value");
        record.headers.push(("h".into(), b"secret-header".to_vec()));
        assert_eq!(9 + 12 + 8 + 1 + 13, record.size());
        let shown = format!("{record:?} {:?}", record.clone().at(Position(7), 9));
        for hidden in ["alice", "secret", "115, 101"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        assert!(shown.contains("value_len: 12") && shown.contains("position: 7"), "{shown}");
    }
}
