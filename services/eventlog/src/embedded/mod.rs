//! The embedded log: one RocksDB database, one write-ahead log, synced group commit, and a head anchor beside it.
//!
//! A column family per topic; a round of [`EventLog::poll`] is two writes and two syncs (`round`). On any failed write
//! or sync the round is answered `Unknown`, the database is closed, and `poll` reopens it with doubling back-off: what a
//! failed sync left behind is only known after recovery has read it back and written it anew. Opening checks the store
//! against its anchor and refuses one that lost anything acknowledged.
//!
//! Deliberately not here: threads of our own (the caller's log thread does it all), retention by time (callers remove
//! what they have consumed), repair (a damaged log is restored from a backup, never guessed at).

mod anchor;
mod backup;
mod erase;
mod fault;
mod open;
mod options;
mod round;
mod rows;
mod settings;
mod shared;
mod store;
mod writer;

pub use backup::Backup;
pub use open::rebuild_anchor;
pub use settings::{Compression, Settings};
pub use writer::Embedded;
