//! What chance seldom brings, or does not show by a violation: one partition, one process, and a script of what goes
//! wrong. The judge is the same.

use std::sync::Arc;

use domain::decide::Terms;
use domain::request::Request;
use domain::routing::{Routing, RoutingKey};
use engine::keys::queue;
use engine::kv::memory::MemoryKv;
use engine::kv::{Kv, Space, Write};
use engine::owner::{Context, Limits, Status};
use engine::store::Store;
use eventlog::memory::{Fate, Memory, Plan, WriteFate};
use eventlog::{LogReader, NewRecord, Position, Removal, Topic};
use ledger::event_type;
use replay_tests::audit::{self, Account};
use replay_tests::defect::Flaw;
use replay_tests::sample;

use crate::counted;
use crate::node::{Clock, Flaws, Node};

const TURN_US: i64 = 20_000;
/// More turns than anything here takes.
const TURNS: usize = 400;

struct Case {
    ctx: Arc<Context>,
    log: Memory,
    node: Node,
    now_us: i64,
    lives: u64,
}

impl Case {
    /// A deployment that is ready to decide.
    fn new(terms: Terms) -> Case {
        let limits = Limits { backoff_max_us: 50_000, ..Limits::default() };
        let mut ctx = Arc::into_inner(sample::context(1, 1, limits)).unwrap();
        ctx.terms = terms;
        let ctx = Arc::new(ctx);
        let log = Memory::new(1, Plan::plain());
        let node = Node::start(&ctx, &log, MemoryKv::default(), 0, unflawed());
        let mut case = Case { ctx, log, node, now_us: sample::START_US, lives: 0 };
        for record in sample::beginning(1, usize::MAX) {
            case.write(record);
        }
        case.turns(20);
        assert_eq!(case.node.statuses[&0], Status::Running);
        case
    }

    fn write(&mut self, record: NewRecord) {
        self.log.with_state(|state| state.write(vec![record], WriteFate::Plain)).unwrap();
    }

    fn produce(&mut self, request: &Request) {
        let key = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor).record_key();
        self.write(NewRecord::new(Topic::Requests, 0, key, wire::frame_request(request).unwrap()));
    }

    fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.now_us += TURN_US;
            self.node.turn(self.now_us);
        }
    }

    /// Produces a request and lets the process run until its caller was told.
    fn decide(&mut self, request: &Request) {
        self.produce(request);
        self.until_told(1);
    }

    fn until_told(&mut self, more: usize) {
        let told = self.node.told.len() + more;
        for _ in 0..TURNS {
            self.turns(1);
            if self.node.told.len() >= told {
                return;
            }
        }
        panic!("{} callers were told, of {told}: {:?}", self.node.told.len(), self.node.statuses);
    }

    fn restart(&mut self, keeps_state: bool) {
        self.lives += 1;
        let kv = if keeps_state { self.node.kv.clone() } else { MemoryKv::default() };
        let (told, clock) = (std::mem::take(&mut self.node.told), self.node.clock);
        self.node = Node::start(&self.ctx, &self.log, kv, self.lives, unflawed());
        (self.node.told, self.node.clock) = (told, clock);
        self.turns(20);
    }

    fn account(&self) -> Account {
        let account = audit::partition(&self.ctx, Arc::new(self.log.clone()), sample::chain(0)).unwrap();
        for (_, told) in &self.node.told {
            audit::told(&account, told).unwrap();
        }
        account
    }

    fn digest(&self) -> [u8; 32] {
        Store::new(&self.node.kv, 0).digest().unwrap()
    }

    fn keys(&self) -> usize {
        self.log.read(Topic::Keys, 0, Position::ZERO, audit::WHOLE).unwrap().len()
    }
}

fn unflawed() -> Flaws {
    Flaws::from([(0, Flaw::new(None))])
}

/// Request 2 names a data subject, as all even ones do; so its keys are staged first.
fn request(number: u32) -> Request {
    sample::request("actor", number, 0)
}

#[test]
fn a_log_that_refuses_for_a_while_is_waited_for() {
    let mut case = Case::new(Terms::default());
    case.log.set_plan(Plan::plain().writes([WriteFate::Refused; 3]));
    case.decide(&request(2));
    assert_eq!(case.account().answers.len(), 1);
    assert!(case.node.complaints.is_empty(), "{:?}", case.node.complaints);
}

