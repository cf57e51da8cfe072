//! Routing: which partition a request belongs to.
//!
//! Invariants: the key is a pure function of tenant, actor and the deployment's routing; the partition is what
//! Kafka's Java client computes for that key, so that producers in any language land where we look. No name travels
//! in a key: eight bytes of a hash are pseudonymous, not anonymous, and the documentation says so.
//! Under [`Routing::Tenant`] the hashed text is the tenant alone, without the separator: no tenant's name holds a
//! zero byte, so no actor's key under the other routing is the hash of the same text.
//! Deliberately not here: where the number of partitions comes from (the first claim of each partition).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::{ActorId, Tenant};

/// What shares a partition. Set once for a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Routing {
    /// The requests of one actor of one tenant.
    #[default]
    Actor,
    /// The requests of one tenant, so that windows by tenant are exact.
    Tenant,
}

impl Routing {
    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Routing::Actor => "actor",
            Routing::Tenant => "tenant",
        }
    }

    /// The number persisted in the first claim of a partition.
    pub fn number(self) -> u8 {
        match self {
            Routing::Actor => 0,
            Routing::Tenant => 1,
        }
    }

    /// The routing with this persisted number.
    pub fn from_number(number: u8) -> Option<Routing> {
        match number {
            0 => Some(Routing::Actor),
            1 => Some(Routing::Tenant),
            _ => None,
        }
    }
}

/// The first 8 bytes of SHA-256 over tenant, a zero byte and actor id (over the tenant alone under
/// [`Routing::Tenant`]). Displays as 16 lower-case hexadecimal digits: the record key on the requests topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutingKey(pub [u8; 8]);

impl RoutingKey {
    /// The key of what `actor` of `tenant` asks.
    pub fn of(tenant: &Tenant, actor: &ActorId, routing: Routing) -> RoutingKey {
        let mut hash = Sha256::new();
        hash.update(tenant.as_str());
        if routing == Routing::Actor {
            hash.update([0]);
            hash.update(actor.as_str());
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        RoutingKey([a, b, c, d, e, f, g, h])
    }

    /// The record key: the bytes of the hexadecimal text.
    pub fn record_key(&self) -> [u8; 16] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let mut key = [0; 16];
        for (pair, byte) in key.chunks_exact_mut(2).zip(self.0) {
            let digits = [DIGITS.get(usize::from(byte >> 4)), DIGITS.get(usize::from(byte & 15))];
            for (place, digit) in pair.iter_mut().zip(digits.into_iter().flatten()) {
                *place = *digit;
            }
        }
        key
    }

    /// The partition of this key among `partitions`, as `org.apache.kafka.clients.producer` picks it:
    /// `toPositive(murmur2(key)) % partitions`. With no partitions, 0.
    pub fn partition(&self, partitions: u32) -> u32 {
        (murmur2(&self.record_key()) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
    }
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// MurmurHash2, 32 bits, with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Java's length is an int; keys here are 16 bytes, and longer than i32::MAX cannot be a record key.
    let mut h = SEED ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        let mut k = word.iter().rev().fold(0, |k: u32, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        h ^= rest.iter().rev().fold(0, |k: u32, byte| (k << 8) | u32::from(*byte));
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_kafkas() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (text, expected) in vectors {
            assert_eq!(murmur2(text.as_bytes()), expected.cast_unsigned(), "{text}");
        }
    }

    #[test]
    fn keys_are_the_documented_hash() -> Result<(), crate::ids::BadName> {
        let (tenant, actor) = (Tenant::new("default")?, ActorId::new("agent-7")?);
        // printf 'default\0agent-7' | sha256sum; printf 'default' | sha256sum
        for (routing, hex) in [(Routing::Actor, ACTOR_KEY), (Routing::Tenant, TENANT_KEY)] {
            let key = RoutingKey::of(&tenant, &actor, routing);
            assert_eq!(key.to_string(), hex);
            assert_eq!(key.record_key(), hex.as_bytes());
            assert!((1..64).all(|n| key.partition(n) == (murmur2(hex.as_bytes()) & 0x7fff_ffff) % n));
        }
        assert_eq!(
            RoutingKey::of(&tenant, &actor, Routing::Tenant),
            RoutingKey::of(&tenant, &ActorId::new("x")?, Routing::Tenant)
        );
        Ok(())
    }

    const ACTOR_KEY: &str = "28ed9e597287d651";
    const TENANT_KEY: &str = "37a8eec1ce19687d";
}
