//! The ledger as an export file, streamed: schemas first, then each partition's frames, strays left out, heads last.
//!
//! Invariants: what is exported was accepted here again, frame by frame; an export is taken up to watermarks read at
//! its start, so it ends although the system goes on; memory is bounded by one read of the log.

use std::collections::BTreeSet;

use eventlog::{LogReader, Position, ReadLimit, Topic};
use ledger::export::ExportWriter;
use ledger::{Accepted, Head, Stray, accept};

use crate::datadir::Deployment;
use crate::record::{self, Clear};

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log.
    #[error("log: {0}")]
    Log(#[from] eventlog::Error),
    /// The format.
    #[error("export: {0}")]
    Ledger(#[from] ledger::Error),
    /// An event that says nothing sensible in clear.
    #[error("export: {0}")]
    Record(#[from] record::Error),
    /// History was lost or rewritten.
    #[error("partition {partition}, position {position}: {refused}; keep the log as evidence and restore a backup")]
    Refused {
        /// The partition.
        partition: u32,
        /// Place in the log.
        position: Position,
        /// Why.
        refused: ledger::Refused,
    },
    /// The named partition does not exist.
    #[error("there is no partition {partition}; the last is {last}")]
    NoPartition {
        /// What was asked for.
        partition: u32,
        /// The highest number.
        last: u32,
    },
    /// Whoever takes the bytes failed.
    #[error("{0}")]
    Sink(#[from] std::io::Error),
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Partitions.
    pub partitions: u32,
    /// Events.
    pub events: u64,
    /// Frames.
    pub frames: u64,
    /// Records of the log that are no part of the ledger.
    pub strays: u64,
}

/// Sees an accepted frame: the head before it, its events, its bytes.
pub type Visit<'a> = dyn FnMut(&Head, &Accepted<'_>, &[u8]) -> Result<(), Error> + 'a;

/// Visits the accepted frames of a partition up to a watermark taken now. Strays are counted.
///
/// # Errors
/// [`Error`], or what `visit` returns.
pub fn frames(
    log: &dyn LogReader,
    deployment: &Deployment,
    partition: u32,
    strays: &mut u64,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let chain = deployment.chain(partition);
    let mut head = Head::genesis(chain);
    let mut heads = BTreeSet::from([head.run_head]);
    let tail = log.tail(Topic::Ledger, partition)?;
    let mut position = Position::ZERO;
    while position < tail {
        let records = log.read(Topic::Ledger, partition, position, ReadLimit::default())?;
        if records.is_empty() {
            break;
        }
        for record in records {
            if record.position >= tail {
                return Ok(());
            }
            position = record.position.next();
            match accept(&head, &record.value) {
                Ok(frame) => {
                    visit(&head, &frame, &record.value)?;
                    head = frame.head.clone();
                    heads.insert(head.run_head);
                }
                Err(refused) => match refused.classify(|hash| heads.contains(hash)) {
                    Stray::Harmless | Stray::Garbage => *strays = strays.saturating_add(1),
                    Stray::Forked | Stray::Undecodable => {
                        return Err(Error::Refused { partition, position: record.position, refused });
                    }
                },
            }
        }
    }
    Ok(())
}

/// Writes the export of all partitions, or of one, to `sink`, piece by piece.
///
/// # Errors
/// [`Error`]; the file is not whole then.
pub fn export(
    log: &dyn LogReader,
    deployment: &Deployment,
    only: Option<u32>,
    sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<Exported, Error> {
    let partitions: Vec<u32> = match only {
        None => (0..deployment.partitions).collect(),
        Some(partition) if partition < deployment.partitions => vec![partition],
        Some(partition) => {
            return Err(Error::NoPartition { partition, last: deployment.partitions.saturating_sub(1) });
        }
    };
    let mut out = Vec::new();
    let mut writer = ExportWriter::new(&mut out);
    for document in schemas(log, deployment, &partitions)? {
        writer.schema(&document, &mut out)?;
    }
    let mut exported = Exported::default();
    for partition in partitions {
        let mut strays = 0;
        frames(log, deployment, partition, &mut strays, &mut |before, frame, bytes| {
            exported.frames = exported.frames.saturating_add(1);
            exported.events = exported.events.saturating_add(u64::try_from(frame.events.len()).unwrap_or(0));
            writer.frame(before, frame, bytes, &mut out)?;
            sink(&out)?;
            out.clear();
            Ok(())
        })?;
        exported.partitions = exported.partitions.saturating_add(1);
        exported.strays = exported.strays.saturating_add(strays);
    }
    writer.finish(&mut out)?;
    sink(&out)?;
    Ok(exported)
}

/// The schema documents, in the order in which they are found. They come with a partition's first frames, but a later
/// version may add one anywhere, so all are looked at.
fn schemas(log: &dyn LogReader, deployment: &Deployment, partitions: &[u32]) -> Result<Vec<Vec<u8>>, Error> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for partition in partitions {
        frames(log, deployment, *partition, &mut 0, &mut |_, frame, _| {
            for event in &frame.events {
                if event.body.event_type == ledger::event_type::SCHEMA_ADDED
                    && let Clear::SchemaAdded(added) = record::clear(event)?
                    && !found.contains(&added.document)
                {
                    found.push(added.document);
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}
