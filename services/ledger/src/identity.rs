//! Keyed names of requests and subjects, and the salted commitment to a request (FORMAT.md, "Identity").
//!
//! Invariant: an unsalted, unkeyed hash of personal data appears nowhere. Identifiers are taken byte for byte as
//! given: no trimming, no case folding, no Unicode normalisation, because two systems that normalise differently would
//! make two subjects of one, or one of two. Who wants another rule applies it before calling.

use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use crate::Error;
use crate::codec::Writer;
use crate::hash::{Tag, h3, tag};

/// Bytes of a block of SHA3-256, to which HMAC pads its key.
const BLOCK_BYTES: usize = 136;

/// The index key of a tenant, with both of HMAC's hashes begun: that is half the work of a short message, and the key
/// serves many. The crate `hmac` can begin one of the two only, and none where the hash has no block interface; five in
/// a hundred of what a decision costs were spent there. All of it is wiped when dropped (the hashes by the crate's feature `zeroize`).
#[derive(Clone)]
pub struct IndexKey {
    bytes: Zeroizing<[u8; 32]>,
    inner: Sha3_256,
    outer: Sha3_256,
}

impl IndexKey {
    /// From its bytes.
    pub fn new(bytes: [u8; 32]) -> IndexKey {
        let begun = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_BYTES]);
            block.iter_mut().zip(bytes).for_each(|(to, byte)| *to ^= byte);
            Sha3_256::new_with_prefix(*block)
        };
        let (inner, outer) = (begun(0x36), begun(0x5c));
        IndexKey { bytes: Zeroizing::new(bytes), inner, outer }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// HMAC-SHA3-256 (RFC 2104, with the hash of FIPS 202).
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        self.outer.clone().chain_update(inner.finalize()).finalize().into()
    }
}

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
    Ok(key.mac(&[&message]))
}

/// `HMAC-SHA3-256(index key, tag("request-mac") ‖ request bytes)`: same body, same value.
pub fn request_mac(key: &IndexKey, request_bytes: &[u8]) -> [u8; 32] {
    key.mac(&[tag(Tag::RequestMac), request_bytes])
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
    Ok(key.mac(&[&message]))
}
