//! `vectors/ledger-vectors.json`: every number in it is reproduced.

use ledger::tree::{self, Algorithm};
use ledger::{Body, ChainId, Hash, Head, LedgerId, Run, SectionEntry, SectionKind, StoredEvent, accept, hash};
use serde_json::Value;

pub fn load() -> Value {
    serde_json::from_str(include_str!("../../vectors/ledger-vectors.json")).unwrap()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

pub fn hash_of(value: &Value) -> Hash {
    value.as_str().unwrap().parse().unwrap()
}

pub fn chain(vectors: &Value) -> ChainId {
    ChainId {
        ledger_id: LedgerId(bytes(&vectors["ledger_id"]).try_into().unwrap()),
        partition: vectors["partition"].as_u64().unwrap() as u32,
        chain_epoch: vectors["chain_epoch"].as_u64().unwrap() as u32,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn events_chain_and_run() {
    let vectors = load();
    let chain = chain(&vectors);
    let document = vectors["schema_document"].as_str().unwrap();
    let schema_hash = hash::schema_hash(document.as_bytes());
    assert_eq!(schema_hash, hash_of(&vectors["schema_hash"]));
    assert_eq!(chain.genesis(), hash_of(&vectors["genesis"]));

    let (mut prev_hash, mut hashes) = (chain.genesis(), Vec::new());
    for vector in list(&vectors["events"]) {
        let seq = vector["seq"].as_u64().unwrap();
        let entry = |section: &Value| {
            let content = bytes(&section["bytes"]);
            let tag = section["tag"].as_u64().unwrap() as u16;
            let kind = SectionKind::from_number(section["kind"].as_u64().unwrap() as u8).unwrap();
            let hash = hash::section_hash(tag, kind.number(), &content);
            assert_eq!(hash, hash_of(&section["hash"]));
            let length = content.len() as u64;
            (SectionEntry { tag, kind, length, hash }, content)
        };
        let sections: Vec<_> = list(&vector["sections"]).iter().map(entry).collect();
        let body = Body {
            chain,
            seq,
            writer_epoch: vectors["writer_epoch"].as_u64().unwrap() as u32,
            event_type: u16::from(seq > 0),
            event_id: chain.event_id(seq),
            recorded_at_us: 1_790_000_000_000_000 + seq as i64,
            schema_hash,
            sections: sections.iter().map(|(entry, _)| *entry).collect(),
        };
        assert_eq!(body.event_id.0.to_vec(), bytes(&vector["event_id"]));
        let encoded = body.encode().unwrap();
        assert_eq!(encoded, bytes(&vector["body"]));
        assert_eq!(Body::decode(&encoded), Ok(body));
        assert_eq!(prev_hash, hash_of(&vector["prev_hash"]));
        assert_eq!(hash::h3(&[&encoded]), hash_of(&vector["body_hash"]));

        let mut stored = [prev_hash.as_ref(), &encoded].concat();
        for (entry, content) in &sections {
            stored.extend(entry.tag.to_be_bytes());
            stored.extend(entry.length.to_be_bytes());
            stored.extend(content);
        }
        let event = StoredEvent::decode(&stored).unwrap();
        assert_eq!(event.sections_match(), Ok(()));
        assert_eq!(event.event_hash, hash_of(&vector["event_hash"]));
        prev_hash = event.event_hash;
        hashes.push(prev_hash);
    }

    let vector = &vectors["run"];
    assert_eq!(tree::root(Algorithm::H3, &hashes), hash_of(&vector["root"]));
    let run = Run::decode(&bytes(&vector["bytes"])).unwrap();
    assert_eq!(run.encode().unwrap(), bytes(&vector["bytes"]));
    assert_eq!(run.run_root, hash_of(&vector["root"]));
    assert_eq!(run.run_head(), Ok(hash_of(&vector["run_head"])));
    let path: Vec<Hash> = list(&vector["inner_path_of_event_1"]).iter().map(hash_of).collect();
    assert_eq!(tree::path(Algorithm::H3, 1, &hashes), Some(path));
}

#[test]
fn global_tree() {
    let vectors = load();
    let base64 = |value: &Value| {
        // The tree vectors are base64, as in tlog proofs; one decoder here saves a dependency.
        let digit =
            |c| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|d| *d == c);
        let mut bits = 0_u32;
        let mut out = Vec::new();
        for (at, value) in value.as_str().unwrap().bytes().filter_map(digit).enumerate() {
            bits = bits << 6 | value as u32;
            if at % 4 != 0 {
                out.push((bits >> (6 - at % 4 * 2)) as u8);
            }
        }
        Hash::from_slice(&out[..32]).unwrap()
    };
    let tree = &vectors["tree"];
    let leaves: Vec<_> = list(&tree["leaves"]).iter().map(bytes).collect();
    let path: Vec<_> = list(&tree["path_of_leaf_1"]).iter().map(base64).collect();
    assert_eq!(tree::root(Algorithm::Sha256, &leaves), base64(&tree["root"]));
    assert_eq!(tree::path(Algorithm::Sha256, 1, &leaves), Some(path));
}

#[test]
fn trees_and_paths_of_every_size_agree_with_the_recursive_definition() {
    fn recursive(algorithm: Algorithm, leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => algorithm.empty(),
            [leaf] => algorithm.leaf(leaf),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                algorithm.node(&recursive(algorithm, left), &recursive(algorithm, right))
            }
        }
    }
    for algorithm in [Algorithm::H3, Algorithm::Sha256] {
        for size in 0..40_u64 {
            let leaves: Vec<Vec<u8>> = (0..size).map(|n| n.to_be_bytes().to_vec()).collect();
            let root = tree::root(algorithm, &leaves);
            assert_eq!(root, recursive(algorithm, &leaves), "{size}");
            for (at, leaf) in leaves.iter().enumerate() {
                let mut path = tree::path(algorithm, at, &leaves).unwrap();
                let led_to = tree::root_of_path(algorithm, at as u64, size, leaf, &path);
                assert_eq!(led_to, Some(root), "{at} of {size}");
                path.push(Hash::ZERO);
                assert_eq!(tree::root_of_path(algorithm, at as u64, size, leaf, &path), None);
            }
        }
    }
}

#[test]
fn log_of_frames() {
    let vectors = load();
    let log = &vectors["log"];
    let mut head = Head::genesis(chain(&vectors));
    for entry in list(&log["frames"]) {
        let frame = bytes(&entry["frame"]);
        let accepted = accept(&head, &frame);
        assert_eq!(accepted.is_ok(), entry["accepted"].as_bool().unwrap(), "{}", entry["why"]);
        if let Ok(accepted) = accepted {
            head = accepted.head;
        }
    }
    assert_eq!(head.next_seq, log["next_seq"].as_u64().unwrap());
    assert_eq!(head.run_head, hash_of(&log["run_head"]));
    assert_eq!(u64::from(head.writer_epoch), log["writer_epoch"].as_u64().unwrap());
    assert!(!head.closed);
}
