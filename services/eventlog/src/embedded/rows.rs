//! The bytes of the embedded log: keys and values in the database, frozen as format 1.
//!
//! ```text
//! column family   one per topic, by its logical name; "default" holds what is below
//! record          u32 partition | u64 position  →  u8 1 | i64 appended_at_us | u32 key length | key
//!                                                   u32 n × { u32 length, name | u32 length, value } | value
//! "format"        →  u32 1            "partitions" →  u32            "id"  →  16 random bytes
//! "probe"         →  nothing
//! "t" u8 topic u32 partition  →  u64 tail      (not for the ledger: its tail is what lies there)
//! "s" u8 topic u32 partition  →  u64 start
//! ```
//! All big-endian, so rows lie in the order of their positions. The tail is stored because records may be removed and
//! their positions must not be used again.

use crate::{NewRecord, Position, Record, Topic};

/// The newest format that can be read.
pub(super) const FORMAT: u32 = 1;
pub(super) const FORMAT_ROW: &[u8] = b"format";
pub(super) const PARTITIONS_ROW: &[u8] = b"partitions";
pub(super) const ID_ROW: &[u8] = b"id";
/// Written again and again by a log without work, to find out whether it could.
pub(super) const PROBE_ROW: &[u8] = b"probe";

const RECORD_LAYOUT: u8 = 1;

/// The key of a record.
pub(super) fn key(partition: u32, position: Position) -> [u8; 12] {
    let mut key = [0; 12];
    let bytes = partition.to_be_bytes().into_iter().chain(position.0.to_be_bytes());
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    key
}

/// The partition and position that a key names.
pub(super) fn place(key: &[u8]) -> Option<(u32, Position)> {
    let (partition, position) = key.split_first_chunk::<4>()?;
    let position: [u8; 8] = position.try_into().ok()?;
    Some((u32::from_be_bytes(*partition), Position(u64::from_be_bytes(position))))
}

/// The key of a tail.
pub(super) fn tail_row(topic: Topic, partition: u32) -> [u8; 6] {
    counter_row(b't', topic, partition)
}

/// The key of a start.
pub(super) fn start_row(topic: Topic, partition: u32) -> [u8; 6] {
    counter_row(b's', topic, partition)
}

fn counter_row(kind: u8, topic: Topic, partition: u32) -> [u8; 6] {
    let [a, b, c, d] = partition.to_be_bytes();
    [kind, topic.number(), a, b, c, d]
}

/// The value of a record.
pub(super) fn encode(record: &NewRecord, appended_at_us: i64) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + 8 + 4 + 4 + record.size());
    row.push(RECORD_LAYOUT);
    row.extend_from_slice(&appended_at_us.to_be_bytes());
    push(&mut row, &record.key);
    row.extend_from_slice(&length(record.headers.len()));
    for (name, value) in &record.headers {
        push(&mut row, name.as_bytes());
        push(&mut row, value);
    }
    row.extend_from_slice(&record.value);
    row
}

/// The record of a value; none if it is not one.
pub(super) fn decode(position: Position, row: &[u8]) -> Option<Record> {
    let (layout, rest) = row.split_first()?;
    let (appended_at_us, rest) = rest.split_first_chunk::<8>()?;
    let (key, rest) = pull(rest)?;
    let (headers_len, mut rest) = rest.split_first_chunk::<4>()?;
    let mut headers = Vec::new();
    for _ in 0..u32::from_be_bytes(*headers_len) {
        let (name, after) = pull(rest)?;
        let (value, after) = pull(after)?;
        headers.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
        rest = after;
    }
    (*layout == RECORD_LAYOUT).then(|| Record {
        position,
        key: key.to_vec(),
        headers,
        value: rest.to_vec(),
        appended_at_us: i64::from_be_bytes(*appended_at_us),
    })
}

fn push(row: &mut Vec<u8>, bytes: &[u8]) {
    row.extend_from_slice(&length(bytes.len()));
    row.extend_from_slice(bytes);
}

fn pull(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = row.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// INVARIANT: a record is at most 64 MiB (`Settings::record_bytes_max`), so this never saturates.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_frozen() {
        let mut record = NewRecord::new(Topic::Requests, 2, *b"k", *b"value");
        record.headers.push(("h".into(), b"x".to_vec()));
        let row = encode(&record, 1);
        let frozen = b"\x01\0\0\0\0\0\0\0\x01\0\0\0\x01k\0\0\0\x01\0\0\0\x01h\0\0\0\x01xvalue";
        assert_eq!(frozen.as_slice(), row);
        assert_eq!(*b"\0\0\0\x02\0\0\0\0\0\0\x01\0", key(2, Position(256)));
        assert_eq!(*b"t\x04\0\0\0\x02", tail_row(Topic::Keys, 2));
        assert_eq!(*b"s\x04\0\0\0\x02", start_row(Topic::Keys, 2));
        for short in 0..row.len() - 5 {
            assert_eq!(None, decode(Position(0), &row[..short]), "{short}");
        }
    }

    proptest! {
        #[test]
        fn records_come_back(
            key_bytes: Vec<u8>, value: Vec<u8>, headers: Vec<(String, Vec<u8>)>, at: i64, position: u64, partition: u32,
        ) {
            let record = NewRecord { topic: Topic::Keys, partition, key: key_bytes, headers, value };
            let position = Position(position);
            let row = encode(&record, at);
            prop_assert_eq!(Some(record.at(position, at)), decode(position, &row));
            prop_assert_eq!(Some((partition, position)), place(&key(partition, position)));
        }
    }
}
