//! Layout of `KeyCreated`: a data key that counts from here on.

use crate::Error;
use crate::Hash;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCreated {
    /// Tenant name, at most 255 bytes.
    pub tenant: String,
    /// The data subject in this partition; zeros mean the organisation.
    pub surrogate: [u8; 16],
    /// Id of the data key.
    pub dek_id: [u8; 16],
    /// Retention class.
    pub class: u8,
    /// Key period.
    pub period: u32,
    /// `dek_commit` of the key.
    pub dek_commit: Hash,
}

impl KeyCreated {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .text("tenant", &self.tenant)?
            .bytes(&self.surrogate)
            .bytes(&self.dek_id)
            .u8(self.class)
            .u32(self.period)
            .bytes(&self.dek_commit.0)
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = KeyCreated {
            tenant: reader.text("tenant")?,
            surrogate: reader.array("surrogate")?,
            dek_id: reader.array("dek_id")?,
            class: reader.u8("class")?,
            period: reader.u32("period")?,
            dek_commit: reader.hash("dek_commit")?,
        };
        reader.end("KeyCreated")?;
        Ok(section)
    }
}
