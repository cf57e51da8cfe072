//! Layout 1 of a data key in use: `16 dek_id ‖ 32 commitment`. Never the key.

use ledger::Hash;

use super::StateRecord;
use crate::store::codec::{Reader, Writer};

pub(super) fn encode(dek_id: &[u8; 16], commit: &Hash) -> Vec<u8> {
    Writer::layout(1).bytes(dek_id).bytes(&commit.0).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<StateRecord> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = StateRecord::Dek { dek_id: reader.array()?, commit: Hash(reader.array()?) };
    reader.end(record)
}
