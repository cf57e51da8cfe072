//! Layout of `ErasureKeysDestroyed`: every projection acknowledged its purge, the keys are gone.

use crate::Error;
use crate::Hash;
use crate::codec::{Reader, Writer};

/// Section 1 of event type 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureKeysDestroyed {
    /// Tenant name, at most 255 bytes.
    pub tenant: String,
    /// The data subject in this partition.
    pub surrogate: [u8; 16],
    /// `dek_commit` of every destroyed key.
    pub key_commitments: Vec<Hash>,
    /// How many events concern the subject.
    pub event_count: u64,
    /// Root of the H3 tree over the hashes of those events, in order.
    pub root: Hash,
}

impl ErasureKeysDestroyed {
    /// The section's bytes.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Writer::layout()
            .text("tenant", &self.tenant)?
            .bytes(&self.surrogate)
            .count16("key_commitments", self.key_commitments.len())?;
        for commitment in &self.key_commitments {
            out = out.bytes(&commitment.0);
        }
        Ok(out.u64(self.event_count).bytes(&self.root.0).done())
    }

    /// Reads bytes that hold exactly this layout.
    ///
    /// # Errors
    /// When they do not.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.layout()?;
        let section = ErasureKeysDestroyed {
            tenant: reader.text("tenant")?,
            surrogate: reader.array("surrogate")?,
            key_commitments: (0..reader.u16("key_commitments")?)
                .map(|_| reader.hash("key_commitments"))
                .collect::<Result<_, _>>()?,
            event_count: reader.u64("event_count")?,
            root: reader.hash("root")?,
        };
        reader.end("ErasureKeysDestroyed")?;
        Ok(section)
    }
}
