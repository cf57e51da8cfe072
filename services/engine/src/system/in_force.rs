//! Putting a chosen bundle in force on a system that may have another one in force.
//!
//! Invariants: a bundle becomes active by events of each partition and by nothing else, so a replay decides every
//! request under the bundle that was in force when it was decided; a broken bundle is refused before anything is
//! submitted, and the one in force stays.

use std::time::{Duration, Instant};

use policy::{Bundle, BundleSource};

use super::{StartError, System};

impl System {
    /// Puts this bundle in force in every partition and waits until it is. Says whether anything had to be done: a
    /// bundle whose hash is in force everywhere is not activated again.
    ///
    /// # Errors
    /// `Bundle` when it is broken, `NotRunning` when a partition did not take it in time, and what the log says.
    pub fn put_in_force(&self, source: &BundleSource, by: &str) -> Result<bool, StartError> {
        let bundle = Bundle::parse(source).map_err(|faults| {
            StartError::Bundle(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let hash = bundle.hash().0;
        if self.without(&hash).is_empty() {
            return Ok(false);
        }
        self.activate(source, by)?;
        let deadline = Instant::now() + self.settings.start_timeout;
        loop {
            let missing = self.without(&hash);
            if missing.is_empty() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                let missing = missing
                    .iter()
                    .map(|partition| format!("partition {partition}: bundle {} is not in force", bundle.hash()))
                    .collect();
                return Err(StartError::NotRunning { seconds: self.settings.start_timeout.as_secs(), missing });
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Partitions in which another bundle, or none, is in force.
    fn without(&self, hash: &[u8; 32]) -> Vec<u32> {
        let in_force =
            |partition| matches!(self.reader.active_policy(partition), Ok(Some(active)) if active.bundle_hash == *hash);
        (0..self.data.deployment().partitions).filter(|partition| !in_force(*partition)).collect()
    }
}
