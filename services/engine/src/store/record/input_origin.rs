//! Layout 1 of where reading of an input began: `16 topic_id ‖ u64 start`.

use super::StateRecord;
use crate::store::codec::{Reader, Writer};

pub(super) fn encode(topic_id: &[u8; 16], start: u64) -> Vec<u8> {
    Writer::layout(1).bytes(topic_id).u64(start).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<StateRecord> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = StateRecord::InputOrigin { topic_id: reader.array()?, start: reader.u64()? };
    reader.end(record)
}
