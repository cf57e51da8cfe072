//! One number for the content of key ranges, so that two folds can be compared without keeping both.

use sha3::{Digest, Sha3_256};

use crate::kv::{self, Kv, Space, after_prefix};

/// A range of keys in a space, `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The space.
    pub space: Space,
    /// First key.
    pub from: Vec<u8>,
    /// First key that is not in it.
    pub to: Vec<u8>,
}

impl Range {
    /// Everything of one partition in a space.
    pub fn partition(space: Space, partition: u32) -> Range {
        Range::prefix(space, partition.to_be_bytes().to_vec())
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(space: Space, prefix: Vec<u8>) -> Range {
        Range { space, to: after_prefix(&prefix), from: prefix }
    }
}

/// SHA3-256 over, for each range and each of its entries in ascending order, `u8 space ‖ u32 length ‖ key ‖ u32 length
/// ‖ value`; keys that `skip` names are left out. The number of a space is written with each entry, so that an entry
/// cannot move from one space to another unnoticed.
///
/// # Errors
/// [`kv::Error`].
pub fn digest(kv: &dyn Kv, ranges: &[Range], skip: impl Fn(&[u8]) -> bool) -> Result<[u8; 32], kv::Error> {
    let mut hash = Sha3_256::new();
    for Range { space, from, to } in ranges {
        kv::visit(kv, *space, from, to, |key, value| {
            if !skip(key) {
                hash.update([space.number()]);
                for part in [key, value] {
                    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
                    hash.update(length.to_be_bytes());
                    hash.update(part);
                }
            }
            Ok::<_, kv::Error>(())
        })?;
    }
    Ok(hash.finalize().into())
}
