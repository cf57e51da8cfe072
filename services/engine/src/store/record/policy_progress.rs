//! Layout 1 of how much of a bundle is there: `u32 chunks ‖ u32 have`.

use domain::state::Record;

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(chunks: u32, have: u32) -> Vec<u8> {
    Writer::layout(1).u32(chunks).u32(have).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = Record::PolicyProgress { chunks: reader.u32()?, have: reader.u32()? };
    reader.end(record)
}
