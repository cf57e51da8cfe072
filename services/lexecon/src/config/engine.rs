//! `[engine]` and `[follow]`: how much is worked on at once, how much may wait, and how long.

use serde::{Deserialize, Serialize};

use super::bounds::{count, number, within};

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
    /// Events of one frame.
    #[serde(deserialize_with = "count::<_, 1, 65_536>")]
    pub batch_events_max: usize,
    /// Records that wait in memory, by input of a partition.
    #[serde(deserialize_with = "count::<_, 1, 1_000_000>")]
    pub queue_records_max: usize,
    /// Bytes that wait in memory, by input of a partition; one record always fits.
    #[serde(deserialize_with = "count::<_, 1_048_576, 17_179_869_184>")]
    pub queue_bytes_max: usize,
    /// First wait after an answer of the log that says nothing; doubled each time.
    #[serde(deserialize_with = "within::<_, 1, 60_000>")]
    pub backoff_first_ms: u64,
    /// Longest wait after an answer of the log that says nothing.
    #[serde(deserialize_with = "within::<_, 1, 600_000>")]
    pub backoff_max_ms: u64,
    /// How long consumed input may stay without an event that covers it.
    #[serde(deserialize_with = "within::<_, 1_000, 86_400_000>")]
    pub input_advance_ms: u64,
    /// How often an idle input is read again, should a sign of new records have been lost.
    #[serde(deserialize_with = "within::<_, 10, 60_000>")]
    pub recheck_ms: u64,
    /// Crashes on one record after which it is set aside without decoding.
    #[serde(deserialize_with = "number::<_, 1, 1_000>")]
    pub crashes_max: u32,
    /// Section keys that are kept in memory, by partition.
    #[serde(deserialize_with = "count::<_, 1, 10_000_000>")]
    pub cached_keys_max: usize,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            workers: 0,
            inflight_max: 16 * 1024,
            lag_events_max: 200_000,
            start_timeout_ms: 60_000,
            batch_events_max: 512,
            queue_records_max: 4_096,
            queue_bytes_max: 16 << 20,
            backoff_first_ms: 20,
            backoff_max_ms: 10_000,
            input_advance_ms: 600_000,
            recheck_ms: 500,
            crashes_max: 3,
            cached_keys_max: 4_096,
        }
    }
}

/// `[follow]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Follow {
    /// Threads; partition p is followed by thread p mod n.
    #[serde(deserialize_with = "count::<_, 1, 256>")]
    pub threads: usize,
    /// Frames that are read at once.
    #[serde(deserialize_with = "count::<_, 1, 65_536>")]
    pub read_frames_max: usize,
    /// Bytes that are read at once; one frame always fits.
    #[serde(deserialize_with = "count::<_, 1_024, 1_073_741_824>")]
    pub read_bytes_max: usize,
    /// Bytes of keys and values at which a batch is stored.
    #[serde(deserialize_with = "count::<_, 1_024, 1_073_741_824>")]
    pub batch_bytes_max: usize,
    /// How long a thread without work waits before it looks again without having been woken.
    #[serde(deserialize_with = "within::<_, 1, 60_000>")]
    pub poll_ms: u64,
    /// How far apart rounds begin at least, so that frames gather; a read that waits for a position waits as long.
    #[serde(deserialize_with = "within::<_, 0, 60_000>")]
    pub gather_ms: u64,
    /// First wait after a failure; doubled for each further one.
    #[serde(deserialize_with = "within::<_, 1, 60_000>")]
    pub retry_first_ms: u64,
    /// Longest wait after failures.
    #[serde(deserialize_with = "within::<_, 1, 600_000>")]
    pub retry_max_ms: u64,
    /// Names that statistics keep apart, for each of policies, actions and tenants; the rest is counted together.
    #[serde(deserialize_with = "count::<_, 1, 100_000>")]
    pub statistics_names_max: usize,
    /// Hours that statistics keep.
    #[serde(deserialize_with = "number::<_, 1, 87_600>")]
    pub statistics_hours_max: u32,
}

impl Default for Follow {
    fn default() -> Follow {
        Follow {
            threads: 1,
            read_frames_max: 256,
            read_bytes_max: 4 << 20,
            batch_bytes_max: 4 << 20,
            poll_ms: 20,
            gather_ms: 5,
            retry_first_ms: 50,
            retry_max_ms: 5_000,
            statistics_names_max: 256,
            statistics_hours_max: 24 * 90,
        }
    }
}
