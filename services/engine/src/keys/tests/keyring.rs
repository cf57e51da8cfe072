//! The keyring: its records' bytes, and what its index gives back, sweeps and forgets.

use std::collections::BTreeSet;

use eventlog::{Position, Record};
use ledger::seal::Dek;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::keys::{Claim, Error, KeyState, Keyring, KeyringRecord, ORGANISATION, Removed, Secrets, Standing};
use crate::kv::memory::MemoryKv;
use crate::kv::{Kv, Space};

/// Computed by another implementation (Python); the wrapped key is the one of `wrapping`.
const WRAPPED: &str = "0101212121212121212121212121212121210461636d65313131313131313131313131313131310400000001004d0100000001222222222222222222222222222222222222222222222222608965e6b009e98b098c246c45f71a96ecc3b48a69778acda29b1265417ccac73c4a22f92125020c73a3f961770747ed";
const DIRECTORY: &str =
    "0102414141414141414141414141414141414141414141414141414141414141414131313131313131313131313131313131";

fn records() -> impl Strategy<Value = KeyringRecord> {
    let wrapped =
        (any::<[u8; 16]>(), "[a-z0-9_-]{0,64}", any::<[u8; 16]>(), any::<u8>(), any::<u32>(), vec(any::<u8>(), 0..200))
            .prop_map(|(dek_id, tenant, surrogate, class, period, wrapped)| KeyringRecord::Wrapped {
                dek_id,
                tenant,
                surrogate,
                class,
                period,
                wrapped,
            });
    let directory =
        any::<([u8; 32], [u8; 16])>().prop_map(|(lookup, surrogate)| KeyringRecord::Directory { lookup, surrogate });
    prop_oneof![wrapped, directory]
}

