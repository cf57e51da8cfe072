//! The one error type of building and reading records. Sealing has its own (`seal::Error`), because a caller reacts
//! to a wrong key in another way than to malformed bytes.

/// Why bytes could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ends inside a field.
    #[error("the bytes end inside `{field}`: the record was cut short")]
    Short {
        /// Name of the field as in FORMAT.md.
        field: &'static str,
    },
    /// The input goes on after the last field.
    #[error("{count} bytes follow the last field: the record is no {record}")]
    Trailing {
        /// Name of the record.
        record: &'static str,
        /// Bytes left over.
        count: usize,
    },
    /// A field holds a value outside its closed set.
    #[error("`{field}` is {found}, which this version of the format does not know")]
    Unknown {
        /// Name of the field.
        field: &'static str,
        /// The value that was found.
        found: u64,
    },
    /// The format or hash suite byte is not one that this version reads.
    #[error("`{field}` is {found}: a newer version wrote this, use a newer verifier")]
    Version {
        /// `format` or `hash_suite`.
        field: &'static str,
        /// The value that was found.
        found: u8,
    },
    /// The record does not begin with its tag.
    #[error("the bytes do not begin with the tag of a {record}")]
    Tag {
        /// Name of the record.
        record: &'static str,
    },
    /// A text is not UTF-8.
    #[error("`{field}` is not valid UTF-8")]
    Text {
        /// Name of the field.
        field: &'static str,
    },
    /// A value is longer than its length prefix, or its limit, allows.
    #[error("`{field}` has {length} bytes or items, the limit is {limit}: shorten it")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// What was given.
        length: usize,
        /// What fits.
        limit: usize,
    },
    /// Items that must be strictly ascending are not.
    #[error("`{field}` must be strictly ascending: sort the items and remove repeats")]
    Order {
        /// Name of the list.
        field: &'static str,
    },
    /// The text is no identifier.
    #[error("`{found}` is no UUID: write 32 hex digits, with or without hyphens")]
    Uuid {
        /// What was given.
        found: String,
    },
    /// The event does not fit any more.
    #[error("the frame would have {bytes} bytes, the limit is {limit}: close this frame first")]
    FrameFull {
        /// Size with the event or the inputs.
        bytes: usize,
        /// [`crate::FRAME_BYTES_MAX`].
        limit: usize,
    },
    /// A frame has at least one event.
    #[error("the frame has no event: write nothing instead")]
    FrameEmpty,
    /// Nothing follows `EpochClosed`.
    #[error("the chain is closed: continue in the next chain epoch")]
    Closed,
    /// The writer epoch and the first event do not agree.
    #[error(
        "writer epoch {given} after {current}: only a claim raises the epoch, by one, as the first event of a frame"
    )]
    WriterEpoch {
        /// The epoch that the head has.
        current: u32,
        /// The epoch that the builder was given.
        given: u32,
    },
    /// A claim stands only first.
    #[error("a claim stands only at the start of a frame")]
    ClaimPosition,
    /// Recorded time never decreases.
    #[error("recorded time {given} is before {previous}: use the time of the batch")]
    TimeDecreases {
        /// Recorded time of the event before, in microseconds.
        previous: i64,
        /// Recorded time given, in microseconds.
        given: i64,
    },
    /// The accounting of an input does not add up.
    #[error("inputs of `{topic}` partition {partition}: {reason}")]
    Accounting {
        /// Logical topic name.
        topic: String,
        /// Input partition.
        partition: u32,
        /// What does not add up.
        reason: &'static str,
    },
    /// Counters are exhausted: 2^64 events in one chain epoch or 2^32 claims.
    #[error("`{field}` cannot be raised any further: open a new chain epoch")]
    Exhausted {
        /// Name of the counter.
        field: &'static str,
    },
}
