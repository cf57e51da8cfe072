//! State is a fold of the ledger: this is the fold.
//!
//! Used by the owner (on what it just built and on what it reads), by `rebuild` and by `replay`; there is no other way
//! to change state. Invariants: only clear bytes are read; forgetting is part of the fold (by recorded time, a bounded
//! number per frame), so that a rebuild forgets exactly what the owner forgot; nothing is written before the frame is
//! accepted, and state, position and keyring rows are written together.

use std::collections::{BTreeMap, BTreeSet};

use domain::evolve::{evolve, reads};
use domain::ids::Micros;
use domain::state::{Key, ReadSet, State};
use eventlog::Position;
use ledger::{Head, Run};

use crate::keys::Standing;
use crate::kv::Write;
use crate::owner::Error;
use crate::record::Clear;
use crate::store::{StateKey, StateRecord, Store, SurrogateState};

/// Records that are forgotten per frame at most, beyond two per event. Bounds the work of a frame after a pause.
const FORGOTTEN_PER_FRAME: usize = 64;

/// Changes of one frame on top of what is stored.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    changed: BTreeMap<StateKey, Option<StateRecord>>,
    /// What was read ahead, as it is stored.
    ahead: BTreeMap<StateKey, Option<StateRecord>>,
    events: usize,
}

impl Fold {
    /// Reads a record as it is after the changes so far.
    pub fn get(&self, store: &Store<'_>, key: &StateKey) -> Result<Option<StateRecord>, Error> {
        match self.changed.get(key).or_else(|| self.ahead.get(key)) {
            Some(record) => Ok(record.clone()),
            None => Ok(store.get(key)?),
        }
    }

    /// Reads ahead what a batch will ask for, all at once: a read for each key by itself was the dearest part of
    /// deciding after the evaluation. Leaving a key out, or naming one too many, changes no result.
    pub fn read_ahead(&mut self, store: &Store<'_>, keys: impl IntoIterator<Item = StateKey>) -> Result<(), Error> {
        let missing: BTreeSet<StateKey> = keys.into_iter().filter(|key| !self.ahead.contains_key(key)).collect();
        let missing: Vec<StateKey> = missing.into_iter().collect();
        let records = store.get_many(&missing)?;
        self.ahead.extend(missing.into_iter().zip(records));
        Ok(())
    }

    /// Whether a person is being forgotten, or is forgotten, since this frame.
    pub fn ends_surrogates(&self) -> bool {
        self.changed.values().any(|record| {
            matches!(
                record,
                Some(StateRecord::Surrogate(SurrogateState::Erasing { .. } | SurrogateState::Erased { .. }))
            )
        })
    }

    fn put(&mut self, key: StateKey, record: StateRecord) {
        self.changed.insert(key, Some(record));
    }

    /// Fetches what a decision or a fold reads.
    pub fn fetch(&self, store: &Store<'_>, keys: ReadSet) -> Result<State, Error> {
        let mut state = State::default();
        for key in keys {
            let record = match self.get(store, &StateKey::Domain(key.clone()))? {
                Some(StateRecord::Domain(record)) => Some(record),
                _ => None,
            };
            state.put(key, record);
        }
        Ok(state)
    }

    /// Folds one event.
    pub fn event(&mut self, store: &Store<'_>, seq: u64, clear: &Clear) -> Result<(), Error> {
        self.events = self.events.saturating_add(1);
        match clear {
            Clear::Domain { recorded, surrogates, .. } => {
                let state = self.fetch(store, reads(recorded))?;
                for change in evolve(&state, recorded)? {
                    self.changed.insert(StateKey::Domain(change.key), change.record.map(StateRecord::Domain));
                }
                for (_, surrogate) in surrogates {
                    let key = StateKey::Surrogate(*surrogate);
                    if self.get(store, &key)?.is_none() {
                        self.put(key, StateRecord::Surrogate(SurrogateState::Live));
                    }
                }
            }
            Clear::KeyCreated(created) => {
                let tenant = created.tenant.clone();
                self.put(
                    StateKey::Dek {
                        tenant: tenant.clone(),
                        surrogate: created.surrogate,
                        class: created.class,
                        period: created.period,
                    },
                    StateRecord::Dek { dek_id: created.dek_id, commit: created.dek_commit },
                );
                self.put(
                    StateKey::DekCounted(created.dek_id),
                    StateRecord::DekCounted { surrogate: created.surrogate, commit: created.dek_commit },
                );
            }
            Clear::SchemaAdded(added) => self.put(StateKey::Schema(added.schema_hash), StateRecord::Schema { seq }),
            Clear::Claim(claim) => {
                if let Some(origin) = &claim.origin {
                    for input in &origin.inputs {
                        self.put(
                            StateKey::InputOrigin { topic: input.topic.clone(), partition: input.partition },
                            StateRecord::InputOrigin { topic_id: input.topic_id, start: input.start },
                        );
                        self.put(
                            StateKey::Input { topic: input.topic.clone(), partition: input.partition },
                            StateRecord::Input { to_offset: input.start },
                        );
                    }
                }
            }
            Clear::ErasureRequested(erasure) => {
                self.put(
                    StateKey::Surrogate(erasure.surrogate),
                    StateRecord::Surrogate(SurrogateState::Erasing { seq }),
                );
            }
            Clear::ErasureKeysDestroyed(erasure, at_us) => {
                self.put(
                    StateKey::Surrogate(erasure.surrogate),
                    StateRecord::Surrogate(SurrogateState::Erased { at_us: *at_us }),
                );
            }
            Clear::KekRolled(rolled) => self.put(StateKey::Period, StateRecord::Period(rolled.to_period)),
            // A loss is accounted for by the run; the others change nothing that decisions read.
            Clear::InputLost(_)
            | Clear::InputAdvanced
            | Clear::ErasureFinal(_)
            | Clear::EpochClosed(_)
            | Clear::Other => {}
        }
        Ok(())
    }

