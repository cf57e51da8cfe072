//! Layout of `ErasureFinal`: the key period of an erasure ended, stale copies are unreadable.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureFinal {
    /// Tenant name, at most 255 bytes.
    pub tenant: String,
    /// The data subject in this partition; zeros mean the organisation.
    pub surrogate: [u8; 16],
    /// The key period that ended.
    pub period: u32,
}

impl ErasureFinal {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout().text("tenant", &self.tenant)?.bytes(&self.surrogate).u32(self.period).done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = ErasureFinal {
            tenant: reader.text("tenant")?,
            surrogate: reader.array("surrogate")?,
            period: reader.u32("period")?,
        };
        reader.end("ErasureFinal")?;
        Ok(section)
    }
}
