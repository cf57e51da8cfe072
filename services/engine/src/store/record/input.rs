//! Layout 1 of how far an input was consumed: `u64 to_offset`.

use super::StateRecord;
use crate::store::codec::{Reader, Writer};

pub(super) fn encode(to_offset: u64) -> Vec<u8> {
    Writer::layout(1).u64(to_offset).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<StateRecord> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = StateRecord::Input { to_offset: reader.u64()? };
    reader.end(record)
}
