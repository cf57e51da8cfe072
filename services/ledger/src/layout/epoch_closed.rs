//! Layout of `EpochClosed`: the last event of a chain.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochClosed {
    /// Where the ledger goes on.
    pub next_chain_epoch: u32,
}

impl EpochClosed {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout().u32(self.next_chain_epoch).done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = EpochClosed { next_chain_epoch: reader.u32("next_chain_epoch")? };
        reader.end("EpochClosed")?;
        Ok(section)
    }
}
