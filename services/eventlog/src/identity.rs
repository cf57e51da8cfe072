//! The identity of a partition's contents, derived from the identity of its log.
//!
//! A run of the ledger names its inputs by it, so a log that was replaced under the same name cannot pass for the old
//! one. Frozen: the first 16 bytes of SHA-256("lexecon eventlog topic id" ‖ id of the log ‖ u8 topic ‖ u32 partition).

use sha2::{Digest, Sha256};

use crate::Topic;

pub(crate) fn of(log_id: &[u8], topic: Topic, partition: u32) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"lexecon eventlog topic id");
    hash.update(log_id);
    hash.update([topic.number()]);
    hash.update(partition.to_be_bytes());
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    id
}
