//! Sealed sections, suite 1 (FORMAT.md, "Sealed section").
//!
//! Invariant: an envelope opens under one key only. The chain covers ciphertext, and AES-GCM alone would let a forger
//! make a ciphertext that two keys open to two plaintexts; so every envelope carries a commitment to its key, which is
//! compared, in constant time, before anything is decrypted. Salts are drawn by the caller, never here.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::chain::{ChainId, EventId};
use crate::codec::{Reader, Writer};
use crate::hash::{Hash, Tag, h3, tag};

/// Plaintexts are padded to a multiple of this many bytes.
pub const BUCKET_BYTES: usize = 256;
const SUITE: u8 = 1;
/// Bytes before the plaintext that say how long it is.
const LENGTH_BYTES: usize = 4;
const ENVELOPE_BYTES_FIXED: usize = 85;

/// Why a section could not be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no envelope.
    #[error("the bytes are no envelope: {0}")]
    Envelope(#[from] crate::Error),
    /// The envelope names another data key than the context.
    #[error("the envelope was sealed with another data key: look up the key that it names")]
    OtherKey,
    /// The key is not the one that the envelope commits to.
    #[error("the data key does not match the commitment of the envelope")]
    Commitment,
    /// Key and commitment agree, yet ciphertext or context do not.
    #[error("the envelope was moved or changed: ciphertext and context do not belong together")]
    Tampered,
    /// The plaintext is not padded as the format says.
    #[error("the padding is not that of the format")]
    Padding,
    /// The plaintext has 4 GiB or more.
    #[error("the plaintext is too long to be sealed")]
    TooLong,
}

/// A data key. Forgets its bytes when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Dek(pub [u8; 32]);

impl std::fmt::Debug for Dek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dek(redacted)")
    }
}

impl Dek {
    /// `H3(tag("dek-commit") ‖ DEK)`, in the ledger when the key is created.
    pub fn commit(&self) -> Hash {
        h3(&[tag(Tag::DekCommit), &self.0])
    }
}

/// What a ciphertext is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The chain of the event.
    pub chain: ChainId,
    /// The event.
    pub event_id: EventId,
    /// The section.
    pub section_tag: u16,
    /// The record schema of the event.
    pub schema_hash: Hash,
    /// The data key's id.
    pub dek_id: [u8; 16],
    /// The key period.
    pub dek_version: u32,
}

impl Context {
    /// `tag("seal-aad") ‖ ledger_id ‖ partition ‖ chain_epoch ‖ event_id ‖ section_tag ‖ schema_hash ‖ dek_id ‖ dek_version`.
    pub fn aad(&self) -> Vec<u8> {
        Writer::with_capacity(114)
            .bytes(tag(Tag::SealAad))
            .bytes(&self.chain.ledger_id.0)
            .u32(self.chain.partition)
            .u32(self.chain.chain_epoch)
            .bytes(&self.event_id.0)
            .u16(self.section_tag)
            .bytes(&self.schema_hash.0)
            .bytes(&self.dek_id)
            .u32(self.dek_version)
            .done()
    }
}

/// A sealed section as stored: `u8 suite ‖ 16 dek_id ‖ u32 dek_version ‖ 32 salt ‖ 32 commitment ‖ ciphertext`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The data key's id.
    pub dek_id: [u8; 16],
    /// The key period.
    pub dek_version: u32,
    /// Drawn anew for every section.
    pub salt: [u8; 32],
    /// What the key must derive to.
    pub commitment: [u8; 32],
    /// AES-256-GCM with its 16-byte tag at the end.
    pub ciphertext: Vec<u8>,
}

impl Envelope {
    /// The bytes of the section.
    pub fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(ENVELOPE_BYTES_FIXED + self.ciphertext.len())
            .u8(SUITE)
            .bytes(&self.dek_id)
            .u32(self.dek_version)
            .bytes(&self.salt)
            .bytes(&self.commitment)
            .bytes(&self.ciphertext)
            .done()
    }

    /// Reads the bytes of a section.
    ///
    /// # Errors
    /// When the suite is unknown or the bytes are too few.
    pub fn decode(bytes: &[u8]) -> Result<Envelope, Error> {
        let mut reader = Reader::new(bytes);
        crate::event::version("suite", reader.u8("suite")?, SUITE)?;
        Ok(Envelope {
            dek_id: reader.array("dek_id")?,
            dek_version: reader.u32("dek_version")?,
            salt: reader.array("salt")?,
            commitment: reader.array("commitment")?,
            ciphertext: reader.rest().to_vec(),
        })
    }
}