    /// Closes a frame: the run's ranges, the head, and what has expired by recorded time.
    pub fn close(
        &mut self,
        store: &Store<'_>,
        run: &[ledger::InputRange],
        head: &Head,
        recorded_at_us: Micros,
        next_outcome_no: u64,
        remembered_us: Micros,
    ) -> Result<(), Error> {
        for range in run {
            self.put(
                StateKey::Input { topic: range.topic.clone(), partition: range.partition },
                StateRecord::Input { to_offset: range.to_offset },
            );
        }
        let limit = self.events.saturating_mul(2).saturating_add(FORGOTTEN_PER_FRAME);
        for expired in store.expired(recorded_at_us.saturating_sub(remembered_us), limit)? {
            if let Key::Expiry(_, forgotten) = &expired {
                self.changed.insert(StateKey::Domain((**forgotten).clone()), None);
            }
            self.changed.insert(StateKey::Domain(expired), None);
        }
        self.put(StateKey::Head, StateRecord::Head { head: head.clone(), recorded_at_us, next_outcome_no });
        self.ahead.clear();
        Ok(())
    }

    /// The writes, with the log position after the frame.
    pub fn into_writes(mut self, store: &Store<'_>, first_seq: u64, at: Position) -> Vec<Write> {
        self.put(StateKey::Position, StateRecord::Position(at.next().0));
        let mut writes = store.changes(self.changed.iter().map(|(key, record)| (key, record.as_ref())));
        writes.push(store.place(first_seq, at));
        writes
    }
}

/// Folds one accepted frame as it was read.
pub fn accepted(
    store: &Store<'_>,
    frame: &ledger::Accepted<'_>,
    mut state: FoldedTo,
    remembered_us: Micros,
) -> Result<(Fold, FoldedTo), Error> {
    let mut fold = Fold::default();
    for event in &frame.events {
        let clear = crate::record::clear(event)?;
        if let Clear::Domain { next_outcome_no: Some(next), .. } = &clear {
            state.next_outcome_no = *next;
        }
        state.recorded_at_us = event.body.recorded_at_us;
        fold.event(store, event.body.seq, &clear)?;
    }
    let Run { inputs, .. } = &frame.run;
    fold.close(store, inputs, &frame.head, state.recorded_at_us, state.next_outcome_no, remembered_us)?;
    state.head = frame.head.clone();
    Ok((fold, state))
}

/// Where a fold has got to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldedTo {
    /// The head.
    pub head: Head,
    /// Recorded time of the last event.
    pub recorded_at_us: Micros,
    /// Number of the next outcome.
    pub next_outcome_no: u64,
}

impl FoldedTo {
    /// What the store says, or the genesis of `chain`.
    pub fn load(store: &Store<'_>, chain: ledger::ChainId) -> Result<(FoldedTo, Position), Error> {
        let position = match store.get(&StateKey::Position)? {
            Some(StateRecord::Position(position)) => Position(position),
            _ => Position::ZERO,
        };
        Ok(match store.get(&StateKey::Head)? {
            Some(StateRecord::Head { head, recorded_at_us, next_outcome_no }) => {
                (FoldedTo { head, recorded_at_us, next_outcome_no }, position)
            }
            _ => (FoldedTo { head: Head::genesis(chain), recorded_at_us: 0, next_outcome_no: 0 }, Position::ZERO),
        })
    }
}

/// What the ledger says about a data key, from the state.
pub fn standing(dek_id: &[u8; 16], get: impl Fn(&StateKey) -> Option<StateRecord>) -> Standing {
    let Some(StateRecord::DekCounted { surrogate, commit }) = get(&StateKey::DekCounted(*dek_id)) else {
        return Standing::Never;
    };
    match get(&StateKey::Surrogate(surrogate)) {
        Some(StateRecord::Surrogate(SurrogateState::Erased { at_us })) => Standing::Erased { at_us },
        _ => Standing::Counted { commit: commit.0 },
    }
}
