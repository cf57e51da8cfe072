//! Layout 1 of a partition's totals: six `u64`: permitted, denied, escalated, rejected, rerouted, conflicted.

use domain::state::Totals;

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(totals: &Totals) -> Vec<u8> {
    Writer::layout(1)
        .u64(totals.permitted)
        .u64(totals.denied)
        .u64(totals.escalated)
        .u64(totals.rejected)
        .u64(totals.rerouted)
        .u64(totals.conflicted)
        .done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Totals> {
    let mut reader = Reader::layout(bytes, 1)?;
    let totals = Totals {
        permitted: reader.u64()?,
        denied: reader.u64()?,
        escalated: reader.u64()?,
        rejected: reader.u64()?,
        rerouted: reader.u64()?,
        conflicted: reader.u64()?,
    };
    reader.end(totals)
}
