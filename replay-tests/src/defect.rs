//! Planted defects, as wrappers around what an owner is given and what it asks for: a judge that cannot fail proves
//! nothing. Each is a mistake that an owner, or whoever drives it, could plausibly make; the owners' own code stays as
//! it is.
//!
//! Defects are judged from the log and from what callers were told, not by comparing local state: that would find most
//! of them before they do harm.

use engine::keys::{Claim, Keyring};
use engine::kv::memory::MemoryKv;
use engine::kv::{Entry, Error, Kv, Space, Write};
use engine::owner::Context;
use engine::store::{StateKey, StateRecord, Store, decode_key, encode_key, encode_record};
use eventlog::{Done, LogReader, Position, Topic};
use ledger::{Hash, Head, Refused, accept, event_type};

use crate::audit::{Account, WHOLE};

/// Mistakes that the judge must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// An append is taken for committed without looking at the position.
    CommitAssumed,
    /// A frame is sent before its keys are durable.
    FrameBeforeKeys,
    /// A reader accepts by writer epoch, without `prev_hash`.
    AcceptByEpoch,
    /// The input position is kept in the local store as a frame is sent, and used when the input is resumed.
    LocalInputPosition,
    /// Keyring records are swept without regard to a watermark taken before the claim.
    LateSweep,
    /// What recognises a repeat is not written with the batch, but kept beside it and lost in a crash.
    DedupOutsideBatch,
    /// After an unknown append the log is read once more, and a caller whose event is not there is told so for good.
    SaidNotDecided,
    /// The keyring is read before the claim, and never again: not for a frame that is found by reading on.
    KeyringNotRead,
    /// Records are taken for removed from the keyring, whatever the log answers.
    RemovalAssumed,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 9] = [
        Defect::CommitAssumed,
        Defect::FrameBeforeKeys,
        Defect::AcceptByEpoch,
        Defect::LocalInputPosition,
        Defect::LateSweep,
        Defect::DedupOutsideBatch,
        Defect::SaidNotDecided,
        Defect::KeyringNotRead,
        Defect::RemovalAssumed,
    ];
}

/// What a process remembers on account of its defect; nothing without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flaw {
    defect: Option<Defect>,
    /// Input position that the local store claims.
    input_to: u64,
    /// Records that recognise repeats.
    beside: MemoryKv,
    /// Events of the frame in flight that answer requests, and whether it is a claim.
    in_flight: (Vec<Hash>, bool),
    /// Whether a claim of its own was committed.
    claimed: bool,
    /// Those of a frame of which nothing is known.
    doubtful: Vec<Hash>,
    /// Events of which somebody was told that they will never be.
    denied: Vec<Hash>,
}

impl Flaw {
    /// The flaw of a new process.
    pub fn new(defect: Option<Defect>) -> Flaw {
        Flaw { defect, ..Flaw::default() }
    }

    /// Whether it is this one.
    pub fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// The process is gone, with whatever it had in memory; what callers were told stays told.
    pub fn crash(&mut self, keeps_state: bool) {
        self.beside = MemoryKv::default();
        self.in_flight = (Vec::new(), false);
        self.doubtful = Vec::new();
        self.claimed = false;
        if !keeps_state {
            self.input_to = 0;
        }
    }

    /// Local state of a partition as the process sees it.
    pub fn view<'a>(&'a self, kv: &'a MemoryKv, partition: u32) -> View<'a> {
        View { flaw: self, kv, partition }
    }

    /// A frame is being sent.
    pub fn appending(&mut self, head: &Head, frame: &[u8]) {
        if self.defect.is_none() {
            return;
        }
        let Ok(frame) = accept(head, frame) else { return };
        for range in frame.run.inputs.iter().filter(|range| range.topic == Topic::Requests.as_str()) {
            self.input_to = range.to_offset;
        }
        let answers = frame.events.iter().filter(|event| event_type::answers_request(event.body.event_type));
        let claims = frame.events.first().is_some_and(|event| event.body.event_type == event_type::WRITER_CLAIMED);
        self.in_flight = (answers.map(|event| event.event_hash).collect(), claims);
    }

    /// The log's answer to an append, as the process takes it.
    pub fn heard(&mut self, done: Done, at: Position) -> Done {
        if done == Done::Unknown && self.is(Defect::SaidNotDecided) {
            self.doubtful = std::mem::take(&mut self.in_flight.0);
        }
        self.claimed |= self.in_flight.1 && matches!(done, Done::Committed(_));
        match done {
            Done::Unknown | Done::Conflict if self.is(Defect::CommitAssumed) => Done::Committed(at),
            done => done,
        }
    }

    /// The log's answer to a removal, as the process takes it.
    pub fn heard_removal(&self, done: Done) -> Done {
        if self.is(Defect::RemovalAssumed) { Done::Removed } else { done }
    }

