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
        let wall_us = wall_us();
        let elapsed = Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX);
        let expected = self.wall_us.saturating_add(elapsed);
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
