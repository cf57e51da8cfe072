//! The installed recorder: every metric of the table described and present, histograms with their buckets.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Label, Level, Metadata, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::metrics::{self as table, Kind, TABLE, Values};
use super::process;
use crate::config::Settings;

/// Names of limits: every setting that is a number. None can be forgotten, as none is written down twice.
pub(super) static LIMITS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names = numbers(&Settings::default()).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    names.sort();
    // Once a process, a few dozen: labels live as long as the process does.
    names.into_iter().map(|name| &*name.leak()).collect()
});

/// Every setting that is a number, by `section.key`.
fn numbers(settings: &Settings) -> Vec<(String, u64)> {
    let all = toml::Table::try_from(settings).unwrap_or_default();
    let sections = all.iter().filter_map(|(section, keys)| Some((section, keys.as_table()?)));
    let keys = sections.flat_map(|(section, keys)| keys.iter().map(move |(key, value)| (section, key, value)));
    keys.filter_map(|(section, key, value)| {
        Some((format!("{section}.{key}"), u64::try_from(value.as_integer()?).ok()?))
    })
    .collect()
}

/// What renders a scrape.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

/// Installs the recorder for this process.
///
/// # Errors
/// When another one is installed already.
pub fn install(settings: &Settings) -> Result<Recorder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for row in TABLE {
        if let Kind::Histogram(buckets) = row.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(row.name.to_owned()), buckets)?;
        }
    }
    let handle = builder.install_recorder()?;
    for row in TABLE {
        describe(row);
        begin(row, settings.topology.partitions);
    }
    limits(settings);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    gauge!(table::STARTED).set(started);
    gauge!(table::BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Recorder(handle))
}

impl Recorder {
    /// The scrape, with the process's own figures as they are now.
    pub fn render(&self) -> String {
        let now = process::read();
        gauge!(table::RESIDENT).set(precise(now.resident_bytes));
        counter!(table::CPU).absolute(now.cpu_ticks / process::TICKS_PER_SECOND);
        gauge!(table::FILES).set(precise(now.files));
        gauge!(table::THREADS).set(precise(now.threads));
        self.0.render()
    }

    /// Folds what histograms have gathered; without it their memory grows between scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// As a float; sizes and counts of a process are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "gauges are floats; what is counted stays far below 2^53")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

fn describe(row: &table::Metric) {
    metrics::with_recorder(|recorder| {
        let (name, help) = (row.name.into(), row.help.into());
        match row.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
        }
    });
}

/// Makes every series whose labels are known beforehand appear with 0.
fn begin(row: &table::Metric, partitions: u32) {
    let mut series: Vec<Vec<Label>> = vec![Vec::new()];
    for (name, values) in row.labels {
        let values: Vec<Label> = match (values, values.closed()) {
            (_, Some(values)) => values.into_iter().map(|value| Label::from_static_parts(name, value)).collect(),
            (Values::Partitions, None) => {
                (0..partitions).map(|partition| Label::new(*name, partition.to_string())).collect()
            }
            (_, None) => return,
        };
        series = series
            .iter()
            .flat_map(|labels| values.iter().map(|value| [labels.as_slice(), std::slice::from_ref(value)].concat()))
            .collect();
    }
    let metadata = Metadata::new(module_path!(), Level::INFO, None);
    for labels in series {
        let key = metrics::Key::from_parts(row.name, labels);
        metrics::with_recorder(|recorder| match row.kind {
            Kind::Counter => recorder.register_counter(&key, &metadata).increment(0),
            Kind::Gauge => recorder.register_gauge(&key, &metadata).set(0.0),
            Kind::Histogram(_) => drop(recorder.register_histogram(&key, &metadata)),
        });
    }
}

fn limits(settings: &Settings) {
    for (name, value) in numbers(settings) {
        gauge!(table::LIMIT, "name" => name).set(precise(value));
    }
}

/// A histogram's value in whole things.
pub(crate) fn observe(name: &'static str, count: usize) {
    histogram!(name).record(precise(u64::try_from(count).unwrap_or(u64::MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_every_section_are_shown() {
        for name in
            ["http.page_max", "log.wal_bytes_max", "engine.crashes_max", "state.block_cache_bytes", "follow.poll_ms"]
        {
            assert!(LIMITS.contains(&name), "{name} is missing: {:?}", *LIMITS);
        }
        assert!(!LIMITS.contains(&"http.listen"));
    }
}
