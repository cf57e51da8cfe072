//! Layout 1 of what only says which event it comes from (schema, tenant, command): `u64 seq`.

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(seq: u64) -> Vec<u8> {
    Writer::layout(1).u64(seq).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::layout(bytes, 1)?;
    let seq = reader.u64()?;
    reader.end(seq)
}
