//! What came back, counted: outcomes, reasons, refusals, failures, latencies.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart, an hour. Microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// What one request came to, as far as a load cares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Identity of the request as it was sent, when it had one.
    pub request_id: Option<String>,
    /// `permit`, `deny` or `escalate`; none when it was refused or nothing came.
    pub outcome: Option<String>,
    /// Why.
    pub reason_code: Option<String>,
    /// Code of the problem, or what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The part of an answer that is read: of a decision, of a problem, of a batch.
#[derive(Default, Deserialize)]
struct Body {
    outcome: Option<String>,
    reason_code: Option<String>,
    code: Option<String>,
    results: Option<Vec<Body>>,
}

impl Body {
    fn answer(self, status: u16) -> Answer {
        let refused = match (&self.outcome, self.code) {
            (Some(_), _) => None,
            (None, Some(code)) => Some(code),
            (None, None) => Some(format!("status {status}")),
        };
        Answer { request_id: None, outcome: self.outcome, reason_code: self.reason_code, refused }
    }
}

/// Reads the answers of one call of `count` requests. A refusal of the whole call is one of each of its requests.
pub fn read(status: u16, body: &[u8], count: usize, batched: bool) -> Vec<Answer> {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    match body.results {
        Some(results) if batched && status == 200 && results.len() == count => {
            results.into_iter().map(|body| body.answer(status)).collect()
        }
        Some(_) => vec![Answer { refused: Some("malformed answer".into()), ..Answer::default() }; count],
        None => vec![body.answer(status); count],
    }
}

/// Counts and latencies; those of several connections are added up.
#[derive(Debug)]
pub struct Tally {
    outcomes: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    failed: BTreeMap<&'static str, u64>,
    sent: u64,
    latency: Option<Histogram<u64>>,
    service: Option<Histogram<u64>>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Tally {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).ok();
        Tally {
            outcomes: BTreeMap::new(),
            reasons: BTreeMap::new(),
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            sent: 0,
            latency: histogram(),
            service: histogram(),
        }
    }

    /// Counts a call: what its requests came to, how long from when it was due and from when it was sent.
    pub fn call(&mut self, answers: &[Answer], since_due: Duration, since_sent: Duration) {
        for answer in answers {
            self.sent += 1;
            for (counts, value) in [(&mut self.outcomes, &answer.outcome), (&mut self.refused, &answer.refused)] {
                if let Some(value) = value {
                    count(counts, value);
                }
            }
            if let (Some(_), Some(reason)) = (&answer.outcome, &answer.reason_code) {
                count(&mut self.reasons, reason);
            }
        }
        record(&mut self.latency, since_due);
        record(&mut self.service, since_sent);
    }

    /// Counts a call that has no answer.
    pub fn failure(&mut self, requests: u64, why: &'static str) {
        self.sent += requests;
        *self.failed.entry(why).or_default() += requests;
    }

    /// Adds another one.
    pub fn add(&mut self, other: Tally) {
        for (mine, theirs) in [
            (&mut self.outcomes, other.outcomes),
            (&mut self.reasons, other.reasons),
            (&mut self.refused, other.refused),
        ] {
            theirs.into_iter().for_each(|(key, n)| *mine.entry(key).or_default() += n);
        }
        other.failed.into_iter().for_each(|(key, n)| *self.failed.entry(key).or_default() += n);
        self.sent += other.sent;
        for (mine, theirs) in [(&mut self.latency, other.latency), (&mut self.service, other.service)] {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                // Both have the same bounds, so nothing can be out of range.
                let _ = mine.add(theirs);
            }
        }
    }

    /// The figures of a run that took this long.
    pub fn report(self, planned: u64, elapsed: Duration) -> Report {
        let answered = self.outcomes.values().sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown with one digit after the point")]
        let achieved_rate = if elapsed.is_zero() { 0.0 } else { answered as f64 / elapsed.as_secs_f64() };
        Report {
            sent: self.sent,
            answered,
            outcomes: self.outcomes,
            reasons: self.reasons,
            refused: self.refused,
            failed: self.failed.into_iter().map(|(why, n)| (why.to_owned(), n)).collect(),
            not_sent: planned.saturating_sub(self.sent),
            elapsed_s: elapsed.as_secs_f64(),
            achieved_rate,
            latency: Latencies::of(self.latency.as_ref()),
            service: Latencies::of(self.service.as_ref()),
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(n) => *n += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

fn record(histogram: &mut Option<Histogram<u64>>, latency: Duration) {
    if let Some(histogram) = histogram {
        histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US).max(1));
    }
}

