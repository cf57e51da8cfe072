//! Layout of `ErasureRequested`: from here on no record of the subject's keys counts.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRequested {
    /// Tenant name, at most 255 bytes.
    pub tenant: String,
    /// The data subject in this partition; zeros mean the organisation.
    pub surrogate: [u8; 16],
    /// The command that this answers.
    pub command_id: [u8; 16],
    /// Why, a number of the domain's.
    pub reason: u8,
}

impl ErasureRequested {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .text("tenant", &self.tenant)?
            .bytes(&self.surrogate)
            .bytes(&self.command_id)
            .u8(self.reason)
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = ErasureRequested {
            tenant: reader.text("tenant")?,
            surrogate: reader.array("surrogate")?,
            command_id: reader.array("command_id")?,
            reason: reader.u8("reason")?,
        };
        reader.end("ErasureRequested")?;
        Ok(section)
    }
}
