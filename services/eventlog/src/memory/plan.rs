//! Which permitted misbehaviour comes next: by script, and when that is empty, by seeded chance.
//!
//! Deterministic: the same seed, script and calls give the same fates on every machine.

use std::collections::VecDeque;

use crate::draws::Draws;

/// What becomes of a frame that is appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Stored and committed at the tail, else refused and not stored.
    #[default]
    Plain,
    /// Never stored; `Unknown`.
    Lost,
    /// Stored at the tail, wherever that is; `Unknown`.
    Unknown,
    /// Stored right after the so-manieth frame that follows in its partition, or when it is settled; `Unknown`.
    Late {
        /// Frames that overtake it; 0 counts as 1.
        after: u32,
    },
    /// Stored now, and again with the so-manieth frame that follows (0: at once); `Unknown`.
    Twice {
        /// Which of the frames that follow.
        after: u32,
    },
    /// As a broker does it: stored at the tail wherever that is, then compared. `Committed` or `Conflict`.
    Blind,
    /// Stored at the tail, wherever that is; `Conflict`.
    Conflict,
}

/// What becomes of an ordinary write, or of a removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WriteFate {
    /// Stored and said so.
    #[default]
    Plain,
    /// Never stored; `Unknown`.
    Lost,
    /// Stored; `Unknown`.
    Unknown,
    /// Never stored, and said so: `Failed` with an error that passes.
    Refused,
}

/// How often each fate is drawn, in parts of a thousand; what is left is plain. Together at most 1,000 for frames, and
/// at most 1,000 for writes: what lies beyond is never drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chances {
    /// [`Fate::Lost`].
    pub lost: u16,
    /// [`Fate::Unknown`].
    pub unknown: u16,
    /// [`Fate::Late`], overtaken by 1 to 4 frames.
    pub late: u16,
    /// [`Fate::Twice`], 1 to 4 frames between.
    pub twice: u16,
    /// [`Fate::Blind`].
    pub blind: u16,
    /// [`Fate::Conflict`].
    pub conflict: u16,
    /// [`WriteFate::Lost`].
    pub write_lost: u16,
    /// [`WriteFate::Unknown`].
    pub write_unknown: u16,
    /// [`WriteFate::Refused`].
    pub write_refused: u16,
    /// [`WriteFate::Lost`], of a removal.
    pub remove_lost: u16,
    /// That a frame on its way arrives at a poll, whether or not it was overtaken.
    pub settle: u16,
}

impl Chances {
    /// Every fault, often: four frames of ten.
    pub const STORMY: Self = Self {
        lost: 60,
        unknown: 80,
        late: 80,
        twice: 60,
        blind: 60,
        conflict: 60,
        write_lost: 60,
        write_unknown: 60,
        write_refused: 60,
        remove_lost: 200,
        settle: 200,
    };
}

/// A source of fates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Plan {
    frames: VecDeque<Fate>,
    writes: VecDeque<WriteFate>,
    removals: VecDeque<WriteFate>,
    chances: Chances,
    draws: Draws,
}

impl Plan {
    /// Never misbehaves.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Misbehaves at random.
    pub fn seeded(seed: u64, chances: Chances) -> Self {
        Self { chances, draws: Draws(seed), ..Self::default() }
    }

    /// These fates for the next frames, then what the plan did before.
    #[must_use]
    pub fn frames(mut self, fates: impl IntoIterator<Item = Fate>) -> Self {
        self.frames.extend(fates);
        self
    }

    /// These fates for the next ordinary writes, then what the plan did before.
    #[must_use]
    pub fn writes(mut self, fates: impl IntoIterator<Item = WriteFate>) -> Self {
        self.writes.extend(fates);
        self
    }

    /// These fates for the next removals, then what the plan did before.
    #[must_use]
    pub fn removals(mut self, fates: impl IntoIterator<Item = WriteFate>) -> Self {
        self.removals.extend(fates);
        self
    }

    /// The next frame's fate.
    pub fn frame(&mut self) -> Fate {
        if let Some(fate) = self.frames.pop_front() {
            return fate;
        }
        let chances = self.chances;
        let mut drawn = self.draws.below(1_000);
        let overtaken = 1 + u32::from(self.draws.below(4));
        for (chance, fate) in [
            (chances.lost, Fate::Lost),
            (chances.unknown, Fate::Unknown),
            (chances.late, Fate::Late { after: overtaken }),
            (chances.twice, Fate::Twice { after: overtaken }),
            (chances.blind, Fate::Blind),
            (chances.conflict, Fate::Conflict),
        ] {
            match drawn.checked_sub(chance) {
                None => return fate,
                Some(rest) => drawn = rest,
            }
        }
        Fate::Plain
    }

    /// The next ordinary write's fate.
    pub fn write(&mut self) -> WriteFate {
        if let Some(fate) = self.writes.pop_front() {
            return fate;
        }
        let drawn = self.draws.below(1_000);
        let Chances { write_lost, write_unknown, write_refused, .. } = self.chances;
        match drawn.checked_sub(write_lost) {
            None => WriteFate::Lost,
            Some(rest) if rest < write_unknown => WriteFate::Unknown,
            Some(rest) if rest - write_unknown < write_refused => WriteFate::Refused,
            Some(_) => WriteFate::Plain,
        }
    }

    /// The next removal's fate.
    pub fn removal(&mut self) -> WriteFate {
        if let Some(fate) = self.removals.pop_front() {
            return fate;
        }
        // Nothing is drawn where nothing can come of it, so that plans without this chance stay as they were.
        if self.chances.remove_lost > 0 && self.draws.below(1_000) < self.chances.remove_lost {
            WriteFate::Lost
        } else {
            WriteFate::Plain
        }
    }

    /// Does a frame on its way arrive at this poll?
    pub fn settles(&mut self) -> bool {
        self.draws.below(1_000) < self.chances.settle
    }
}
