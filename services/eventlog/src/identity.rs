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

#[cfg(test)]
mod tests {
    use super::of;
    use crate::Topic;

    /// The vectors were computed from FORMAT.md by another program.
    const VECTORS: &str = include_str!("../../ledger/vectors/engine.txt");

    #[test]
    fn ids_are_frozen() {
        let id: String = of(&[7; 16], Topic::Requests, 3).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(VECTORS.lines().any(|line| line == format!("topic-id {id}")), "{id}");
    }
}
