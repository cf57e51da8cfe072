//! Layout 1 of a position: `u64`.

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(position: u64) -> Vec<u8> {
    Writer::layout(1).u64(position).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::layout(bytes, 1)?;
    let position = reader.u64()?;
    reader.end(position)
}
