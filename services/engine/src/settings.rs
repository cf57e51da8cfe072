//! Every limit of the engine, named, with its default. The binary fills this from its configuration.

use std::path::PathBuf;
use std::time::Duration;

use domain::decide::Terms;
use domain::routing::Routing;

use crate::owner::Limits;

/// Settings of an engine on the embedded log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// Partitions, fixed at the first start.
    pub partitions: u32,
    /// What shares a partition, fixed at the first start.
    pub routing: Routing,
    /// How long ids are remembered and how far ahead a request may claim to be.
    pub terms: Terms,
    /// Limits of batches and waits.
    pub limits: Limits,
    /// Threads that decide; 0 means one per processor.
    pub workers: usize,
    /// How far the wall clock may step against the monotonic clock. Microseconds.
    pub clock_max_step_us: i64,
    /// Requests in flight at once, over all callers.
    pub inflight_max: usize,
    /// Events that a read model may lag behind before the process is not ready.
    pub lag_events_max: u64,
    /// How long a start may take until every partition is owned.
    pub start_timeout: Duration,
    /// The embedded log.
    pub log: eventlog::embedded::Settings,
    /// State and read models.
    pub kv: crate::kv::rocks::Settings,
    /// The followers.
    pub follow: crate::follow::Settings,
}

impl Settings {
    /// The defaults, on this directory.
    pub fn new(data: impl Into<PathBuf>) -> Settings {
        let data = data.into();
        Settings {
            log: eventlog::embedded::Settings::at(&data),
            data,
            partitions: 8,
            routing: Routing::Actor,
            terms: Terms::default(),
            limits: Limits::default(),
            workers: 0,
            clock_max_step_us: 30 * 1_000_000,
            inflight_max: 16 * 1024,
            lag_events_max: 200_000,
            start_timeout: Duration::from_secs(60),
            kv: crate::kv::rocks::Settings::default(),
            follow: crate::follow::Settings::default(),
        }
    }
}
