//! For whoever explores what owners may do, step by step: two owners that will do the same are the same.
//!
//! An explored state is left by a copy of its owners (`Clone`), and met again by its fingerprint. Random values are the
//! one thing that would tell apart what is alike, so the explorer hands them in before each step.
//!
//! Left out of the fingerprint on purpose: tags (whether an answer is awaited is part of the phase), how long a wait
//! lasts and how often it was doubled (an explorer lets any wait end at any time), and the status, which only repeats
//! the phase in words.

use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use rand_chacha::ChaCha20Rng;

use super::batch::Batch;
use super::{AnsweredBy, Owner, Phase};

impl Owner {
    /// Draws from `rng` from now on. No value may come twice while anything drawn from the first is still around.
    pub fn reseed(&mut self, rng: ChaCha20Rng) {
        self.rng = rng;
    }

    /// Feeds all that decides what this owner does next, given the same local state.
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        discriminant(&self.phase).hash(hasher);
        match &self.phase {
            Phase::Staging(batch) | Phase::Appending(batch) => batch.fingerprint(hasher),
            Phase::Yielded { seen, .. } => seen.hash(hasher),
            Phase::ReadingKeys { then } => then.hash(hasher),
            Phase::Idle
            | Phase::CatchingUp
            | Phase::Running
            | Phase::Guarded
            | Phase::Waiting { .. }
            | Phase::Stopped => {}
        }
        (self.head.next_seq, self.head.run_head, self.head.writer_epoch, self.head.closed).hash(hasher);
        (self.recorded_at_us, self.next_outcome_no, self.position, self.claimed, self.was_owner).hash(hasher);
        (self.keys_watermark, self.keys_behind, self.sweeping.is_some()).hash(hasher);
        for answer in &self.untold {
            (answer.identity.key, answer.identity.mac).hash(hasher);
            if let AnsweredBy::Earlier { seq } = answer.event {
                seq.hash(hasher);
            }
        }
        self.intake.hash(hasher);
        self.policies.as_ref().map(|set| set.hash().0).hash(hasher);
        self.drawn.names().for_each(|name| name.hash(hasher));
    }
}

impl Batch {
    /// The head covers the events, their order and the ranges; with what was staged it names the batch.
    fn fingerprint(&self, hasher: &mut impl Hasher) {
        (self.purpose, self.at, self.frame.head.run_head, &self.staged_at).hash(hasher);
        for (topic, record) in &self.source {
            (topic, record.position).hash(hasher);
        }
        self.drawn.names().for_each(|name| name.hash(hasher));
    }
}
