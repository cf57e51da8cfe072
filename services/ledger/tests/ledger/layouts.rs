//! Every fixed layout: the frozen vector, exact ends, closed values, and random values read back as written.

use ledger::export::{HeadEntry, decode_heads, encode_heads};
use ledger::layout::*;
use ledger::{Error, Hash};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// What every layout has; a trait of the tests, because the crate itself has no use for one.
trait Layout: Sized + PartialEq + std::fmt::Debug {
    fn write(&self) -> Result<Vec<u8>, Error>;
    fn read(bytes: &[u8]) -> Result<Self, Error>;
}

macro_rules! layouts {
    ($($name:ident)*) => {$(
        impl Layout for $name {
            fn write(&self) -> Result<Vec<u8>, Error> { self.encode() }
            fn read(bytes: &[u8]) -> Result<Self, Error> { $name::decode(bytes) }
        }
    )*};
}

layouts! {
    Facts Outcome Claim InputLost SchemaAdded InputAdvanced KeyCreated ErasureRequested ErasureKeysDestroyed
    ErasureFinal KekRolled EpochClosed PolicyPublished PolicyActivated TenantCreated CommandRefused DeadLetterMarked
}

fn round_trip(value: &impl Layout) -> Vec<u8> {
    let bytes = value.write().unwrap();
    assert_eq!(read_as(value, &bytes).as_ref(), Ok(value));
    bytes
}

fn read_as<L: Layout>(_: &L, bytes: &[u8]) -> Result<L, Error> {
    L::read(bytes)
}

