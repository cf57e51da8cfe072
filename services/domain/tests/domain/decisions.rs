//! Given what the ledger holds, when a command comes, then this is recorded: one table, through `decide` and `evolve`.

use domain::command::{Command, DeadLetterMark, Identity, Placement, Proposal, Refusal};
use domain::decide::{Decision, Terms, decide, reads};
use domain::event::{AnswerKind, Event};
use domain::evolve::{Fact, Recorded, evolve, reads as folds};
use domain::ids::{ActorId, Tenant};
use domain::request::{Actor, ActorKind, Request, RiskClass};
use domain::state::{Key, Record, State, Totals};
use policy::{Bundle, BundleSource, Mode, Outcome, PolicySet, ReasonCode};
use std::collections::BTreeMap;

const NOW: i64 = 1_790_000_000_000_000;
const DAY: i64 = 24 * 3600 * 1_000_000;

/// Everything that is stored, by key: the fold that the engine keeps in RocksDB.
#[derive(Default, Clone)]
struct World {
    records: BTreeMap<Key, Record>,
    seq: u64,
}

impl World {
    fn fetch(&self, keys: Vec<Key>) -> State {
        let mut state = State::default();
        for key in keys {
            let record = self.records.get(&key).cloned();
            state.put(key, record);
        }
        state
    }

    fn decide(&self, policies: Option<&PolicySet>, command: &Command) -> Decision {
        decide(&Terms::default(), &self.fetch(reads(command)), policies, command, NOW).unwrap()
    }

    fn fold(&mut self, fact: Fact) {
        let recorded = Recorded { seq: self.seq, recorded_at_us: NOW, fact };
        for change in evolve(&self.fetch(folds(&recorded)), &recorded).unwrap() {
            match change.record {
                Some(record) => self.records.insert(change.key, record),
                None => self.records.remove(&change.key),
            };
        }
        self.seq += 1;
    }

    /// Decides, and folds what was recorded.
    fn apply(&mut self, policies: Option<&PolicySet>, command: &Command) -> Decision {
        let decision = self.decide(policies, command);
        if let Decision::Record(event) = &decision {
            self.fold(fact(event));
        }
        decision
    }
}

fn fact(event: &Event) -> Fact {
    match event.clone() {
        Event::Answer(answer) => Fact::Answer { kind: answer.kind, identity: answer.identity, outcome: answer.outcome },
        Event::PolicyPublished { bundle_hash, chunk_no, chunks, bytes } => {
            Fact::PolicyPublished { bundle_hash, chunk_no, chunks, bytes }
        }
        Event::PolicyActivated { command_id, bundle_hash, mode } => {
            Fact::PolicyActivated { command_id, bundle_hash, mode }
        }
        Event::TenantCreated { command_id, tenant } => Fact::TenantCreated { command_id, tenant },
        Event::DeadLetterMarked { command_id, position, mark } => Fact::DeadLetterMarked { command_id, position, mark },
        Event::CommandRefused { command_id, .. } => Fact::CommandRefused { command_id },
    }
}

