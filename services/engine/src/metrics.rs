//! Names of the metrics that this crate emits, each at one place.
//!
//! Type, unit, help and label values stand in the binary's table (`lexecon::telemetry::metrics`), which a test compares
//! with a scrape in both directions. Labels never hold anything from a request: every value is from a closed list.
//! What can be asked of a running system (lag, heads, queue depth, readiness) is sampled by the binary, not counted here.

use std::sync::Once;

use crate::view::{DecisionView, Kind};

/// Counter of answered requests, by `outcome` (permit, deny, escalate, none) and `reason` (names of `ReasonCode`).
pub const DECISIONS: &str = "lexecon_decisions_total";
/// Counter of frames in a partition's log that are no part of its chain, by `partition`.
pub const LEDGER_STRAYS: &str = "lexecon_ledger_strays_total";
/// Histogram of bytes of frames that were sent to the log.
pub const FRAME_BYTES: &str = "lexecon_frame_bytes";
/// Histogram of the seconds from handing a frame to the log to its answer.
pub const APPEND_SECONDS: &str = "lexecon_append_seconds";
/// Counter of frames that were not answered as committed, by `answer` (conflict, unknown).
pub const APPENDS_REFUSED: &str = "lexecon_appends_refused_total";
/// Histogram of the seconds of one round of the log that had frames in it: both syncs, write-ahead log and head anchor.
pub const SYNC_SECONDS: &str = "lexecon_log_sync_seconds";
/// Histogram of events of frames that the log answered as committed. One that is found by reading on is not counted.
pub const BATCH_EVENTS: &str = "lexecon_batch_events";

/// A producer that chooses partitions by another rule does no harm but work; told once, counted each time.
static MISPLACED: Once = Once::new();

/// Counts an event that answers a request, once it is committed.
pub fn answered(view: &DecisionView) {
    if view.kind == Kind::Rerouted {
        MISPLACED.call_once(|| {
            tracing::warn!(
                partition = view.partition,
                "a request was found in another partition than its own and forwarded, which costs a second commit: \
                 have producers use murmur2 of the record key (librdkafka: partitioner=murmur2_random). Said once; counted \
                 as lexecon_decisions_total{{reason=\"{}\"}}",
                view.reason.as_str()
            );
        });
    }
    let outcome = view.outcome.map_or("none", policy::Outcome::as_str);
    metrics::counter!(DECISIONS, "outcome" => outcome, "reason" => view.reason.as_str()).increment(1);
}
