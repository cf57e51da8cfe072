//! What can go wrong at this boundary, each variant with what to do about it.
//!
//! Clone and comparable, because an error is also a completion ([`crate::Done::Failed`]) and what a reader meets while
//! the log is broken. That a write's fate is unknown is no error: see [`crate::Done::Unknown`].

use std::path::PathBuf;

use crate::{Position, Topic};

/// The errors of the event log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A write failed, the log is closed and reopens itself. Try again later.
    #[error("the event log is unavailable and is being reopened: {reason}; wait until it is healthy again")]
    Unavailable {
        /// The failure that closed it.
        reason: String,
    },
    /// The store lost acknowledged records.
    #[error(
        "{topic} partition {partition} ends at {tail} but the head anchor {} says {anchored}: acknowledged records are \
         missing; restore a backup", anchor.display()
    )]
    TailBelowAnchor {
        /// Which topic is short.
        topic: Topic,
        /// Which partition of it.
        partition: u32,
        /// One past the last record found.
        tail: Position,
        /// One past the last record acknowledged.
        anchored: Position,
        /// The anchor file.
        anchor: PathBuf,
    },
    /// A frame is not the one that was acknowledged.
    #[error(
        "ledger partition {partition} has another frame at {position} than the head anchor {} recorded: the store was \
         changed; restore a backup", anchor.display()
    )]
    FrameDiffersFromAnchor {
        /// The partition.
        partition: u32,
        /// The place of the frame.
        position: Position,
        /// The anchor file.
        anchor: PathBuf,
    },
    /// There is a ledger, and nothing says how far it was acknowledged.
    #[error(
        "the head anchor {} is missing although the ledger in {} is not empty: restore both from one backup, or verify \
         the ledger against an export or a signed checkpoint and then have the anchor rebuilt",
        anchor.display(), directory.display()
    )]
    AnchorMissing {
        /// Where it should be.
        anchor: PathBuf,
        /// The database.
        directory: PathBuf,
    },
    /// Neither slot of the anchor is whole, or it belongs to another log.
    #[error(
        "the head anchor {} cannot be used ({detail}): restore it together with its log from one backup, or verify the \
         ledger against an export or a signed checkpoint and then have the anchor rebuilt", anchor.display()
    )]
    AnchorDamaged {
        /// The file.
        anchor: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another process has the database open.
    #[error("{} is in use by another process: stop it, or use another data directory", directory.display())]
    Locked {
        /// The database.
        directory: PathBuf,
    },
    /// No right to write there, or no directory.
    #[error("cannot write to {}: {detail}; check owner, mode and mount of the directory", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The medium is full.
    #[error("no space left for {}: {detail}; free some, the log then recovers by itself", path.display())]
    NoSpace {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Bytes on the medium are not those that were written.
    #[error("the event log in {} is damaged: {detail}; restore a backup", directory.display())]
    Damaged {
        /// The database.
        directory: PathBuf,
        /// What was found, with the file where it is known.
        detail: String,
    },
    /// Not a directory that this log has made.
    #[error("{} holds something else than an event log: {detail}; use an empty directory", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Written by a newer version.
    #[error(
        "the event log in {} has format {found}, this version reads up to {known}: use the newer version",
        directory.display()
    )]
    NewerFormat {
        /// The database.
        directory: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// The number of partitions is fixed for a log's life.
    #[error(
        "the event log in {} has {stored} partitions, {configured} are configured: set it back", directory.display()
    )]
    PartitionsDiffer {
        /// The database.
        directory: PathBuf,
        /// Made with.
        stored: u32,
        /// Asked for.
        configured: u32,
    },
    /// A setting that cannot work.
    #[error("setting {name} is out of range: {detail}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// The rule.
        detail: String,
    },
    /// A record that the log does not take. Nothing was written.
    #[error("a record of {bytes} bytes for {topic} is larger than the limit of {limit}: send less")]
    TooLarge {
        /// Where it should have gone.
        topic: Topic,
        /// Its size.
        bytes: usize,
        /// The largest that is taken.
        limit: usize,
    },
    /// No such partition.
    #[error("there is no partition {partition} of {topic}: partitions are numbered from 0 and there are {partitions}")]
    UnknownPartition {
        /// The topic.
        topic: Topic,
        /// Asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// This operation never writes that topic.
    #[error("{operation} does not write {topic}: use the operation that is meant for it")]
    WrongTopic {
        /// The operation.
        operation: &'static str,
        /// The topic.
        topic: Topic,
    },
    /// Outcomes are published for one partition at a time, so that their order is one.
    #[error("records of {topic} for partition {partition} among those of another: publish each partition by itself")]
    PartitionsMixed {
        /// The topic.
        topic: Topic,
        /// The partition of the stranger.
        partition: u32,
    },
    /// The ledger keeps everything.
    #[error("nothing is ever removed from {topic}: erase keys instead")]
    NeverRemoved {
        /// The topic.
        topic: Topic,
    },
    /// Anything else that the medium said.
    #[error("storage in {} failed: {detail}; look at the disk and the system log", path.display())]
    Storage {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
}

impl Error {
    /// Whether the same operation may succeed later, without anybody changing it or restoring anything: the medium is
    /// full, failing or being reopened. Whoever meets such an error waits and tries again; the others mean that the
    /// operation is wrong or that something was lost, and no retry mends that.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unavailable { .. }
            | Error::Locked { .. }
            | Error::NotWritable { .. }
            | Error::NoSpace { .. }
            | Error::Storage { .. } => true,
            Error::TailBelowAnchor { .. }
            | Error::FrameDiffersFromAnchor { .. }
            | Error::AnchorMissing { .. }
            | Error::AnchorDamaged { .. }
            | Error::Damaged { .. }
            | Error::Foreign { .. }
            | Error::NewerFormat { .. }
            | Error::PartitionsDiffer { .. }
            | Error::Setting { .. }
            | Error::TooLarge { .. }
            | Error::UnknownPartition { .. }
            | Error::WrongTopic { .. }
            | Error::PartitionsMixed { .. }
            | Error::NeverRemoved { .. } => false,
        }
    }
}
