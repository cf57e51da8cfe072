//! Layout of `PolicyPublished`: a piece of a policy bundle.

use crate::Error;
use crate::Hash;
use crate::codec::{Reader, Writer};

/// Largest piece of a bundle, in bytes.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Section 1 of event type 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPublished {
    /// Content hash of the whole bundle.
    pub bundle_hash: Hash,
    /// Number of this piece, from 0.
    pub chunk_no: u32,
    /// Number of pieces.
    pub chunks: u32,
    /// The piece, at most [`CHUNK_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

impl PolicyPublished {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(Writer::layout()
            .bytes(&self.bundle_hash.0)
            .u32(self.chunk_no)
            .u32(self.chunks)
            .blob("bytes", &self.bytes, CHUNK_BYTES_MAX)?
            .done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = PolicyPublished {
            bundle_hash: reader.hash("bundle_hash")?,
            chunk_no: reader.u32("chunk_no")?,
            chunks: reader.u32("chunks")?,
            bytes: reader.blob("bytes", CHUNK_BYTES_MAX)?,
        };
        reader.end("PolicyPublished")?;
        Ok(section)
    }
}
