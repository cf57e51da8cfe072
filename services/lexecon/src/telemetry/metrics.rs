//! The one table of metrics: name, type, unit, help, labels and the values that they may have.
//!
//! Whatever is emitted stands here, and whatever stands here is emitted: a test compares the table with a scrape in
//! both directions. Counters and histograms with closed labels exist from the start with 0, so that a rate over the
//! first event is right.

use engine::metrics as engine_names;
use policy::ReasonCode;

use crate::http::{problem, routes};

/// What a metric counts up, shows, or sorts into buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by upper bounds.
    Histogram(&'static [f64]),
}

/// What the value is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// 0 or 1.
    Flag,
}

/// The values that a label may have.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These.
    Closed(&'static [&'static str]),
    /// Names of reason codes.
    Reasons,
    /// Codes of problems.
    Problems,
    /// Paths of the interface, and `unmatched`.
    Routes,
    /// Numbers from 0, below the number of partitions.
    Partitions,
    /// Names of the settings that are numbers.
    Limits,
    /// Names that the engine gives its parts, fixed at start.
    Parts,
    /// The version of this program.
    Version,
}

impl Values {
    /// All of them, when they are known before anything runs.
    pub fn closed(self) -> Option<Vec<&'static str>> {
        match self {
            Values::Closed(values) => Some(values.to_vec()),
            Values::Reasons => Some(ReasonCode::ALL.iter().map(|code| code.as_str()).collect()),
            Values::Problems => Some(problem::Code::ALL.iter().map(|code| code.as_str()).collect()),
            Values::Routes => Some(routes::paths()),
            Values::Limits => Some(super::recorder::LIMITS.clone()),
            Values::Version => Some(vec![env!("CARGO_PKG_VERSION")]),
            Values::Partitions | Values::Parts => None,
        }
    }

    /// Whether a label may have this value.
    pub fn allow(self, value: &str) -> bool {
        match self {
            Values::Partitions => value.parse::<u32>().is_ok_and(|number| number < 1024),
            Values::Parts => {
                value.len() <= 32 && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
            }
            _ => self.closed().is_some_and(|values| values.contains(&value)),
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `lexecon_…`
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// One sentence.
    pub help: &'static str,
    /// Names of labels with their values.
    pub labels: &'static [(&'static str, Values)],
}

/// Requests answered.
pub const HTTP_REQUESTS: &str = "lexecon_http_requests_total";
/// Time of requests.
pub const HTTP_SECONDS: &str = "lexecon_http_request_seconds";
/// Requests being worked on.
pub const HTTP_INFLIGHT: &str = "lexecon_http_requests_inflight";
/// Problems answered.
pub const HTTP_PROBLEMS: &str = "lexecon_http_problems_total";
/// Requests of batches.
pub const HTTP_BATCH: &str = "lexecon_http_batch_requests";
/// Bytes of bodies.
pub const HTTP_BODY_BYTES: &str = "lexecon_http_body_bytes";
/// Open connections.
pub const HTTP_CONNECTIONS: &str = "lexecon_http_connections";
/// Connections accepted.
pub const HTTP_ACCEPTED: &str = "lexecon_http_connections_accepted_total";
/// Connections that were ended by a limit.
pub const HTTP_CUT: &str = "lexecon_http_connections_cut_total";
/// Open streams.
pub const HTTP_STREAMS: &str = "lexecon_http_streams";
/// Submissions whose answer did not come in time.
pub const HTTP_PENDING: &str = "lexecon_http_waits_expired_total";
/// Whether a request sent now is decided durably.
pub const READY: &str = "lexecon_ready";
/// Whether a part works.
pub const COMPONENT_UP: &str = "lexecon_component_up";
/// How long a part took to answer.
pub const COMPONENT_SECONDS: &str = "lexecon_component_seconds";
/// Requests that wait for their event.
pub const QUEUE: &str = "lexecon_requests_waiting";
/// Length of the chain.
pub const LEDGER_EVENTS: &str = "lexecon_ledger_events";
/// Dead letters.
pub const DEAD_LETTERS: &str = "lexecon_dead_letters";
/// Repeats.
pub const REPEATS: &str = "lexecon_repeats_total";
/// How far read models are behind.
pub const LAG_EVENTS: &str = "lexecon_follower_lag_events";
/// Since when they are behind.
pub const LAG_SECONDS: &str = "lexecon_follower_lag_seconds";
/// Limits in force.
pub const LIMIT: &str = "lexecon_limit";
/// Resident memory.
pub const RESIDENT: &str = "lexecon_process_resident_bytes";
/// Processor time.
pub const CPU: &str = "lexecon_process_cpu_seconds_total";
/// Open files.
pub const FILES: &str = "lexecon_process_open_files";
/// Threads.
pub const THREADS: &str = "lexecon_process_threads";
/// Start of the process.
pub const STARTED: &str = "lexecon_process_start_time_seconds";
/// Which program this is.
pub const BUILD: &str = "lexecon_build_info";

const SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] = &[256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

const OUTCOMES: Values = Values::Closed(&["permit", "deny", "escalate", "none"]);
const STATUSES: Values = Values::Closed(&["2xx", "3xx", "4xx", "5xx"]);
/// Why a connection was ended by us.
pub const CUTS: &[&str] = &["evicted", "write_timeout", "broken"];

macro_rules! table {
    ($($name:expr, $kind:expr, $unit:ident, $help:literal, [$($label:literal: $values:expr),*];)*) => {
        /// Every metric of this program.
        pub const TABLE: &[Metric] = &[$(Metric {
            name: $name, kind: $kind, unit: Unit::$unit, help: $help, labels: &[$(($label, $values)),*],
        },)*];
    };
}

use Kind::{Counter, Gauge, Histogram};

table! {
    HTTP_REQUESTS, Counter, Count, "requests answered, by path of the interface and class of status", ["route": Values::Routes, "status": STATUSES];
    HTTP_SECONDS, Histogram(SECONDS), Seconds, "from the end of a request's header to the start of its answer", ["route": Values::Routes];
    HTTP_INFLIGHT, Gauge, Count, "requests that are being worked on", [];
    HTTP_PROBLEMS, Counter, Count, "problems answered, by code, those inside batches too", ["code": Values::Problems];
    HTTP_BATCH, Histogram(COUNTS), Count, "requests of a batch", [];
    HTTP_BODY_BYTES, Histogram(SIZES), Bytes, "bytes of the bodies of submissions", [];
    HTTP_CONNECTIONS, Gauge, Count, "open connections", [];
    HTTP_ACCEPTED, Counter, Count, "connections accepted", [];
    HTTP_CUT, Counter, Count, "connections that this end closed, by why", ["why": Values::Closed(CUTS)];
    HTTP_STREAMS, Gauge, Count, "open streams of outcomes and exports", [];
    HTTP_PENDING, Counter, Count, "submissions that were answered 202 because their decision took longer than the wait", [];
    READY, Gauge, Flag, "1 when a request sent now is decided durably", [];
    COMPONENT_UP, Gauge, Flag, "1 when a part of the process works", ["component": Values::Parts];
    COMPONENT_SECONDS, Gauge, Seconds, "how long a part took to answer when it was asked last", ["component": Values::Parts];
    QUEUE, Gauge, Count, "submitted requests that wait for their event", [];
    LEDGER_EVENTS, Gauge, Count, "events in a partition's chain", ["partition": Values::Partitions];
    LAG_EVENTS, Gauge, Count, "events that a partition's read models are behind", ["partition": Values::Partitions];
    LAG_SECONDS, Gauge, Seconds, "how long a partition's read models have been behind", ["partition": Values::Partitions];
    LIMIT, Gauge, Count, "settings in force that are numbers, by section and name; the unit stands last in the name", ["name": Values::Limits];
    RESIDENT, Gauge, Bytes, "resident memory of the process", [];
    CPU, Counter, Seconds, "processor time of the process, whole seconds", [];
    FILES, Gauge, Count, "open file descriptors of the process", [];
    THREADS, Gauge, Count, "threads of the process", [];
    STARTED, Gauge, Seconds, "when the process started, seconds since 1970-01-01 UTC", [];
    BUILD, Gauge, Flag, "1, labelled with the version", ["version": Values::Version];
    engine_names::DECISIONS, Counter, Count, "answered requests, by outcome and reason", ["outcome": OUTCOMES, "reason": Values::Reasons];
    engine_names::APPEND_SECONDS, Histogram(SECONDS), Seconds, "from handing a frame to the log to its answer, committed or not", [];
    engine_names::SYNC_SECONDS, Histogram(SECONDS), Seconds, "one round of the log with frames in it: both syncs, write-ahead log and head anchor", [];
    engine_names::APPENDS_REFUSED, Counter, Count, "frames not answered as committed", ["answer": Values::Closed(&["conflict", "unknown"])];
    engine_names::FRAME_BYTES, Histogram(SIZES), Bytes, "bytes of frames sent to the log", [];
    engine_names::BATCH_EVENTS, Histogram(COUNTS), Count, "events of committed frames", [];
    engine_names::LEDGER_STRAYS, Counter, Count, "frames in a partition's log that are no part of its chain", ["partition": Values::Partitions];
    DEAD_LETTERS, Gauge, Count, "dead letters kept, dealt with or not", [];
    REPEATS, Counter, Count, "submissions that were answered with an event that was there already", [];
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_follow_the_conventions() {
        let mut names = std::collections::BTreeSet::new();
        for row in TABLE {
            assert!(names.insert(row.name), "{} stands twice", row.name);
            assert!(
                row.name.starts_with("lexecon_") && row.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{}",
                row.name
            );
            assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{}", row.name);
            assert!(row.unit != Unit::Seconds || row.name.contains("seconds"), "{} lacks its unit", row.name);
            assert!(row.unit != Unit::Bytes || row.name.contains("bytes"), "{} lacks its unit", row.name);
            if let Kind::Histogram(buckets) = row.kind {
                assert!(buckets.is_sorted() && !buckets.is_empty(), "{}", row.name);
            }
            let series: usize =
                row.labels.iter().map(|(_, values)| values.closed().map_or(64, |all| all.len())).product();
            assert!(series <= 400, "{} has {series} series", row.name);
        }
    }

    #[test]
    fn labels_are_closed() {
        let check = |values: Values, value: &str, allowed: bool| assert_eq!(values.allow(value), allowed, "{value}");
        check(Values::Reasons, "no_matching_permit", true);
        check(Values::Reasons, "whatever", false);
        check(Values::Routes, "/v1/decisions", true);
        check(Values::Routes, "unmatched", true);
        check(Values::Routes, "/v1/decisions/0190", false);
        check(Values::Problems, "conflict", true);
        check(Values::Partitions, "7", true);
        check(Values::Partitions, "4096", false);
        check(Values::Parts, "anna@example.com", false);
        check(Values::Limits, "http.page_max", true);
    }
}
