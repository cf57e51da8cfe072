//! The event log: an ordered log of opaque records per topic and partition, with compare-and-append.
//!
//! A port ([`EventLog`], [`LogReader`]; the contract is the documentation of [`port`]) and its adapters: [`memory`]
//! (tests and simulation, with every permitted misbehaviour) and [`embedded`] (RocksDB, one process, synced group
//! commit, head anchor). [`conformance`] is the suite that every adapter runs, [`faults`] wraps any of them and injects
//! what the contract permits.
//!
//! Deliberately not here: any domain type, what a frame means, whether it belongs to the ledger (that is `accept` in
//! the `ledger` crate), routing, retries. The log only keeps the order.

pub mod conformance;
mod draws;
pub mod embedded;
pub mod error;
pub mod faults;
mod identity;
pub mod memory;
pub mod port;
mod queue;
pub mod record;
mod signal;
pub mod topic;

pub use error::Error;
pub use port::{Completion, Done, EventLog, Health, LogReader, Ticket, Waker};
pub use record::{NewRecord, Position, ReadLimit, Record, Removal};
pub use topic::Topic;
