//! The topics of the system: a closed list, because every adapter must know how each one behaves.
//!
//! INVARIANT: the numbers are persisted (keys of the embedded log, the anchor file) and never change; a retired one
//! stays reserved. Names are logical, without a deployment's prefix, and are what a run record of the ledger carries.

/// A topic of the log. Each has [`partitions`](crate::EventLog::partitions) partitions, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Topic {
    /// Decision requests: the input.
    Requests = 0,
    /// Operators' commands.
    Commands = 1,
    /// Policy bundles and their activation.
    Policies = 2,
    /// Frames, and nothing else: the only truth. Dense, never removed from, written by `append` alone.
    Ledger = 3,
    /// Keyring records; the one topic whose removed records must be gone from the medium.
    Keys = 4,
    /// What could not be processed.
    DeadLetters = 5,
    /// Outcomes for consumers, derived from the ledger.
    Outcomes = 6,
}

impl Topic {
    /// How many topics there are.
    pub const COUNT: usize = 7;

    /// Every topic, in the order of [`number`](Self::number).
    pub const ALL: [Self; Self::COUNT] =
        [Self::Requests, Self::Commands, Self::Policies, Self::Ledger, Self::Keys, Self::DeadLetters, Self::Outcomes];

    /// The logical name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Commands => "commands",
            Self::Policies => "policies",
            Self::Ledger => "ledger",
            Self::Keys => "keys",
            Self::DeadLetters => "dead-letters",
            Self::Outcomes => "outcomes",
        }
    }

    /// The persisted number, 0 to 6.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The topic of a persisted number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.number() == number)
    }

    /// May [`submit`](crate::EventLog::submit) write it?
    pub const fn is_submitted(self) -> bool {
        matches!(self, Self::Requests | Self::Commands | Self::Policies)
    }

    /// May [`stage`](crate::EventLog::stage) write it? `Requests` for those forwarded from another partition.
    pub const fn is_staged(self) -> bool {
        matches!(self, Self::Keys | Self::DeadLetters | Self::Requests)
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Topic;

    #[test]
    fn numbers_and_names_are_frozen() {
        let frozen = [
            (0, "requests"),
            (1, "commands"),
            (2, "policies"),
            (3, "ledger"),
            (4, "keys"),
            (5, "dead-letters"),
            (6, "outcomes"),
        ];
        assert_eq!(frozen, Topic::ALL.map(|topic| (topic.number(), topic.as_str())));
        for topic in Topic::ALL {
            assert_eq!(Some(topic), Topic::from_number(topic.number()));
        }
        assert_eq!(None, Topic::from_number(7));
    }
}
