//! Start, submit, repeat, conflict, poison, restart, replay, rebuild, backup.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::{Actor, ActorKind, IdType, Request, RiskClass, Subject};
use engine::offline::Offline;
use engine::runtime::clock::wall_us;
use engine::settings::Settings;
use engine::system::{Answered, Readiness, StartError, SubmitError, Submitted, System};
use engine::view::{DecisionView, Kind};
use policy::{BundleSource, Outcome, ReasonCode};

pub fn bundle() -> BundleSource {
    let files = [
        (
            "manifest.toml",
            "format = 1\nname = \"engine\"\nversion = \"1.0.0\"\ndescription = \"all three outcomes\"\nmode = \"strict\"\nschema = \"schema.cedarschema\"\n\
             policies = [\"policies.cedar\"]\nroles = []\ndata_classes = []\n",
        ),
        (
            "schema.cedarschema",
            "type TenantFacts = {};\naction read, write, pay appliesTo { principal: [User, Agent, Model, AiSystem], resource: [Resource], context: RequestContext };\n",
        ),
        (
            "policies.cedar",
            "@id(\"readers\")\npermit (principal, action == Action::\"read\", resource);\n\
             @id(\"payers\")\npermit (principal, action == Action::\"pay\", resource);\n\
             @id(\"look-at-payments\")\n@outcome(\"escalate\")\n@severity(\"high\")\npermit (principal, action == Action::\"pay\", resource);\n",
        ),
    ];
    BundleSource { files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect() }
}

/// The same for every request, so that a repeat has the same body.
static OCCURRED: OnceLock<i64> = OnceLock::new();

pub fn request(id: &str, actor: &str, action: &str, subject: bool) -> Request {
    let person = Subject {
        id_type: IdType::Email,
        id: SubjectId::new("ada@example.org").unwrap(),
        role: Word::new("recipient").unwrap(),
        fields: BTreeMap::from([(Word::new("name").unwrap(), "Ada".to_owned())]),
    };
    Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: RequestId::new(id).unwrap(),
        actor: Actor {
            id: ActorId::new(actor).unwrap(),
            kind: ActorKind::Agent,
            model: None,
            roles: Default::default(),
            on_behalf_of: None,
        },
        action: Action::new(action).unwrap(),
        tool: None,
        resource: None,
        intent: None,
        data_classes: Default::default(),
        practice: None,
        risk_class: RiskClass::Minimal,
        risk: None,
        confidence_percent: None,
        amount: None,
        purpose: None,
        legal_basis: None,
        approval: None,
        context: Default::default(),
        subjects: if subject { vec![person] } else { Vec::new() },
        occurred_at_us: *OCCURRED.get_or_init(wall_us),
    }
}

pub fn decide(runtime: &tokio::runtime::Runtime, system: &System, request: &Request) -> Arc<DecisionView> {
    match system.submit(request).unwrap() {
        Submitted::Repeat(view) => view,
        Submitted::Pending(pending) => match runtime.block_on(pending.answer()) {
            Answered::Event(view) => view,
            other => panic!("no answer: {other:?}"),
        },
    }
}

fn start(data: &std::path::Path) -> System {
    System::start(Settings::new(data), Some(&bundle()), &[]).unwrap().0
}

