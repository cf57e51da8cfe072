//! The code reproduces `ledger/vectors/engine.txt`, which another program computed from FORMAT.md.
//!
//! Two frames of one partition stand for what the engine writes: a claim with the record schema, then data keys and a
//! decision about the request that uses every field. Plaintexts are the fixtures under `schemas`, so that no value of
//! the vectors comes from the code that is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use domain::command::Identity;
use domain::event::{Answer, AnswerKind, RetentionClass};
use domain::ids::{ActorId, Origin, Tenant};
use domain::request::PersonRole;
use domain::routing::{Routing, RoutingKey};
use engine::keys::{KeyringRecord, NO_TENANT, Secrets, queue};
use engine::kv::memory::MemoryKv;
use engine::kv::{Kv, Space, Write};
use engine::record::{self, Material, Sealing, SectionKey};
use engine::store::Store;
use engine::{dead_letter, follow};
use eventlog::memory::{Fate, Memory, Plan};
use eventlog::{Done, Position};
use hmac::{KeyInit, Mac, SimpleHmac};
use ledger::layout::{Claim, InputStart, KeyCreated};
use ledger::seal::Dek;
use ledger::{ChainId, Frame, FrameBuilder, Head, InputRange, LedgerId, NewEvent, event_type, identity, section_tag};
use policy::{BundleSource, Mode, Outcome, ReasonCode, Severity};
use sha2::{Digest, Sha256};

pub type Vectors = BTreeMap<String, Vec<u8>>;

/// Made by the log alone, and held against the same file there.
const OF_THE_LOG: [&str; 2] = ["topic-id", "head-anchor"];
/// What is put in, and a key that never comes out; the latter has a test of its own.
const INPUTS: [&str; 4] = ["kek", "index", "queue", "index-key"];

const PARTITION: u32 = 3;
const AT_US: i64 = 1_790_000_000_000_000;
const NONCE: [u8; 32] = [9; 32];
const ORGANISATION: [u8; 16] = [0; 16];
const LEDGER_ID: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const CHAIN: ChainId = ChainId { ledger_id: LedgerId(LEDGER_ID), partition: PARTITION, chain_epoch: 0 };
const ORIGIN: Origin = Origin { topic: "requests", partition: PARTITION, offset: 0 };

/// The vectors by name.
pub fn frozen() -> Vectors {
    let lines = include_str!("../../../ledger/vectors/engine.txt").lines().filter(|line| !line.starts_with('#'));
    let vector = |line: &str| {
        let (name, digits) = line.split_once(' ').unwrap();
        (name.to_owned(), hex::decode(digits).unwrap())
    };
    lines.map(vector).collect()
}

fn fixture(subject: &str, name: &str) -> Vec<u8> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    fs::read(schemas.join(subject).join("fixtures").join(format!("{name}.v1.bin"))).unwrap()
}

/// Key files as FORMAT.md describes them, in each of the forms that it allows.
fn secrets(frozen: &Vectors) -> Secrets {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
    };
    file("kek-000001.key", &frozen["kek"]);
    file("index.key", hex::encode(&frozen["index"]).as_bytes());
    file("queue.key", format!("{}\r\n", hex::encode(&frozen["queue"])).as_bytes());
    Secrets::open(directory.path()).unwrap()
}

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

#[test]
fn the_code_reproduces_every_vector() {
    let frozen = frozen();
    let secrets = secrets(&frozen);
    let mut computed = boxes(&secrets);
    computed.extend(hashes_of_other_rooms());
    computed.extend(unread());
    computed.extend(ledger_and_read_models(&secrets));
    computed.insert("state-digest".into(), state_digest());
    for (name, bytes) in &computed {
        assert_eq!(Some(&hex::encode(bytes)), frozen.get(name).map(hex::encode).as_ref(), "{name}");
    }
    let elsewhere = OF_THE_LOG.iter().chain(&INPUTS).map(|name| (*name).to_owned());
    let reproduced: BTreeSet<String> = computed.into_keys().chain(elsewhere).collect();
    assert_eq!(reproduced, frozen.into_keys().collect(), "a vector that nothing reproduces proves nothing");
}

#[test]
fn index_keys_are_derived_as_documented() {
    let frozen = frozen();
    let mut mac = SimpleHmac::<sha3::Sha3_256>::new_from_slice(&frozen["index-key"]).unwrap();
    mac.update(ledger::hash::tag(ledger::hash::Tag::RequestMac));
    mac.update(b"a body");
    let expected: [u8; 32] = mac.finalize().into_bytes().into();
    assert_eq!(identity::request_mac(&secrets(&frozen).index_key(&acme()), b"a body"), expected);
}

