//! Numbers that stand in the ledger for values of the domain: each once, in both directions.
//!
//! INVARIANT: frozen. A retired number stays reserved, a new value gets a new one. The ledger carries these numbers
//! without knowing what they mean. Those that have a home elsewhere are not repeated here: reason codes
//! (`policy::ReasonCode`), kinds of identifiers (`domain::request::IdType`), routing (`domain::routing::Routing`).

use domain::command::DeadLetterMark;
use domain::event::{AnswerKind, RetentionClass};
use domain::request::{LegalBasis, PersonRole, limits};
use ledger::{event_type, layout, section_tag};
use policy::{Mode, Outcome};

/// In facts, before a surrogate: who acts.
pub const ROLE_ACTOR: u8 = 0;
/// For whom it is done.
pub const ROLE_ON_BEHALF_OF: u8 = 1;
/// A person concerned; several stand in the order of the request.
pub const ROLE_SUBJECT: u8 = 2;

const ACTOR_TAG: u16 = section_tag::SUBJECT_FIRST;
const ON_BEHALF_OF_TAG: u16 = section_tag::SUBJECT_FIRST + 1;
const FIRST_SUBJECT_TAG: u16 = section_tag::SUBJECT_FIRST + 2;

/// The target partition of a forwarded request is not in clear: it follows from the request and the routing.
pub const PARTITION_NOT_STATED: u32 = u32::MAX;

/// Facts, `mode`.
pub fn mode(mode: Mode) -> u8 {
    match mode {
        Mode::Strict => 0,
        Mode::Permissive => 1,
        Mode::Paranoid => 2,
    }
}

/// The mode with this number.
pub fn to_mode(number: u8) -> Option<Mode> {
    Some(match number {
        0 => Mode::Strict,
        1 => Mode::Permissive,
        2 => Mode::Paranoid,
        _ => return None,
    })
}

/// Facts, `legal_basis`: 0 none, then (a) to (f) of GDPR Art. 6(1).
pub fn legal_basis(basis: Option<LegalBasis>) -> u8 {
    match basis {
        None => 0,
        Some(LegalBasis::Consent) => 1,
        Some(LegalBasis::Contract) => 2,
        Some(LegalBasis::LegalObligation) => 3,
        Some(LegalBasis::VitalInterests) => 4,
        Some(LegalBasis::PublicTask) => 5,
        Some(LegalBasis::LegitimateInterests) => 6,
    }
}

/// The legal basis with this number; the inner `None` is "none stated".
pub fn to_legal_basis(number: u8) -> Option<Option<LegalBasis>> {
    Some(match number {
        0 => None,
        1 => Some(LegalBasis::Consent),
        2 => Some(LegalBasis::Contract),
        3 => Some(LegalBasis::LegalObligation),
        4 => Some(LegalBasis::VitalInterests),
        5 => Some(LegalBasis::PublicTask),
        6 => Some(LegalBasis::LegitimateInterests),
        _ => return None,
    })
}

/// Facts and keys, `class`.
pub fn retention_class(class: RetentionClass) -> u8 {
    match class {
        RetentionClass::Ordinary => 1,
        RetentionClass::HighRisk => 4,
    }
}

/// The retention class with this number.
pub fn to_retention_class(number: u8) -> Option<RetentionClass> {
    Some(match number {
        1 => RetentionClass::Ordinary,
        4 => RetentionClass::HighRisk,
        _ => return None,
    })
}

/// Outcome, `outcome`.
pub fn outcome(outcome: Option<Outcome>) -> u8 {
    match outcome {
        Some(Outcome::Deny) => layout::OUTCOME_DENY,
        Some(Outcome::Permit) => layout::OUTCOME_PERMIT,
        Some(Outcome::Escalate) => layout::OUTCOME_ESCALATE,
        None => layout::OUTCOME_NONE,
    }
}

/// The outcome with this number; the inner `None` is "nothing was decided".
pub fn to_outcome(number: u8) -> Option<Option<Outcome>> {
    Some(match number {
        layout::OUTCOME_DENY => Some(Outcome::Deny),
        layout::OUTCOME_PERMIT => Some(Outcome::Permit),
        layout::OUTCOME_ESCALATE => Some(Outcome::Escalate),
        layout::OUTCOME_NONE => None,
        _ => return None,
    })
}

/// The event type of an answer.
pub fn answer_kind(kind: AnswerKind) -> u16 {
    match kind {
        AnswerKind::Decided => event_type::DECIDED,
        AnswerKind::Rejected => event_type::REJECTED,
        AnswerKind::Rerouted { .. } => event_type::REROUTED,
        AnswerKind::Conflicted => event_type::CONFLICTED,
    }
}

/// The kind of answer of an event type; of a forwarded one with [`PARTITION_NOT_STATED`].
pub fn to_answer_kind(event_type: u16) -> Option<AnswerKind> {
    Some(match event_type {
        event_type::DECIDED => AnswerKind::Decided,
        event_type::REJECTED => AnswerKind::Rejected,
        event_type::REROUTED => AnswerKind::Rerouted { partition: PARTITION_NOT_STATED },
        event_type::CONFLICTED => AnswerKind::Conflicted,
        _ => return None,
    })
}

