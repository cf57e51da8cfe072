//! Layout of `SchemaAdded`: the exact bytes of a record schema, before its first use in the partition.

use crate::Error;
use crate::FRAME_BYTES_MAX;
use crate::Hash;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaAdded {
    /// `schema_hash` of the document.
    pub schema_hash: Hash,
    /// The document, exactly as hashed.
    pub document: Vec<u8>,
}

impl SchemaAdded {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout().bytes(&self.schema_hash.0).blob("document", &self.document, FRAME_BYTES_MAX)?.done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = SchemaAdded {
            schema_hash: reader.hash("schema_hash")?,
            document: reader.blob("document", FRAME_BYTES_MAX)?,
        };
        reader.end("SchemaAdded")?;
        Ok(section)
    }
}