fn boxes(secrets: &Secrets) -> Vectors {
    let (dek_id, dek) = ([0x21; 16], Dek([0x11; 32]));
    let wrap = |tenant| secrets.wrap(1, tenant, &dek_id, &dek, [0x22; 24]).unwrap();
    let key = KeyringRecord::Wrapped {
        dek_id,
        tenant: "acme".into(),
        surrogate: [0x31; 16],
        class: 4,
        period: 1,
        wrapped: wrap("acme"),
    };
    let row = KeyringRecord::Directory { lookup: [0x41; 32], surrogate: [0x31; 16] };
    let letter = wire::DeadLetter::decode(&fixture("dead-letter", "truncated")).unwrap();
    Vectors::from([
        ("wrapped-key".into(), wrap("acme")),
        ("wrapped-key-no-tenant".into(), wrap(NO_TENANT)),
        ("keyring-key".into(), key.encode().unwrap()),
        ("keyring-directory".into(), row.encode().unwrap()),
        ("waiting-request".into(), queue::seal_request(secrets, PARTITION, b"a request", [0x52; 24]).unwrap().value),
        ("dead-letter".into(), dead_letter::seal(secrets, PARTITION, &letter, [0x62; 24]).unwrap()),
    ])
}

fn hashes_of_other_rooms() -> Vectors {
    let (tenant, actor) = (Tenant::new("default").unwrap(), ActorId::new("agent-7").unwrap());
    let routing = |routing| RoutingKey::of(&tenant, &actor, routing).0.to_vec();
    let files = [("b/c".to_owned(), Vec::new()), ("a.txt".to_owned(), b"hello\n".to_vec())];
    let bundle = BundleSource { files: files.into() };
    Vectors::from([
        ("routing-key-actor".into(), routing(Routing::Actor)),
        ("routing-key-tenant".into(), routing(Routing::Tenant)),
        ("bundle-text".into(), bundle.encode().unwrap()),
        ("bundle-hash".into(), bundle.hash().unwrap().0.to_vec()),
        ("decision-schema-hash".into(), record::decision_schema_hash().0.to_vec()),
    ])
}

/// The key of number `n` of the vectors.
fn key(n: u8) -> SectionKey {
    SectionKey { dek_id: [0xb0 + n; 16], period: 1, dek: Dek([0xc0 + n; 32]) }
}

fn seal(answer: &Answer, material: &Material, request_bytes: &[u8], seq: u64) -> NewEvent {
    let mut salt = 0xcf;
    let sealing = Sealing {
        answer,
        origin: &ORIGIN,
        request_bytes,
        chain: CHAIN,
        seq,
        recorded_at_us: AT_US,
        outcome_no: 0,
        material,
        salts: &mut || {
            salt += 1;
            [salt; 32]
        },
    };
    record::seal_answer(sealing).unwrap().0
}

fn rejected_unread() -> Answer {
    Answer {
        kind: AnswerKind::Rejected,
        identity: Identity::UNKNOWN,
        request: None,
        outcome: None,
        reason: ReasonCode::Undecodable,
        policies: Vec::new(),
        obligations: Vec::new(),
        severity: None,
        explanation: String::new(),
        detail: "ends inside a value".into(),
        bundle_hash: [0x63; 32],
        mode: Mode::Paranoid,
        retention_class: RetentionClass::Ordinary,
        risk_score: None,
    }
}

fn unread() -> Vectors {
    let material = Material {
        nonce: NONCE,
        actor: ORGANISATION,
        on_behalf_of: None,
        subjects: Vec::new(),
        organisation: key(4),
        persons: BTreeMap::new(),
    };
    let event = seal(&rejected_unread(), &material, b"\0no request", 7);
    let clear = event.sections.into_iter().filter(|section| section.tag < section_tag::SHARED);
    clear.map(|section| (format!("unread-section-{}", section.tag), section.bytes)).collect()
}

fn decided(secrets: &Secrets, bytes: &[u8]) -> Answer {
    let request = wire::decode_request(bytes).unwrap();
    let index = secrets.index_key(&request.tenant);
    let routing = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor).record_key();
    let identity = Identity {
        key: identity::request_key(&index, &routing, request.request_id.as_str().as_bytes()).unwrap(),
        mac: identity::request_mac(&index, bytes),
    };
    Answer {
        kind: AnswerKind::Decided,
        identity,
        request: Some(request),
        outcome: Some(Outcome::Escalate),
        reason: ReasonCode::HighRiskOversight,
        policies: vec!["high-risk".into()],
        obligations: vec!["human_review".into()],
        // These, the nonce and the request are what the fixture of section 32 holds.
        severity: Some(Severity::Critical),
        explanation: "policy pay-small permits it".into(),
        detail: String::new(),
        risk_score: Some(33),
        retention_class: RetentionClass::HighRisk,
        ..rejected_unread()
    }
}

