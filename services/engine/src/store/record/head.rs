//! Layout 1 of a head: `16 ledger_id ‖ u32 partition ‖ u32 chain_epoch ‖ u64 next_seq ‖ 32 run_head ‖ u32 writer_epoch ‖
//! u8 closed ‖ i64 recorded_at_us ‖ u64 next_outcome_no`.

use domain::ids::Micros;
use ledger::{ChainId, Hash, Head, LedgerId};

use super::StateRecord;
use crate::store::codec::{Reader, Writer};

pub(crate) fn put(out: Writer, head: &Head) -> Writer {
    out.bytes(&head.chain.ledger_id.0)
        .u32(head.chain.partition)
        .u32(head.chain.chain_epoch)
        .u64(head.next_seq)
        .bytes(&head.run_head.0)
        .u32(head.writer_epoch)
        .u8(u8::from(head.closed))
}

pub(crate) fn take(reader: &mut Reader<'_>) -> Option<Head> {
    Some(Head {
        chain: ChainId { ledger_id: LedgerId(reader.array()?), partition: reader.u32()?, chain_epoch: reader.u32()? },
        next_seq: reader.u64()?,
        run_head: Hash(reader.array()?),
        writer_epoch: reader.u32()?,
        closed: match reader.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        },
    })
}

pub(super) fn encode(head: &Head, recorded_at_us: Micros, next_outcome_no: u64) -> Vec<u8> {
    put(Writer::layout(1), head).i64(recorded_at_us).u64(next_outcome_no).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<StateRecord> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record =
        StateRecord::Head { head: take(&mut reader)?, recorded_at_us: reader.i64()?, next_outcome_no: reader.u64()? };
    reader.end(record)
}
