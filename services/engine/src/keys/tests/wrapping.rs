//! Wrapped keys and derivations: frozen bytes, and nothing but the right key, tenant, period and id opens them.

use std::collections::BTreeSet;

use domain::ids::Tenant;
use ledger::hash::Tag;
use ledger::seal::Dek;

use crate::keys::{Error, NO_TENANT, Purpose, Secrets, WRAPPED_BYTES, tenant_or_none};

/// Computed by another implementation (Python, `hmac` and `cryptography`) from `Secrets::in_memory(1)`.
const WRAPPED: &str = "0100000001222222222222222222222222222222222222222222222222608965e6b009e98b098c246c45f71a96ecc3b48a69778acda29b1265417ccac73c4a22f92125020c73a3f961770747ed";
const WRAPPED_FOR_NO_TENANT: &str = "01000000012222222222222222222222222222222222222222222222220d6f61e18130416251e574b650bb6ee2b55122e3adef966391c4144aba58d96d96d1bf8595b4543ac93e99eedbd03097";
const INDEX_KEY: &str = "11c82bde8b6b52baefc43df6d604405047eaa1b5c8b378d1bd24b28bc8dfc459";

const ID: [u8; 16] = [0x21; 16];
const DEK: [u8; 32] = [0x11; 32];

#[test]
fn wrapped_keys_and_index_keys_are_frozen() {
    let secrets = Secrets::in_memory(1);
    for (tenant, vector) in [("acme", WRAPPED), (NO_TENANT, WRAPPED_FOR_NO_TENANT)] {
        let wrapped = secrets.wrap(1, tenant, &ID, &Dek(DEK), [0x22; 24]).unwrap();
        assert_eq!(hex::encode(&wrapped), vector, "{tenant:?}");
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(secrets.unwrap(tenant, &ID, &wrapped).unwrap().0, DEK);
    }
    let acme = Tenant::new("acme").unwrap();
    assert_eq!(hex::encode(secrets.index_key(&acme).bytes()), INDEX_KEY);
    assert_ne!(secrets.index_key(&acme).bytes(), secrets.index_key(&Tenant::new("acme2").unwrap()).bytes());
    assert_eq!((tenant_or_none(Some(&acme)), tenant_or_none(None)), ("acme", ""));
}

#[test]
fn nothing_but_the_right_key_tenant_period_and_id_opens() {
    let secrets = Secrets::in_memory(1);
    let wrapped = hex::decode(WRAPPED).unwrap();
    let refused = |what: &str, secrets: &Secrets, tenant: &str, id: &[u8; 16], bytes: &[u8]| {
        let Err(error) = secrets.unwrap(tenant, id, bytes) else { panic!("{what} opened") };
        assert!(!error.to_string().is_empty(), "{what}");
        error
    };
    let error = refused("another KEK", &Secrets::in_memory(2), "acme", &ID, &wrapped);
    assert!(matches!(&error, Error::Refused { key, .. } if key == "kek-000001.key"), "{error}");
    refused("another tenant", &secrets, "acme2", &ID, &wrapped);
    refused("no tenant", &secrets, NO_TENANT, &ID, &wrapped);
    refused("another id", &secrets, "acme", &[0x20; 16], &wrapped);
    for len in 0..wrapped.len() {
        refused("a cut key", &secrets, "acme", &ID, &wrapped[..len]);
    }
    for at in 0..wrapped.len() {
        let mut other = wrapped.clone();
        other[at] ^= 0x80;
        let error = refused("a changed key", &secrets, "acme", &ID, &other);
        let expected = match at {
            0 => matches!(error, Error::Undecodable { .. }),
            1..=4 => matches!(error, Error::MissingPeriod { .. }),
            _ => matches!(error, Error::Refused { .. }),
        };
        assert!(expected, "byte {at}: {error}");
    }
    let longer = [&wrapped[..], &[0]].concat();
    refused("a key with more bytes", &secrets, "acme", &ID, &longer);
}

#[test]
fn tags_are_well_formed_and_used_once() {
    let tags: Vec<&[u8]> =
        Purpose::ALL.iter().map(|purpose| purpose.tag()).chain(Tag::ALL.iter().map(|tag| tag.bytes())).collect();
    for tag in &tags {
        assert_eq!(usize::from(tag[0]), tag.len() - 1, "{tag:?}");
        assert!(tag[1..].starts_with(b"lexecon/v1/"), "{tag:?}");
    }
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
}

#[test]
fn secrets_do_not_show_themselves() {
    let secrets = Secrets::in_memory(1);
    let shown = format!("{secrets:?} {:?} {:?}", secrets.queue(), secrets.index_key(&Tenant::new("acme").unwrap()));
    assert!(shown.contains("redacted") && shown.contains("Secrets"), "{shown}");
    for key in [secrets.queue().0, *secrets.index_key(&Tenant::new("acme").unwrap()).bytes(), DEK] {
        assert!(!shown.contains(&hex::encode(key)));
        assert!(!shown.contains(&format!("{}, {}, {}", key[0], key[1], key[2])));
    }
}
