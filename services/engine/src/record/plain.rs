//! Events without keys: what answers no request.
//!
//! Each has one clear section in its own fixed layout. Deliberately not here: when they are written.

use domain::event::Event;
use domain::ids::Origin;
use ledger::layout::{CommandRefused, DeadLetterMarked, PolicyActivated, PolicyPublished, TenantCreated};
use ledger::{Hash, NewEvent, Section, SectionKind, event_type, section_tag};

use super::clear::{Clear, of_section};
use super::{Error, numbers};

/// Bytes of UTF-8 that the layout has room for. A longer detail is cut: it is for people, and what decides is the code.
const DETAIL_BYTES_MAX: usize = u16::MAX as usize;

/// An event whose only section is fixed and clear: the section's bytes come from a layout of the `ledger` crate.
pub fn fixed(event_type: u16, recorded_at_us: i64, bytes: Vec<u8>) -> NewEvent {
    NewEvent {
        event_type,
        recorded_at_us,
        schema_hash: Hash::ZERO,
        sections: vec![Section { tag: section_tag::FACTS, kind: SectionKind::Clear, bytes }],
    }
}

/// An event of the domain that answers no request, and what it says to the fold.
///
/// # Errors
/// The event is an answer, or a value does not fit its field.
pub fn plain(event: &Event, origin: &Origin, seq: u64, recorded_at_us: i64) -> Result<(NewEvent, Clear), Error> {
    let (event_type, bytes) = match event {
        Event::Answer(_) => return Err(Error::NeedsKeys),
        Event::PolicyPublished { bundle_hash, chunk_no, chunks, bytes } => {
            let layout = PolicyPublished {
                bundle_hash: Hash(*bundle_hash),
                chunk_no: *chunk_no,
                chunks: *chunks,
                bytes: bytes.clone(),
            };
            (event_type::POLICY_PUBLISHED, layout.encode()?)
        }
        Event::PolicyActivated { command_id, bundle_hash, mode } => {
            let layout = PolicyActivated {
                bundle_hash: Hash(*bundle_hash),
                mode: numbers::mode(*mode),
                command_id: *command_id,
                in_force_from_us: recorded_at_us,
            };
            (event_type::POLICY_ACTIVATED, layout.encode()?)
        }
        Event::TenantCreated { command_id, tenant } => {
            let layout = TenantCreated { tenant: tenant.as_str().to_owned(), command_id: *command_id };
            (event_type::TENANT_CREATED, layout.encode()?)
        }
        Event::DeadLetterMarked { command_id, position, mark } => {
            let layout = DeadLetterMarked {
                command_id: *command_id,
                partition: origin.partition,
                position: *position,
                mark: numbers::dead_letter_mark(*mark),
            };
            (event_type::DEAD_LETTER_MARKED, layout.encode()?)
        }
        Event::CommandRefused { command_id, reason, detail } => {
            let layout = CommandRefused {
                command_id: *command_id,
                topic: origin.topic.to_owned(),
                partition: origin.partition,
                offset: origin.offset,
                reason: reason.number(),
                detail: detail.chars().scan(0, within).collect(),
            };
            (event_type::COMMAND_REFUSED, layout.encode()?)
        }
    };
    let clear = of_section(event_type, seq, recorded_at_us, &bytes)?;
    Ok((fixed(event_type, recorded_at_us, bytes), clear))
}

fn within(bytes: &mut usize, c: char) -> Option<char> {
    *bytes = bytes.saturating_add(c.len_utf8());
    (*bytes <= DETAIL_BYTES_MAX).then_some(c)
}