/// Percentiles in microseconds, of calls that were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// Half of the calls took at most this long.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p999_us: u64,
    /// All of them.
    pub max_us: u64,
}

impl Latencies {
    fn of(histogram: Option<&Histogram<u64>>) -> Latencies {
        let Some(histogram) = histogram.filter(|histogram| !histogram.is_empty()) else {
            return Latencies::default();
        };
        Latencies {
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

/// The figures of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that have an outcome.
    pub answered: u64,
    /// By outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// By reason code, of those with an outcome.
    pub reasons: BTreeMap<String, u64>,
    /// Refusals by the problem's code.
    pub refused: BTreeMap<String, u64>,
    /// Requests without an answer, by why.
    pub failed: BTreeMap<String, u64>,
    /// Requests that were due and not sent when the run ended.
    pub not_sent: u64,
    /// How long the run took, to the last answer. Seconds.
    pub elapsed_s: f64,
    /// Requests with an outcome, a second.
    pub achieved_rate: f64,
    /// From when a call was due to its answer.
    pub latency: Latencies,
    /// From when a call was sent to its answer.
    pub service: Latencies,
}

impl Report {
    /// Whether every request that was planned has an outcome.
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.failed.is_empty() && self.not_sent == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_their_order() {
        let check = |status: u16, body: &str, count: usize, batched: bool, expected: &[(&str, &str)]| {
            let found: Vec<_> = read(status, body.as_bytes(), count, batched)
                .into_iter()
                .map(|a| (a.outcome.unwrap_or_default(), a.refused.unwrap_or_default()))
                .collect();
            let found: Vec<_> = found.iter().map(|(o, r)| (o.as_str(), r.as_str())).collect();
            assert_eq!(found, expected, "{body}");
        };
        check(200, r#"{"outcome":"deny","reason_code":"x","extra":1}"#, 1, false, &[("deny", "")]);
        check(409, r#"{"code":"conflict","status":409}"#, 1, false, &[("", "conflict")]);
        check(500, "<html>", 1, false, &[("", "status 500")]);
        let results = r#"{"results":[{"outcome":"permit"},{"code":"invalid"}]}"#;
        check(200, results, 2, true, &[("permit", ""), ("", "invalid")]);
        check(200, results, 3, true, &[("", "malformed answer"); 3]);
        check(429, r#"{"code":"busy"}"#, 2, true, &[("", "busy"), ("", "busy")]);
    }

    #[test]
    fn a_report_adds_up_and_counts_what_was_not_sent() {
        let permit =
            Answer { outcome: Some("permit".into()), reason_code: Some("permitted".into()), ..Answer::default() };
        let refused = Answer { refused: Some("busy".into()), ..Answer::default() };
        let (mut one, mut two) = (Tally::new(), Tally::new());
        one.call(&[permit.clone(), refused], Duration::from_millis(20), Duration::from_millis(2));
        two.call(&[permit], Duration::from_millis(4), Duration::from_millis(4));
        two.failure(3, "no answer in time");
        one.add(two);
        let report = one.report(10, Duration::from_secs(2));
        assert_eq!((report.sent, report.answered, report.not_sent), (6, 2, 4));
        assert_eq!(report.outcomes, BTreeMap::from([("permit".into(), 2)]));
        assert_eq!(report.refused, BTreeMap::from([("busy".into(), 1)]));
        assert_eq!(report.failed, BTreeMap::from([("no answer in time".into(), 3)]));
        assert!((report.achieved_rate - 1.0).abs() < 1e-9 && !report.is_complete());
        // Three significant digits: the histogram's own error.
        assert!((20_000..20_020).contains(&report.latency.max_us) && report.service.max_us < 4_010, "{report:?}");
    }
}
