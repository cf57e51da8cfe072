//! The deep room: what happens to a partition, and what is derived from its ledger.
//!
//! One direction of flow: records of the log → [`owner`] (one per partition, sans-I/O) → frames → fold → state;
//! frames → [`follow`] (own cursor, own lag) → read models → [`reader`]. [`runtime`] gives threads to it, [`system`] is
//! the whole as one value, [`offline`] the same data without a process that serves it.
//!
//! Deliberately not here: HTTP, configuration files, command lines (`lexecon`), rules (`domain`, `policy`), bytes that
//! auditors trust (`ledger`).

pub mod datadir;
pub mod dead_letter;
pub mod export;
pub mod fold;
pub mod follow;
pub mod keys;
pub mod kv;
pub mod letters;
pub mod metrics;
pub mod offline;
pub mod owner;
pub mod reader;
pub mod record;
pub mod replay;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod system;
pub mod view;
