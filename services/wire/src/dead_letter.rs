//! Records of the topic `dead-letters` in their clear form: input that could not be processed, as it came.
//!
//! Invariant: holds whatever a producer sent, personal data among it. It is sealed before it is stored and printed
//! never; `Debug` shows where it came from and how long it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use domain::ids::Micros;
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::codec::{Builtin, Codec, builtin};
use crate::schema::datum::{Bytes, Text};

static CODEC: Builtin = LazyLock::new(|| Codec::of(dead_letter_schema()));

/// The schema document.
pub fn dead_letter_schema() -> &'static str {
    include_str!("../../../schemas/dead-letter/v1.avsc")
}

/// A header of a record: its name, and its value if it has one.
pub type Header = (String, Option<Vec<u8>>);

/// One input record that was set aside.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Logical name of the topic that it came from.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
    /// Name of the reason.
    pub reason_code: String,
    /// Field, place and remedy.
    pub detail: String,
    /// Headers that were kept, in their order.
    pub headers: Vec<Header>,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value; none if there was none or it was too large to keep.
    pub value: Option<Vec<u8>>,
    /// Length of the value as it arrived.
    pub value_bytes: u64,
    /// When it was set aside.
    pub at_us: Micros,
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DeadLetter({}-{}@{}, {}, {} bytes)",
            self.topic, self.partition, self.offset, self.reason_code, self.value_bytes
        )
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "DeadLetter")]
struct Record<'a> {
    topic: String,
    partition: i64,
    offset: i64,
    reason_code: String,
    detail: String,
    #[serde(borrow)]
    headers: Vec<HeaderRecord<'a>>,
    #[serde(borrow)]
    key: Option<Bytes<'a>>,
    #[serde(borrow)]
    value: Option<Bytes<'a>>,
    value_bytes: i64,
    at_us: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Header")]
struct HeaderRecord<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Option<Bytes<'a>>,
}

impl DeadLetter {
    /// Avro binary of the newest schema.
    ///
    /// # Errors
    /// [`Error::Field`] for a number beyond 63 bits.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let long = |path, value| {
            i64::try_from(value).map_err(|_: std::num::TryFromIntError| Error::Field { path, why: BadField::Range })
        };
        builtin(&CODEC)?.encode(&Record {
            topic: self.topic.clone(),
            partition: self.partition.into(),
            offset: long("offset", self.offset)?,
            reason_code: self.reason_code.clone(),
            detail: self.detail.clone(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| HeaderRecord { name: name.into(), value: borrowed(value) })
                .collect(),
            key: borrowed(&self.key),
            value: borrowed(&self.value),
            value_bytes: long("value_bytes", self.value_bytes)?,
            at_us: self.at_us,
        })
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<DeadLetter, Error> {
        let record: Record<'_> = builtin(&CODEC)?.decode(bytes, RECORD_BYTES_MAX)?;
        let bad = |path: &str| Undecodable::Field { path: path.to_owned(), why: BadField::Range };
        Ok(DeadLetter {
            topic: record.topic,
            partition: u32::try_from(record.partition).map_err(|_| bad("partition"))?,
            offset: u64::try_from(record.offset).map_err(|_| bad("offset"))?,
            reason_code: record.reason_code,
            detail: record.detail,
            headers: record.headers.into_iter().map(|header| (header.name.into(), owned(header.value))).collect(),
            key: owned(record.key),
            value: owned(record.value),
            value_bytes: u64::try_from(record.value_bytes).map_err(|_| bad("value_bytes"))?,
            at_us: record.at_us,
        })
    }
}

fn borrowed(bytes: &Option<Vec<u8>>) -> Option<Bytes<'_>> {
    bytes.as_deref().map(|bytes| Bytes(Cow::Borrowed(bytes)))
}

fn owned(bytes: Option<Bytes<'_>>) -> Option<Vec<u8>> {
    bytes.map(|bytes| bytes.0.into_owned())
}