fn check(vectors: &Value, name: &str, value: impl Layout) {
    let bytes = round_trip(&value);
    assert_eq!(hex::encode(&bytes), vectors["layouts"][name].as_str().unwrap(), "{name}");
    for keep in 0..bytes.len() {
        assert!(read_as(&value, &bytes[..keep]).is_err(), "{name}: first {keep} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(read_as(&value, &longer), Err(Error::Trailing { .. })), "{name}");
    let newer = [&[2], &bytes[1..]].concat();
    let unknown = Err(Error::Unknown { field: "layout", found: 2 });
    assert_eq!(read_as(&value, &newer), unknown, "{name}");
}

fn h(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn sample_facts() -> Facts {
    Facts {
        tenant: "tenant-ä".to_owned(),
        request_key: [1; 32],
        request_mac: [2; 32],
        request_commit: [3; 32],
        topic: "requests".to_owned(),
        input_partition: 4,
        input_offset: 5,
        occurred_at_us: -6,
        bundle_hash: h(7),
        engine_version: 8,
        mode: 2,
        retention_class: 9,
        legal_basis: 10,
        surrogates: vec![(0, [11; 16]), (2, [12; 16])],
        action: "send_email".to_owned(),
        amount: Some((-1999, *b"EUR")),
        flags: vec![("flag".to_owned(), "on".to_owned()), ("other".to_owned(), String::new())],
    }
}

#[test]
fn vectors_of_every_layout() {
    let vectors: Value = serde_json::from_str(include_str!("../../vectors/layouts.json")).unwrap();
    let v = &vectors;
    let text = |text: &str| text.to_owned();
    let tenant = text("default");
    let start =
        |topic: &str, id, start| InputStart { topic: topic.to_owned(), partition: 0, topic_id: [id; 16], start };
    let inputs = vec![start("commands", 2, 3), start("requests", 4, 5)];
    let origin = Some(Origin { partitions: 8, routing: ROUTING_TENANT, inputs });

    check(v, "facts", sample_facts());
    check(v, "facts_least", Facts { surrogates: Vec::new(), amount: None, flags: Vec::new(), ..sample_facts() });
    check(
        v,
        "outcome",
        Outcome {
            outcome: OUTCOME_ESCALATE,
            reason_code: 4,
            outcome_no: 13,
            policies: vec![text("a"), text("b")],
            obligations: vec![text("log")],
        },
    );
    check(v, "claim_first", Claim { writer_id: [1; 16], origin });
    check(v, "claim_later", Claim { writer_id: [1; 16], origin: None });
    check(
        v,
        "input_lost",
        InputLost { topic: text("requests"), partition: 1, from_offset: 2, to_offset: 30, cause: 4 },
    );
    check(v, "schema_added", SchemaAdded { schema_hash: h(1), document: b"{}".to_vec() });
    check(v, "input_advanced", InputAdvanced);
    check(
        v,
        "key_created",
        KeyCreated {
            tenant: tenant.clone(),
            surrogate: [0; 16],
            dek_id: [1; 16],
            class: 2,
            period: 3,
            dek_commit: h(4),
        },
    );
    check(
        v,
        "erasure_requested",
        ErasureRequested { tenant: tenant.clone(), surrogate: [1; 16], command_id: [2; 16], reason: 3 },
    );
    check(
        v,
        "erasure_keys_destroyed",
        ErasureKeysDestroyed {
            tenant: tenant.clone(),
            surrogate: [1; 16],
            key_commitments: vec![h(2), h(3)],
            event_count: 4,
            root: h(5),
        },
    );
    check(v, "erasure_final", ErasureFinal { tenant: tenant.clone(), surrogate: [1; 16], period: 2 });
    check(v, "kek_rolled", KekRolled { from_period: 1, to_period: 2 });
    check(v, "epoch_closed", EpochClosed { next_chain_epoch: 1 });
    check(
        v,
        "policy_published",
        PolicyPublished { bundle_hash: h(1), chunk_no: 0, chunks: 2, bytes: b"piece".to_vec() },
    );
    check(
        v,
        "policy_activated",
        PolicyActivated { bundle_hash: h(1), mode: 2, command_id: [3; 16], in_force_from_us: 4 },
    );
    check(v, "tenant_created", TenantCreated { tenant, command_id: [1; 16] });
    check(
        v,
        "command_refused",
        CommandRefused {
            command_id: [1; 16],
            topic: text("commands"),
            partition: 2,
            offset: 3,
            reason: 4,
            detail: text("no such tenant"),
        },
    );
    check(
        v,
        "dead_letter_marked",
        DeadLetterMarked { command_id: [1; 16], partition: 2, position: 3, mark: MARK_DISCARDED },
    );
    assert_eq!(vectors["layouts"].as_object().unwrap().len(), 19);

    let entry = |partition, last_seq, run_head| HeadEntry { partition, last_seq, run_head };
    let heads = vec![entry(0, 9, h(1)), entry(7, 0, h(2))];
    let bytes = encode_heads(&heads).unwrap();
    assert_eq!(hex::encode(&bytes), vectors["heads"].as_str().unwrap());
    assert_eq!(decode_heads(&bytes), Ok(heads));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let long = "x".repeat(256);
    let too_long = |result: Result<Vec<u8>, Error>| assert!(matches!(result, Err(Error::TooLong { .. })));
    too_long(Facts { tenant: long.clone(), ..sample_facts() }.encode());
    too_long(Facts { flags: vec![Default::default(); 256], ..sample_facts() }.encode());
    too_long(Facts { surrogates: vec![Default::default(); 65_536], ..sample_facts() }.encode());
    too_long(
        PolicyPublished { bundle_hash: h(1), chunk_no: 0, chunks: 1, bytes: vec![0; CHUNK_BYTES_MAX + 1] }.encode(),
    );
    let unknown = |result: Result<Vec<u8>, Error>| assert!(matches!(result, Err(Error::Unknown { .. })));
    unknown(
        Outcome { outcome: 4, reason_code: 0, outcome_no: 0, policies: Vec::new(), obligations: Vec::new() }.encode(),
    );
    unknown(DeadLetterMarked { command_id: [0; 16], partition: 0, position: 0, mark: 2 }.encode());
    unknown(
        Claim { writer_id: [0; 16], origin: Some(Origin { partitions: 1, routing: 2, inputs: Vec::new() }) }.encode(),
    );
    // Two encodings of one value would be two hashes of one fact.
    let mut bytes = Claim { writer_id: [0; 16], origin: None }.encode().unwrap();
    *bytes.last_mut().unwrap() = 2;
    assert!(Claim::decode(&bytes).is_err());
    let mut bytes = sample_facts().encode().unwrap();
    bytes[2] = 0xFF;
    assert_eq!(Facts::decode(&bytes), Err(Error::Text { field: "tenant" }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_facts(texts in any::<[String; 3]>(), bytes in any::<[[u8; 32]; 4]>(), numbers in any::<(u32, u64, i64, u16, [u8; 3])>(),
        surrogates in vec(any::<(u8, [u8; 16])>(), 0..20), amount in any::<Option<(i64, [u8; 3])>>(), flags in vec(any::<(String, String)>(), 0..5)) {
        let [tenant, topic, action] = texts;
        let (input_partition, input_offset, occurred_at_us, engine_version, [mode, retention_class, legal_basis]) = numbers;
        let facts = Facts {
            tenant, request_key: bytes[0], request_mac: bytes[1], request_commit: bytes[2], topic, input_partition, input_offset,
            occurred_at_us, bundle_hash: Hash(bytes[3]), engine_version, mode, retention_class, legal_basis, surrogates, action, amount, flags,
        };
        if facts.encode().is_ok() { round_trip(&facts); }
    }

    #[test]
    fn random_others(tenant in "[a-zé]{0,80}", topic in "\\PC{0,40}", id in any::<[[u8; 16]; 2]>(), hash in any::<[u8; 32]>(), numbers in any::<(u8, u16, u32, u32, u64, u64, i64)>(),
        document in vec(any::<u8>(), 0..300), texts in vec("[a-z/0-9]{0,30}", 0..6), closed in 0_u8..2) {
        let (a, b, c, d, e, f, g) = numbers;
        let [surrogate, command_id] = id;
        let hash = Hash(hash);
        round_trip(&Outcome { outcome: closed * 3, reason_code: b, outcome_no: e, policies: texts.clone(), obligations: texts.clone() });
        let inputs = texts.iter().map(|text| InputStart { topic: text.clone(), partition: c, topic_id: surrogate, start: e }).collect();
        round_trip(&Claim { writer_id: surrogate, origin: (a > 99).then_some(Origin { partitions: d, routing: closed, inputs }) });
        round_trip(&InputLost { topic: topic.clone(), partition: c, from_offset: e, to_offset: f, cause: a });
        round_trip(&SchemaAdded { schema_hash: hash, document: document.clone() });
        round_trip(&KeyCreated { tenant: tenant.clone(), surrogate, dek_id: command_id, class: a, period: c, dek_commit: hash });
        round_trip(&ErasureRequested { tenant: tenant.clone(), surrogate, command_id, reason: a });
        round_trip(&ErasureKeysDestroyed { tenant: tenant.clone(), surrogate, key_commitments: vec![hash; texts.len()], event_count: e, root: hash });
        round_trip(&ErasureFinal { tenant: tenant.clone(), surrogate, period: c });
        round_trip(&KekRolled { from_period: c, to_period: d });
        round_trip(&EpochClosed { next_chain_epoch: c });
        round_trip(&PolicyPublished { bundle_hash: hash, chunk_no: c, chunks: d, bytes: document });
        round_trip(&PolicyActivated { bundle_hash: hash, mode: a, command_id, in_force_from_us: g });
        round_trip(&TenantCreated { tenant, command_id });
        round_trip(&CommandRefused { command_id, topic: topic.clone(), partition: c, offset: e, reason: b, detail: topic });
        round_trip(&DeadLetterMarked { command_id, partition: c, position: f, mark: closed });
    }
}
