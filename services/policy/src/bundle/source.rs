//! The bytes of a bundle: content hash and the form in which they go through the log.
//!
//! Layout of [`BundleSource::encode`] (all integers big-endian), for each file in ascending byte order of its path:
//! `u16 path length ‖ path ‖ u64 length ‖ bytes`. The hash is SHA3-256 over
//! `tag("policy") ‖ encoding`, where `tag(x)` is one length byte and the ASCII of `lexecon/v1/x`.
//! INVARIANT: the encoding is canonical. Decoding accepts exactly what encoding produces, so one hash names one text.

use std::collections::BTreeMap;
use std::fmt;

use sha3::{Digest, Sha3_256};

/// Domain separation tag of a bundle hash: the length byte comes first.
const TAG: &[u8] = b"\x11lexecon/v1/policy";

/// Content hash of a bundle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleHash(pub [u8; 32]);

impl fmt::Display for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleHash({self})")
    }
}

/// The files of a bundle as they are: relative path to bytes. The binary reads the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleSource {
    /// Relative path, `/` between components, to content.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why bytes are no encoded bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a part.
    #[error("the bundle text ends at byte {at} inside {part}; fetch all chunks of the bundle again")]
    Truncated {
        /// Offset at which more bytes were needed.
        at: usize,
        /// Which part was being read.
        part: &'static str,
    },
    /// Paths do not strictly ascend.
    #[error("the path at byte {at} does not follow the one before it; only a canonical bundle text is accepted")]
    Order {
        /// Offset of the path.
        at: usize,
    },
    /// A path is not UTF-8.
    #[error("the path at byte {at} is not UTF-8; only a canonical bundle text is accepted")]
    Path {
        /// Offset of the path.
        at: usize,
    },
    /// A path is longer than its length field can say.
    #[error("the path {path:?} is longer than 65535 bytes; shorten it")]
    PathTooLong {
        /// The path.
        path: String,
    },
}

impl BundleSource {
    /// The canonical bytes, exactly those that are hashed without the tag.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let size: usize = self.files.iter().map(|(path, bytes)| path.len() + bytes.len() + 10).sum();
        let mut out = Vec::with_capacity(size);
        for (path, bytes) in &self.files {
            let length = u16::try_from(path.len()).map_err(|_| Error::PathTooLong { path: path.clone() })?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(path.as_bytes());
            // usize is at most 64 bits on every target that Rust knows.
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        Ok(out)
    }

    /// Reads canonical bytes back.
    pub fn decode(bytes: &[u8]) -> Result<BundleSource, Error> {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut cursor = Cursor { bytes, at: 0 };
        while cursor.at < bytes.len() {
            let start = cursor.at;
            let length = u16::from_be_bytes(cursor.array::<2>("a path length")?);
            let path = cursor.take(u64::from(length), "a path")?;
            let path = std::str::from_utf8(path).map_err(|_| Error::Path { at: start })?.to_owned();
            if files.last_key_value().is_some_and(|(last, _)| last.as_bytes() >= path.as_bytes()) {
                return Err(Error::Order { at: start });
            }
            let length = u64::from_be_bytes(cursor.array::<8>("a file length")?);
            let content = cursor.take(length, "a file")?.to_vec();
            files.insert(path, content);
        }
        Ok(BundleSource { files })
    }

    /// Content hash.
    pub fn hash(&self) -> Result<BundleHash, Error> {
        Ok(hash_encoded(&self.encode()?))
    }
}

/// Hash of bytes that [`BundleSource::encode`] produced.
pub(crate) fn hash_encoded(encoded: &[u8]) -> BundleHash {
    let mut hasher = Sha3_256::new();
    hasher.update(TAG);
    hasher.update(encoded);
    BundleHash(hasher.finalize().into())
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: u64, part: &'static str) -> Result<&'a [u8], Error> {
        let truncated = Error::Truncated { at: self.bytes.len(), part };
        let length = usize::try_from(length).map_err(|_| truncated.clone())?;
        let end = self.at.checked_add(length).ok_or_else(|| truncated.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], Error> {
        let truncated = Error::Truncated { at: self.bytes.len(), part };
        self.take(N as u64, part)?.try_into().map_err(|_| truncated)
    }
}
