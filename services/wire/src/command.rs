//! Records of the topic `commands`: what operators order.

use std::fmt;
use std::sync::LazyLock;

use domain::ids::{CommandId, Tenant};
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::codec::{Builtin, Codec, builtin};
use crate::schema::datum::Fixed;

static CODEC: Builtin = LazyLock::new(|| Codec::of(command_schema()));

/// The schema document.
pub fn command_schema() -> &'static str {
    include_str!("../../../schemas/command/v1.avsc")
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It was submitted again.
    Retried,
    /// It was given up.
    Discarded,
}

/// One record of the topic.
#[derive(Clone, PartialEq, Eq)]
pub enum CommandRecord {
    /// Makes a tenant known.
    CreateTenant {
        /// Identity of the command.
        command_id: CommandId,
        /// Whom.
        tenant: Tenant,
        /// Who ordered it.
        by: String,
    },
    /// Records what became of a dead letter.
    MarkDeadLetter {
        /// Identity of the command.
        command_id: CommandId,
        /// Partition of the dead letter.
        partition: u32,
        /// Position in it.
        position: u64,
        /// What became of it.
        mark: Mark,
        /// Who ordered it.
        by: String,
    },
}

impl fmt::Debug for CommandRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandRecord::CreateTenant { tenant, .. } => write!(f, "CreateTenant({tenant})"),
            CommandRecord::MarkDeadLetter { partition, position, mark, .. } => {
                write!(f, "MarkDeadLetter({partition}:{position}, {mark:?})")
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "CommandRecord")]
struct Record {
    body: Body,
}

#[derive(Serialize, Deserialize)]
enum Body {
    CreateTenant { command_id: Fixed<16>, tenant: String, by: String },
    MarkDeadLetter { command_id: Fixed<16>, partition: i64, position: i64, mark: Mark, by: String },
}

impl CommandRecord {
    /// Avro binary of the newest schema.
    ///
    /// # Errors
    /// [`Error::Field`] for a position beyond 63 bits.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let range = |_| Error::Field { path: "position", why: BadField::Range };
        let body = match self.clone() {
            CommandRecord::CreateTenant { command_id, tenant, by } => {
                Body::CreateTenant { command_id: Fixed(command_id), tenant: tenant.to_string(), by }
            }
            CommandRecord::MarkDeadLetter { command_id, partition, position, mark, by } => {
                let position = i64::try_from(position).map_err(range)?;
                Body::MarkDeadLetter { command_id: Fixed(command_id), partition: partition.into(), position, mark, by }
            }
        };
        builtin(&CODEC)?.encode(&Record { body })
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<CommandRecord, Error> {
        let Record { body } = builtin(&CODEC)?.decode(bytes, RECORD_BYTES_MAX)?;
        let bad = |path: &str, why: BadField| Undecodable::Field { path: path.to_owned(), why };
        Ok(match body {
            Body::CreateTenant { command_id, tenant, by } => {
                let tenant = Tenant::new(tenant).map_err(|why| bad("tenant", why.into()))?;
                CommandRecord::CreateTenant { command_id: command_id.0, tenant, by }
            }
            Body::MarkDeadLetter { command_id, partition, position, mark, by } => CommandRecord::MarkDeadLetter {
                command_id: command_id.0,
                partition: u32::try_from(partition).map_err(|_| bad("partition", BadField::Range))?,
                position: u64::try_from(position).map_err(|_| bad("position", BadField::Range))?,
                mark,
                by,
            },
        })
    }
}
