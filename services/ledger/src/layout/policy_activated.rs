//! Layout of `PolicyActivated`: a bundle comes into force.

use crate::Error;
use crate::Hash;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 33.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyActivated {
    /// Content hash of the bundle.
    pub bundle_hash: Hash,
    /// Evaluation mode, a number of the domain's.
    pub mode: u8,
    /// The command that this answers.
    pub command_id: [u8; 16],
    /// In force for recorded time from here on, microseconds since 1970-01-01 UTC.
    pub in_force_from_us: i64,
}

impl PolicyActivated {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .bytes(&self.bundle_hash.0)
            .u8(self.mode)
            .bytes(&self.command_id)
            .i64(self.in_force_from_us)
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = PolicyActivated {
            bundle_hash: reader.hash("bundle_hash")?,
            mode: reader.u8("mode")?,
            command_id: reader.array("command_id")?,
            in_force_from_us: reader.i64("in_force_from_us")?,
        };
        reader.end("PolicyActivated")?;
        Ok(section)
    }
}