#[test]
fn a_frame_that_is_found_by_reading_on_brings_its_keys() {
    for fate in [Fate::Unknown, Fate::Conflict, Fate::Twice { after: 1 }] {
        let mut case = Case::new(Terms::default());
        case.log.set_plan(Plan::plain().frames([fate]));
        case.decide(&request(2));
        // The same person again, and its repeat.
        case.decide(&request(12));
        case.decide(&request(2));
        // The judge compares what each was shown, and finds a second surrogate or key.
        assert_eq!(case.account().answers.len(), 2, "{fate:?}");
        assert!(case.node.complaints.is_empty(), "{:?}", case.node.complaints);
    }
}

#[test]
fn only_committed_frames_are_counted() {
    let mut case = Case::new(Terms::default());
    case.log.set_plan(Plan::plain().frames([Fate::Lost; 3]));
    let counted = counted::during(engine::metrics::BATCH_EVENTS, || case.decide(&request(2)));
    // The answer, and a key each for the tenant and the data subject.
    assert_eq!(counted, [3.0]);
}

#[test]
fn keys_that_are_lost_stop_the_owner() {
    let mut case = Case::new(Terms::default());
    case.decide(&request(2));
    let tail = case.log.tail(Topic::Keys, 0).unwrap();
    case.log.with_state(|state| state.remove(Topic::Keys, 0, &Removal::Below(tail))).unwrap();
    case.restart(false);
    let frames = case.log.tail(Topic::Ledger, 0).unwrap();
    case.produce(&request(4));
    case.turns(50);
    let Status::Stopped { reason } = &case.node.statuses[&0] else {
        panic!("nobody said that keys are lost: {:?}", case.node.statuses)
    };
    assert!(reason.contains("keys were lost") && reason.contains("restore"), "{reason}");
    assert!(!reason.contains("lexecon rebuild"), "no rebuild brings a key back: {reason}");
    assert_eq!(case.log.tail(Topic::Ledger, 0).unwrap(), frames, "no new key was made in its place");
}

#[test]
fn what_a_sweep_could_not_remove_is_swept_later() {
    let mut case = Case::new(Terms::default());
    // Keys are staged twice, and one frame of the two is lost.
    case.log.set_plan(Plan::plain().frames([Fate::Lost]));
    case.decide(&request(2));
    let (all, lost) = (case.keys(), WriteFate::Lost);
    case.log.set_plan(Plan::plain().removals([lost, lost]));
    for _ in 0..2 {
        case.restart(true);
        assert_eq!(case.keys(), all, "nothing was removed");
    }
    case.restart(true);
    assert_eq!(case.keys() * 2, all, "the keys of the lost frame are gone");
    case.decide(&request(12));
    case.account();
}

#[test]
fn a_clock_that_is_not_trusted_writes_nothing_and_time_never_goes_back() {
    let mut case = Case::new(Terms::default());
    case.decide(&request(1));
    case.node.clock = Clock { skew_us: 3_600_000_000, trusted: false, ..Clock::RIGHT };
    case.produce(&request(3));
    let frames = case.log.tail(Topic::Ledger, 0).unwrap();
    case.turns(TURNS);
    assert_eq!(case.node.statuses[&0], Status::ClockSuspect);
    assert_eq!(case.log.tail(Topic::Ledger, 0).unwrap(), frames);
    // A process that begins with it does not even claim.
    case.restart(true);
    case.turns(TURNS);
    assert_eq!(case.log.tail(Topic::Ledger, 0).unwrap(), frames);
    // Set back by an hour, and trusted: what waits is decided, at no earlier time than what was decided before.
    case.node.clock = Clock { skew_us: -3_600_000_000, ..Clock::RIGHT };
    case.until_told(1);
    case.decide(&request(5));
    assert_eq!(case.node.statuses[&0], Status::Running);
    assert_eq!(case.account().answers.len(), 3);
    assert!(case.node.complaints.is_empty(), "{:?}", case.node.complaints);
}

#[test]
fn a_guard_that_was_not_struck_out_is_no_death() {
    let mut case = Case::new(Terms::default());
    case.decide(&request(1));
    // As a full disk would leave it: the guard of the next request, who has two deaths already.
    let guard = [1_u64, 2, 2].map(u64::to_be_bytes).concat();
    case.node.kv.write(vec![Write::Put(Space::Attempts, 0_u32.to_be_bytes().to_vec(), guard)]).unwrap();
    case.node.revoke();
    case.decide(&request(3));
    assert!(case.account().answers.iter().all(|answer| answer.event_type == event_type::DECIDED));
}

