//! Frozen bytes of every key and record kind, round trips, order, expiry, digest.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use domain::command::DeadLetterMark;
use domain::ids::Tenant;
use domain::state::{Answered, Key, Record, Totals};
use ledger::{ChainId, Hash, Head, LedgerId};
use policy::Mode;
use proptest::prelude::*;

use super::*;
use crate::kv::memory::MemoryKv;

fn id(byte: u8) -> [u8; 16] {
    [byte; 16]
}

fn h(byte: u8) -> [u8; 32] {
    [byte; 32]
}

fn domain(key: Key) -> StateKey {
    StateKey::Domain(key)
}

fn head() -> Head {
    Head {
        chain: ChainId { ledger_id: LedgerId(id(0xaa)), partition: 3, chain_epoch: 1 },
        next_seq: 7,
        run_head: Hash(h(0xbb)),
        writer_epoch: 2,
        closed: true,
    }
}

/// One of every kind: name in the fixture, key, record.
fn samples() -> Vec<(&'static str, StateKey, StateRecord)> {
    let answered = Record::Answered(Answered { seq: 5, mac: h(0x22), recorded_at_us: -2 });
    let topic = || "requests".to_owned();
    let d = StateRecord::Domain;
    let expiry = |at_us, key| domain(Key::Expiry(at_us, Box::new(key)));
    vec![
        ("head", StateKey::Head, StateRecord::Head { head: head(), recorded_at_us: 9, next_outcome_no: 4 }),
        ("position", StateKey::Position, StateRecord::Position(6)),
        ("input", StateKey::Input { topic: topic(), partition: 1 }, StateRecord::Input { to_offset: 8 }),
        (
            "input-origin",
            StateKey::InputOrigin { topic: topic(), partition: 1 },
            StateRecord::InputOrigin { topic_id: id(0x0c), start: 2 },
        ),
        ("period", StateKey::Period, StateRecord::Period(12)),
        (
            "totals",
            domain(Key::Totals),
            d(Record::Totals(Totals {
                permitted: 1,
                denied: 2,
                escalated: 3,
                rejected: 4,
                rerouted: 5,
                conflicted: 6,
            })),
        ),
        (
            "active-policy",
            domain(Key::ActivePolicy),
            d(Record::ActivePolicy { bundle_hash: h(0x33), mode: Mode::Paranoid, seq: 2 }),
        ),
        ("tenant", domain(Key::Tenant(Tenant::new("acme").unwrap())), d(Record::Tenant { seq: 3 })),
        ("policy-progress", domain(Key::PolicyProgress(h(0x33))), d(Record::PolicyProgress { chunks: 3, have: 2 })),
        ("policy-chunk", domain(Key::PolicyChunk(h(0x33), 1)), d(Record::PolicyChunk(b"permit".to_vec()))),
        ("schema", StateKey::Schema(Hash(h(0x44))), StateRecord::Schema { seq: 1 }),
        (
            "dek",
            StateKey::Dek { tenant: "acme".to_owned(), surrogate: id(1), class: 4, period: 12 },
            StateRecord::Dek { dek_id: id(2), commit: Hash(h(0x55)) },
        ),
        (
            "dek-counted",
            StateKey::DekCounted(id(2)),
            StateRecord::DekCounted { surrogate: id(1), commit: Hash(h(0x55)) },
        ),
        ("surrogate-live", StateKey::Surrogate(id(1)), StateRecord::Surrogate(SurrogateState::Live)),
        ("surrogate-erasing", StateKey::Surrogate(id(1)), StateRecord::Surrogate(SurrogateState::Erasing { seq: 9 })),
        ("surrogate-erased", StateKey::Surrogate(id(1)), StateRecord::Surrogate(SurrogateState::Erased { at_us: 10 })),
        ("command", domain(Key::Command(id(6))), d(Record::Command { seq: 11 })),
        ("dead-letter", domain(Key::DeadLetter(4)), d(Record::DeadLetter { mark: DeadLetterMark::Discarded, seq: 12 })),
        ("request", domain(Key::Request(h(0x11))), d(answered.clone())),
        ("conflict", domain(Key::Conflict(h(0x11), h(0x22))), d(answered)),
        ("expiry-request", expiry(1, Key::Request(h(0x11))), d(Record::Expiry)),
        ("expiry-conflict", expiry(-1, Key::Conflict(h(0x11), h(0x22))), d(Record::Expiry)),
        ("expiry-command", expiry(1, Key::Command(id(6))), d(Record::Expiry)),
    ]
}

