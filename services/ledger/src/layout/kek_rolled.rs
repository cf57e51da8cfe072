//! Layout of `KekRolled`: only wraps under the later period count from here on.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekRolled {
    /// Key period that ended.
    pub from_period: u32,
    /// Key period that began.
    pub to_period: u32,
}

impl KekRolled {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout().u32(self.from_period).u32(self.to_period).done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = KekRolled { from_period: reader.u32("from_period")?, to_period: reader.u32("to_period")? };
        reader.end("KekRolled")?;
        Ok(section)
    }
}
