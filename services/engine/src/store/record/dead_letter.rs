//! Layout 1 of what was done with a dead letter: `u8 mark (0 retried, 1 discarded) ‖ u64 seq`.

use domain::command::DeadLetterMark;
use domain::state::Record;

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(mark: DeadLetterMark, seq: u64) -> Vec<u8> {
    let mark = match mark {
        DeadLetterMark::Retried => 0,
        DeadLetterMark::Discarded => 1,
    };
    Writer::layout(1).u8(mark).u64(seq).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = Record::DeadLetter {
        mark: match reader.u8()? {
            0 => DeadLetterMark::Retried,
            1 => DeadLetterMark::Discarded,
            _ => return None,
        },
        seq: reader.u64()?,
    };
    reader.end(record)
}