#[test]
fn bytes_of_every_kind_are_frozen() {
    let shown: Vec<String> = samples()
        .iter()
        .map(|(name, key, record)| {
            let (key, record) = (encode_key(3, key), hex::encode(encode_record(record)));
            let record = if record.is_empty() { "-" } else { &record };
            format!("{name} {} {record}", hex::encode(key))
        })
        .collect();
    let frozen: Vec<&str> = include_str!("frozen.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(shown, frozen);
    let kinds: std::collections::BTreeSet<u8> = samples().iter().map(|(_, key, _)| key.kind()).collect();
    assert_eq!(kinds, (1..=19).collect(), "a kind has no fixture");
}

#[test]
fn the_fixture_reads_as_what_it_was_made_from() {
    for (name, key, record) in samples() {
        let bytes = encode_key(3, &key);
        assert_eq!(decode_key(&bytes), Ok((3, key.clone())), "{name}");
        let value = encode_record(&record);
        assert_eq!(decode_record(&key, &value), Some(record), "{name}");
        for cut in 0..bytes.len() {
            // Texts run to the end, so a shorter key may be another key, but never this one.
            assert_ne!(decode_key(&bytes[..cut]), Ok((3, key.clone())), "{name}");
        }
        let longer = [&value[..], &[0]].concat();
        if !matches!(key, StateKey::Domain(Key::PolicyChunk(..))) {
            assert_eq!(decode_record(&key, &longer), None, "{name}: trailing byte");
        }
        if !value.is_empty() {
            let other = [&[2], &value[1..]].concat();
            assert_eq!(decode_record(&key, &other), None, "{name}: unknown layout");
        }
    }
    let nested = Key::Expiry(1, Box::new(Key::Expiry(2, Box::new(Key::Totals))));
    assert!(decode_key(&encode_key(0, &domain(nested))).is_err());
}

fn any_key() -> impl Strategy<Value = StateKey> {
    let plain = prop_oneof![
        any::<[u8; 32]>().prop_map(Key::Request),
        any::<([u8; 32], [u8; 32])>().prop_map(|(a, b)| Key::Conflict(a, b)),
        "[a-z0-9_-]{1,64}".prop_map(|name| Key::Tenant(Tenant::new(name).unwrap())),
        Just(Key::ActivePolicy),
        any::<([u8; 32], u32)>().prop_map(|(a, b)| Key::PolicyChunk(a, b)),
        any::<[u8; 32]>().prop_map(Key::PolicyProgress),
        any::<[u8; 16]>().prop_map(Key::Command),
        any::<u64>().prop_map(Key::DeadLetter),
        Just(Key::Totals),
    ];
    let expiry = (any::<i64>(), plain.clone()).prop_map(|(at, key)| Key::Expiry(at, Box::new(key)));
    prop_oneof![
        plain.prop_map(StateKey::Domain),
        expiry.prop_map(StateKey::Domain),
        Just(StateKey::Head),
        Just(StateKey::Position),
        Just(StateKey::Period),
        (".{0,40}", any::<u32>()).prop_map(|(topic, partition)| StateKey::Input { topic, partition }),
        (".{0,40}", any::<u32>()).prop_map(|(topic, partition)| StateKey::InputOrigin { topic, partition }),
        (".{0,40}", any::<[u8; 16]>(), any::<u8>(), any::<u32>())
            .prop_map(|(tenant, surrogate, class, period)| StateKey::Dek { tenant, surrogate, class, period }),
        any::<[u8; 16]>().prop_map(StateKey::DekCounted),
        any::<[u8; 16]>().prop_map(StateKey::Surrogate),
        any::<[u8; 32]>().prop_map(|hash| StateKey::Schema(Hash(hash))),
    ]
}

fn any_head() -> impl Strategy<Value = Head> {
    (any::<[u8; 16]>(), any::<(u32, u32, u64, u32, bool)>(), any::<[u8; 32]>()).prop_map(
        |(ledger_id, (partition, chain_epoch, next_seq, writer_epoch, closed), run_head)| Head {
            chain: ChainId { ledger_id: LedgerId(ledger_id), partition, chain_epoch },
            next_seq,
            run_head: Hash(run_head),
            writer_epoch,
            closed,
        },
    )
}

/// A record that may stand under `key`.
fn record_for(key: StateKey) -> BoxedStrategy<(StateKey, StateRecord)> {
    let hash = || any::<[u8; 32]>().prop_map(Hash);
    let record: BoxedStrategy<StateRecord> = match &key {
        StateKey::Head => (any_head(), any::<(i64, u64)>())
            .prop_map(|(head, (recorded_at_us, next_outcome_no))| StateRecord::Head {
                head,
                recorded_at_us,
                next_outcome_no,
            })
            .boxed(),
        StateKey::Position => any::<u64>().prop_map(StateRecord::Position).boxed(),
        StateKey::Input { .. } => any::<u64>().prop_map(|to_offset| StateRecord::Input { to_offset }).boxed(),
        StateKey::InputOrigin { .. } => {
            any::<([u8; 16], u64)>().prop_map(|(topic_id, start)| StateRecord::InputOrigin { topic_id, start }).boxed()
        }
        StateKey::Dek { .. } => {
            (any::<[u8; 16]>(), hash()).prop_map(|(dek_id, commit)| StateRecord::Dek { dek_id, commit }).boxed()
        }
        StateKey::DekCounted(_) => (any::<[u8; 16]>(), hash())
            .prop_map(|(surrogate, commit)| StateRecord::DekCounted { surrogate, commit })
            .boxed(),
        StateKey::Surrogate(_) => prop_oneof![
            Just(SurrogateState::Live),
            any::<u64>().prop_map(|seq| SurrogateState::Erasing { seq }),
            any::<i64>().prop_map(|at_us| SurrogateState::Erased { at_us }),
        ]
        .prop_map(StateRecord::Surrogate)
        .boxed(),
        StateKey::Schema(_) => any::<u64>().prop_map(|seq| StateRecord::Schema { seq }).boxed(),
        StateKey::Period => any::<u32>().prop_map(StateRecord::Period).boxed(),
        StateKey::Domain(key) => domain_record_for(key).prop_map(StateRecord::Domain).boxed(),
    };
    record.prop_map(move |record| (key.clone(), record)).boxed()
}

fn domain_record_for(key: &Key) -> BoxedStrategy<Record> {
    let mode = prop_oneof![Just(Mode::Strict), Just(Mode::Permissive), Just(Mode::Paranoid)];
    let mark = prop_oneof![Just(DeadLetterMark::Retried), Just(DeadLetterMark::Discarded)];
    match key {
        Key::Request(_) | Key::Conflict(..) => any::<(u64, [u8; 32], i64)>()
            .prop_map(|(seq, mac, recorded_at_us)| Record::Answered(Answered { seq, mac, recorded_at_us }))
            .boxed(),
        Key::Tenant(_) => any::<u64>().prop_map(|seq| Record::Tenant { seq }).boxed(),
        Key::Command(_) => any::<u64>().prop_map(|seq| Record::Command { seq }).boxed(),
        Key::ActivePolicy => (any::<[u8; 32]>(), mode, any::<u64>())
            .prop_map(|(bundle_hash, mode, seq)| Record::ActivePolicy { bundle_hash, mode, seq })
            .boxed(),
        Key::PolicyChunk(..) => any::<Vec<u8>>().prop_map(Record::PolicyChunk).boxed(),
        Key::PolicyProgress(_) => {
            any::<(u32, u32)>().prop_map(|(chunks, have)| Record::PolicyProgress { chunks, have }).boxed()
        }
        Key::DeadLetter(_) => (mark, any::<u64>()).prop_map(|(mark, seq)| Record::DeadLetter { mark, seq }).boxed(),
        Key::Totals => any::<[u64; 6]>()
            .prop_map(|[permitted, denied, escalated, rejected, rerouted, conflicted]| {
                Record::Totals(Totals { permitted, denied, escalated, rejected, rerouted, conflicted })
            })
            .boxed(),
        Key::Expiry(..) => Just(Record::Expiry).boxed(),
    }
}

proptest! {
    #[test]
    fn keys_round_trip(partition in any::<u32>(), key in any_key()) {
        let bytes = encode_key(partition, &key);
        prop_assert!(bytes.len() <= crate::kv::KEY_BYTES_MAX);
        prop_assert_eq!(decode_key(&bytes), Ok((partition, key)));
    }

    #[test]
    fn records_round_trip((key, record) in any_key().prop_flat_map(record_for)) {
        prop_assert_eq!(decode_record(&key, &encode_record(&record)), Some(record));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        key in any_key(), kind in 0_u8..24, bytes in proptest::collection::vec(any::<u8>(), 0..120)
    ) {
        let _ = decode_record(&key, &bytes);
        let with_kind = [&[0, 0, 0, 1, kind], &bytes[..]].concat();
        if let Ok((partition, key)) = decode_key(&with_kind) {
            prop_assert_eq!(encode_key(partition, &key), with_kind);
        }
    }

    #[test]
    fn expiries_order_by_time(a in any::<i64>(), b in any::<i64>()) {
        let bytes = |at| encode_key(1, &domain(Key::Expiry(at, Box::new(Key::Totals))));
        prop_assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(&b));
    }
}

