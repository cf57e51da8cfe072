//! The engine.

pub mod kv;