/// Key, nonce and commitment of one section, all from one derivation.
struct Derived {
    cipher: Aes256Gcm,
    nonce: [u8; 12],
    commitment: [u8; 32],
}

/// `HKDF-SHA-512(ikm = DEK, salt, info = tag("seal-hkdf"), 76 bytes)` (RFC 5869).
fn derive(dek: &Dek, salt: &[u8; 32]) -> Result<Derived, Error> {
    let mut okm = Zeroizing::new([0_u8; 76]);
    Hkdf::<Sha512>::new(Some(salt), &dek.0)
        .expand(tag(Tag::SealHkdf), okm.as_mut_slice())
        .map_err(|_| Error::TooLong)?;
    let mut reader = Reader::new(okm.as_slice());
    let key = Zeroizing::new(reader.array::<32>("key")?);
    Ok(Derived {
        cipher: Aes256Gcm::new_from_slice(key.as_slice()).map_err(|_| Error::TooLong)?,
        nonce: reader.array("nonce")?,
        commitment: reader.array("commitment")?,
    })
}

/// Seals `plaintext` for the section that `context` names. The salt must be drawn anew for every call.
///
/// # Errors
/// When the plaintext has 4 GiB or more.
pub fn seal(dek: &Dek, salt: [u8; 32], context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let derived = derive(dek, &salt)?;
    let padded = pad(plaintext)?;
    let payload = Payload { msg: &padded, aad: &context.aad() };
    let ciphertext = derived.cipher.encrypt(&Nonce::from(derived.nonce), payload).map_err(|_| Error::TooLong)?;
    let envelope = Envelope {
        dek_id: context.dek_id,
        dek_version: context.dek_version,
        salt,
        commitment: derived.commitment,
        ciphertext,
    };
    Ok(envelope.encode())
}

/// Opens the section that `context` names.
///
/// # Errors
/// When the bytes are no envelope, were sealed with another key or for another place, or were changed.
pub fn open(dek: &Dek, context: &Context, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let envelope = Envelope::decode(envelope)?;
    if (envelope.dek_id, envelope.dek_version) != (context.dek_id, context.dek_version) {
        return Err(Error::OtherKey);
    }
    let derived = derive(dek, &envelope.salt)?;
    if !bool::from(derived.commitment.ct_eq(&envelope.commitment)) {
        return Err(Error::Commitment);
    }
    let payload = Payload { msg: &envelope.ciphertext, aad: &context.aad() };
    let padded = derived.cipher.decrypt(&Nonce::from(derived.nonce), payload).map_err(|_| Error::Tampered)?;
    unpad(&Zeroizing::new(padded))
}

/// `u32 length ‖ plaintext ‖ zeros`, up to the next multiple of [`BUCKET_BYTES`].
fn pad(plaintext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let length = u32::try_from(plaintext.len()).map_err(|_| Error::TooLong)?;
    let size = (LENGTH_BYTES + plaintext.len()).next_multiple_of(BUCKET_BYTES);
    // Room for the whole at once: growing would leave a copy of the plaintext behind.
    let mut padded = Zeroizing::new(Vec::with_capacity(size));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(plaintext);
    padded.resize(size, 0);
    Ok(padded)
}

/// The plaintext; the only accepted padding is the one that `pad` makes.
fn unpad(padded: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or(Error::Padding)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Error::Padding)?;
    let (plaintext, zeros) = rest.split_at_checked(length).ok_or(Error::Padding)?;
    let size = (LENGTH_BYTES + length).next_multiple_of(BUCKET_BYTES);
    if padded.len() != size || zeros.iter().any(|byte| *byte != 0) {
        return Err(Error::Padding);
    }
    Ok(Zeroizing::new(plaintext.to_vec()))
}
