//! Layout 1 of an expiry: nothing, everything is in its key. Not even a layout byte, because there is one of these for
//! every request that is remembered; a later layout would begin with its number.

use domain::state::Record;

pub(super) fn encode() -> Vec<u8> {
    Vec::new()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    bytes.is_empty().then_some(Record::Expiry)
}