proptest! {
    #[test]
    fn records_are_read_as_they_were_written(record in records(), more in any::<u8>()) {
        let bytes = record.encode().unwrap();
        prop_assert!(KeyringRecord::decode(&bytes).unwrap() == record);
        for len in 0..bytes.len() {
            prop_assert!(KeyringRecord::decode(&bytes[..len]).is_err());
        }
        prop_assert!(KeyringRecord::decode(&[&bytes[..], &[more]].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_a_record_with_these_very_bytes_or_none(mut bytes in vec(any::<u8>(), 0..120), kind in 0_u8..4) {
        if let [layout, found, ..] = &mut bytes[..] {
            (*layout, *found) = (1, kind);
        }
        if let Ok(record) = KeyringRecord::decode(&bytes) {
            prop_assert_eq!(record.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn the_layouts_are_frozen() {
    let secrets = Secrets::in_memory(1);
    let wrapped = secrets.wrap(1, "acme", &[0x21; 16], &Dek([0x11; 32]), [0x22; 24]).unwrap();
    let key = KeyringRecord::Wrapped {
        dek_id: [0x21; 16],
        tenant: "acme".into(),
        surrogate: [0x31; 16],
        class: 4,
        period: 1,
        wrapped,
    };
    let row = KeyringRecord::Directory { lookup: [0x41; 32], surrogate: [0x31; 16] };
    for (record, vector) in [(key, WRAPPED), (row, DIRECTORY)] {
        assert_eq!(hex::encode(record.encode().unwrap()), vector);
        assert_eq!(KeyringRecord::decode(&hex::decode(vector).unwrap()).unwrap(), record);
        let shown = format!("{record:?}");
        assert!(!shown.contains("33, 33") && !shown.contains("65, 65") && !shown.contains("49, 49"), "{shown}");
    }
    for bad in ["", "01", "0201", "0103", "0100"] {
        assert!(matches!(KeyringRecord::decode(&hex::decode(bad).unwrap()), Err(Error::Undecodable { .. })), "{bad}");
    }
}

const ALICE: [u8; 16] = [0xa1; 16];
const BOB: [u8; 16] = [0xb0; 16];

struct Ring {
    kv: MemoryKv,
    secrets: Secrets,
}

impl Ring {
    fn new() -> Ring {
        Ring { kv: MemoryKv::new(), secrets: Secrets::in_memory(1) }
    }

    fn of(&self, partition: u32) -> Keyring<'_> {
        Keyring::new(&self.kv, &self.secrets, partition)
    }

    fn key(&self, id: u8, surrogate: [u8; 16]) -> KeyringRecord {
        let (dek_id, dek) = ([id; 16], Dek([id; 32]));
        let wrapped = self.secrets.wrap(1, "acme", &dek_id, &dek, [id; 24]).unwrap();
        KeyringRecord::Wrapped { dek_id, tenant: "acme".into(), surrogate, class: 1, period: 1, wrapped }
    }

    fn absorb(&self, partition: u32, records: &[(u64, KeyringRecord)], tail: u64) -> Position {
        let read: Vec<Record> = records
            .iter()
            .map(|(at, record)| Record {
                position: Position(*at),
                key: vec![9; 16],
                headers: Vec::new(),
                value: record.encode().unwrap(),
                appended_at_us: 0,
            })
            .collect();
        let (writes, next) = self.of(partition).absorb(&read, Position(tail)).unwrap();
        self.kv.write(writes).unwrap();
        assert_eq!(self.of(partition).cursor().unwrap(), next);
        next
    }

    fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.kv.scan(Space::Keyring, &[], &[0xff; 64], 10_000, false).unwrap()
    }

    fn sweep(&self, below: u64, limit: usize, counted: &[Claim]) -> Removed {
        let removed =
            self.of(3).orphans(Position(below), limit, |claim| Ok::<_, Error>(counted.contains(claim))).unwrap();
        self.kv.write(removed.writes.clone()).unwrap();
        removed
    }
}

fn row(lookup: u8, surrogate: [u8; 16]) -> KeyringRecord {
    KeyringRecord::Directory { lookup: [lookup; 32], surrogate }
}

fn positions(removed: &Removed) -> Vec<u64> {
    removed.positions.iter().map(|position| position.0).collect()
}

#[test]
fn the_index_gives_back_what_the_topic_holds() {
    let ring = Ring::new();
    assert_eq!(ring.of(3).cursor().unwrap(), Position(0));
    let read = [(4, row(1, ALICE)), (5, ring.key(7, ALICE)), (8, row(1, BOB)), (9, row(1, ALICE))];
    assert_eq!(ring.absorb(3, &read, 12), Position(10), "what follows may lie between");
    assert_eq!(ring.absorb(3, &[], 12), Position(12), "the rest below the watermark was removed");
    assert_eq!(ring.of(3).surrogates(&[1; 32]).unwrap(), [ALICE, BOB]);
    assert!(ring.of(3).surrogates(&[2; 32]).unwrap().is_empty());
    assert_eq!(ring.of(3).wrapped(&[7; 16]).unwrap(), [ring.key(7, ALICE)]);
    for other in [2, 4] {
        assert!(ring.of(other).surrogates(&[1; 32]).unwrap().is_empty(), "partition {other} has a keyring of its own");
        assert!(ring.of(other).wrapped(&[7; 16]).unwrap().is_empty());
        assert_eq!(ring.of(other).cursor().unwrap(), Position(0));
    }
    let garbage =
        Record { position: Position(12), key: Vec::new(), headers: Vec::new(), value: vec![1, 9], appended_at_us: 0 };
    assert!(ring.of(3).absorb(&[garbage], Position(13)).is_err());
}

#[test]
fn a_key_is_what_the_ledger_says_and_a_lost_one_is_a_fault() {
    let ring = Ring::new();
    ring.absorb(3, &[(0, ring.key(7, ALICE))], 1);
    let commit = |id: u8| Dek([id; 32]).commit().0;
    let state = |id: u8, standing| ring.of(3).state(&[id; 16], standing);
    assert!(
        matches!(state(7, Standing::Counted { commit: commit(7) }), Ok(KeyState::Live(Dek(bytes))) if bytes == [7; 32])
    );
    assert!(matches!(state(7, Standing::Never), Ok(KeyState::Never)), "a record alone does not count");
    assert!(matches!(state(7, Standing::Restricted), Ok(KeyState::Restricted)));
    assert!(
        matches!(state(7, Standing::Erased { at_us: 5 }), Ok(KeyState::Erased { at_us: 5 })),
        "though its record is still there"
    );
    assert!(matches!(state(8, Standing::Erased { at_us: 5 }), Ok(KeyState::Erased { at_us: 5 })));
    assert!(
        matches!(state(8, Standing::Counted { commit: commit(8) }), Ok(KeyState::Missing)),
        "no key and no erasure"
    );
    assert!(matches!(state(7, Standing::Counted { commit: commit(9) }), Err(Error::Uncommitted)));
    let other = Secrets::in_memory(2);
    let wrong = Keyring::new(&ring.kv, &other, 3).state(&[7; 16], Standing::Counted { commit: commit(7) });
    assert!(matches!(wrong, Err(Error::Refused { .. })), "a wrong KEK is not a missing key");

    // A copy that was tampered with does not hide a good one.
    let KeyringRecord::Wrapped { mut wrapped, .. } = ring.key(7, ALICE) else { unreachable!() };
    wrapped[40] ^= 1;
    let forged = KeyringRecord::Wrapped {
        dek_id: [7; 16],
        tenant: "acme".into(),
        surrogate: ALICE,
        class: 1,
        period: 1,
        wrapped,
    };
    for at in [1, 2] {
        ring.absorb(3, &[(at, forged.clone())], at + 1);
    }
    assert!(matches!(state(7, Standing::Counted { commit: commit(7) }), Ok(KeyState::Live(_))));
}

#[test]
fn only_what_does_not_count_and_lies_below_the_watermark_is_swept() {
    let ring = Ring::new();
    let read =
        [(0, row(1, ALICE)), (1, ring.key(7, ALICE)), (2, row(2, BOB)), (3, ring.key(8, BOB)), (4, ring.key(9, ALICE))];
    ring.absorb(3, &read, 5);
    ring.kv.write(ring.of(3).index(&ring.key(7, ALICE), Position(1)).unwrap()).unwrap();
    let counted = [Claim::Surrogate(ALICE), Claim::Dek([7; 16])];
    let first = ring.sweep(4, 3, &counted);
    assert_eq!((positions(&first), first.more), (vec![2], true));
    let second = ring.sweep(4, 3, &counted);
    assert_eq!((positions(&second), second.more), (vec![3], false), "what counts is not looked at again");
    assert_eq!(ring.sweep(4, 3, &[]), Removed::default(), "nothing is left below the watermark");
    assert_eq!(ring.of(3).surrogates(&[1; 32]).unwrap(), [ALICE]);
    assert_eq!(ring.of(3).wrapped(&[7; 16]).unwrap().len(), 1);
    assert!(ring.of(3).surrogates(&[2; 32]).unwrap().is_empty());
    assert!(ring.of(3).wrapped(&[8; 16]).unwrap().is_empty());
    assert_eq!(ring.of(3).wrapped(&[9; 16]).unwrap().len(), 1, "it lies above: its frame may be on its way");
    assert_eq!(positions(&ring.sweep(5, 3, &counted)), [4]);
}

#[test]
fn a_person_leaves_no_row_behind() {
    let ring = Ring::new();
    let read =
        [(0, row(1, ALICE)), (1, ring.key(7, ALICE)), (2, row(2, BOB)), (3, ring.key(8, BOB)), (4, row(1, ALICE))];
    ring.absorb(3, &read, 5);
    ring.absorb(4, &read[..1], 1);
    let removed = ring.of(3).remove(&ALICE).unwrap();
    assert_eq!(positions(&removed), [0, 1, 4]);
    ring.kv.write(removed.writes).unwrap();
    let needles: [&[u8]; 3] = [&ALICE, &[1; 32], &[7; 16]];
    let partitions: BTreeSet<Vec<u8>> = ring
        .rows()
        .into_iter()
        .filter(|(key, value)| {
            needles
                .iter()
                .any(|needle| [key, value].iter().any(|bytes| bytes.windows(needle.len()).any(|at| at == *needle)))
        })
        .map(|(key, _)| key[..4].to_vec())
        .collect();
    assert_eq!(partitions, BTreeSet::from([4_u32.to_be_bytes().to_vec()]), "another partition's keyring is its own");
    assert_eq!(ring.of(3).surrogates(&[2; 32]).unwrap(), [BOB]);
    assert!(matches!(ring.of(3).remove(&ORGANISATION), Err(Error::Organisation)));
}
