//! Dead letters: input that could not be processed, sealed and kept for a person to look at.
//!
//! Invariants: a letter is opened with the keys of the deployment alone and in its own partition alone; its key follows
//! from the key of a period, so letters are forgotten with their period like everything else. Whose data a letter holds
//! nobody can say, because nobody could read it: so it has no key of a person, and is not kept for long.
//! Deliberately not here: when a letter is staged, listed, retried or discarded.

use wire::DeadLetter;

use crate::keys::xaes::{self, NONCE_BYTES, Nonce};
use crate::keys::{Error as KeyError, Purpose, Secrets, kek_file};

const LAYOUT: u8 = 1;

/// Longest value that is kept, in bytes; of a longer one only size and place are. Leaves room for key, headers and seal
/// in a record of the log's smallest limit (1 MiB, Apache Kafka's default).
pub const VALUE_BYTES_MAX: usize = 768 * 1024;

/// A dead letter could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be written or read as a record.
    #[error("a dead letter: {0}")]
    Wire(#[from] wire::Error),
    /// Its key is missing, or does not open it.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Seals a letter for its partition in the current key period: `u8 layout = 1 | u32 period | 24 nonce |
/// XAES-256-GCM(key, nonce, tag("dead-letter") ‖ u32 period ‖ u32 partition, Avro)`, where the key is HKDF-SHA-512 of
/// the period's KEK, info `tag("dead-letter-kek")`.
///
/// # Errors
/// A number in it does not fit its field.
pub fn seal(secrets: &Secrets, partition: u32, letter: &DeadLetter, nonce: Nonce) -> Result<Vec<u8>, Error> {
    let clear = letter.encode()?;
    let period = secrets.period();
    let key = secrets.dead_letter(period)?;
    let ciphertext = xaes::seal(&key.0, &nonce, &data(period, partition), &clear).map_err(|_| KeyError::TooLong {
        what: "a dead letter",
        len: clear.len(),
        max: VALUE_BYTES_MAX,
    })?;
    let mut sealed = Vec::with_capacity(1 + 4 + NONCE_BYTES + ciphertext.len());
    sealed.push(LAYOUT);
    sealed.extend_from_slice(&period.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

/// Opens what [`seal`] made for the same partition.
///
/// # Errors
/// The key of its period is missing; the bytes were changed, moved between partitions or sealed with another key; they
/// have another layout.
pub fn open(secrets: &Secrets, partition: u32, sealed: &[u8]) -> Result<DeadLetter, Error> {
    let undecodable = |why| KeyError::Undecodable { what: "a sealed dead letter", why };
    let Some((&LAYOUT, rest)) = sealed.split_first() else {
        return Err(undecodable("its layout is not 1").into());
    };
    let Some((period, rest)) = rest.split_first_chunk() else {
        return Err(undecodable("it ends inside its period").into());
    };
    let Some((nonce, ciphertext)) = rest.split_first_chunk() else {
        return Err(undecodable("it ends inside its nonce").into());
    };
    let period = u32::from_be_bytes(*period);
    let key = secrets.dead_letter(period)?;
    let clear = xaes::open(&key.0, nonce, &data(period, partition), ciphertext)
        .map_err(|_| KeyError::Refused { what: "a dead letter", key: kek_file(period) })?;
    Ok(DeadLetter::decode(&clear)?)
}

fn data(period: u32, partition: u32) -> Vec<u8> {
    [Purpose::DeadLetter.tag(), &period.to_be_bytes(), &partition.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// Computed by another implementation (Python, `hmac` and `cryptography`, Avro by hand) from `letter()`.
    const VECTOR: &str = "01000000016262626262626262626262626262626262626262626262628ecf90c2d1161432f6ca425207f2064a2c2327bb461e5a2a6155ca16750942879a0f186352764bfd2ef022c7e2fdfacafe51994b24a412c2c9ab0501a57be3973d3f51d24f885730b42a58b9782b92d82d499ffc73c8b3858dfc8b5d107967dcfadb463beb200bc627";

    fn letter() -> DeadLetter {
        DeadLetter {
            topic: "requests".into(),
            partition: 3,
            offset: 41,
            reason_code: "undecodable".into(),
            detail: "ends inside a value".into(),
            headers: vec![("source".into(), Some(b"crm".to_vec())), ("empty".into(), None)],
            key: Some(b"key".to_vec()),
            value: Some(b"\0not avro".to_vec()),
            value_bytes: 9,
            at_us: 1_790_000_000_000_000,
        }
    }

    #[test]
    fn the_sealed_form_is_frozen_and_opens_in_its_place_alone() {
        let secrets = Secrets::in_memory(1);
        let sealed = seal(&secrets, 3, &letter(), [0x62; 24]).unwrap();
        assert_eq!(hex::encode(&sealed), VECTOR);
        assert!(open(&secrets, 3, &sealed).unwrap() == letter());
        assert!(matches!(open(&secrets, 4, &sealed), Err(Error::Keys(KeyError::Refused { .. }))), "another partition");
        assert!(
            matches!(open(&Secrets::in_memory(2), 3, &sealed), Err(Error::Keys(KeyError::Refused { .. }))),
            "another KEK"
        );
        for len in 0..sealed.len() {
            assert!(open(&secrets, 3, &sealed[..len]).is_err(), "cut to {len} bytes");
        }
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(open(&secrets, 3, &other).is_err(), "byte {at} changed");
        }
        let mut later = sealed;
        later[4] = 2;
        assert!(matches!(open(&secrets, 3, &later), Err(Error::Keys(KeyError::MissingPeriod { period: 2, .. }))));
    }

    #[test]
    fn the_largest_letter_fits_a_record() {
        let largest = DeadLetter { value: Some(vec![7; VALUE_BYTES_MAX]), headers: Vec::new(), ..letter() };
        let sealed = seal(&Secrets::in_memory(1), 3, &largest, [1; 24]).unwrap();
        assert!(sealed.len() < 1024 * 1024 - 128 * 1024, "{} bytes: room for key and headers is left", sealed.len());
        assert!(open(&Secrets::in_memory(1), 3, &sealed).unwrap() == largest);
    }
}
