//! Requests that wait in the embedded log: sealed until they are answered.
//!
//! Clear input lives only in `requests[p]`. On the embedded log nobody but this process reads that topic, so it is
//! sealed there when it is submitted and removed after the frame that answers it; a copy of the data directory without
//! the keys shows nothing of it. On a broker, where producers of all kinds write, the topic is clear and its retention
//! short. Deliberately not here: which of the two it is, and when a record is removed.

use eventlog::{NewRecord, Record, Topic};

use super::Error;
use super::secrets::{Purpose, QUEUE_FILE, Secrets};
use super::xaes::{self, NONCE_BYTES, Nonce};

/// Name of the header that marks a sealed request.
pub const SEALED_HEADER: &str = "sealed";

/// Value of [`SEALED_HEADER`]: which sealed form it is.
pub const SEALED_HEADER_VALUE: &[u8] = b"1";

const LAYOUT: u8 = 1;

/// Bytes by which a sealed request is longer than the request.
pub const OVERHEAD_BYTES: usize = 1 + NONCE_BYTES + 16;

/// Seals a framed request for the partition that it is submitted or forwarded to. The record has no key yet and the
/// header [`SEALED_HEADER`]; its value is
/// `u8 layout = 1 | 24 nonce | XAES-256-GCM(queue key, nonce, tag("queue") ‖ u32 partition, bytes)`.
///
/// # Errors
/// The request has 64 GiB or more.
pub fn seal_request(secrets: &Secrets, partition: u32, bytes: &[u8], nonce: Nonce) -> Result<NewRecord, Error> {
    let ciphertext = xaes::seal(&secrets.queue().0, &nonce, &data(partition), bytes).map_err(|_| Error::TooLong {
        what: "a request",
        len: bytes.len(),
        max: domain::request::limits::REQUEST_BYTES_MAX,
    })?;
    let mut value = Vec::with_capacity(bytes.len().saturating_add(OVERHEAD_BYTES));
    value.push(LAYOUT);
    value.extend_from_slice(&nonce);
    value.extend_from_slice(&ciphertext);
    Ok(NewRecord {
        topic: Topic::Requests,
        partition,
        key: Vec::new(),
        headers: vec![(SEALED_HEADER.to_owned(), SEALED_HEADER_VALUE.to_vec())],
        value,
    })
}

/// The framed request of a record in this partition: opened if its header says that it is sealed, else as it lies there.
///
/// # Errors
/// The bytes were changed, moved between partitions, or sealed with another key; they have another layout.
pub fn open_request(secrets: &Secrets, partition: u32, record: &Record) -> Result<Vec<u8>, Error> {
    let undecodable = |why| Error::Undecodable { what: "a sealed request", why };
    match record.headers.iter().find(|(name, _)| name == SEALED_HEADER) {
        None => return Ok(record.value.clone()),
        Some((_, value)) if value == SEALED_HEADER_VALUE => {}
        Some(_) => return Err(undecodable("its header names an unknown form")),
    }
    let Some((&LAYOUT, rest)) = record.value.split_first() else {
        return Err(undecodable("its layout is not 1"));
    };
    let Some((nonce, ciphertext)) = rest.split_first_chunk() else {
        return Err(undecodable("it ends inside its nonce"));
    };
    let opened = xaes::open(&secrets.queue().0, nonce, &data(partition), ciphertext)
        .map_err(|_| Error::Refused { what: "a sealed request", key: QUEUE_FILE.to_owned() })?;
    Ok(opened.to_vec())
}

/// Why a record was refused whose seal does not open: the detail of its event, which a replay makes again.
pub fn detail(why: &Error) -> String {
    format!("queue seal: {why}")
}

fn data(partition: u32) -> Vec<u8> {
    [Purpose::Queue.tag(), &partition.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use eventlog::Position;

    fn read(record: NewRecord) -> Record {
        record.at(Position(7), 0)
    }

    #[test]
    fn the_sealed_form_is_frozen_and_bound_to_its_partition() {
        let secrets = Secrets::in_memory(1);
        let sealed = read(seal_request(&secrets, 3, b"a request", [0x52; 24]).unwrap());
        assert_eq!(hex::encode(&sealed.value), VECTOR);
        assert_eq!(sealed.value.len(), b"a request".len() + OVERHEAD_BYTES);
        assert_eq!(sealed.headers, [("sealed".to_owned(), b"1".to_vec())]);
        assert_eq!(open_request(&secrets, 3, &sealed).unwrap(), b"a request");

        let refused = |error: Error| matches!(error, Error::Refused { .. });
        assert!(refused(open_request(&secrets, 4, &sealed).unwrap_err()), "another partition");
        assert!(refused(open_request(&Secrets::in_memory(2), 3, &sealed).unwrap_err()), "another key");
        for len in 0..sealed.value.len() {
            let cut = Record { value: sealed.value[..len].to_vec(), ..sealed.clone() };
            assert!(open_request(&secrets, 3, &cut).is_err(), "cut to {len} bytes");
        }
        for at in 0..sealed.value.len() {
            let mut other = sealed.clone();
            other.value[at] ^= 1;
            assert!(open_request(&secrets, 3, &other).is_err(), "byte {at} changed");
        }
    }

    #[test]
    fn the_header_says_whether_a_request_is_sealed() {
        let secrets = Secrets::in_memory(1);
        let clear = read(NewRecord::new(Topic::Requests, 3, *b"key", *b"clear"));
        assert_eq!(open_request(&secrets, 3, &clear).unwrap(), b"clear");
        let mut newer = read(seal_request(&secrets, 3, b"a request", [0; 24]).unwrap());
        newer.headers = vec![(SEALED_HEADER.to_owned(), b"2".to_vec())];
        assert!(matches!(open_request(&secrets, 3, &newer).unwrap_err(), Error::Undecodable { .. }));
    }

    /// Computed by another implementation (Python, `cryptography`) from the text above.
    const VECTOR: &str =
        "015252525252525252525252525252525252525252525252527418392f24939002ca5f2c894169e09fc289d9eacd930c2553";
}
