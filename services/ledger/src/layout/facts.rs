//! Layout of facts: what was asked, in clear and without personal data.

use crate::codec::{Reader, Writer};
use crate::{Error, Hash};

/// Section 1 of events that answer a request (types 1, 2, 3 and 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Tenant name, at most 255 bytes.
    pub tenant: String,
    /// Same identity, same value: see [`crate::identity::request_key`].
    pub request_key: [u8; 32],
    /// Same body, same value: see [`crate::identity::request_mac`].
    pub request_mac: [u8; 32],
    /// Salted commitment to the request: see [`crate::identity::request_commit`].
    pub request_commit: [u8; 32],
    /// Logical topic that the request came from, at most 255 bytes.
    pub topic: String,
    /// Its partition.
    pub input_partition: u32,
    /// Its offset.
    pub input_offset: u64,
    /// When the request says that it occurred, microseconds since 1970-01-01 UTC.
    pub occurred_at_us: i64,
    /// Policy bundle that decided; zeros when none did.
    pub bundle_hash: Hash,
    /// Version of the evaluator.
    pub engine_version: u16,
    /// Evaluation mode.
    pub mode: u8,
    /// Retention class.
    pub retention_class: u8,
    /// Legal basis.
    pub legal_basis: u8,
    /// Role and surrogate of actor, on-behalf-of and subjects.
    pub surrogates: Vec<(u8, [u8; 16])>,
    /// The verb, at most 255 bytes.
    pub action: String,
    /// Minor units and ISO 4217 code.
    pub amount: Option<(i64, [u8; 3])>,
    /// Flags that the decision used, with their variants; at most 255, each text at most 255 bytes.
    pub flags: Vec<(String, String)>,
}

impl Facts {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Writer::layout()
            .text("tenant", &self.tenant)?
            .bytes(&self.request_key)
            .bytes(&self.request_mac)
            .bytes(&self.request_commit)
            .text("topic", &self.topic)?
            .u32(self.input_partition)
            .u64(self.input_offset)
            .i64(self.occurred_at_us)
            .bytes(&self.bundle_hash.0)
            .u16(self.engine_version)
            .u8(self.mode)
            .u8(self.retention_class)
            .u8(self.legal_basis)
            .count16("surrogates", self.surrogates.len())?;
        for (role, surrogate) in &self.surrogates {
            out = out.u8(*role).bytes(surrogate);
        }
        out = out.text("action", &self.action)?;
        out = match &self.amount {
            None => out.u8(0),
            Some((minor_units, currency)) => out.u8(1).i64(*minor_units).bytes(currency),
        };
        out = out.count8("flags", self.flags.len())?;
        for (flag, variant) in &self.flags {
            out = out.text("flag", flag)?.text("variant", variant)?;
        }
        Ok(out.done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let facts = Facts {
            tenant: reader.text("tenant")?,
            request_key: reader.array("request_key")?,
            request_mac: reader.array("request_mac")?,
            request_commit: reader.array("request_commit")?,
            topic: reader.text("topic")?,
            input_partition: reader.u32("input_partition")?,
            input_offset: reader.u64("input_offset")?,
            occurred_at_us: reader.i64("occurred_at_us")?,
            bundle_hash: reader.hash("bundle_hash")?,
            engine_version: reader.u16("engine_version")?,
            mode: reader.u8("mode")?,
            retention_class: reader.u8("retention_class")?,
            legal_basis: reader.u8("legal_basis")?,
            surrogates: (0..reader.u16("surrogates")?)
                .map(|_| Ok((reader.u8("role")?, reader.array("surrogate")?)))
                .collect::<Result<_, Error>>()?,
            action: reader.text("action")?,
            amount: match reader.closed("has_amount", 2)? {
                0 => None,
                _ => Some((reader.i64("minor_units")?, reader.array("currency")?)),
            },
            flags: (0..reader.u8("flags")?)
                .map(|_| Ok((reader.text("flag")?, reader.text("variant")?)))
                .collect::<Result<_, Error>>()?,
        };
        reader.end("Facts")?;
        Ok(facts)
    }
}
