//! `[http]`: where it listens, who may ask, and every limit of the interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bounds::{count, within};
use super::secret::Secret;

const KIB: usize = 1024;

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
    #[serde(deserialize_with = "count::<_, 1, 500>")]
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
