//! Where the owners' state stands, for answers that are read from it and not from a read model: policies in force,
//! tenants, what was done about dead letters.
//!
//! State and its head are written together, after the commit and before anybody is told, so an answer that reads the
//! heads first reflects at least them.

use std::time::{Duration, Instant};

use super::{Error, Reader};
use crate::store::{StateKey, StateRecord, Store};

/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(2);

impl Reader {
    /// The last event of each partition that state reflects; partitions without any are left out.
    ///
    /// # Errors
    /// [`Error`].
    pub fn state_positions(&self) -> Result<Vec<(u32, u64)>, Error> {
        let mut positions = Vec::new();
        for partition in 0..self.partitions_of_deployment() {
            positions.extend(self.state_position(partition)?.map(|seq| (partition, seq)));
        }
        Ok(positions)
    }

    fn state_position(&self, partition: u32) -> Result<Option<u64>, Error> {
        Ok(match Store::new(self.kv(), partition).get(&StateKey::Head)? {
            Some(StateRecord::Head { head, .. }) => head.next_seq.checked_sub(1),
            _ => None,
        })
    }

    /// Waits until state reflects each of these events. `timeout` is for all of them together.
    ///
    /// # Errors
    /// [`Error::StateBehind`] when the time is up, [`Error::UnknownPartition`], or a fault.
    pub fn wait_for_state(&self, positions: &[(u32, u64)], timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        for (partition, wanted) in positions.iter().copied() {
            self.known(partition)?;
            loop {
                let stands = self.state_position(partition)?;
                if stands.is_some_and(|seq| seq >= wanted) {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(Error::StateBehind { partition, wanted, stands });
                }
                std::thread::park_timeout(LOOK);
            }
        }
        Ok(())
    }
}
