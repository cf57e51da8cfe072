//! Layout 1 of a data key that counts: `16 surrogate ‖ 32 commitment`. Never the key.

use ledger::Hash;

use super::StateRecord;
use crate::store::codec::{Reader, Writer};

pub(super) fn encode(surrogate: &[u8; 16], commit: &Hash) -> Vec<u8> {
    Writer::layout(1).bytes(surrogate).bytes(&commit.0).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<StateRecord> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = StateRecord::DekCounted { surrogate: reader.array()?, commit: Hash(reader.array()?) };
    reader.end(record)
}
