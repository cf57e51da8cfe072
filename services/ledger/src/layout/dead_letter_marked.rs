//! Layout of `DeadLetterMarked`: an operator dealt with a dead letter.

use crate::Error;
use crate::codec::{Reader, Writer};

/// The letter was submitted again.
pub const MARK_RETRIED: u8 = 0;
/// The letter is given up.
pub const MARK_DISCARDED: u8 = 1;

/// Section 1 of event type 36.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterMarked {
    /// The command that this answers.
    pub command_id: [u8; 16],
    /// Partition of the dead-letter topic.
    pub partition: u32,
    /// Position of the dead letter.
    pub position: u64,
    /// [`MARK_RETRIED`] or [`MARK_DISCARDED`].
    pub mark: u8,
}

impl DeadLetterMarked {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .bytes(&self.command_id)
            .u32(self.partition)
            .u64(self.position)
            .closed("mark", self.mark, 2)?
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = DeadLetterMarked {
            command_id: reader.array("command_id")?,
            partition: reader.u32("partition")?,
            position: reader.u64("position")?,
            mark: reader.closed("mark", 2)?,
        };
        reader.end("DeadLetterMarked")?;
        Ok(section)
    }
}
