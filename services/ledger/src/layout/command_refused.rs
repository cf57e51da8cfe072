//! Layout of `CommandRefused`: a command was read and not carried out.

use crate::Error;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 35.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRefused {
    /// The command that this answers.
    pub command_id: [u8; 16],
    /// Logical topic name, at most 255 bytes.
    pub topic: String,
    /// Input partition.
    pub partition: u32,
    /// Offset of the command.
    pub offset: u64,
    /// Why, a number of the domain's.
    pub reason: u16,
    /// What to do about it, at most 65,535 bytes; no values of data subjects.
    pub detail: String,
}

impl CommandRefused {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .bytes(&self.command_id)
            .text("topic", &self.topic)?
            .u32(self.partition)
            .u64(self.offset)
            .u16(self.reason)
            .long_text("detail", &self.detail)?
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = CommandRefused {
            command_id: reader.array("command_id")?,
            topic: reader.text("topic")?,
            partition: reader.u32("partition")?,
            offset: reader.u64("offset")?,
            reason: reader.u16("reason")?,
            detail: reader.long_text("detail")?,
        };
        reader.end("CommandRefused")?;
        Ok(section)
    }
}
