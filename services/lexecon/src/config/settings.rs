//! Every setting, with its default and its range. Units stand last in the names. The sections with many limits have
//! files of their own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bounds::{number, within};
use super::engine::{Engine, Follow};
use super::http::Http;
use super::storage::{Log, State};

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where data lies.
    pub data: Data,
    /// What is fixed at the first start.
    pub topology: Topology,
    /// The policies in force.
    pub policy: Policy,
    /// The event log.
    pub log: Log,
    /// Deciding.
    pub engine: Engine,
    /// State and read models on disk.
    pub state: State,
    /// Following the ledger into read models.
    pub follow: Follow,
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

/// `[policy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The bundle that is in force before the first request of a start is taken: a built-in one by name, or a
    /// directory. Left out, the one in force stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
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
