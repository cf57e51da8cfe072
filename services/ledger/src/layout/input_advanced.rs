//! Layout of `InputAdvanced`: closes offsets that had no event for long.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 7: no fields, because the run carries the ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputAdvanced;

impl InputAdvanced {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout().done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = InputAdvanced;

        reader.end("InputAdvanced")?;
        Ok(section)
    }
}
