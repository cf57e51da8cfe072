//! Names of a ledger, a chain and an event, and the head of a chain.
//!
//! A chain is one partition in one chain epoch. Invariant: everything here is derived from the three numbers that
//! name the chain, so a replay finds the same genesis and the same event ids.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::hash::{Hash, Tag, h3, tag};

/// Declares a 16-byte identifier that is written as a UUID.
macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (at, byte) in self.0.iter().enumerate() {
                    let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse(text).map($name)
            }
        }
    };
}

uuid! {
    /// A random UUID, one per deployment.
    LedgerId
}
uuid! {
    /// UUIDv8 derived from chain and seq, never random: a replay produces the same id.
    EventId
}

/// 32 hex digits, either bare or with hyphens in the four usual places (RFC 9562).
fn parse(text: &str) -> Result<[u8; 16], Error> {
    let refuse = || Error::Uuid { found: text.chars().take(64).collect() };
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    let mut bytes = [0; 16];
    hex::decode_to_slice(&bare, &mut bytes).map_err(|_| refuse())?;
    let hyphenated = LedgerId(bytes).to_string();
    let lower = text.to_ascii_lowercase();
    if lower == hyphenated || lower == hyphenated.replace('-', "") { Ok(bytes) } else { Err(refuse()) }
}

/// One partition of one ledger in one chain epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId {
    /// The deployment.
    pub ledger_id: LedgerId,
    /// The partition of the ledger.
    pub partition: u32,
    /// Raised on repartitioning.
    pub chain_epoch: u32,
}

impl ChainId {
    /// `H3(tag("genesis") ‖ ledger_id ‖ u32 partition ‖ u32 chain_epoch)`: the `prev_hash` of seq 0.
    pub fn genesis(&self) -> Hash {
        h3(&[tag(Tag::Genesis), &self.ledger_id.0, &self.partition.to_be_bytes(), &self.chain_epoch.to_be_bytes()])
    }

    /// The first 16 bytes of `H3(tag("event-id") ‖ ledger_id ‖ partition ‖ chain_epoch ‖ seq)` as a UUIDv8.
    pub fn event_id(&self, seq: u64) -> EventId {
        let hash = h3(&[
            tag(Tag::EventId),
            &self.ledger_id.0,
            &self.partition.to_be_bytes(),
            &self.chain_epoch.to_be_bytes(),
            &seq.to_be_bytes(),
        ]);
        let mut id = u128::from_be_bytes(hash.0.first_chunk::<16>().copied().unwrap_or_default());
        // Version 8 in the upper half of byte 6, variant 0b10 in the upper bits of byte 8 (RFC 9562, section 5.8).
        id = (id & !(0xF << 76)) | (0x8 << 76);
        id = (id & !(0x3 << 62)) | (0x2 << 62);
        EventId(id.to_be_bytes())
    }
}

/// Where a chain ends: what the next frame must extend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The chain.
    pub chain: ChainId,
    /// The seq that the next event must have.
    pub next_seq: u64,
    /// The `prev_hash` that the next event must have: genesis, or the head of the last run.
    pub run_head: Hash,
    /// The epoch of the writer that wrote last; 0 before the first frame.
    pub writer_epoch: u32,
    /// Whether `EpochClosed` was the last event: then nothing follows.
    pub closed: bool,
}

impl Head {
    /// The head before the first frame.
    pub fn genesis(chain: ChainId) -> Head {
        Head { chain, next_seq: 0, run_head: chain.genesis(), writer_epoch: 0, closed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_as_they_are_printed() {
        let id = LedgerId(*b"0123456789abcdef");
        let text = id.to_string();
        assert_eq!(text, "30313233-3435-3637-3839-616263646566");
        for good in [text.clone(), text.to_uppercase(), text.replace('-', "")] {
            assert_eq!(good.parse::<LedgerId>(), Ok(id), "{good}");
        }
        for bad in ["", "3031", "30313233-34353637-3839-6162-63646566", "{30313233-3435-3637-3839-616263646566}"] {
            assert!(bad.parse::<LedgerId>().is_err(), "{bad}");
        }
    }
}