#[test]
fn one_decision_from_request_to_proof() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let system = start(&data);
    assert_eq!(system.readiness(), Readiness::Ready);
    let first = decide(&runtime, &system, &request("r-1", "agent-1", "read", true));
    assert_eq!(
        (first.outcome, first.reason, first.policies.as_slice()),
        (Some(Outcome::Permit), ReasonCode::Permitted, &["readers".to_owned()][..])
    );
    assert_eq!(decide(&runtime, &system, &request("r-2", "agent-1", "pay", false)).outcome, Some(Outcome::Escalate));
    assert_eq!(decide(&runtime, &system, &request("r-3", "agent-2", "write", false)).outcome, Some(Outcome::Deny));
    // The same body again, before and after the followers know it: the same event, and all of it.
    assert_eq!(*decide(&runtime, &system, &request("r-1", "agent-1", "read", true)), *first);
    let seq = first.seq;
    system.reader().wait_for(&[(first.partition, seq)], Duration::from_secs(10)).unwrap();
    assert_eq!(system.reader().decision(&first.decision_id).unwrap().as_ref(), Some(&*first));
    assert!(
        matches!(system.submit(&request("r-1", "agent-1", "read", true)).unwrap(), Submitted::Repeat(view) if *view == *first)
    );
    let conflict = decide(&runtime, &system, &request("r-1", "agent-1", "pay", true));
    assert_eq!((conflict.kind, conflict.reason), (Kind::Conflicted, ReasonCode::Conflict));
    // Poison among good records.
    for partition in 0..8 {
        system.submit_raw(partition, b"\x00\x00\x00\x00\x01poison").unwrap();
    }
    assert_eq!(decide(&runtime, &system, &request("r-4", "agent-1", "read", false)).outcome, Some(Outcome::Permit));
    let backup = directory.path().join("backup");
    system.backup(&backup).unwrap();
    assert_eq!(system.drain(Duration::from_secs(5)), 0);

    for place in [&data, &backup] {
        let system = start(place);
        assert_eq!(
            *decide(&runtime, &system, &request("r-1", "agent-1", "read", true)),
            *first,
            "after a restart of {}",
            place.display()
        );
        assert_eq!(system.drain(Duration::from_secs(5)), 0);
        let offline = Offline::open(place).unwrap();
        let replay = offline.replay(&mut |_, _| {}).unwrap();
        assert!(replay.is_same() && replay.not_replayable.is_empty(), "{replay:?}");
        assert!(replay.reproduced >= 13, "{replay:?}");
        let rebuild = offline.rebuild(&mut |_, _| {}).unwrap();
        assert!(rebuild.parts.iter().all(|part| part.equal) && rebuild.parts.len() == 6, "{rebuild:?}");
    }
}

#[test]
fn a_directory_serves_one_process_and_one_deployment() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let system = start(&data);
    let Err(error) = System::start(Settings::new(&data), None, &[]) else { panic!("two processes on one directory") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    system.drain(Duration::from_secs(5));
    let Err(error) = System::start(Settings { partitions: 4, ..Settings::new(&data) }, None, &[]) else {
        panic!("another deployment")
    };
    assert!(
        matches!(error, StartError::DataDir(_)) && error.to_string().contains("topology.partitions is 4"),
        "{error}"
    );
    std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let Err(error) = System::start(Settings::new(directory.path()), None, &[]) else { panic!("a foreign directory") };
    assert!(error.to_string().contains("not Lexecon's"), "{error}");
}

#[test]
fn what_is_not_decided_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { inflight_max: 4, ..Settings::new(directory.path().join("data")) };
    let (system, started) = System::start(settings, Some(&bundle()), &[Tenant::new("acme").unwrap()]).unwrap();
    assert!(
        started.first_start && started.notices.iter().any(|notice| notice.contains("keys")),
        "{:?}",
        started.notices
    );
    let pending: Vec<_> =
        (0..4).map(|n| system.submit(&request(&format!("b-{n}"), "agent-1", "read", false)).unwrap()).collect();
    assert!(matches!(system.submit(&request("b-9", "agent-1", "read", false)), Err(SubmitError::Busy { limit: 4 })));
    drop(pending);
    // Nobody waits any more, but the decisions are made, and found by id.
    let deadline = Instant::now() + Duration::from_secs(10);
    let asked = request("b-3", "agent-1", "read", false);
    while system.reader().request(&asked.tenant, &asked.actor.id, &asked.request_id).unwrap().is_none() {
        assert!(Instant::now() < deadline, "b-3 was submitted and is not decided");
        std::thread::yield_now();
    }
    assert_eq!(system.drain(Duration::from_secs(5)), 0);
}