/// Whether an answer of this kind takes an outcome number: every answer but a forwarded one's.
pub fn takes_outcome_no(kind: AnswerKind) -> bool {
    !matches!(kind, AnswerKind::Rerouted { .. })
}

/// DeadLetterMarked, `mark`.
pub fn dead_letter_mark(mark: DeadLetterMark) -> u8 {
    match mark {
        DeadLetterMark::Retried => layout::MARK_RETRIED,
        DeadLetterMark::Discarded => layout::MARK_DISCARDED,
    }
}

/// The mark with this number.
pub fn to_dead_letter_mark(number: u8) -> Option<DeadLetterMark> {
    Some(match number {
        layout::MARK_RETRIED => DeadLetterMark::Retried,
        layout::MARK_DISCARDED => DeadLetterMark::Discarded,
        _ => return None,
    })
}

/// The section of a person: 256 the actor, 257 for whom it acts, 258 to 273 subjects. `None` beyond the 16th subject:
/// the record schema has no field for it.
pub fn person_tag(role: PersonRole) -> Option<u16> {
    match role {
        PersonRole::Actor => Some(ACTOR_TAG),
        PersonRole::OnBehalfOf => Some(ON_BEHALF_OF_TAG),
        PersonRole::Subject(at) if usize::from(at) < limits::SUBJECTS_MAX => Some(FIRST_SUBJECT_TAG + u16::from(at)),
        PersonRole::Subject(_) => None,
    }
}

/// Whose section it is.
pub fn to_person(tag: u16) -> Option<PersonRole> {
    match tag {
        ACTOR_TAG => Some(PersonRole::Actor),
        ON_BEHALF_OF_TAG => Some(PersonRole::OnBehalfOf),
        _ => {
            let at = u8::try_from(tag.checked_sub(FIRST_SUBJECT_TAG)?).ok()?;
            (usize::from(at) < limits::SUBJECTS_MAX).then_some(PersonRole::Subject(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number that is known means the value that has it, and no other number is known.
    fn check<N, T: PartialEq + std::fmt::Debug>(
        all: impl IntoIterator<Item = N>,
        to: impl Fn(N) -> Option<T>,
        from: impl Fn(T) -> Option<N>,
        frozen: &[(N, T)],
    ) where
        N: Copy + PartialEq + std::fmt::Debug,
    {
        for number in all {
            let expected = frozen.iter().find(|(known, _)| *known == number);
            assert_eq!(to(number).as_ref(), expected.map(|(_, value)| value), "{number:?}");
            if let Some(value) = to(number) {
                assert_eq!(from(value), Some(number));
            }
        }
    }

    #[test]
    fn the_numbers_are_frozen() {
        let bytes = || 0..=u8::MAX;
        let frozen = [(0, Mode::Strict), (1, Mode::Permissive), (2, Mode::Paranoid)];
        check(bytes(), to_mode, |value| Some(mode(value)), &frozen);
        let frozen = [
            (0, None),
            (1, Some(LegalBasis::Consent)),
            (2, Some(LegalBasis::Contract)),
            (3, Some(LegalBasis::LegalObligation)),
            (4, Some(LegalBasis::VitalInterests)),
            (5, Some(LegalBasis::PublicTask)),
            (6, Some(LegalBasis::LegitimateInterests)),
        ];
        check(bytes(), to_legal_basis, |value| Some(legal_basis(value)), &frozen);
        let frozen = [(1, RetentionClass::Ordinary), (4, RetentionClass::HighRisk)];
        check(bytes(), to_retention_class, |value| Some(retention_class(value)), &frozen);
        assert!(frozen.iter().all(|(number, class)| *class as u8 == *number), "the domain says the same");
        let frozen = [(0, Some(Outcome::Deny)), (1, Some(Outcome::Permit)), (2, Some(Outcome::Escalate)), (3, None)];
        check(bytes(), to_outcome, |value| Some(outcome(value)), &frozen);
        let frozen = [(0, DeadLetterMark::Retried), (1, DeadLetterMark::Discarded)];
        check(bytes(), to_dead_letter_mark, |value| Some(dead_letter_mark(value)), &frozen);
        let rerouted = AnswerKind::Rerouted { partition: PARTITION_NOT_STATED };
        let frozen = [(1, AnswerKind::Decided), (2, AnswerKind::Rejected), (3, rerouted), (5, AnswerKind::Conflicted)];
        check(0..=u16::MAX, to_answer_kind, |value| Some(answer_kind(value)), &frozen);
        assert!(frozen.iter().all(|(number, _)| event_type::answers_request(*number)));
    }

    #[test]
    fn sections_of_persons_are_those_of_the_record_schema() {
        let mut frozen = vec![(256, PersonRole::Actor), (257, PersonRole::OnBehalfOf)];
        frozen.extend((258..=273).zip((0..=15).map(PersonRole::Subject)));
        check(0..=u16::MAX, to_person, person_tag, &frozen);
        assert_eq!(person_tag(PersonRole::Subject(16)), None);
        for (tag, _) in frozen {
            assert!(wire::decision_schema().contains(&format!("\"s{tag}\"")), "{tag}");
        }
        assert!(!wire::decision_schema().contains("\"s274\""));
    }
}
