//! XAES-256-GCM: AES-256-GCM under a key derived from the first half of a 192-bit nonce
//! (C2SP, `c2sp.org/XAES-256-GCM`).
//!
//! Why not plain AES-256-GCM: its 96-bit nonce, drawn at random, is good for 2^32 messages under one key
//! (NIST SP 800-38D, 8.3). The queue key sees that many requests in five days at 10,000 a second. Here 2^80 are safe,
//! for two more AES blocks a message.
//! Deliberately not here: commitment to the key. What these boxes carry is checked in another way (a data key by its
//! commitment in the ledger), or is never hashed into the ledger.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{Block, BlockCipherEncrypt};
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;

/// A nonce: random, drawn by the caller, never used twice under one key.
pub type Nonce = [u8; NONCE_BYTES];

/// The box did not open, or the message was longer than GCM allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// Ciphertext followed by its 16-byte tag.
pub(crate) fn seal(key: &[u8; 32], nonce: &Nonce, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Failed> {
    let (cipher, rest) = derive(key, nonce);
    cipher.encrypt(&rest.into(), Payload { msg: plaintext, aad }).map_err(|_| Failed)
}

/// The plaintext, if key, nonce and `aad` are those it was sealed with and no bit was changed.
pub(crate) fn open(key: &[u8; 32], nonce: &Nonce, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let (cipher, rest) = derive(key, nonce);
    cipher.decrypt(&rest.into(), Payload { msg: sealed, aad }).map(Zeroizing::new).map_err(|_| Failed)
}

/// The cipher under the derived key, and the half of the nonce that is left for it.
fn derive(key: &[u8; 32], nonce: &Nonce) -> (Aes256Gcm, [u8; 12]) {
    let cipher = Aes256::new(key.into());
    let mut block = Block::<Aes256>::default();
    cipher.encrypt_block(&mut block);
    let k1 = double(u128::from_be_bytes(block.into()));
    let [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, rest @ ..] = *nonce;
    let mut derived = Zeroizing::new([0_u8; 32]);
    for (counter, half) in (1_u8..).zip(derived.chunks_exact_mut(16)) {
        let message = [0, counter, b'X', 0, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11];
        let mut block: Block<Aes256> = (u128::from_be_bytes(message) ^ k1).to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        half.copy_from_slice(&block);
    }
    (Aes256Gcm::new((&*derived).into()), rest)
}

/// Multiplication by x in GF(2^128), as for a CMAC subkey (NIST SP 800-38B, 6.1), in constant time.
fn double(l: u128) -> u128 {
    (l << 1) ^ (0x87 * (l >> 127))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn reproduces_the_published_vectors() {
        // c2sp.org/XAES-256-GCM, "Test vectors": one key for each value of the most significant bit of L.
        let cases: [(u8, &[u8], &str); 2] = [
            (1, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ];
        for (byte, aad, expected) in cases {
            let (key, nonce) = ([byte; 32], b"ABCDEFGHIJKLMNOPQRSTUVWX");
            let sealed = seal(&key, nonce, aad, b"XAES-256-GCM").unwrap();
            assert_eq!(hex::encode(&sealed), expected);
            assert_eq!(open(&key, nonce, aad, &sealed).unwrap().as_slice(), b"XAES-256-GCM");
        }
    }

    #[test]
    fn any_other_bit_is_refused() {
        let (key, nonce, aad) = ([7; 32], [8; 24], [9; 3]);
        let sealed = seal(&key, &nonce, &aad, b"text").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &nonce, &aad, &other), Err(Failed), "bit {bit} of the box");
        }
        for bit in 0..24 * 8 {
            let mut other = nonce;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &other, &aad, &sealed), Err(Failed), "bit {bit} of the nonce");
        }
        assert_eq!(open(&[6; 32], &nonce, &aad, &sealed), Err(Failed));
        assert_eq!(open(&key, &nonce, &[], &sealed), Err(Failed));
        assert_eq!(open(&key, &nonce, &aad, &sealed[..15]), Err(Failed));
    }
}