fn policies() -> PolicySet {
    let files = [
        (
            "manifest.toml",
            "format = 1\nname = \"table\"\nversion = \"1.0.0\"\ndescription = \"for a table\"\nmode = \"strict\"\nschema = \"schema.cedarschema\"\n\
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
    let source = BundleSource {
        files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect(),
    };
    Bundle::parse(&source).unwrap().compile()
}

fn request(action: &str) -> Request {
    Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: domain::ids::RequestId::new("r-1").unwrap(),
        actor: Actor {
            id: ActorId::new("agent-7").unwrap(),
            kind: ActorKind::Agent,
            model: None,
            roles: Default::default(),
            on_behalf_of: None,
        },
        action: domain::ids::Action::new(action).unwrap(),
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
        subjects: Vec::new(),
        occurred_at_us: NOW,
    }
}

fn identity(key: u8, mac: u8) -> Identity {
    Identity { key: [key; 32], mac: [mac; 32] }
}

fn propose(request: Request, identity: Identity, placement: Placement) -> Command {
    Command::Decide(Box::new(Proposal { request, identity, placement, subject_erasing: false }))
}

fn with_tenant() -> World {
    let mut world = World::default();
    world.fold(Fact::TenantCreated { command_id: [1; 16], tenant: Tenant::new("default").unwrap() });
    world
}

fn check(what: &str, decision: Decision, kind: AnswerKind, reason: ReasonCode, outcome: Option<Outcome>) {
    match decision {
        Decision::Record(Event::Answer(answer)) => {
            assert_eq!(
                (answer.kind, answer.reason, answer.outcome),
                (kind, reason, outcome),
                "{what}: {}",
                answer.detail
            );
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn requests() {
    let set = policies();
    let world = with_tenant();
    let change = |mutate: fn(&mut Request)| {
        let mut request = request("read");
        mutate(&mut request);
        request
    };
    use AnswerKind::{Decided, Rejected};
    use ReasonCode as R;
    let table: Vec<(&str, Request, AnswerKind, ReasonCode, Option<Outcome>)> = vec![
        ("a permitted action", request("read"), Decided, R::Permitted, Some(Outcome::Permit)),
        ("an action that nothing permits", request("write"), Decided, R::NoMatchingPermit, Some(Outcome::Deny)),
        ("an action that needs a human", request("pay"), Decided, R::OversightRequired, Some(Outcome::Escalate)),
        ("an unknown tenant", change(|r| r.tenant = Tenant::new("nobody").unwrap()), Rejected, R::UnknownTenant, None),
        (
            "just young enough",
            change(|r| r.occurred_at_us = NOW - 7 * DAY),
            Decided,
            R::Permitted,
            Some(Outcome::Permit),
        ),
        ("a moment too old", change(|r| r.occurred_at_us = NOW - 7 * DAY - 1), Rejected, R::TooOld, None),
        (
            "just near enough",
            change(|r| r.occurred_at_us = NOW + 300_000_000),
            Decided,
            R::Permitted,
            Some(Outcome::Permit),
        ),
        ("from the future", change(|r| r.occurred_at_us = NOW + 300_000_001), Rejected, R::FromTheFuture, None),
        ("a field out of range", change(|r| r.confidence_percent = Some(101)), Rejected, R::Invalid, None),
    ];
    for (what, request, kind, reason, outcome) in table {
        check(
            what,
            world.decide(Some(&set), &propose(request, identity(1, 1), Placement::Right)),
            kind,
            reason,
            outcome,
        );
    }
    check(
        "no bundle",
        world.decide(None, &propose(request("read"), identity(1, 1), Placement::Right)),
        Rejected,
        R::NoPolicy,
        None,
    );
    let mut erasing = Proposal {
        request: request("read"),
        identity: identity(1, 1),
        placement: Placement::Right,
        subject_erasing: true,
    };
    check(
        "an erasure under way",
        world.decide(Some(&set), &Command::Decide(Box::new(erasing.clone()))),
        Rejected,
        R::SubjectErasing,
        None,
    );
    erasing.subject_erasing = false;
    check(
        "after it",
        world.decide(Some(&set), &Command::Decide(Box::new(erasing))),
        Decided,
        R::Permitted,
        Some(Outcome::Permit),
    );
    let unread = Command::Refuse(Refusal { reason: R::Undecodable, detail: "no known schema".into() });
    check("poison", world.decide(Some(&set), &unread), Rejected, R::Undecodable, None);
}

#[test]
fn recognition() {
    let set = policies();
    let mut world = with_tenant();
    let here = |key, mac| propose(request("read"), identity(key, mac), Placement::Right);
    let first = world.seq;
    check(
        "new",
        world.apply(Some(&set), &here(1, 1)),
        AnswerKind::Decided,
        ReasonCode::Permitted,
        Some(Outcome::Permit),
    );
    assert_eq!(world.apply(Some(&set), &here(1, 1)), Decision::Repeat { seq: first }, "the same body again");
    let conflict = world.seq;
    check("another body", world.apply(Some(&set), &here(1, 2)), AnswerKind::Conflicted, ReasonCode::Conflict, None);
    assert_eq!(
        world.apply(Some(&set), &here(1, 2)),
        Decision::Repeat { seq: conflict },
        "a conflict is recorded once for an id and body"
    );
    assert_eq!(world.apply(Some(&set), &here(1, 1)), Decision::Repeat { seq: first }, "the first body keeps the id");
    check("a third body", world.apply(Some(&set), &here(1, 3)), AnswerKind::Conflicted, ReasonCode::Conflict, None);
    check(
        "another id",
        world.apply(Some(&set), &here(2, 1)),
        AnswerKind::Decided,
        ReasonCode::Permitted,
        Some(Outcome::Permit),
    );
    // A repeat of a refused request gets the refusal, even when it would be accepted by now.
    let mut refused = request("read");
    refused.tenant = Tenant::new("later").unwrap();
    let refused = propose(refused, identity(5, 5), Placement::Right);
    let at = world.seq;
    check("unknown tenant", world.apply(Some(&set), &refused), AnswerKind::Rejected, ReasonCode::UnknownTenant, None);
    world.fold(Fact::TenantCreated { command_id: [9; 16], tenant: Tenant::new("later").unwrap() });
    assert_eq!(world.apply(Some(&set), &refused), Decision::Repeat { seq: at });
    let expected = Totals { permitted: 2, rejected: 1, conflicted: 2, ..Totals::default() };
    assert_eq!(world.records.get(&Key::Totals), Some(&Record::Totals(expected)));
}

#[test]
fn placement() {
    let set = policies();
    let mut world = with_tenant();
    let astray = |mac, placement| propose(request("read"), identity(1, mac), placement);
    let elsewhere = Placement::Elsewhere { partition: 3 };
    let forwarded = world.seq;
    check(
        "astray",
        world.apply(Some(&set), &astray(1, elsewhere)),
        AnswerKind::Rerouted { partition: 3 },
        ReasonCode::Rerouted,
        None,
    );
    assert_eq!(
        world.apply(Some(&set), &astray(1, elsewhere)),
        Decision::Repeat { seq: forwarded },
        "it is forwarded once"
    );
    check(
        "another body under the id is for the right partition to judge",
        world.apply(Some(&set), &astray(2, elsewhere)),
        AnswerKind::Rerouted { partition: 3 },
        ReasonCode::Rerouted,
        None,
    );
    let again = propose(request("read"), identity(7, 7), Placement::ElsewhereAgain);
    check("astray twice", world.apply(Some(&set), &again), AnswerKind::Rejected, ReasonCode::Misrouted, None);
}

#[test]
fn commands() {
    let mut world = with_tenant();
    let refused = |decision: &Decision| matches!(decision, Decision::Record(Event::CommandRefused { .. }));
    let publish = |chunk_no, chunks| Command::PublishPolicy { bundle_hash: [7; 32], chunk_no, chunks, bytes: vec![1] };
    let activate = |id, mode| Command::ActivatePolicy { command_id: [id; 16], bundle_hash: [7; 32], mode };
    assert!(refused(&world.decide(None, &activate(2, Ok(Mode::Strict)))), "a bundle that is not there");
    assert!(refused(&world.decide(None, &publish(1, 2))), "a chunk before its turn");
    assert!(!refused(&world.apply(None, &publish(0, 2))));
    assert!(matches!(world.decide(None, &publish(0, 2)), Decision::Repeat { .. }), "a chunk again");
    assert!(refused(&world.decide(None, &publish(1, 3))), "a chunk of another size of bundle");
    assert!(refused(&world.decide(None, &activate(2, Ok(Mode::Strict)))), "half a bundle");
    assert!(!refused(&world.apply(None, &publish(1, 2))));
    assert!(
        refused(&world.decide(None, &activate(2, Err("policies.cedar:3: no such action".into())))),
        "a broken bundle"
    );
    assert!(!refused(&world.apply(None, &activate(2, Ok(Mode::Paranoid)))));
    assert!(matches!(world.records.get(&Key::ActivePolicy), Some(Record::ActivePolicy { mode: Mode::Paranoid, .. })));
    assert!(
        matches!(world.decide(None, &activate(2, Ok(Mode::Paranoid))), Decision::Repeat { .. }),
        "the same command again"
    );
    let tenant = |id| Command::CreateTenant { command_id: [id; 16], tenant: Tenant::new("acme").unwrap() };
    assert!(!refused(&world.apply(None, &tenant(3))));
    assert!(matches!(world.decide(None, &tenant(3)), Decision::Repeat { .. }));
    assert!(refused(&world.decide(None, &tenant(4))), "it exists already");
    let mark = |id| Command::MarkDeadLetter { command_id: [id; 16], position: 4, mark: DeadLetterMark::Discarded };
    assert!(!refused(&world.apply(None, &mark(5))));
    assert!(refused(&world.decide(None, &mark(6))), "dealt with already");
    assert!(refused(&world.decide(None, &Command::Unreadable { detail: "no command".into() })));
}

#[test]
fn a_key_that_was_not_fetched_is_a_fault_and_not_an_absence() {
    let command = propose(request("read"), identity(1, 1), Placement::Right);
    for missing in reads(&command) {
        if missing == Key::ActivePolicy {
            continue; // named for the engine, which hands the compiled bundle in
        }
        let mut state = State::default();
        for key in reads(&command).into_iter().filter(|key| *key != missing) {
            state.put(key.clone(), matches!(key, Key::Tenant(_)).then_some(Record::Tenant { seq: 0 }));
        }
        assert!(decide(&Terms::default(), &state, Some(&policies()), &command, NOW).is_err(), "{missing:?}");
    }
}
