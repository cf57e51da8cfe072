//! What must hold when everything has come to rest. Each partition's log is judged by `replay_tests::audit`; here is
//! what takes more than one partition, or what producers and callers know.

use std::collections::BTreeMap;
use std::sync::Arc;

use eventlog::{LogReader, Topic};
use ledger::{Head, event_type};
use replay_tests::audit::{self, Account};
use replay_tests::defect::{self, Defect};
use replay_tests::sample;

use crate::world::{Figures, PARTITIONS, World};

/// Every invariant; returns the figures.
pub fn all(world: &World) -> Result<Figures, String> {
    nobody_complained(world)?;
    let mut figures = Figures { told: world.told().count(), ..Figures::default() };
    let mut accounts = Vec::new();
    for partition in 0..PARTITIONS {
        accounts.push(one(world, partition, &mut figures)?);
    }
    for (partition, told) in world.told() {
        audit::told(&accounts[*partition as usize], told)?;
    }
    produced_is_decided_once(world, &accounts)?;
    let unreadable = accounts.iter().flat_map(|account| &account.answers);
    let refused =
        unreadable.filter(|answer| answer.event_type == event_type::REJECTED && answer.request_key == [0; 32]).count();
    if refused != world.poison {
        return Err(format!("A7: {} poison records, {refused} refusals", world.poison));
    }
    figures.requests = world.sent.values().map(|bodies| bodies.len()).sum();
    Ok(figures)
}

fn one(world: &World, partition: u32, figures: &mut Figures) -> Result<Account, String> {
    let chain = sample::chain(partition);
    let account = audit::partition(&world.ctx, Arc::new(world.log.clone()), chain)?;
    for flaw in world.flaws(partition) {
        flaw.denied_stays_out(&account)?;
    }
    match world.defect {
        None => {
            audit::state(&account, world.last_state(), chain)?;
            audit::sweepable(&world.ctx, &world.log, world.last_state(), chain)?;
        }
        Some(Defect::RemovalAssumed) => audit::sweepable(&world.ctx, &world.log, world.last_state(), chain)?,
        Some(Defect::AcceptByEpoch) => defect::read_by_epoch(&world.log, Head::genesis(chain), &account)?,
        // A defect is to be found by the harm it does, not by its traces in the local state.
        Some(_) => {}
    }
    let there = world.log.tail(Topic::Requests, partition).unwrap().0;
    if account.covered != there || account.consumed.requests != there {
        return Err(format!(
            "I8: {there} requests in partition {partition}, the runs cover {} and count {:?}",
            account.covered, account.consumed
        ));
    }
    figures.decided_again += audit::replayed(&world.ctx, &world.log, chain)?;
    figures.frames += account.frames;
    figures.strays += account.strays;
    figures.claims += account.claims;
    figures.consumed += account.consumed.requests;
    figures.decisions += account.consumed.decisions;
    figures.rejected += account.consumed.rejected;
    figures.duplicates += account.consumed.duplicates();
    Ok(account)
}

/// I1 over all partitions: wherever a request was put, its identity has one answer, and each other body a conflict.
fn produced_is_decided_once(world: &World, accounts: &[Account]) -> Result<(), String> {
    let mut answers: BTreeMap<[u8; 32], (usize, usize)> = BTreeMap::new();
    for answer in accounts.iter().flat_map(|account| &account.answers) {
        let (decided, conflicts) = answers.entry(answer.request_key).or_default();
        match answer.event_type {
            event_type::CONFLICTED => *conflicts += 1,
            event_type::REROUTED => {}
            _ => *decided += 1,
        }
    }
    for ((actor, id), bodies) in &world.sent {
        let framed = bodies.first().ok_or("sent nothing")?;
        let request = world.ctx.requests.read(framed).map_err(|error| error.to_string())?;
        let identity = sample::identity(&world.ctx, &request);
        let (decided, conflicts) = answers.get(&identity.key).copied().unwrap_or_default();
        if (decided, conflicts + 1) != (1, bodies.len()) {
            return Err(format!(
                "I1: {actor} {id} was sent with {} bodies, decided {decided} times, with {conflicts} conflicts",
                bodies.len()
            ));
        }
    }
    Ok(())
}

/// Nothing that the log or a clock may do needs an operator.
fn nobody_complained(world: &World) -> Result<(), String> {
    world.complaints().next().map_or(Ok(()), |complaint| Err(complaint.clone()))
}
