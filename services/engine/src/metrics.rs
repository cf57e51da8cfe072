//! Names of the metrics that this crate emits, each at one place.
//!
//! Type, unit, help and label values stand in the binary's table (`lexecon::telemetry::metrics`), which a test compares
//! with a scrape in both directions. Labels never hold anything from a request: every value is from a closed list.
//! What can be asked of a running system (lag, heads, queue depth, readiness) is sampled by the binary, not counted here.

/// Counter of answered requests, by `outcome` (permit, deny, escalate, none) and `reason` (names of `ReasonCode`).
pub const DECISIONS: &str = "lexecon_decisions_total";
/// Counter of requests recognised as repeats, answered without an event.
pub const DUPLICATES: &str = "lexecon_duplicates_total";
/// Histogram of the seconds from appending a frame to knowing that it is committed.
pub const COMMIT_SECONDS: &str = "lexecon_commit_seconds";
/// Histogram of the seconds of one synced round of the log: write-ahead log and head anchor.
pub const SYNC_SECONDS: &str = "lexecon_log_sync_seconds";
/// Histogram of bytes of committed frames.
pub const FRAME_BYTES: &str = "lexecon_frame_bytes";
/// Histogram of events of committed frames.
pub const FRAME_EVENTS: &str = "lexecon_frame_events";
/// Counter of frames that were not answered as committed, by `answer` (conflict, unknown).
pub const APPENDS_REFUSED: &str = "lexecon_appends_refused_total";
/// Counter of claims that were committed.
pub const CLAIMS: &str = "lexecon_claims_total";
/// Counter of data keys created.
pub const KEYS_CREATED: &str = "lexecon_keys_created_total";
/// Counter of input records that became dead letters.
pub const DEAD_LETTERS: &str = "lexecon_dead_letters_total";
