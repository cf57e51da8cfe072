//! SHA3-256 against published values, and against lengths around the block size.
//!
//! The empty message is in FIPS 202's example set; the 1600-bit message of bytes 0xA3 is NIST's published example
//! "SHA3-256_Msg1600". The others were computed with Python's hashlib (OpenSSL), an independent implementation, for
//! messages of the lengths where padding is easily got wrong: around the rate of 136 bytes.

use ledger::hash::h3;

#[test]
fn sha3_256() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../vectors/layouts.json")).unwrap();
    let published = [
        (Vec::new(), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"),
        (b"abc".to_vec(), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (vec![0xA3; 200], "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787"),
    ];
    for (message, digest) in published {
        assert_eq!(h3(&[&message]).to_string(), digest);
    }
    let computed = vectors["sha3_256"].as_array().unwrap();
    assert!(computed.len() >= 12);
    for vector in computed {
        let length = vector["length"].as_u64().unwrap();
        // Byte n of every message is 7n + 3 modulo 256.
        let message: Vec<u8> = (0..length).map(|n| ((7 * n + 3) % 256) as u8).collect();
        assert_eq!(h3(&[&message]).to_string(), vector["digest"].as_str().unwrap(), "{length}");
        let (left, right) = message.split_at(message.len() / 3);
        assert_eq!(h3(&[left, right]), h3(&[&message]), "{length}");
    }
}