fn stored(partition: u32, content: &BTreeMap<StateKey, Option<StateRecord>>) -> MemoryKv {
    let kv = MemoryKv::new();
    let store = Store::new(&kv, partition);
    kv.write(store.changes(content.iter().map(|(key, record)| (key, record.as_ref())))).unwrap();
    kv
}

#[test]
fn what_is_written_is_read_and_what_is_removed_is_gone() {
    let content: BTreeMap<_, _> = samples().into_iter().map(|(_, key, record)| (key, Some(record))).collect();
    let kv = stored(3, &content);
    let (here, elsewhere) = (Store::new(&kv, 3), Store::new(&kv, 4));
    let keys: Vec<StateKey> = content.keys().cloned().collect();
    for (key, found) in keys.iter().zip(here.get_many(&keys).unwrap()) {
        assert_eq!(&found, &content[key]);
        assert_eq!(here.get(key).unwrap(), found);
        assert_eq!(elsewhere.get(key).unwrap(), None);
    }
    kv.write(here.changes([(&StateKey::Period, None)])).unwrap();
    assert_eq!(here.get(&StateKey::Period).unwrap(), None);
    kv.write(vec![Write::Put(Space::State, encode_key(3, &StateKey::Period), vec![1])]).unwrap();
    assert_eq!(here.get(&StateKey::Period), Err(Error::Record { kind: 4, partition: 3 }));
    kv.write(here.clear()).unwrap();
    assert_eq!(here.get_many(&keys).unwrap(), vec![None; keys.len()]);
}

