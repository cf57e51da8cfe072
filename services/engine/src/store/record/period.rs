//! Layout 1 of a key period: `u32`.

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(period: u32) -> Vec<u8> {
    Writer::layout(1).u32(period).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader::layout(bytes, 1)?;
    let period = reader.u32()?;
    reader.end(period)
}
