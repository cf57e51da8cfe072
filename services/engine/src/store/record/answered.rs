//! Layout 1 of an answered request: `u64 seq ‖ 32 mac ‖ i64 recorded_at_us`.

use domain::state::Answered;

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(answered: &Answered) -> Vec<u8> {
    Writer::layout(1).u64(answered.seq).bytes(&answered.mac).i64(answered.recorded_at_us).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Answered> {
    let mut reader = Reader::layout(bytes, 1)?;
    let answered = Answered { seq: reader.u64()?, mac: reader.array()?, recorded_at_us: reader.i64()? };
    reader.end(answered)
}
