//! Names.
/// a
pub const LEDGER_STRAYS: &str = "lexecon_ledger_strays_total";
/// a
pub const FRAME_BYTES: &str = "lexecon_frame_bytes";
/// a
pub const APPEND_SECONDS: &str = "lexecon_append_seconds";
/// a
pub const BATCH_EVENTS: &str = "lexecon_batch_events";
/// a
pub fn answered(_: &crate::view::DecisionView) {}
