//! SHA3-256 and the domain separation of everything that is hashed (FORMAT.md, "Hashes").
//!
//! Invariant: no tag is used for two things; the closed enum [`Tag`] is where one would have to be added.

use std::fmt;
use std::str::FromStr;

use sha3::{Digest, Sha3_256};

/// A 32-byte SHA3-256 (or, in the global tree, SHA-256) value.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: "none", for example no record schema.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The hash held by exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok().map(Hash)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = hex::FromHexError;

    /// 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Hash(bytes))
    }
}

/// Declares every tag once: variant, length of the whole ASCII text as an escape, text after `lexecon/v1/`.
macro_rules! tags {
    ($($variant:ident $length:literal $text:literal;)*) => {
        /// What a hash, MAC or derivation is for. Written as one length byte and the ASCII of `lexecon/v1/…`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Tag { $(#[doc = concat!("`lexecon/v1/", $text, "`")] $variant,)* }

        impl Tag {
            /// Every tag.
            pub const ALL: &'static [Tag] = &[$(Tag::$variant,)*];

            /// The bytes: length, then text.
            pub const fn bytes(self) -> &'static [u8] {
                match self { $(Tag::$variant => concat!($length, "lexecon/v1/", $text).as_bytes(),)* }
            }
        }
    };
}

tags! {
    Genesis "\x12" "genesis";
    Event "\x10" "event";
    EventId "\x13" "event-id";
    Chain "\x10" "chain";
    Section "\x12" "section";
    Schema "\x11" "schema";
    Policy "\x11" "policy";
    Run "\x0e" "run";
    Request "\x12" "request";
    RequestKey "\x16" "request-key";
    RequestMac "\x16" "request-mac";
    Receipt "\x12" "receipt";
    Index "\x10" "index";
    DekCommit "\x15" "dek-commit";
    SealHkdf "\x14" "seal-hkdf";
    SealAad "\x13" "seal-aad";
    SubjectLookup "\x19" "subject-lookup";
    Erasure "\x12" "erasure";
    Replay "\x11" "replay";
}

/// The bytes of a tag: `u8 length ‖ "lexecon/v1/…"`.
pub const fn tag(tag: Tag) -> &'static [u8] {
    tag.bytes()
}

/// SHA3-256 (FIPS 202) of the parts, one after the other.
pub fn h3(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha3_256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// `H3(tag("section") ‖ u16 tag ‖ u8 kind ‖ u64 length ‖ bytes)`.
pub fn section_hash(section_tag: u16, kind: u8, bytes: &[u8]) -> Hash {
    h3(&[tag(Tag::Section), &section_tag.to_be_bytes(), &[kind], &length(bytes), bytes])
}

/// `H3(tag("schema") ‖ u64 length ‖ exact document bytes)`.
pub fn schema_hash(document: &[u8]) -> Hash {
    h3(&[tag(Tag::Schema), &length(document), document])
}

/// `H3(tag("chain") ‖ prev_hash ‖ H3(body))`.
pub fn event_hash(prev_hash: &Hash, body: &[u8]) -> Hash {
    link(prev_hash, &h3(&[body]))
}

/// `H3(tag("chain") ‖ events_head ‖ H3(run))`: the head of the chain after a batch.
pub fn run_head(events_head: &Hash, run: &[u8]) -> Hash {
    link(events_head, &h3(&[run]))
}

fn link(prev: &Hash, content: &Hash) -> Hash {
    h3(&[tag(Tag::Chain), &prev.0, &content.0])
}

fn length(bytes: &[u8]) -> [u8; 8] {
    // usize has at most 64 bits on every platform that Rust supports.
    (bytes.len() as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_states_its_length_and_none_repeats() {
        for (at, tag) in Tag::ALL.iter().enumerate() {
            let bytes = tag.bytes();
            assert_eq!(usize::from(bytes[0]), bytes.len() - 1, "{tag:?}");
            assert!(bytes[1..].is_ascii(), "{tag:?}");
            assert!(Tag::ALL[..at].iter().all(|other| other.bytes() != bytes), "{tag:?}");
        }
    }
}
