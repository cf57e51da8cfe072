//! What a verification counted, and hashes known from elsewhere that it was held against.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::fault::{Fault, FaultKind, Place};
use crate::accept::Accepted;
use crate::chain::Head;
use crate::hash::Hash;

/// What was verified. Without a signed checkpoint this excludes corruption, not forgery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events, all of them hashed again.
    pub events: u64,
    /// Runs.
    pub runs: u64,
    /// Partitions that hold events.
    pub partitions: u64,
    /// Partitions that the first claims say there are.
    pub partitions_declared: Option<u32>,
    /// Offsets that carried a request, or were lost.
    pub requests: u64,
    /// Events of type 1.
    pub decisions: u64,
    /// Events of types 2, 3 and 5, and lost offsets.
    pub rejected: u64,
    /// Schema documents.
    pub schemas: u64,
    /// Sections that were left out after their keys were destroyed.
    pub pruned: u64,
    /// Events of the domain that this version has no layout for; hashed, not interpreted.
    pub unknown_types: u64,
    /// Frames of a log that were skipped: races lost, retries, zombies.
    pub strays_harmless: u64,
    /// Frames of a log that were skipped: not of this ledger.
    pub strays_garbage: u64,
    /// Partitions that start after seq 0, with their first seq.
    pub partial: Vec<(u32, u64)>,
    /// Where each partition ends.
    pub heads: Vec<Head>,
}

impl Report {
    /// Requests that were answered by an earlier event: requests − decisions − rejected.
    pub fn duplicates(&self) -> u64 {
        self.requests.saturating_sub(self.decisions).saturating_sub(self.rejected)
    }
}

/// A hash that is known from elsewhere: an event hash from a receipt, or a run head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The partition.
    pub partition: u32,
    /// Seq of the event, or of the last event of the run.
    pub seq: u64,
    /// The event's hash, or the head after the run.
    pub hash: Hash,
}

impl FromStr for Anchor {
    type Err = String;

    /// `PARTITION:SEQ:HASH`, numbers in decimal, hash in hex.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no anchor: write PARTITION:SEQ:HASH");
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or_else(refuse);
        Ok(Anchor {
            partition: part()?.parse().map_err(|_| refuse())?,
            seq: part()?.parse().map_err(|_| refuse())?,
            hash: part()?.parse().map_err(|_| refuse())?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Never,
    Differs,
    Same,
}

/// Anchors and what was seen at their places.
#[derive(Debug)]
pub(super) struct Anchors(Vec<(Anchor, Seen)>);

impl Anchors {
    pub(super) fn new(anchors: Vec<Anchor>) -> Self {
        Anchors(anchors.into_iter().map(|a| (a, Seen::Never)).collect())
    }

    pub(super) fn see(&mut self, accepted: &Accepted<'_>) {
        let run = &accepted.run;
        for (anchor, seen) in &mut self.0 {
            if anchor.partition != run.chain.partition
                || !(run.first_seq..=run.last_seq).contains(&anchor.seq)
                || *seen == Seen::Same
            {
                continue;
            }
            let is_head = anchor.seq == run.last_seq && anchor.hash == accepted.head.run_head;
            let mut events = accepted.events.iter();
            let is_event = events.any(|e| e.body.seq == anchor.seq && e.event_hash == anchor.hash);
            *seen = if is_head || is_event { Seen::Same } else { Seen::Differs };
        }
    }

    pub(super) fn finish(&self, heads: &BTreeMap<u32, Head>) -> Result<(), Fault> {
        for (anchor, seen) in &self.0 {
            let place = Place::new(anchor.partition, anchor.seq);
            let next_seq = heads.get(&anchor.partition).map_or(0, |head| head.next_seq);
            match seen {
                Seen::Same => {}
                Seen::Differs => {
                    let detail = format!("{} is expected here and something else stands", anchor.hash);
                    return Err(place.fault(FaultKind::Forked, detail));
                }
                Seen::Never if anchor.seq >= next_seq => {
                    let detail = format!("the tail ends before seq {}, which is known to exist", anchor.seq);
                    let place = Place::new(anchor.partition, next_seq);
                    return Err(place.fault(FaultKind::Truncated, detail));
                }
                Seen::Never => {
                    let detail = "the export starts after the expected head, so it cannot be compared";
                    return Err(place.fault(FaultKind::LinkBroken, detail));
                }
            }
        }
        Ok(())
    }
}
