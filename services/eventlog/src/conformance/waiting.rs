//! `poll`: notices, tickets, waiting and waking.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    Capabilities, Finding, Verdict,
    driver::{Driver, record, require},
};
use crate::{NewRecord, Position, Removal, Ticket, Topic};

type Make<'a> = &'a dyn Fn() -> Driver;

pub(super) fn every_partition_is_assigned(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let all: BTreeSet<u32> = (0..driver.log.partitions()).collect();
    require(all.len() > 1, || "the suite needs at least two partitions".to_owned())?;
    driver.poll_until(|driver| driver.assigned.len() >= all.len());
    let assigned: BTreeSet<u32> = driver.assigned.iter().copied().collect();
    let once = assigned == all && driver.assigned.len() == all.len();
    require(once, || format!("the only writer was assigned {:?}", driver.assigned))?;
    Ok(Verdict::Holds)
}

pub(super) fn each_operation_completes_once(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let mut tickets: Vec<Ticket> = Vec::new();
    for number in 0..20 {
        let request = record(Topic::Requests, 0, number);
        tickets.push(driver.log.submit(request));
        let keys = vec![record(Topic::Keys, 0, number), record(Topic::Keys, 1, number)];
        tickets.push(driver.log.stage(keys));
        tickets.push(driver.log.stage(Vec::new()));
        let at = driver.tail(Topic::Ledger, 0)?;
        tickets.push(driver.log.append(0, at, vec![1]));
        tickets.push(driver.log.append(1, Position(77), vec![2]));
        tickets.push(driver.log.publish(1, vec![record(Topic::Outcomes, 1, number)]));
        tickets.push(driver.log.remove(Topic::Keys, 0, Removal::Exactly(vec![Position(0)])));
        tickets.push(driver.log.remove(Topic::Ledger, 0, Removal::Below(Position(1))));
        tickets.push(driver.log.submit(NewRecord::new(Topic::Ledger, 0, [], [])));
        if number % 3 == 0 {
            driver.poll();
        }
    }
    let distinct: BTreeSet<Ticket> = tickets.iter().copied().collect();
    let valid = distinct.len() == tickets.len() && !distinct.contains(&Ticket::NOTICE);
    require(valid, || "a ticket was returned twice".to_owned())?;
    for ticket in tickets {
        driver.wait(ticket)?;
    }
    for _ in 0..20 {
        driver.poll();
    }
    let repeated = driver.repeated.first();
    require(repeated.is_none(), || format!("{repeated:?} completed more than once"))?;
    Ok(Verdict::Holds)
}

pub(super) fn poll_of_zero_does_not_wait(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    driver.poll_until(|driver| !driver.assigned.is_empty());
    let begun = Instant::now();
    for _ in 0..1_000 {
        driver.log.poll(Duration::ZERO);
    }
    let took = begun.elapsed();
    require(took < can.patience, || format!("1,000 empty polls took {took:?}"))?;
    Ok(Verdict::Holds)
}

pub(super) fn a_waker_ends_the_wait(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    driver.poll_until(|driver| !driver.assigned.is_empty());
    let forever = can.patience * 20;
    // Before the wait: it is not lost. During the wait: it ends it.
    driver.log.waker().wake();
    let waker = driver.log.waker();
    let begun = Instant::now();
    driver.log.poll(forever);
    let before = begun.elapsed();
    let during = std::thread::scope(|scope| {
        scope.spawn(move || waker.wake());
        driver.log.poll(forever);
        begun.elapsed()
    });
    require(before < can.patience, || format!("woken before it waited, it took {before:?}"))?;
    require(during < can.patience * 2, || format!("woken while it waited, it took {during:?}"))?;
    Ok(Verdict::Holds)
}