#[test]
fn a_request_whose_seal_does_not_open_is_refused_alike_by_a_replay() {
    let mut case = Case::new(Terms::default());
    let framed = wire::frame_request(&request(2)).unwrap();
    let mut unknown_form = queue::seal_request(&case.ctx.secrets, 0, &framed, [1; 24]).unwrap();
    unknown_form.headers = vec![(queue::SEALED_HEADER.to_owned(), vec![b'9'; 1_000])];
    let elsewhere = queue::seal_request(&case.ctx.secrets, 1, &framed, [2; 24]).unwrap();
    for mut record in [unknown_form, elsewhere] {
        record.partition = 0;
        case.write(record);
        case.until_told(1);
    }
    let account = case.account();
    assert!(account.answers.len() == 2 && account.answers.iter().all(|one| one.event_type == event_type::REJECTED));
    // Also the bundle, its activation and the tenant.
    assert_eq!(audit::replayed(&case.ctx, &case.log, sample::chain(0)).unwrap(), 5);
}

/// Whatever waits, for the log or for its turn, does not wait longer because the clock was set back.
#[test]
fn a_clock_that_is_set_back_holds_nobody_up() {
    let mut case = Case::new(Terms::default());
    case.log.set_plan(Plan::plain().frames([Fate::Lost]));
    case.produce(&request(2));
    while case.node.statuses[&0] == Status::Running {
        case.turns(1);
    }
    case.node.clock.skew_us = -24 * 3_600_000_000;
    case.until_told(1);
    // Found by looking, because nobody pushed it.
    case.node.clock.skew_us = -48 * 3_600_000_000;
    case.decide(&request(4));
    case.account();
}

/// A frame that covers repeats alone comes late, when more of them were consumed.
#[test]
fn a_late_frame_that_covers_less_than_was_consumed_is_accounted_for() {
    let mut case = Case::new(Terms::default());
    let (first, advance_us) = (request(1), case.ctx.limits.input_advance_us);
    case.decide(&first);
    case.decide(&first);
    case.log.set_plan(Plan::plain().frames([Fate::Late { after: u32::MAX }]));
    case.node.clock.skew_us = advance_us;
    while case.node.statuses[&0] == Status::Running {
        case.turns(1);
    }
    // Set back, nothing has to be covered yet.
    case.node.clock.skew_us = 0;
    case.decide(&first);
    case.log.with_state(|state| state.settle(0));
    case.decide(&request(3));
    let account = case.account();
    let consumed = account.consumed;
    assert_eq!((account.covered, consumed.requests, consumed.decisions, consumed.duplicates()), (4, 4, 2, 2));
    assert!(case.node.complaints.is_empty(), "{:?}", case.node.complaints);
}

#[test]
fn an_id_that_is_forgotten_is_answered_anew_and_a_rebuild_forgets_it_too() {
    const HOUR_US: i64 = 3_600_000_000;
    let terms = Terms { dedup_retention_us: HOUR_US, future_max_us: 60_000_000 };
    let mut case = Case::new(terms);
    let first = request(2);
    let identity = sample::identity(&case.ctx, &first);
    let answers = |case: &Case| -> Vec<u16> {
        let account = audit::unjudged(&case.ctx, &case.log, sample::chain(0)).unwrap();
        let rebuilt = account.folds[account.heads.last().unwrap()];
        assert_eq!(case.digest(), rebuilt, "the state is the fold of the ledger");
        let of_first = account.answers.iter().filter(|answer| answer.request_key == identity.key);
        of_first.map(|answer| answer.event_type).collect()
    };
    let forget = |case: &mut Case| {
        case.now_us += terms.remembered_us() + TURN_US;
        // Forgetting is part of a frame.
        let other = request(3 + u32::try_from(case.node.told.len()).unwrap() * 2);
        case.decide(&Request { occurred_at_us: case.now_us, ..other });
    };
    case.decide(&first);
    case.decide(&first);
    assert_eq!(answers(&case), [event_type::DECIDED], "the repeat was recognised");

    forget(&mut case);
    case.decide(&first);
    let too_old = [event_type::DECIDED, event_type::REJECTED];
    assert_eq!(answers(&case), too_old, "what is too old to be known is too old to be decided a second time");

    forget(&mut case);
    case.decide(&Request { occurred_at_us: case.now_us, ..first.clone() });
    assert_eq!(answers(&case), [&too_old[..], &[event_type::DECIDED]].concat(), "another body is no conflict any more");
    assert_eq!(audit::replayed(&case.ctx, &case.log, sample::chain(0)).unwrap(), 8);
    assert!(case.node.complaints.is_empty(), "{:?}", case.node.complaints);
}
