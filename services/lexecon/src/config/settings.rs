//! Every setting, with its default and its range. Units stand last in the names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bounds::{count, number, within};
use super::secret::Secret;

const KIB: usize = 1024;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where data lies.
    pub data: Data,
    /// What is fixed at the first start.
    pub topology: Topology,
    /// The event log.
    pub log: Log,
    /// Deciding.
    pub engine: Engine,
    /// Remembering requests.
    pub dedup: Dedup,
    /// Time.
    pub clock: Clock,
    /// The HTTP interface.
    pub http: Http,
    /// Logs.
    pub telemetry: Telemetry,
    /// Tenants that must exist, beside `default`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantEntry>,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The data directory.
    pub directory: PathBuf,
}

impl Default for Data {
    fn default() -> Data {
        Data { directory: PathBuf::from("data") }
    }
}

/// What shares a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Tenant and actor.
    #[default]
    Actor,
    /// The tenant alone.
    Tenant,
}

/// `[topology]`, fixed at the first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topology {
    /// Partitions of each topic.
    #[serde(deserialize_with = "number::<_, 1, 1024>")]
    pub partitions: u32,
    /// What shares a partition.
    pub routing: Routing,
}

impl Default for Topology {
    fn default() -> Topology {
        Topology { partitions: 8, routing: Routing::Actor }
    }
}

/// Which event log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// In the data directory.
    #[default]
    Embedded,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Which one.
    pub kind: LogKind,
    /// Space that the file system must have left, or nothing more is accepted until it has.
    #[serde(deserialize_with = "within::<_, 0, 1_099_511_627_776>")]
    pub free_bytes_min: u64,
    /// How often a log without work finds out whether it could write.
    #[serde(deserialize_with = "within::<_, 10, 60_000>")]
    pub probe_ms: u64,
}

impl Default for Log {
    fn default() -> Log {
        Log { kind: LogKind::Embedded, free_bytes_min: 64 << 20, probe_ms: 1_000 }
    }
}

/// `[engine]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Threads that decide; 0 means one per processor.
    #[serde(deserialize_with = "count::<_, 0, 256>")]
    pub workers: usize,
    /// Requests in flight over all callers; more are answered 429.
    #[serde(deserialize_with = "count::<_, 1, 1_000_000>")]
    pub inflight_max: usize,
    /// Events that a read model may lag behind before the process calls itself not ready.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000_000>")]
    pub lag_events_max: u64,
    /// How long a start may take until every partition is owned.
    #[serde(deserialize_with = "within::<_, 1_000, 3_600_000>")]
    pub start_timeout_ms: u64,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine { workers: 0, inflight_max: 16 * 1024, lag_events_max: 200_000, start_timeout_ms: 60_000 }
    }
}

/// `[dedup]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dedup {
    /// How long an id is remembered, and how old a request may be.
    #[serde(deserialize_with = "within::<_, 1, 8_760>")]
    pub retention_hours: u64,
}

impl Default for Dedup {
    fn default() -> Dedup {
        Dedup { retention_hours: 7 * 24 }
    }
}

/// `[clock]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clock {
    /// How far the wall clock may step against the monotonic one before nothing more is written.
    #[serde(deserialize_with = "within::<_, 100, 3_600_000>")]
    pub max_step_ms: u64,
    /// How far ahead of the recorded time a request may claim to have occurred.
    #[serde(deserialize_with = "within::<_, 0, 86_400_000>")]
    pub future_max_ms: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { max_step_ms: 30_000, future_max_ms: 300_000 }
    }
}

/// `[http]`: every limit of the HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bearer token that every request must carry, health probes excepted. At least 16 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file that holds the token; its last line break does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Connections at once; at the limit the longest idle one makes room.
    #[serde(deserialize_with = "count::<_, 1, 100_000>")]
    pub connections_max: usize,
    /// Requests that are worked on at once; more are answered 429.
    #[serde(deserialize_with = "count::<_, 1, 100_000>")]
    pub requests_max: usize,
    /// From the first wait for a request to the end of its header, so idle connections end by it too.
    #[serde(deserialize_with = "within::<_, 50, 600_000>")]
    pub header_timeout_ms: u64,
    /// From the end of the header to the end of the body.
    #[serde(deserialize_with = "within::<_, 50, 600_000>")]
    pub body_timeout_ms: u64,
    /// How long a client may take nothing of an answer.
    #[serde(deserialize_with = "within::<_, 50, 600_000>")]
    pub write_timeout_ms: u64,
    /// Bytes of a header with its request line.
    #[serde(deserialize_with = "count::<_, 8_192, 1_048_576>")]
    pub header_bytes_max: usize,
    /// Header fields of a request.
    #[serde(deserialize_with = "count::<_, 8, 1_000>")]
    pub header_fields_max: usize,
    /// Bytes of the body of one request.
    #[serde(deserialize_with = "count::<_, 1_024, 1_048_576>")]
    pub body_bytes_max: usize,
    /// Bytes of the body of a batch.
    #[serde(deserialize_with = "count::<_, 1_024, 134_217_728>")]
    pub batch_bytes_max: usize,
    /// Requests of a batch.
    #[serde(deserialize_with = "count::<_, 1, 500>")]
    pub batch_requests_max: usize,
    /// Nesting of objects and arrays in a body.
    #[serde(deserialize_with = "count::<_, 8, 100>")]
    pub depth_max: usize,
    /// How long a submission waits for its decision when `?wait=` does not say.
    #[serde(deserialize_with = "within::<_, 1, 60_000>")]
    pub wait_default_ms: u64,
    /// The longest `?wait=`.
    #[serde(deserialize_with = "within::<_, 1, 60_000>")]
    pub wait_max_ms: u64,
    /// Items of a page of a list.
    #[serde(deserialize_with = "count::<_, 1, 10_000>")]
    pub page_max: usize,
    /// Reads of the ledger and of read models at once.
    #[serde(deserialize_with = "count::<_, 1, 512>")]
    pub reads_max: usize,
    /// Open streams: outcomes and exports.
    #[serde(deserialize_with = "count::<_, 1, 10_000>")]
    pub streams_max: usize,
    /// Requests without `occurred_at` whose first time is remembered, so that a repeat in flight is recognised.
    #[serde(deserialize_with = "count::<_, 16, 10_000_000>")]
    pub undated_max: usize,
    /// How often a quiet stream sends a comment, so that a dead peer is noticed.
    #[serde(deserialize_with = "within::<_, 100, 600_000>")]
    pub stream_keepalive_ms: u64,
    /// How long a stop waits for what is in flight.
    #[serde(deserialize_with = "within::<_, 0, 300_000>")]
    pub drain_ms: u64,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8480),
            token: None,
            token_file: None,
            connections_max: 1024,
            requests_max: 512,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            header_bytes_max: 16 * KIB,
            header_fields_max: 64,
            body_bytes_max: 128 * KIB,
            batch_bytes_max: 4096 * KIB,
            batch_requests_max: 500,
            depth_max: 16,
            wait_default_ms: 5_000,
            wait_max_ms: 30_000,
            page_max: 500,
            reads_max: 64,
            streams_max: 64,
            undated_max: 65_536,
            stream_keepalive_ms: 15_000,
            drain_ms: 8_000,
        }
    }
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged, in the syntax of `RUST_LOG`: a level, or levels by target.
    pub level: String,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry { level: "info".to_owned() }
    }
}

/// `[[tenants]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantEntry {
    /// Its name.
    pub name: String,
}
