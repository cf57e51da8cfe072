//! Layout of `InputLost`: offsets that the log lost before they were read.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLost {
    /// Logical topic name, at most 255 bytes.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// First lost offset.
    pub from_offset: u64,
    /// One past the last lost offset.
    pub to_offset: u64,
    /// Why, a number of the engine's.
    pub cause: u8,
}

impl InputLost {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .text("topic", &self.topic)?
            .u32(self.partition)
            .u64(self.from_offset)
            .u64(self.to_offset)
            .u8(self.cause)
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = InputLost {
            topic: reader.text("topic")?,
            partition: reader.u32("partition")?,
            from_offset: reader.u64("from_offset")?,
            to_offset: reader.u64("to_offset")?,
            cause: reader.u8("cause")?,
        };
        reader.end("InputLost")?;
        Ok(section)
    }
}
