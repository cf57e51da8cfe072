//! Layout 1 of the bundle in force: `32 bundle_hash ‖ u8 mode (0 strict, 1 permissive, 2 paranoid) ‖ u64 seq`.

use domain::ids::BundleHash;
use domain::state::Record;
use policy::Mode;

use crate::store::codec::{Reader, Writer};

pub(super) fn encode(bundle_hash: &BundleHash, mode: Mode, seq: u64) -> Vec<u8> {
    let mode = match mode {
        Mode::Strict => 0,
        Mode::Permissive => 1,
        Mode::Paranoid => 2,
    };
    Writer::layout(1).bytes(bundle_hash).u8(mode).u64(seq).done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut reader = Reader::layout(bytes, 1)?;
    let record = Record::ActivePolicy {
        bundle_hash: reader.array()?,
        mode: match reader.u8()? {
            0 => Mode::Strict,
            1 => Mode::Permissive,
            2 => Mode::Paranoid,
            _ => return None,
        },
        seq: reader.u64()?,
    };
    reader.end(record)
}
