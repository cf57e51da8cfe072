//! Data keys for reading: whether one counts is the ledger's word as state holds it, the key itself is the keyring's.

use std::cell::RefCell;

use crate::fold;
use crate::keys::{self, KeyState, Keyring, Secrets};
use crate::kv::Kv;
use crate::record::Keys;
use crate::store::Store;

/// Keys by state and keyring.
pub(super) struct StoredKeys<'a> {
    pub(super) kv: &'a dyn Kv,
    pub(super) secrets: &'a Secrets,
    /// What went wrong below. A key whose state cannot be read must not pass for one that does not count.
    pub(super) fault: RefCell<Option<crate::store::Error>>,
}

impl Keys for StoredKeys<'_> {
    fn dek(&self, partition: u32, dek_id: &[u8; 16]) -> Result<KeyState, keys::Error> {
        let store = Store::new(self.kv, partition);
        let standing = fold::standing(dek_id, |key| match store.get(key) {
            Ok(record) => record,
            Err(error) => {
                self.fault.replace(Some(error));
                None
            }
        });
        Keyring::new(self.kv, self.secrets, partition).state(dek_id, standing)
    }
}
