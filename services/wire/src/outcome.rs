//! Records of the topic `outcomes`: what subscribers learn. No personal data.

use std::sync::LazyLock;

use domain::ids::{RequestId, Tenant};
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::codec::{Builtin, Codec, builtin};
use crate::schema::datum::Fixed;

static CODEC: Builtin = LazyLock::new(|| Codec::of(outcome_schema()));

/// The schema document.
pub fn outcome_schema() -> &'static str {
    include_str!("../../../schemas/outcome/v1.avsc")
}

/// What was decided. The ledger numbers them 0 to 3 in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The actor must not do it.
    Deny,
    /// The actor may do it.
    Permit,
    /// A human decides.
    Escalate,
    /// Refused without evaluation.
    None,
}

/// One record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// Of the request.
    pub tenant: Tenant,
    /// Of the request.
    pub request_id: RequestId,
    /// Id of the ledger event.
    pub decision_id: [u8; 16],
    /// What was decided.
    pub outcome: Outcome,
    /// Name of the reason.
    pub reason_code: String,
    /// Ledger partition.
    pub partition: u32,
    /// Dense from 0 in the partition.
    pub outcome_no: u64,
    /// Ledger sequence number.
    pub seq: u64,
    /// Hash of the ledger event.
    pub event_hash: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "OutcomeRecord")]
struct Record {
    tenant: String,
    request_id: String,
    decision_id: Fixed<16>,
    outcome: Outcome,
    reason_code: String,
    partition: i64,
    outcome_no: i64,
    seq: i64,
    event_hash: Fixed<32>,
}

impl OutcomeRecord {
    /// Avro binary of the newest schema.
    ///
    /// # Errors
    /// [`Error::Field`] for a number beyond 63 bits.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let long = |path, value| {
            i64::try_from(value).map_err(|_: std::num::TryFromIntError| Error::Field { path, why: BadField::Range })
        };
        builtin(&CODEC)?.encode(&Record {
            tenant: self.tenant.to_string(),
            request_id: self.request_id.to_string(),
            decision_id: Fixed(self.decision_id),
            outcome: self.outcome,
            reason_code: self.reason_code.clone(),
            partition: self.partition.into(),
            outcome_no: long("outcome_no", self.outcome_no)?,
            seq: long("seq", self.seq)?,
            event_hash: Fixed(self.event_hash),
        })
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`Error::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<OutcomeRecord, Error> {
        let record: Record = builtin(&CODEC)?.decode(bytes, RECORD_BYTES_MAX)?;
        let bad = |path: &str, why: BadField| Undecodable::Field { path: path.to_owned(), why };
        let number = |path: &str, value: i64| u64::try_from(value).map_err(|_| bad(path, BadField::Range));
        Ok(OutcomeRecord {
            tenant: Tenant::new(record.tenant).map_err(|why| bad("tenant", why.into()))?,
            request_id: RequestId::new(record.request_id).map_err(|why| bad("request_id", why.into()))?,
            decision_id: record.decision_id.0,
            outcome: record.outcome,
            reason_code: record.reason_code,
            partition: u32::try_from(record.partition).map_err(|_| bad("partition", BadField::Range))?,
            outcome_no: number("outcome_no", record.outcome_no)?,
            seq: number("seq", record.seq)?,
            event_hash: record.event_hash.0,
        })
    }
}
