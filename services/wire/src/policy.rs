//! Records of the topic `policies`: a bundle's text in chunks, then its activation.
//!
//! Deliberately not here: whether chunks fit together and what a bundle means; whoever reads the topic checks the
//! bundle's hash over all of it.

use std::fmt;
use std::sync::LazyLock;

use domain::ids::{BundleHash, CommandId};
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::codec::{Builtin, Codec, builtin};

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
struct Record {
    body: Body,
}

#[derive(Serialize, Deserialize)]
enum Body {
    Publish {
        #[serde(with = "apache_avro::serde::fixed")]
        command_id: CommandId,
        #[serde(with = "apache_avro::serde::fixed")]
        bundle_hash: BundleHash,
        chunk_no: i64,
        chunks: i64,
        #[serde(with = "apache_avro::serde::bytes")]
        bytes: Vec<u8>,
        by: String,
    },
    Activate {
        #[serde(with = "apache_avro::serde::fixed")]
        command_id: CommandId,
        #[serde(with = "apache_avro::serde::fixed")]
        bundle_hash: BundleHash,
        by: String,
    },
}

impl PolicyRecord {
    /// Avro binary of the newest schema.
    ///
    /// # Errors
    /// [`Error`] if the built-in schema is broken.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let body = match self.clone() {
            PolicyRecord::Publish { command_id, bundle_hash, chunk_no, chunks, bytes, by } => {
                Body::Publish { command_id, bundle_hash, chunk_no: chunk_no.into(), chunks: chunks.into(), bytes, by }
            }
            PolicyRecord::Activate { command_id, bundle_hash, by } => Body::Activate { command_id, bundle_hash, by },
        };
        builtin(&CODEC)?.encode(&Record { body })
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<PolicyRecord, Error> {
        let Record { body } = builtin(&CODEC)?.decode(bytes, RECORD_BYTES_MAX)?;
        let small = |path: &str, value: i64| {
            u32::try_from(value).map_err(|_| Undecodable::Field { path: path.to_owned(), why: BadField::Range })
        };
        Ok(match body {
            Body::Publish { command_id, bundle_hash, chunk_no, chunks, bytes, by } => PolicyRecord::Publish {
                command_id,
                bundle_hash,
                chunk_no: small("chunk_no", chunk_no)?,
                chunks: small("chunks", chunks)?,
                bytes,
                by,
            },
            Body::Activate { command_id, bundle_hash, by } => PolicyRecord::Activate { command_id, bundle_hash, by },
        })
    }
}
