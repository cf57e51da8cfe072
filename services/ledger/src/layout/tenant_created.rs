//! Layout of `TenantCreated`.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 34.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantCreated {
    /// Tenant name, at most 255 bytes.
    pub tenant: String,
    /// The command that this answers.
    pub command_id: [u8; 16],
}

impl TenantCreated {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout().text("tenant", &self.tenant)?.bytes(&self.command_id).done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = TenantCreated { tenant: reader.text("tenant")?, command_id: reader.array("command_id")? };
        reader.end("TenantCreated")?;
        Ok(section)
    }
}
