//! What can go wrong at this boundary.

use crate::follow::WaitError;

/// The errors of the reader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a cursor that a page gave.
    #[error(
        "the cursor is not one that a page gave; leave it out to begin at the newest, or send back `next` as it was"
    )]
    BadCursor,
    /// An actor's id means something only within a tenant, and there are too many to try.
    #[error("an actor can be looked up only within a tenant, and there are more than {limit}: name the tenant")]
    TenantNeeded {
        /// Tenants that are tried at most.
        limit: usize,
    },
    /// No such partition.
    #[error("there is no partition {partition}: partitions are numbered from 0 and there are {partitions}")]
    UnknownPartition {
        /// Asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// The position waited for was not reached.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The position waited for was not reached by the owner's state.
    #[error(
        "state stands at {stands:?} of partition {partition} and has not reached event {wanted} in time; ask again, or without waiting"
    )]
    StateBehind {
        /// The partition that is behind.
        partition: u32,
        /// The event waited for.
        wanted: u64,
        /// The last one folded.
        stands: Option<u64>,
    },
    /// Read models.
    #[error(transparent)]
    Follow(#[from] crate::follow::Error),
    /// State.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The store below.
    #[error(transparent)]
    Kv(#[from] crate::kv::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] eventlog::Error),
    /// An event.
    #[error(transparent)]
    Record(#[from] crate::record::Error),
    /// A keyed hash could not be made.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// An actor's id could not be hashed.
    #[error("the actor cannot be looked up: {0}")]
    Lookup(String),
    /// The log does not hold, where its place is recorded, the event that a read model names.
    #[error(
        "partition {partition}: the log has no event {seq} where it should be; verify the ledger, then stop the process and run `lexecon rebuild --replace`"
    )]
    Lost {
        /// The partition.
        partition: u32,
        /// The event.
        seq: u64,
    },
}
