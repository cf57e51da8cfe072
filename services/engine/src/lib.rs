//! The engine.

pub mod kv;
pub mod store;