    /// Whether the keyring seems to hold nothing more than was read of it.
    pub fn hides_keys(&self) -> bool {
        self.is(Defect::KeyringNotRead) && self.claimed
    }

    /// Whether there is a frame of which nothing is known.
    pub fn doubts(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// The log is read on after an append of which nothing is known.
    pub fn read_again(&mut self, account: &Account) {
        let there = |event: &Hash| account.answers.iter().any(|answer| answer.event_hash == *event);
        self.denied.extend(std::mem::take(&mut self.doubtful).into_iter().filter(|event| !there(event)));
    }

    /// What a caller was told will never be, and is.
    ///
    /// # Errors
    /// The event, in words.
    pub fn denied_stays_out(&self, account: &Account) -> Result<(), String> {
        match account.answers.iter().find(|answer| self.denied.contains(&answer.event_hash)) {
            Some(answer) => {
                Err(format!("seq {} is in the ledger, and its caller was told that it was not decided", answer.seq))
            }
            None => Ok(()),
        }
    }

    /// Places that a defective process removes from the keyring after its claim was committed.
    pub fn swept(&self, ctx: &Context, kv: &MemoryKv, log: &dyn LogReader, partition: u32) -> Vec<Position> {
        if !self.is(Defect::LateSweep) || !self.in_flight.1 {
            return Vec::new();
        }
        let kv = kv.clone();
        let keyring = Keyring::new(&kv, &ctx.secrets, partition);
        let records = log.read(Topic::Keys, partition, keyring.cursor().unwrap(), WHOLE).unwrap();
        let tail = log.tail(Topic::Keys, partition).unwrap();
        kv.write(keyring.absorb(&records, tail).unwrap().0).unwrap();
        let store = Store::new(&kv, partition);
        let counts = |claim: &Claim| -> Result<bool, engine::keys::Error> {
            let key = match claim {
                Claim::Dek(dek_id) => StateKey::DekCounted(*dek_id),
                Claim::Surrogate(surrogate) => StateKey::Surrogate(*surrogate),
            };
            Ok(store.get(&key).unwrap().is_some())
        };
        keyring.orphans(tail, usize::MAX, counts).unwrap().positions
    }
}

/// Whether a reader that goes by the writer epoch alone sees the same ledger.
///
/// # Errors
/// The first place where it does not.
pub fn read_by_epoch(log: &dyn LogReader, head: Head, account: &Account) -> Result<(), String> {
    let partition = head.chain.partition;
    let mut head = head;
    for record in log.read(Topic::Ledger, partition, Position::ZERO, WHOLE).unwrap() {
        let accepted = match accept(&head, &record.value) {
            Err(Refused::Seq(place) | Refused::PrevHead(place)) => {
                let moved = Head { next_seq: place.first_seq, run_head: place.prev_head, ..head.clone() };
                accept(&moved, &record.value)
            }
            other => other,
        };
        let Ok(frame) = accepted else { continue };
        let (follows, position) = (frame.run.prev_head, record.position);
        if usize::try_from(position.0).ok().and_then(|at| account.heads.get(at)) != Some(&follows) {
            return Err(format!("I2: one reader takes position {position} into its ledger, the others do not"));
        }
        head = frame.head;
    }
    Ok(())
}

/// Local state, seen through a flaw.
pub struct View<'a> {
    flaw: &'a Flaw,
    kv: &'a MemoryKv,
    partition: u32,
}

impl View<'_> {
    fn recognises(&self, space: Space, key: &[u8]) -> bool {
        let is_request = || matches!(decode_key(key), Ok((_, StateKey::Domain(domain::state::Key::Request(_)))));
        self.flaw.is(Defect::DedupOutsideBatch) && space == Space::State && is_request()
    }
}

impl Kv for View<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if self.recognises(space, key) {
            return self.flaw.beside.get(space, key);
        }
        if self.flaw.is(Defect::LocalInputPosition) && self.flaw.input_to > 0 && space == Space::State {
            let input = StateKey::Input { topic: Topic::Requests.as_str().to_owned(), partition: self.partition };
            if key == encode_key(self.partition, &input) {
                return Ok(Some(encode_record(&StateRecord::Input { to_offset: self.flaw.input_to })));
            }
        }
        self.kv.get(space, key)
    }

    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize, reverse: bool) -> Result<Vec<Entry>, Error> {
        self.kv.scan(space, from, to, limit, reverse)
    }

    fn write(&self, batch: Vec<Write>) -> Result<(), Error> {
        let (beside, batch) = batch.into_iter().partition(|write| match write {
            Write::Put(space, key, _) | Write::Delete(space, key) => self.recognises(*space, key),
            Write::DeleteRange(..) => false,
        });
        self.flaw.beside.write(beside)?;
        self.kv.write(batch)
    }
}
