//! Events out of the log by partition and seq, with the last frame of each partition kept at hand: events of a page or
//! of an outcome stream lie side by side. Bounded: one frame a partition, for the time of one call.

use std::cell::RefCell;
use std::collections::BTreeMap;

use eventlog::{ReadLimit, Topic};
use ledger::{StoredEvent, event_type};

use super::keys::StoredKeys;
use super::{Error, Inner};
use crate::follow::frame;
use crate::record;
use crate::store::{self, Place};
use crate::view::DecisionView;

pub(super) struct Frames<'a> {
    reader: &'a Inner,
    last: BTreeMap<u32, (Place, Vec<u8>)>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(reader: &'a Inner) -> Self {
        Frames { reader, last: BTreeMap::new() }
    }

    /// Reads an event; none when the ledger has not come as far.
    pub(super) fn event<T>(
        &mut self,
        partition: u32,
        seq: u64,
        read: impl FnOnce(&StoredEvent<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if let Some((place, bytes)) = self.last.get(&partition)
            && let Some(event) = frame::event(bytes, place.first_seq, seq)
        {
            return read(&event).map(Some);
        }
        let Some(place) = store::place_of(&*self.reader.kv, partition, seq)? else {
            return Ok(None);
        };
        let bytes = self.load(partition, place)?;
        let value = match frame::event(&bytes, place.first_seq, seq) {
            Some(event) => Some(read(&event)?),
            // A seq beyond the last frame is not there yet; one within it must be.
            None if frame::run_of(&bytes).is_some_and(|run| run.last_seq < seq) => None,
            None => return Err(Error::Lost { partition, seq }),
        };
        self.last.insert(partition, (place, bytes));
        Ok(value)
    }

    fn load(&self, partition: u32, place: Place) -> Result<Vec<u8>, Error> {
        let limit = ReadLimit { records: 1, bytes: 0 };
        let records = self.reader.log.read(Topic::Ledger, partition, place.at, limit)?;
        let record = records.into_iter().find(|record| record.position == place.at);
        record.map(|record| record.value).ok_or(Error::Lost { partition, seq: place.first_seq })
    }

    /// Seqs of a frame's outcomes that are numbered `from` or higher.
    pub(super) fn outcomes(&mut self, partition: u32, first_seq: u64, from: u64) -> Result<Vec<u64>, Error> {
        // Reading the first event brings the frame.
        self.event(partition, first_seq, |_| Ok(()))?;
        let Some((_, bytes)) = self.last.get(&partition) else {
            return Ok(Vec::new());
        };
        let mut seqs = Vec::new();
        for stored in frame::events(bytes) {
            let event = StoredEvent::decode(stored)?;
            let number = event.body.event_type;
            if event_type::answers_request(number)
                && number != event_type::REROUTED
                && record::outcome(&event)?.outcome_no >= from
            {
                seqs.push(event.body.seq);
            }
        }
        Ok(seqs)
    }

    /// What is shown of an event; none when it is not there or answers no request.
    pub(super) fn view(&mut self, partition: u32, seq: u64) -> Result<Option<DecisionView>, Error> {
        let reader = self.reader;
        let shown = self.event(partition, seq, |event| view(reader, event))?;
        Ok(shown.flatten())
    }
}

/// What is shown of an event.
pub(super) fn view(reader: &Inner, event: &StoredEvent<'_>) -> Result<Option<DecisionView>, Error> {
    if !event_type::answers_request(event.body.event_type) {
        return Ok(None);
    }
    let keys = StoredKeys { kv: &*reader.kv, secrets: &reader.secrets, fault: RefCell::new(None) };
    let opened = record::open(event, &keys)?;
    if let Some(fault) = keys.fault.into_inner() {
        return Err(fault.into());
    }
    Ok(Some(DecisionView::from_opened(event, &opened)?))
}