#[test]
fn what_expires_comes_oldest_first_and_bounded() {
    let key = |at_us, byte| Key::Expiry(at_us, Box::new(Key::Request(h(byte))));
    let all = [key(-5, 9), key(1, 8), key(2, 1), key(2, 7), key(3, 0)];
    let content: BTreeMap<_, _> = all
        .iter()
        .map(|key| (domain(key.clone()), Some(StateRecord::Domain(Record::Expiry))))
        .chain([(StateKey::Position, Some(StateRecord::Position(1)))])
        .collect();
    let kv = stored(3, &content);
    for (before, limit, expected) in [(3, 9, 0..4), (2, 9, 0..2), (3, 3, 0..3), (-5, 9, 0..0), (i64::MAX, 9, 0..5)] {
        assert_eq!(Store::new(&kv, 3).expired(before, limit).unwrap(), all[expected], "{before} {limit}");
    }
    assert_eq!(Store::new(&kv, 2).expired(9, 9).unwrap(), []);
}

#[test]
fn the_digest_sees_every_record_but_the_position() {
    let content: BTreeMap<_, _> = samples().into_iter().map(|(_, key, record)| (key, Some(record))).collect();
    let digest_of = |content: &BTreeMap<_, _>| Store::new(&stored(3, content), 3).digest().unwrap();
    let digest = digest_of(&content);
    for key in content.keys() {
        let mut less = content.clone();
        less.remove(key);
        assert_eq!(digest_of(&less) == digest, *key == StateKey::Position, "{key:?}");
    }
    let mut changed = content.clone();
    changed.insert(StateKey::Period, Some(StateRecord::Period(13)));
    assert_ne!(digest_of(&changed), digest);
    let kv = stored(3, &content);
    kv.write(vec![place(3, 0, Position(0)), Write::Put(Space::State, vec![0, 0, 0, 4, 1], vec![])]).unwrap();
    assert_eq!(Store::new(&kv, 3).digest().unwrap(), digest, "other spaces and partitions do not count");
}

#[test]
fn a_frame_is_found_by_any_of_its_seqs() {
    let kv = MemoryKv::new();
    for (partition, first_seq, at) in [(1, 0, 0), (1, 4, 1), (1, 300, 5), (2, 2, 9)] {
        kv.write(vec![place(partition, first_seq, Position(at))]).unwrap();
    }
    kv.write(vec![head_place(1, &head())]).unwrap();
    for (partition, seq, expected) in [
        (1, 0, Some((0, 0))),
        (1, 3, Some((0, 0))),
        (1, 4, Some((4, 1))),
        (1, 299, Some((4, 1))),
        (1, u64::MAX, Some((300, 5))),
        (2, 1, None),
        (2, 2, Some((2, 9))),
        (0, 5, None),
    ] {
        let found = place_of(&kv, partition, seq).unwrap();
        let expected = expected.map(|(first_seq, at)| Place { first_seq, at: Position(at) });
        assert_eq!(found, expected, "{partition} {seq}");
    }
    for (partition, hash, expected) in [(1, h(0xbb), true), (2, h(0xbb), false), (1, h(0xbc), false)] {
        assert_eq!(was_head(&kv, partition, &Hash(hash)).unwrap(), expected);
    }
}
