//! Read model: from a request's keyed identity to the event that answered it.
//!
//! Frozen: [`Space::Requests`], key `u32 partition ‖ 32 request_key`, value `u64 seq`. No tag of the body is kept: who
//! has to compare bodies reads the event's facts, which he needs anyway. A conflict never takes the place of the event
//! that it conflicts with, and a forwarded request is found where it was forwarded to.

use ledger::event_type;

use super::{Batch, Error, Follower, Frame};
use crate::kv::{Kv, Space};
use crate::store::codec::{Reader, Writer};

/// Follows answers by the identity of their requests.
#[derive(Clone, Copy, Debug)]
pub struct Requests;

const NAME: &str = "requests";

/// The key of a request's row.
pub(crate) fn key(partition: u32, request_key: &[u8; 32]) -> Vec<u8> {
    Writer::with_capacity(36).u32(partition).bytes(request_key).done()
}

impl Follower for Requests {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Requests]
    }

    fn follow(&self, frame: &Frame<'_>, batch: &mut Batch<'_>) -> Result<(), Error> {
        for answer in &frame.answers {
            let body = &answer.event.body;
            let counts = matches!(body.event_type, event_type::DECIDED | event_type::REJECTED);
            if counts && answer.facts.request_key != [0; 32] {
                let key = key(frame.partition, &answer.facts.request_key);
                batch.put(Space::Requests, key, body.seq.to_be_bytes().to_vec());
            }
        }
        Ok(())
    }
}

/// The last event in `partition` that decided or rejected a request.
///
/// # Errors
/// [`Error::Kv`], or [`Error::Model`].
pub(crate) fn find(kv: &dyn Kv, partition: u32, request_key: &[u8; 32]) -> Result<Option<u64>, Error> {
    let found = kv.get(Space::Requests, &key(partition, request_key))?;
    found
        .map(|bytes| {
            let mut reader = Reader::new(&bytes);
            let seq = reader.u64();
            seq.and_then(|seq| reader.end(seq)).ok_or(Error::Model { name: NAME, partition })
        })
        .transpose()
}
