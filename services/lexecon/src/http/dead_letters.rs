//! Scratch.
pub async fn act() {}
