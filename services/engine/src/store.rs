//! The state of a partition in the key-value store: typed keys and records on one side, frozen bytes on the other.
//!
//! Invariants: what stands here is a fold of the ledger and nothing else, so a damaged store is made again and never
//! repaired; every key begins with its partition; key kinds and record layouts are numbered and frozen (fixtures in
//! `tests`), and a retired number stays reserved. Deliberately not here: the fold itself, and read models.

pub(crate) mod codec;
mod digest;
mod key;
mod places;
mod record;
#[cfg(test)]
mod tests;

use domain::ids::Micros;
use domain::state::Key;
use eventlog::Position;

use crate::kv::{self, Kv, Space, Write};

pub(crate) use places::head_key;
pub(crate) use record::{put_head, take_head};

pub use digest::{Range, digest};
pub use key::{StateKey, decode_key, encode_key};
pub use places::{Place, head_place, place, place_of, was_head};
pub use record::{StateRecord, SurrogateState, decode_record, encode_record};

/// What can go wrong with the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store below.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// Bytes that no version wrote under this key kind.
    #[error(
        "a record of kind {kind} in partition {partition} of the state cannot be read; stop the process and run `lexecon rebuild --replace`"
    )]
    Record {
        /// Number of the key kind.
        kind: u8,
        /// The partition.
        partition: u32,
    },
    /// A key that no version wrote.
    #[error(
        "a key of kind {kind} in the derived store cannot be read; use the version that wrote it, or stop the process and run `lexecon rebuild --replace`"
    )]
    Key {
        /// Number of the key kind; 0 when there is not even one.
        kind: u8,
    },
}

/// The state of one partition.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    kv: &'a dyn Kv,
    partition: u32,
}

impl<'a> Store<'a> {
    /// The state of `partition` in `kv`.
    pub fn new(kv: &'a dyn Kv, partition: u32) -> Self {
        Store { kv, partition }
    }

    /// The partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The record under a key.
    ///
    /// # Errors
    /// [`Error::Kv`], or [`Error::Record`] when the bytes are not a record of that kind.
    pub fn get(&self, key: &StateKey) -> Result<Option<StateRecord>, Error> {
        let found = self.kv.get(Space::State, &encode_key(self.partition, key))?;
        found.map(|bytes| self.decode(key, &bytes)).transpose()
    }

    /// The records under several keys, in the order asked for.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_many(&self, keys: &[StateKey]) -> Result<Vec<Option<StateRecord>>, Error> {
        let encoded: Vec<Vec<u8>> = keys.iter().map(|key| encode_key(self.partition, key)).collect();
        let found = self.kv.get_many(Space::State, &encoded)?;
        keys.iter().zip(found).map(|(key, bytes)| bytes.map(|bytes| self.decode(key, &bytes)).transpose()).collect()
    }

    /// The writes that make these changes; a record of `None` removes.
    pub fn changes<'c>(
        &self,
        changes: impl IntoIterator<Item = (&'c StateKey, Option<&'c StateRecord>)>,
    ) -> Vec<Write> {
        changes
            .into_iter()
            .map(|(key, record)| {
                let key = encode_key(self.partition, key);
                match record {
                    Some(record) => Write::Put(Space::State, key, encode_record(record)),
                    None => Write::Delete(Space::State, key),
                }
            })
            .collect()
    }

    /// The expiry keys of before `before_us`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Kv`], or [`Error::Key`].
    pub fn expired(&self, before_us: Micros, limit: usize) -> Result<Vec<Key>, Error> {
        let (from, to) = key::expiry_range(self.partition, before_us);
        let found = self.kv.scan(Space::State, &from, &to, limit, false)?;
        found
            .iter()
            .map(|(bytes, _)| match decode_key(bytes)? {
                (_, StateKey::Domain(key)) => Ok(key),
                _ => Err(Error::Key { kind: key::kind_of(bytes) }),
            })
            .collect()
    }

    /// Where the frame that begins with `first_seq` lies: a hint for readers, written with the state.
    pub fn place(&self, first_seq: u64, at: Position) -> Write {
        place(self.partition, first_seq, at)
    }

    /// Digest of the partition's state: equal for any two folds of one ledger, up to the same event. The log position
    /// is left out, because it is a hint of one log and not a fact of the ledger.
    ///
    /// # Errors
    /// [`Error::Kv`].
    pub fn digest(&self) -> Result<[u8; 32], Error> {
        let range = Range::partition(Space::State, self.partition);
        let position = encode_key(self.partition, &StateKey::Position);
        Ok(digest(self.kv, &[range], |key| key == position)?)
    }

    /// The writes that forget the partition's state, before it is folded again.
    pub fn clear(&self) -> Vec<Write> {
        let Range { space, from, to } = Range::partition(Space::State, self.partition);
        vec![Write::DeleteRange(space, from, to)]
    }

    fn decode(&self, key: &StateKey, bytes: &[u8]) -> Result<StateRecord, Error> {
        decode_record(key, bytes).ok_or_else(|| Error::Record { kind: key.kind(), partition: self.partition })
    }
}
