//! Keyed names of requests and subjects, and the salted commitment to a request (FORMAT.md, "Identity").
//!
//! Invariant: an unsalted, unkeyed hash of personal data appears nowhere. Identifiers are taken byte for byte as
//! given: no trimming, no case folding, no Unicode normalisation, because two systems that normalise differently would
//! make two subjects of one, or one of two. Who wants another rule applies it before calling.

use hmac::{KeyInit, Mac, SimpleHmac};
use sha3::Sha3_256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Error;
use crate::codec::Writer;
use crate::hash::{Tag, h3, tag};

/// The index key of a tenant.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct IndexKey(pub [u8; 32]);

impl std::fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexKey(redacted)")
    }
}

/// `HMAC-SHA3-256(index key, tag("request-key") ‖ u8 len routing key ‖ u16 len request id)`: same identity, same value.
///
/// # Errors
/// When the routing key is longer than 255 bytes or the request id longer than 65,535.
pub fn request_key(key: &IndexKey, routing_key: &[u8], request_id: &[u8]) -> Result<[u8; 32], Error> {
    let message = Writer::with_capacity(32 + routing_key.len() + request_id.len())
        .bytes(tag(Tag::RequestKey))
        .count8("routing_key", routing_key.len())?
        .bytes(routing_key)
        .count16("request_id", request_id.len())?
        .bytes(request_id)
        .done();
    Ok(mac(key, &[&message]))
}

/// `HMAC-SHA3-256(index key, tag("request-mac") ‖ request bytes)`: same body, same value.
pub fn request_mac(key: &IndexKey, request_bytes: &[u8]) -> [u8; 32] {
    mac(key, &[tag(Tag::RequestMac), request_bytes])
}

/// `H3(tag("request") ‖ nonce ‖ request bytes)`; the nonce lies only inside section 32.
pub fn request_commit(nonce: &[u8; 32], request_bytes: &[u8]) -> [u8; 32] {
    h3(&[tag(Tag::Request), nonce, request_bytes]).0
}

/// `HMAC-SHA3-256(index key, tag("subject-lookup") ‖ u16 id_type ‖ u32 len ‖ identifier)`: the directory's key.
///
/// # Errors
/// When the identifier is longer than 65,535 bytes.
pub fn subject_lookup(key: &IndexKey, id_type: u16, identifier: &[u8]) -> Result<[u8; 32], Error> {
    let message = Writer::with_capacity(32 + identifier.len())
        .bytes(tag(Tag::SubjectLookup))
        .u16(id_type)
        .blob("identifier", identifier, u16::MAX.into())?
        .done();
    Ok(mac(key, &[&message]))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
fn mac(key: &IndexKey, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = SimpleHmac::<Sha3_256>::new_from_slice(&key.0).expect("any length is a key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
