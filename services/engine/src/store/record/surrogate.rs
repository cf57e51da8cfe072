//! Layout 1 of a surrogate: `u8 state`, then for 1 `u64 seq` of the request for erasure, for 2 `i64 at_us`.

use domain::ids::Micros;

use crate::store::codec::{Reader, Writer};

/// Whether a data subject's surrogate lives. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurrogateState {
    /// 0: an accepted event names it.
    Live,
    /// 1: its erasure was requested and is not done.
    Erasing {
        /// The event that requested it.
        seq: u64,
    },
    /// 2: its keys are gone.
    Erased {
        /// Since when, by recorded time.
        at_us: Micros,
    },
}

pub(super) fn encode(state: &SurrogateState) -> Vec<u8> {
    let out = Writer::layout(1);
    match state {
        SurrogateState::Live => out.u8(0),
        SurrogateState::Erasing { seq } => out.u8(1).u64(*seq),
        SurrogateState::Erased { at_us } => out.u8(2).i64(*at_us),
    }
    .done()
}

pub(super) fn decode(bytes: &[u8]) -> Option<SurrogateState> {
    let mut reader = Reader::layout(bytes, 1)?;
    let state = match reader.u8()? {
        0 => SurrogateState::Live,
        1 => SurrogateState::Erasing { seq: reader.u64()? },
        2 => SurrogateState::Erased { at_us: reader.i64()? },
        _ => return None,
    };
    reader.end(state)
}
