//! Read model: what each partition consumed, by the run records alone.
//!
//! Consumed = decisions + rejected + duplicates, and ranges tile; both can be checked by anybody who has the ledger.
//! Frozen: [`Space::Conservation`], key `u32 partition ‖ u32 input partition ‖ topic`, value `u8 layout = 1 ‖ u64 from ‖
//! u64 to ‖ u64 requests ‖ u64 decisions ‖ u64 rejected ‖ u64 non_request ‖ u64 breaks`.

use super::{Batch, Error, Follower, Frame};
use crate::kv::Space;
use crate::store::codec::{Reader, Writer};

/// Follows run records.
#[derive(Clone, Copy, Debug)]
pub struct Conservation;

/// What was consumed of one input partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputAccount {
    /// First offset that a run names.
    pub from_offset: u64,
    /// One past the last.
    pub to_offset: u64,
    /// Offsets that carried a request, or were lost.
    pub requests: u64,
    /// Requests that were decided.
    pub decisions: u64,
    /// Requests that were answered otherwise, and offsets that were lost.
    pub rejected: u64,
    /// Offsets that carried no request.
    pub non_request: u64,
    /// Ranges that did not begin where the one before ended: 0 in a sound ledger.
    pub breaks: u64,
}

impl InputAccount {
    /// Repeats of requests that were answered before.
    pub fn duplicates(&self) -> u64 {
        self.requests.saturating_sub(self.decisions).saturating_sub(self.rejected)
    }

    /// Whether every offset is accounted for, once.
    pub fn holds(&self) -> bool {
        let range = self.to_offset.checked_sub(self.from_offset);
        let counted = self.requests.checked_add(self.non_request);
        let answered = self.decisions.checked_add(self.rejected);
        self.breaks == 0 && range == counted && answered.is_some_and(|answered| answered <= self.requests)
    }

    fn encode(&self) -> Vec<u8> {
        Writer::layout(1)
            .u64(self.from_offset)
            .u64(self.to_offset)
            .u64(self.requests)
            .u64(self.decisions)
            .u64(self.rejected)
            .u64(self.non_request)
            .u64(self.breaks)
            .done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<InputAccount> {
        let mut reader = Reader::layout(bytes, 1)?;
        let account = InputAccount {
            from_offset: reader.u64()?,
            to_offset: reader.u64()?,
            requests: reader.u64()?,
            decisions: reader.u64()?,
            rejected: reader.u64()?,
            non_request: reader.u64()?,
            breaks: reader.u64()?,
        };
        reader.end(account)
    }
}

fn key(partition: u32, input_partition: u32, topic: &str) -> Vec<u8> {
    Writer::with_capacity(8 + topic.len()).u32(partition).u32(input_partition).bytes(topic.as_bytes()).done()
}

/// Topic and input partition of a key.
pub(crate) fn input_of(key: &[u8]) -> Option<(String, u32)> {
    let mut reader = Reader::new(key);
    let _partition = reader.u32()?;
    let input_partition = reader.u32()?;
    Some((reader.rest_text()?, input_partition))
}

impl Follower for Conservation {
    fn name(&self) -> &'static str {
        "conservation"
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Conservation]
    }

    fn follow(&self, frame: &Frame<'_>, batch: &mut Batch<'_>) -> Result<(), Error> {
        let partition = frame.partition;
        for range in &frame.accepted.run.inputs {
            let key = key(partition, range.partition, &range.topic);
            let mut account = match batch.get(Space::Conservation, &key)? {
                Some(bytes) => InputAccount::decode(&bytes).ok_or(Error::Model { name: self.name(), partition })?,
                None => InputAccount {
                    from_offset: range.from_offset,
                    to_offset: range.from_offset,
                    ..InputAccount::default()
                },
            };
            if account.to_offset != range.from_offset {
                account.breaks = account.breaks.saturating_add(1);
            }
            account.to_offset = range.to_offset;
            account.requests = account.requests.saturating_add(range.requests);
            account.decisions = account.decisions.saturating_add(range.decisions);
            account.rejected = account.rejected.saturating_add(range.rejected);
            account.non_request = account.non_request.saturating_add(range.non_request);
            batch.put(Space::Conservation, key, account.encode());
        }
        Ok(())
    }
}
