//! Single events and the run out of a frame whose place in the ledger is known, without checking the whole of it again.
//!
//! A frame of some hundred events costs milliseconds to accept; a look-up needs one of them. The frame was accepted
//! when its place was recorded, so only what is returned is checked: that its sections are those of its body, and that
//! it has the seq that was asked for. Framing is that of an export file: `u8 kind ‖ u32 length ‖ bytes`.

use ledger::{RecordKind, Run, StoredEvent};

fn split(bytes: &[u8]) -> Option<(RecordKind, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((RecordKind::from_number(*kind)?, content, rest))
}

/// The events of a frame as stored, in order.
pub(crate) fn events(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = frame;
    std::iter::from_fn(move || {
        let (kind, content, after) = split(rest)?;
        rest = after;
        (kind == RecordKind::Event).then_some(content)
    })
}

/// The event with this seq, in a frame that begins with `first_seq`; none when it is not there or does not hold.
pub(crate) fn event(frame: &[u8], first_seq: u64, seq: u64) -> Option<StoredEvent<'_>> {
    let index = usize::try_from(seq.checked_sub(first_seq)?).ok()?;
    let event = StoredEvent::decode(events(frame).nth(index)?).ok()?;
    (event.body.seq == seq && event.sections_match().is_ok()).then_some(event)
}

/// The run that closes a frame.
pub(crate) fn run_of(frame: &[u8]) -> Option<Run> {
    let mut rest = frame;
    loop {
        let (kind, content, after) = split(rest)?;
        if kind == RecordKind::Run {
            return Run::decode(content).ok();
        }
        rest = after;
    }
}
