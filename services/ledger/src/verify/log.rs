//! Verification of a live log, frame by frame, strays included.
//!
//! A log holds what writers sent, late, twice or in vain; only what `accept` takes is the ledger. Memory: 32 bytes per
//! run, because whether a stray is harmless depends on every head that there ever was.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Chain;
use super::fault::{Fault, FaultKind, Place};
use super::report::{Anchor, Anchors, Report};
use crate::accept::{Stray, accept};
use crate::chain::{ChainId, Head, LedgerId};
use crate::hash::Hash;

/// What a frame of a log turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Part of the ledger.
    Accepted,
    /// Skipped: a race lost, a retry, a zombie.
    Harmless,
    /// Skipped: not a frame of this ledger.
    Garbage,
}

/// Verifies the partitions of one log in one chain epoch.
#[derive(Debug)]
pub struct LogVerifier {
    ledger_id: LedgerId,
    chain_epoch: u32,
    partitions: BTreeMap<u32, (Chain, BTreeSet<Hash>)>,
    anchors: Anchors,
    report: Report,
}

impl LogVerifier {
    /// A verifier that has read nothing of this ledger.
    pub fn new(ledger_id: LedgerId, chain_epoch: u32, anchors: Vec<Anchor>) -> Self {
        Self {
            ledger_id,
            chain_epoch,
            partitions: BTreeMap::new(),
            anchors: Anchors::new(anchors),
            report: Report::default(),
        }
    }

    /// Takes the next record of a partition's log. Partitions may come in any order, frames of one in the log's.
    ///
    /// # Errors
    /// The first fault. The verifier is of no further use then.
    pub fn frame(&mut self, partition: u32, frame: &[u8]) -> Result<Seen, Fault> {
        let chain = ChainId { ledger_id: self.ledger_id, partition, chain_epoch: self.chain_epoch };
        let (chain, heads) = self.partitions.entry(partition).or_insert_with(|| {
            let head = Head::genesis(chain);
            let heads = BTreeSet::from([head.run_head]);
            (Chain::new(head, false), heads)
        });
        let place = Place::new(partition, chain.head.next_seq);
        match accept(&chain.head, frame) {
            Ok(accepted) => {
                chain.batch(&accepted, None, &mut self.report)?;
                self.anchors.see(&accepted);
                heads.insert(accepted.head.run_head);
                chain.head = accepted.head;
                Ok(Seen::Accepted)
            }
            Err(refused) => match refused.classify(|head| heads.contains(head)) {
                Stray::Harmless => {
                    self.report.strays_harmless += 1;
                    Ok(Seen::Harmless)
                }
                Stray::Garbage => {
                    self.report.strays_garbage += 1;
                    Ok(Seen::Garbage)
                }
                Stray::Forked => Err(place.fault(FaultKind::Forked, refused)),
                Stray::Undecodable => Err(place.fault(FaultKind::Undecodable, refused)),
            },
        }
    }

    /// Says what the log proved.
    ///
    /// # Errors
    /// When the tail is below an anchor or differs from it.
    pub fn finish(mut self) -> Result<Report, Fault> {
        let heads: BTreeMap<u32, Head> = self
            .partitions
            .into_iter()
            .map(|(partition, (chain, _))| (partition, chain.head))
            .filter(|(_, head)| head.next_seq > 0)
            .collect();
        self.anchors.finish(&heads)?;
        self.report.partitions = heads.len() as u64;
        self.report.heads = heads.into_values().collect();
        Ok(self.report)
    }
}