fn first_frame() -> Frame {
    let input =
        |topic: &str, partition, id| InputStart { topic: topic.to_owned(), partition, topic_id: [id; 16], start: 0 };
    let inputs = vec![input("policies", 0, 2), input("commands", PARTITION, 3), input("requests", PARTITION, 4)];
    let origin = ledger::layout::Origin { partitions: 8, routing: 0, inputs };
    let claim = Claim { writer_id: [1; 16], origin: Some(origin) };
    let mut frame = FrameBuilder::new(&Head::genesis(CHAIN), 1);
    frame.push(record::fixed(event_type::WRITER_CLAIMED, AT_US, claim.encode().unwrap())).unwrap();
    let added = record::decision_schema().encode().unwrap();
    frame.push(record::fixed(event_type::SCHEMA_ADDED, AT_US, added)).unwrap();
    frame.finish(Vec::new()).unwrap()
}

fn second_frame(secrets: &Secrets, head: &Head) -> Frame {
    let whose = [[0xa1; 16], [0xa2; 16], [0xa3; 16], [0xa4; 16], ORGANISATION];
    let roles = [PersonRole::Actor, PersonRole::OnBehalfOf, PersonRole::Subject(0), PersonRole::Subject(1)];
    let material = Material {
        nonce: NONCE,
        actor: whose[0],
        on_behalf_of: Some(whose[1]),
        subjects: vec![whose[2], whose[3]],
        organisation: key(4),
        persons: roles.into_iter().zip((0..).map(key)).collect(),
    };
    let mut frame = FrameBuilder::new(head, 1);
    for (surrogate, key) in whose.into_iter().zip((0..).map(key)) {
        let created = KeyCreated {
            tenant: "acme".into(),
            surrogate,
            dek_id: key.dek_id,
            class: 4,
            period: 1,
            dek_commit: key.dek.commit(),
        };
        frame.push(record::fixed(event_type::KEY_CREATED, AT_US, created.encode().unwrap())).unwrap();
    }
    let bytes = fixture("request", "full");
    frame.push(seal(&decided(secrets, &bytes), &material, &bytes, frame.next_seq())).unwrap();
    let consumed = InputRange {
        topic: "requests".into(),
        partition: PARTITION,
        from_offset: 0,
        to_offset: 1,
        requests: 1,
        decisions: 1,
        rejected: 0,
        non_request: 0,
    };
    frame.finish(vec![consumed]).unwrap()
}

fn ledger_and_read_models(secrets: &Secrets) -> Vectors {
    let first = first_frame();
    let second = second_frame(secrets, &first.head);
    let mut vectors = Vectors::new();
    for (name, frame) in [("first", &first), ("second", &second)] {
        vectors.insert(format!("{name}-frame-hash"), Sha256::digest(&frame.bytes).to_vec());
        vectors.insert(format!("{name}-run-head"), frame.head.run_head.0.to_vec());
    }
    assert_eq!(ledger::accept(&Head::genesis(CHAIN), &first.bytes).unwrap().head, first.head);
    let accepted = ledger::accept(&first.head, &second.bytes).unwrap();
    let answer = accepted.events.last().unwrap();
    vectors.insert("answer-body".into(), answer.body_bytes.to_vec());
    for entry in &answer.body.sections {
        vectors.insert(format!("answer-section-{}", entry.tag), answer.section(entry.tag).unwrap().to_vec());
    }
    vectors.extend(read_models([first.bytes, second.bytes]));
    vectors
}

fn read_models(frames: [Vec<u8>; 2]) -> Vectors {
    let log = Memory::new(PARTITION + 1, Plan::default());
    for (at, frame) in (0..).map(Position).zip(frames) {
        let done = log.with_state(|state| state.append(PARTITION, at, frame, Fate::Plain));
        assert_eq!(done, Done::Committed(at));
    }
    let (kv, settings) = (MemoryKv::new(), follow::Settings::default());
    let followers = follow::all(&settings);
    let rebuilt = follow::rebuild(&followers, CHAIN, None, &log, &kv, &settings, &mut |_| {}).unwrap();
    assert_eq!(rebuilt.events, 8);
    let digest = |name: &str| {
        let follower = followers.iter().find(|follower| follower.name() == name).unwrap();
        follow::digest(&**follower, PARTITION, &kv).unwrap().to_vec()
    };
    follow::NAMES.iter().map(|name| (format!("digest-{name}"), digest(name))).collect()
}

/// Of every kind of record, the position among them, which does not count.
fn state_digest() -> Vec<u8> {
    let kv = MemoryKv::new();
    for line in include_str!("../../src/store/frozen.txt").lines().filter(|line| !line.starts_with('#')) {
        let [_, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = |digits: &str| hex::decode(digits.trim_matches('-')).unwrap();
        kv.write(vec![Write::Put(Space::State, bytes(key), bytes(value))]).unwrap();
    }
    Store::new(&kv, PARTITION).digest().unwrap().to_vec()
}
