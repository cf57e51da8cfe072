//! When what is due.

use std::time::Duration;

/// An even schedule of calls, each with some requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Requests a second; 0 means as fast as the connections allow, and then every call is due when it is sent.
    pub rate: f64,
    /// Requests in one call.
    pub batch: u64,
    /// Requests in all.
    pub requests: u64,
}

impl Pace {
    /// A pace that lasts for a duration, at least one request.
    pub fn lasting(rate: f64, batch: u64, duration: Duration) -> Pace {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate times seconds, rounded, positive"
        )]
        let requests = (rate * duration.as_secs_f64()).round() as u64;
        Pace { rate, batch: batch.max(1), requests: requests.max(1) }
    }

    /// Calls in all.
    pub fn calls(&self) -> u64 {
        self.requests.div_ceil(self.batch)
    }

    /// The numbers of the requests of a call.
    pub fn requests_of(&self, call: u64) -> std::ops::Range<u64> {
        let first = call.saturating_mul(self.batch);
        first.min(self.requests)..first.saturating_add(self.batch).min(self.requests)
    }

    /// When a call is due, from the start. None without a rate.
    pub fn due(&self, call: u64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a run fit into the 52 bits of a float")]
        let requests = call.saturating_mul(self.batch) as f64;
        (self.rate > 0.0).then(|| Duration::from_secs_f64(requests / self.rate))
    }

    /// How many calls are due at a time from the start.
    pub fn due_by(&self, elapsed: Duration) -> u64 {
        if self.rate <= 0.0 {
            return self.calls();
        }
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let calls_a_second = self.rate / self.batch as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and capped by calls()")]
        let due = (elapsed.as_secs_f64() * calls_a_second) as u64 + 1;
        due.min(self.calls())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_evenly_and_cover_all_requests() {
        let check = |rate: f64, batch: u64, millis: u64, calls: u64, last_due_ms: u64| {
            let pace = Pace::lasting(rate, batch, Duration::from_millis(millis));
            assert_eq!(pace.calls(), calls, "{pace:?}");
            let covered: u64 = (0..calls).map(|call| pace.requests_of(call)).map(|r| r.end - r.start).sum();
            assert_eq!(covered, pace.requests, "{pace:?}");
            assert_eq!(pace.requests_of(calls), pace.requests..pace.requests);
            assert_eq!(pace.due(calls - 1), Some(Duration::from_millis(last_due_ms)), "{pace:?}");
            assert_eq!(pace.due_by(Duration::ZERO), 1);
            assert_eq!(pace.due_by(Duration::from_secs(3600)), calls);
            assert_eq!(pace.due_by(Duration::from_millis(last_due_ms) + Duration::from_micros(1)), calls);
        };
        check(1000.0, 1, 2000, 2000, 1999);
        check(1000.0, 50, 2000, 40, 1950);
        check(1000.0, 60, 1000, 17, 960);
        check(0.5, 1, 100, 1, 0);
    }

    #[test]
    fn without_a_rate_all_is_due_at_once() {
        let pace = Pace { rate: 0.0, batch: 1, requests: 7 };
        assert_eq!((pace.due(3), pace.due_by(Duration::ZERO)), (None, 7));
    }
}
