//! The crash guard: what was being computed when a process died, and how often that happened to a record.
//!
//! A record that ends the process (a stack overflow, memory) would end every process that takes it up again. So what is
//! computed is written down before and struck out after; found at the start, it says where the last process died.
//! The count, exactly: a death while a batch was computed counts one for each record of the batch, and from then on
//! these records are computed one by one; a death while one record was computed alone counts one for it. With
//! `crashes_max` deaths, the last of them alone, a record is set aside without being decoded: at the default of three,
//! the third death is the last, wherever in its batch the record lay. A record that is only near one that kills is
//! computed alone once, lives, and is decided.
//! Invariant: a record is never set aside for deaths in company alone.
//! Deliberately not here: deaths outside computing (committing, following), and who sets the record aside.

use eventlog::Topic;

use super::intake::TOPICS;

/// Offsets of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Span {
    fn len(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    fn holds(self, offset: u64) -> bool {
        (self.from..self.to).contains(&offset)
    }
}

/// What one life of a process leaves to the next: `3 × (u64 from ‖ u64 to ‖ u64 deaths) ‖ 3 × (u64 from ‖ u64 to)`,
/// big-endian, for the requests, the commands and the policies in this order. First what is being computed, and how
/// often a process died on it before (0 for a batch); then what has to be computed one by one. Frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    computing: [Span; TOPICS.len()],
    deaths: u32,
    suspects: [Span; TOPICS.len()],
}

/// The order of the inputs in a guard.
const ORDER: [Topic; TOPICS.len()] = [Topic::Requests, Topic::Commands, Topic::Policies];

fn place(topic: Topic) -> usize {
    ORDER.into_iter().position(|known| known == topic).unwrap_or(0)
}

impl Guard {
    /// Of what is about to be computed. `deaths` says how often that has happened to a record.
    pub(super) fn new(computing: &[(Topic, Span)], suspects: Suspects) -> Guard {
        let mut guard = Guard { suspects: suspects.spans, ..Guard::default() };
        for (topic, span) in computing {
            if let Some(slot) = guard.computing.get_mut(place(*topic)) {
                *slot = *span;
            }
        }
        guard.deaths = guard.alone().map_or(0, |(topic, offset)| suspects.deaths(topic, offset));
        guard
    }

    /// The one record that is computed; none for a batch.
    fn alone(&self) -> Option<(Topic, u64)> {
        let mut spans = ORDER.into_iter().zip(self.computing).filter(|(_, span)| span.len() > 0);
        match (spans.next(), spans.next()) {
            (Some((topic, span)), None) if span.len() == 1 => Some((topic, span.from)),
            _ => None,
        }
    }

    /// Whether this record is among what is computed.
    pub fn computes(&self, topic: Topic, offset: u64) -> bool {
        self.computing.get(place(topic)).is_some_and(|span| span.holds(offset))
    }

    /// How often processes died before on the one record that is computed; 0 for a batch.
    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let alone = self.alone();
        let computing = ORDER.into_iter().zip(self.computing).flat_map(|(topic, span)| {
            let deaths = if alone.is_some_and(|(of, _)| of == topic) { self.deaths } else { 0 };
            [span.from, span.to, u64::from(deaths)]
        });
        let suspects = self.suspects.iter().flat_map(|span| [span.from, span.to]);
        computing.chain(suspects).flat_map(u64::to_be_bytes).collect()
    }

    /// What is stored; missing numbers are 0.
    pub fn decode(bytes: &[u8]) -> Guard {
        let number =
            |nth: usize| bytes.chunks_exact(8).nth(nth).and_then(|at| at.try_into().ok()).map_or(0, u64::from_be_bytes);
        let span = |nth: usize| Span { from: number(nth), to: number(nth + 1) };
        let mut guard =
            Guard { computing: [span(0), span(3), span(6)], deaths: 0, suspects: [span(9), span(11), span(13)] };
        if let Some((topic, _)) = guard.alone() {
            guard.deaths = u32::try_from(number(place(topic) * 3 + 2)).unwrap_or(u32::MAX);
        }
        guard
    }
}

/// Records that may end the process, as the lives before this one say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Suspects {
    spans: [Span; TOPICS.len()],
    /// The record that the last process died on alone, and how many deaths it has in all.
    alone: Option<(Topic, u64, u32)>,
}

impl Suspects {
    /// After a death with this guard.
    pub(super) fn after(guard: Guard) -> Suspects {
        match guard.alone() {
            Some((topic, offset)) => {
                let mut suspects =
                    Suspects { spans: guard.suspects, alone: Some((topic, offset, guard.deaths.saturating_add(1))) };
                // It may be the first death of it, and the next computes it alone again.
                if let Some(span) = suspects.spans.get_mut(place(topic)).filter(|span| span.len() == 0) {
                    *span = Span { from: offset, to: offset.saturating_add(1) };
                }
                suspects
            }
            None if guard.computing.iter().any(|span| span.len() > 0) => {
                Suspects { spans: guard.computing, alone: None }
            }
            None => Suspects { spans: guard.suspects, alone: None },
        }
    }

    /// Whether records of an input have to be computed one by one from `offset` on.
    pub(super) fn lie_ahead(&self, topic: Topic, offset: u64) -> bool {
        self.spans.get(place(topic)).is_some_and(|span| offset < span.to)
    }

    /// Those of an input that lie before `offset` are none any more.
    pub(super) fn clear_before(&mut self, topic: Topic, offset: u64) {
        if let Some(span) = self.spans.get_mut(place(topic)) {
            let from = span.from.max(offset);
            *span = if from < span.to { Span { from, to: span.to } } else { Span::default() };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.iter().all(|span| span.len() == 0)
    }

    /// How often a process died while it computed this record.
    fn deaths(&self, topic: Topic, offset: u64) -> u32 {
        match self.alone {
            Some((of, at, deaths)) if (of, at) == (topic, offset) => deaths,
            _ => u32::from(self.spans.get(place(topic)).is_some_and(|span| span.holds(offset))),
        }
    }

    /// How often a process died on this record, if it died on it alone the last time; else 0.
    pub(super) fn blamed(&self, topic: Topic, offset: u64) -> u32 {
        self.alone.filter(|(of, at, _)| (*of, *at) == (topic, offset)).map_or(0, |(_, _, deaths)| deaths)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_stored_form_is_frozen() {
        let suspects = Suspects::after(Guard::new(&[(Topic::Commands, Span { from: 1, to: 4 })], Suspects::default()));
        let guard = Guard::new(&[(Topic::Commands, Span { from: 2, to: 3 })], suspects);
        let mut expected = [[0; 8]; 15];
        for (at, number) in [(3, 2), (4, 3), (5, 1), (11, 1), (12, 4)] {
            expected[at] = u64::to_be_bytes(number);
        }
        assert_eq!(guard.encode(), expected.concat());
        assert_eq!(Guard::decode(&guard.encode()), guard);
        assert!(guard.computes(Topic::Commands, 2) && !guard.computes(Topic::Commands, 1));
        assert_eq!(guard.deaths(), 1);
    }
}
