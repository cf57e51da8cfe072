//! The table of metrics against a scrape, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use lexecon::telemetry::metrics::{Kind, TABLE};
use serde_json::json;

use crate::running::{Running, call, request};

/// Name without the suffix of a histogram, labels, value.
fn series(line: &str) -> (String, Vec<(String, String)>, f64) {
    let (left, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = left.split_once('{').map_or((left, ""), |(name, labels)| (name, labels.trim_end_matches('}')));
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (key, value) = label.trim_end_matches('"').split_once("=\"").unwrap();
        (key.to_owned(), value.to_owned())
    });
    (name.to_owned(), labels.collect(), value.parse().unwrap())
}

#[test]
fn every_metric_of_the_table_is_emitted_and_no_other() {
    let running = Running::start();
    let requests: Vec<serde_json::Value> =
        (0..60).map(|number| serde_json::from_str(&request(number)).unwrap()).collect();
    let dated: Vec<serde_json::Value> = requests
        .into_iter()
        .map(|mut request| {
            request["occurred_at"] = json!(jiff::Timestamp::now().to_string());
            request
        })
        .collect();
    let batch = json!({ "requests": dated }).to_string();
    assert_eq!(running.post("/v1/decisions:batch", &batch).status, 200);
    assert_eq!(running.post("/v1/decisions:batch", &batch).status, 200);
    running.post("/v1/decisions", "{");
    running.get("/nowhere/at/all");
    call(running.address, "BREW", "/v1/decisions", &[], b"");
    let scrape = running.get("/metrics");
    assert!(scrape.headers["content-type"].starts_with("text/plain"));
    let text = scrape.text();

    let table: BTreeMap<&str, _> = TABLE.iter().map(|row| (row.name, row)).collect();
    let mut seen: BTreeMap<&str, f64> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, labels, value) = series(line);
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .filter(|base| table.contains_key(base));
        let row = table.get(base.unwrap_or(&name)).unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(base.is_some(), matches!(row.kind, Kind::Histogram(_)), "{name}: is no {:?}", row.kind);
        let given: BTreeSet<&str> = labels.iter().map(|(key, _)| key.as_str()).filter(|key| *key != "le").collect();
        assert_eq!(given, row.labels.iter().map(|(key, _)| *key).collect(), "labels of {name}");
        for (key, value) in labels.iter().filter(|(key, _)| key != "le") {
            let values = row.labels.iter().find(|(name, _)| name == key).unwrap().1;
            assert!(values.allow(value), "{name}: {key}={value} is not in the table");
        }
        *seen.entry(row.name).or_default() += value.abs();
    }
    for row in TABLE {
        assert!(seen.contains_key(row.name), "{} is in the table and not in the scrape", row.name);
        assert!(text.contains(&format!("# HELP {} ", row.name)), "{} has no help", row.name);
        let kind = match row.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        assert!(text.contains(&format!("# TYPE {} {kind}", row.name)), "{} is no {kind}", row.name);
    }
    // What this traffic must have moved. The others count faults, or stand at 0 in a system at rest.
    let at_rest = [
        "lexecon_http_connections_cut_total",
        "lexecon_http_streams",
        "lexecon_http_waits_expired_total",
        "lexecon_requests_waiting",
        "lexecon_follower_lag_events",
        "lexecon_follower_lag_seconds",
        "lexecon_ledger_strays_total",
        "lexecon_appends_refused_total",
        "lexecon_process_cpu_seconds_total",
        "lexecon_dead_letters",
    ];
    for row in TABLE.iter().filter(|row| !at_rest.contains(&row.name)) {
        assert!(seen[row.name] > 0.0, "{} was not moved by traffic that should have", row.name);
    }
    let decided: f64 =
        text.lines().filter(|line| line.starts_with("lexecon_decisions_total{")).map(|line| series(line).2).sum();
    assert_eq!(decided, 60.0, "each request is counted once, repeats not again");
    let repeats: f64 =
        text.lines().filter(|line| line.starts_with("lexecon_repeats_total")).map(|line| series(line).2).sum();
    assert_eq!(repeats, 60.0);
}
