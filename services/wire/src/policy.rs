//! Records of the topic `policies`: a bundle's text in chunks, then its activation.
//!
//! Deliberately not here: whether chunks fit together and what a bundle means; whoever reads the topic checks the
//! bundle's hash over all of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use domain::ids::{BundleHash, CommandId};
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::codec::{Builtin, Codec, builtin};
use crate::schema::datum::{Bytes, Fixed, Text};

static CODEC: Builtin = LazyLock::new(|| Codec::of(policy_schema()));

/// The schema document.
pub fn policy_schema() -> &'static str {
    include_str!("../../../schemas/policy/v1.avsc")
}

/// One record of the topic.
#[derive(Clone, PartialEq, Eq)]
pub enum PolicyRecord {
    /// A chunk of a bundle.
    Publish {
        /// The same for all chunks.
        command_id: CommandId,
        /// Hash of the whole bundle.
        bundle_hash: BundleHash,
        /// From 0.
        chunk_no: u32,
        /// How many there are.
        chunks: u32,
        /// At most 256 KiB.
        bytes: Vec<u8>,
        /// Who published it.
        by: String,
    },
    /// Puts a published bundle into force.
    Activate {
        /// Identity of the command.
        command_id: CommandId,
        /// Of the published bundle.
        bundle_hash: BundleHash,
        /// Who activated it.
        by: String,
    },
}

impl fmt::Debug for PolicyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyRecord::Publish { chunk_no, chunks, bytes, .. } => {
                write!(f, "Publish(chunk {chunk_no} of {chunks}, {} bytes)", bytes.len())
            }
            PolicyRecord::Activate { .. } => write!(f, "Activate"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "PolicyRecord")]
struct Record<'a> {
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Serialize, Deserialize)]
enum Body<'a> {
    Publish {
        command_id: Fixed<16>,
        bundle_hash: Fixed<32>,
        chunk_no: i64,
        chunks: i64,
        #[serde(borrow)]
        bytes: Bytes<'a>,
        #[serde(borrow)]
        by: Text<'a>,
    },
    Activate {
        command_id: Fixed<16>,
        bundle_hash: Fixed<32>,
        #[serde(borrow)]
        by: Text<'a>,
    },
}

impl PolicyRecord {
    /// Avro binary of the newest schema.
    ///
    /// # Errors
    /// [`Error`] if the built-in schema is broken.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let body = match self {
            PolicyRecord::Publish { command_id, bundle_hash, chunk_no, chunks, bytes, by } => Body::Publish {
                command_id: Fixed(*command_id),
                bundle_hash: Fixed(*bundle_hash),
                chunk_no: i64::from(*chunk_no),
                chunks: i64::from(*chunks),
                bytes: Bytes(Cow::Borrowed(bytes)),
                by: by.into(),
            },
            PolicyRecord::Activate { command_id, bundle_hash, by } => {
                Body::Activate { command_id: Fixed(*command_id), bundle_hash: Fixed(*bundle_hash), by: by.into() }
            }
        };
        builtin(&CODEC)?.encode(&Record { body })
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<PolicyRecord, Error> {
        let Record { body } = builtin(&CODEC)?.decode::<Record<'_>>(bytes, RECORD_BYTES_MAX)?;
        let small = |path: &str, value: i64| {
            u32::try_from(value).map_err(|_| Undecodable::Field { path: path.to_owned(), why: BadField::Range })
        };
        Ok(match body {
            Body::Publish { command_id, bundle_hash, chunk_no, chunks, bytes, by } => PolicyRecord::Publish {
                command_id: command_id.0,
                bundle_hash: bundle_hash.0,
                chunk_no: small("chunk_no", chunk_no)?,
                chunks: small("chunks", chunks)?,
                bytes: bytes.0.into_owned(),
                by: by.into(),
            },
            Body::Activate { command_id, bundle_hash, by } => {
                PolicyRecord::Activate { command_id: command_id.0, bundle_hash: bundle_hash.0, by: by.into() }
            }
        })
    }
}
