//! Sealed sections and identities: vectors, and what must not open.

use ledger::identity::{self, IndexKey};
use ledger::seal::{self, Context, Dek, Envelope, Error};
use ledger::{EventId, Hash, LedgerId};
use serde_json::Value;

use crate::vectors::{bytes, chain, load};

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn own_vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/layouts.json")).unwrap()
}

fn context() -> Context {
    Context {
        chain: chain(&load()),
        event_id: EventId([0x44; 16]),
        section_tag: 32,
        schema_hash: Hash([0x55; 32]),
        dek_id: [0x66; 16],
        dek_version: 7,
    }
}

#[test]
fn envelopes_reproduce_their_vectors() {
    let (shared, own) = (load(), own_vectors());
    let dek = Dek(array(&shared["seal"]["dek"]));
    let salt = array(&shared["seal"]["salt"]);
    assert_eq!(dek.commit().0, array(&shared["seal"]["dek_commit"]));
    assert_eq!(context().aad(), bytes(&own["seal"]["aad"]));
    for vector in own["seal"]["envelopes"].as_array().unwrap() {
        let plaintext = bytes(&vector["plaintext"]);
        let sealed = seal::seal(&dek, salt, &context(), &plaintext).unwrap();
        assert_eq!(sealed, bytes(&vector["envelope"]), "{} bytes", plaintext.len());
        let envelope = Envelope::decode(&sealed).unwrap();
        assert_eq!(envelope.commitment, array(&shared["seal"]["commitment"]));
        assert_eq!((envelope.ciphertext.len() - 16) % seal::BUCKET_BYTES, 0);
        assert_eq!(*seal::open(&dek, &context(), &sealed).unwrap(), plaintext);
    }
    assert_eq!(own["seal"]["key"], shared["seal"]["key"]);
    assert_eq!(own["seal"]["nonce"], shared["seal"]["nonce"]);
}

#[test]
fn envelopes_open_with_one_key_in_one_place_only() {
    let dek = Dek([0x11; 32]);
    let sealed = seal::seal(&dek, [0x22; 32], &context(), b"personal").unwrap();
    let open = |context: &Context| seal::open(&dek, context, &sealed).err();
    assert_eq!(open(&context()), None);
    let other_key = seal::open(&Dek([0x12; 32]), &context(), &sealed);
    assert_eq!(other_key.err(), Some(Error::Commitment));
    type Edit = fn(&mut Context);
    let edits: [(Edit, Error); 8] = [
        (|c| c.chain.ledger_id = LedgerId([9; 16]), Error::Tampered),
        (|c| c.chain.partition ^= 1, Error::Tampered),
        (|c| c.chain.chain_epoch ^= 1, Error::Tampered),
        (|c| c.event_id.0[0] ^= 1, Error::Tampered),
        (|c| c.section_tag ^= 1, Error::Tampered),
        (|c| c.schema_hash.0[0] ^= 1, Error::Tampered),
        (|c| c.dek_id[0] ^= 1, Error::OtherKey),
        (|c| c.dek_version ^= 1, Error::OtherKey),
    ];
    for (edit, expected) in edits {
        let mut moved = context();
        edit(&mut moved);
        assert_eq!(open(&moved), Some(expected), "{moved:?}");
    }
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert!(seal::open(&dek, &context(), &bad).is_err(), "byte {at}");
        assert!(seal::open(&dek, &context(), &sealed[..at]).is_err(), "first {at} bytes");
    }
    assert!(!format!("{dek:?} {:?}", IndexKey::new([0x11; 32])).contains("17"));
}

#[test]
fn identities_reproduce_their_vectors() {
    let (shared, own) = (load(), &own_vectors()["identity"]);
    let lookup = &shared["subject_lookup"];
    let key = IndexKey::new(array(&lookup["key"]));
    let id_type = lookup["id_type"].as_u64().unwrap() as u16;
    let identifier = lookup["identifier"].as_str().unwrap().as_bytes();
    let found = identity::subject_lookup(&key, id_type, identifier).unwrap();
    assert_eq!(found, array(&lookup["hmac_sha3_256"]));

    let request = bytes(&own["request_bytes"]);
    let request_key = identity::request_key(&key, b"0011223344556677", b"request-1").unwrap();
    assert_eq!(request_key, array(&own["request_key"]));
    assert_eq!(identity::request_mac(&key, &request), array(&own["request_mac"]));
    assert_eq!(identity::request_commit(&[0x77; 32], &request), array(&own["request_commit"]));

    let as_given = |identifier: &str| identity::subject_lookup(&key, 1, identifier.as_bytes()).unwrap();
    assert_eq!(as_given(" Zoë "), array(&own["lookup_as_given"]));
    assert_ne!(as_given(" Zoë "), as_given("Zoë"));
    // Lengths are hashed, so that parts cannot be moved across their border.
    let split = |routing: &[u8], id: &[u8]| identity::request_key(&key, routing, id).unwrap();
    assert_ne!(split(b"ab", b"c"), split(b"a", b"bc"));
    assert!(identity::request_key(&key, &[0; 256], b"").is_err());
}
