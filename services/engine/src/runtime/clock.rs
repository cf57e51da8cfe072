//! The clock that owners are given: wall time, and whether it can be trusted.
//!
//! Why: recorded time is part of the ledger for ever. A wall clock that jumps (a bad NTP server, a suspended machine, an
//! operator) would push every window and retention with it, so a jump against the monotonic clock beyond a limit makes
//! the process not ready until the clocks agree again or it is restarted.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use domain::ids::Micros;

use crate::owner::Reading;

/// Wall clock checked against the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_us: Micros,
    started: Instant,
    max_step_us: Micros,
}

impl Clock {
    /// Trusts the wall clock as it is now. `max_step_us`: how far it may drift from there.
    pub fn start(max_step_us: Micros) -> Clock {
        Clock { wall_us: wall_us(), started: Instant::now(), max_step_us }
    }

    /// Reads it.
    pub fn read(&self) -> Reading {
        self.judge(wall_us(), Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX))
    }

    fn judge(&self, wall_us: Micros, elapsed_us: Micros) -> Reading {
        let expected = self.wall_us.saturating_add(elapsed_us);
        Reading { wall_us, trusted: wall_us.abs_diff(expected) <= self.max_step_us.unsigned_abs() }
    }
}

/// Microseconds since 1970-01-01 UTC; 0 before that.
pub fn wall_us() -> Micros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| Micros::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_beyond_the_limit_is_not_trusted_until_it_is_taken_back() {
        const MAX_US: Micros = 30_000_000;
        let clock = Clock::start(MAX_US);
        let began = clock.wall_us;
        for (step_us, trusted) in
            [(0, true), (MAX_US, true), (-MAX_US, true), (MAX_US + 1, false), (-MAX_US - 1, false), (1, true)]
        {
            for elapsed_us in [0, 1, 86_400_000_000] {
                let reading = clock.judge(began + elapsed_us + step_us, elapsed_us);
                assert_eq!(reading, Reading { wall_us: began + elapsed_us + step_us, trusted }, "{step_us}");
            }
        }
        assert!(clock.read().trusted, "a clock that nobody touches");
    }
}
