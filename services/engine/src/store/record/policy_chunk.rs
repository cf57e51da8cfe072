//! Layout 1 of a chunk of a bundle's text: the bytes, to the end.

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    Writer::with_capacity(bytes.len().saturating_add(1)).u8(1).bytes(bytes).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Reader::layout(bytes, 1)?.rest().to_vec())
}
