//! Looking at a frame without judging it: for messages and cross-checks, never to decide what belongs to a ledger.

use crate::chain::LedgerId;
use crate::event::StoredEvent;
use crate::hash::Hash;
use crate::record::{self, RecordKind};
use crate::run::Run;

/// The ledger that a frame says it belongs to; `None` when its first record is no event.
pub fn ledger_id_of(frame: &[u8]) -> Option<LedgerId> {
    let (kind, content, _) = record::split(frame)?;
    if RecordKind::from_number(kind) != Some(RecordKind::Event) {
        return None;
    }
    Some(StoredEvent::decode(content).ok()?.body.chain.ledger_id)
}

/// The head that a frame says it leads to; `None` when it does not end in a run.
pub fn run_head_of(frame: &[u8]) -> Option<Hash> {
    let mut rest = frame;
    loop {
        let (kind, content, after) = record::split(rest)?;
        if after.is_empty() {
            let is_run = RecordKind::from_number(kind) == Some(RecordKind::Run);
            return if is_run { Run::decode(content).ok()?.run_head().ok() } else { None };
        }
        rest = after;
    }
}
