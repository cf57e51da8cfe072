//! Personal parts: the one place that knows what in a request belongs to a person.
//!
//! Invariants: `join(split(r)) == r`; the impersonal request holds no byte of the id of a person who acts, is acted
//! for or is concerned, nor of a subject's fields; each part holds what belongs to one person and nothing of
//! another's, so that erasing one needs no other's key. What a producer writes about a person into intent, context or
//! a resource's id is not found here: it is sealed under the organisation's key with the rest of the impersonal part.

use std::collections::BTreeMap;

use crate::ids::{ActorId, SubjectId, Word};
use crate::request::{ActorKind, IdType, PersonRole, PersonalPart, Request, Subject, WITHHELD};

/// Why parts do not make a request. Names roles, never identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinFault {
    /// The impersonal request withholds a person of whom no part was given.
    #[error("the part of {0:?} is missing: read it, or treat the request as no longer readable")]
    Missing(PersonRole),
    /// Two parts for one place.
    #[error("there are two parts of {0:?}: give each once")]
    Doubled(PersonRole),
    /// A part for a place that the impersonal request does not withhold.
    #[error("the request withholds nothing of {0:?}: parts of another request were given")]
    Unexpected(PersonRole),
    /// The kind of identifier is another one than the request says.
    #[error("the part of {0:?} has another kind of identifier: parts of another request were given")]
    IdType(PersonRole),
    /// A name in the part is none.
    #[error("the part of {0:?} holds a name that is not allowed: it is damaged")]
    Name(PersonRole),
}

impl Request {
    /// Takes the persons out: what is left, and one part for each person, in the order actor, principal, subjects.
    ///
    /// Subjects beyond the 256th have no part (a request that passed [`Request::validate`] has at most 16): they are
    /// dropped from the impersonal request rather than left in it in clear.
    pub fn split(&self) -> (Request, Vec<PersonalPart>) {
        let mut rest = Request { subjects: Vec::new(), ..self.clone() };
        let mut parts = Vec::new();
        if rest.actor.kind == ActorKind::Person {
            parts.push(named(PersonRole::Actor, &withhold(&mut rest.actor.id)));
        }
        if let Some(principal) =
            rest.actor.on_behalf_of.as_mut().filter(|principal| principal.kind == ActorKind::Person)
        {
            parts.push(named(PersonRole::OnBehalfOf, &withhold(&mut principal.id)));
        }
        for (position, subject) in (0..=u8::MAX).zip(&self.subjects) {
            let fields = subject.fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
            let role = PersonRole::Subject(position);
            parts.push(PersonalPart { role, id_type: subject.id_type, id: subject.id.to_string(), fields });
            rest.subjects.push(Subject {
                id_type: subject.id_type,
                id: withheld_subject(),
                role: subject.role.clone(),
                fields: BTreeMap::new(),
            });
        }
        (rest, parts)
    }

    /// Puts the persons back.
    ///
    /// # Errors
    /// [`JoinFault`]: the parts are not exactly those that [`Request::split`] took out.
    pub fn join(impersonal: Request, parts: Vec<PersonalPart>) -> Result<Request, JoinFault> {
        let mut by_role = BTreeMap::new();
        for part in parts {
            let role = part.role;
            if by_role.insert(role, part).is_some() {
                return Err(JoinFault::Doubled(role));
            }
        }
        let mut take = |role| by_role.remove(&role).ok_or(JoinFault::Missing(role));
        let mut request = impersonal;
        if request.actor.kind == ActorKind::Person {
            request.actor.id = actor_id(take(PersonRole::Actor)?)?;
        }
        if let Some(principal) =
            request.actor.on_behalf_of.as_mut().filter(|principal| principal.kind == ActorKind::Person)
        {
            principal.id = actor_id(take(PersonRole::OnBehalfOf)?)?;
        }
        for (position, subject) in (0..=u8::MAX).zip(request.subjects.iter_mut()) {
            restore(subject, take(PersonRole::Subject(position))?)?;
        }
        match by_role.into_keys().next() {
            Some(role) => Err(JoinFault::Unexpected(role)),
            None => Ok(request),
        }
    }
}

fn named(role: PersonRole, id: &ActorId) -> PersonalPart {
    PersonalPart { role, id_type: IdType::Actor, id: id.to_string(), fields: BTreeMap::new() }
}

#[expect(clippy::expect_used, reason = "the placeholder is a constant, and every test of this file makes one")]
fn withhold(id: &mut ActorId) -> ActorId {
    std::mem::replace(id, ActorId::new(WITHHELD).expect("the placeholder is a name"))
}

#[expect(clippy::expect_used, reason = "the placeholder is a constant, and every test of this file makes one")]
fn withheld_subject() -> SubjectId {
    SubjectId::new(WITHHELD).expect("the placeholder is a name")
}

fn actor_id(part: PersonalPart) -> Result<ActorId, JoinFault> {
    if part.id_type != IdType::Actor {
        return Err(JoinFault::IdType(part.role));
    }
    ActorId::new(part.id).map_err(|_| JoinFault::Name(part.role))
}

fn restore(subject: &mut Subject, part: PersonalPart) -> Result<(), JoinFault> {
    let PersonalPart { role, id_type, id, fields } = part;
    if id_type != subject.id_type {
        return Err(JoinFault::IdType(role));
    }
    subject.id = SubjectId::new(id).map_err(|_| JoinFault::Name(role))?;
    for (name, value) in fields {
        subject.fields.insert(Word::new(name).map_err(|_| JoinFault::Name(role))?, value);
    }
    Ok(())
}
