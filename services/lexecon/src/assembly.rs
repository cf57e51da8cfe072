//! The engine's settings out of the configuration: the one place where a name of the file meets a component's limit.
//!
//! Invariant: with the default configuration every component has its own defaults; a test compares them, so that the
//! documented defaults are the ones in force.

use std::time::Duration;

use domain::decide::Terms;
use engine::owner::Limits;

use crate::config::{self, Compression, Settings};

const HOUR_US: i64 = 3_600_000_000;

/// The engine's settings out of the configuration.
pub fn engine_settings(settings: &Settings) -> engine::settings::Settings {
    let defaults = engine::settings::Settings::new(settings.data.directory.clone());
    engine::settings::Settings {
        log: log(&settings.log, defaults.log),
        partitions: settings.topology.partitions,
        routing: match settings.topology.routing {
            config::Routing::Actor => domain::routing::Routing::Actor,
            config::Routing::Tenant => domain::routing::Routing::Tenant,
        },
        terms: Terms {
            dedup_retention_us: i64::try_from(settings.dedup.retention_hours)
                .unwrap_or(i64::MAX)
                .saturating_mul(HOUR_US),
            future_max_us: micros(settings.clock.future_max_ms),
        },
        limits: limits(&settings.engine),
        workers: settings.engine.workers,
        clock_max_step_us: micros(settings.clock.max_step_ms),
        inflight_max: settings.engine.inflight_max,
        lag_events_max: settings.engine.lag_events_max,
        start_timeout: Duration::from_millis(settings.engine.start_timeout_ms),
        kv: state(&settings.state),
        follow: follow(&settings.follow),
        ..defaults
    }
}

fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn log(log: &config::Log, defaults: eventlog::embedded::Settings) -> eventlog::embedded::Settings {
    eventlog::embedded::Settings {
        record_bytes_max: log.record_bytes_max,
        write_buffer_bytes: log.write_buffer_bytes,
        memory_bytes_max: log.memory_bytes_max,
        wal_bytes_max: log.wal_bytes_max,
        open_files_max: log.open_files_max,
        compression: compression(log.compression),
        compression_oldest: compression(log.compression_oldest),
        free_bytes_min: log.free_bytes_min,
        probe_every: Duration::from_millis(log.probe_ms),
        reopen_after_min: Duration::from_millis(log.reopen_first_ms),
        reopen_after_max: Duration::from_millis(log.reopen_max_ms),
        ..defaults
    }
}

fn compression(chosen: Compression) -> eventlog::embedded::Compression {
    match chosen {
        Compression::Off => eventlog::embedded::Compression::Off,
        Compression::Lz4 => eventlog::embedded::Compression::Lz4,
        Compression::Zstd => eventlog::embedded::Compression::Zstd,
    }
}

fn limits(engine: &config::Engine) -> Limits {
    Limits {
        batch_events_max: engine.batch_events_max,
        queue_records_max: engine.queue_records_max,
        queue_bytes_max: engine.queue_bytes_max,
        backoff_first_us: micros(engine.backoff_first_ms),
        backoff_max_us: micros(engine.backoff_max_ms),
        input_advance_us: micros(engine.input_advance_ms),
        recheck_us: micros(engine.recheck_ms),
        crashes_max: engine.crashes_max,
        cached_keys_max: engine.cached_keys_max,
    }
}

fn state(state: &config::State) -> engine::kv::rocks::Settings {
    engine::kv::rocks::Settings {
        block_cache_bytes: state.block_cache_bytes,
        write_buffer_bytes: state.write_buffer_bytes,
        // Ranges of the configuration are far below these types' limits.
        open_files_max: i32::try_from(state.open_files_max).unwrap_or(i32::MAX),
        background_jobs: i32::try_from(state.background_jobs).unwrap_or(i32::MAX),
        bloom_bits_per_key: u8::try_from(state.bloom_bits_per_key).unwrap_or(u8::MAX),
        write_ahead: state.write_ahead,
        write_ahead_bytes_max: state.write_ahead_bytes_max,
    }
}

fn follow(follow: &config::Follow) -> engine::follow::Settings {
    engine::follow::Settings {
        threads: follow.threads,
        read_frames_max: follow.read_frames_max,
        read_bytes_max: follow.read_bytes_max,
        batch_bytes_max: follow.batch_bytes_max,
        poll: Duration::from_millis(follow.poll_ms),
        gather: Duration::from_millis(follow.gather_ms),
        retry_min: Duration::from_millis(follow.retry_first_ms),
        retry_max: Duration::from_millis(follow.retry_max_ms),
        statistics_names_max: follow.statistics_names_max,
        statistics_hours_max: follow.statistics_hours_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_the_components_defaults() {
        let settings = Settings::default();
        let defaults = engine::settings::Settings::new(settings.data.directory.clone());
        assert_eq!(format!("{:#?}", engine_settings(&settings)), format!("{defaults:#?}"));
    }
}
