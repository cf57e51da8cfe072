//! Durability: what must be there after the process and the machine went down.

use std::collections::BTreeMap;

use super::{
    Capabilities, Finding, Verdict,
    appends::verify,
    driver::{Driver, frame, record, require},
};
use crate::{Done, NewRecord, Position, Removal, Topic};

type Make<'a> = &'a dyn Fn() -> Driver;

pub(super) fn committed_survives_a_crash(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let Some(reopen) = can.reopen else {
        return Ok(Verdict::Skipped("reopen"));
    };
    let mut driver = make();
    let mut committed: BTreeMap<Position, Vec<u8>> = BTreeMap::new();
    for round in 0..5 {
        for number in 0..10 {
            let at = driver.tail(Topic::Ledger, 1)?;
            let bytes = frame("one", round * 10 + number);
            if let Done::Committed(position) = driver.append(1, at, &bytes)? {
                committed.insert(position, bytes);
            }
        }
        // One in flight: queued, or answered and not looked at.
        driver.log.append(1, driver.tail(Topic::Ledger, 1)?, frame("in flight", round));
        drop(driver);
        driver = Driver::new(reopen(), can.patience);
        verify(&driver, 1, &committed)?;
    }
    require(!committed.is_empty(), || "no frame was committed".to_owned())?;
    Ok(Verdict::Holds)
}

pub(super) fn a_readable_frame_survives_a_crash(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let Some(reopen) = can.reopen else {
        return Ok(Verdict::Skipped("reopen"));
    };
    let mut driver = make();
    for round in 0..5 {
        for number in 0..4 {
            let at = driver.tail(Topic::Ledger, 0)?;
            driver.append(0, at, &frame("one", round * 10 + number))?;
        }
        // Whatever was answered: what can be read is what a follower has folded.
        let seen = driver.read_all(Topic::Ledger, 0, Position::ZERO)?;
        drop(driver);
        driver = Driver::new(reopen(), can.patience);
        let now = driver.read_all(Topic::Ledger, 0, Position::ZERO)?;
        require(now.starts_with(&seen), || format!("{} frames were readable, {} are", seen.len(), now.len()))?;
    }
    Ok(Verdict::Holds)
}

pub(super) fn staged_is_durable_before_its_frame(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let Some(reopen) = can.reopen else {
        return Ok(Verdict::Skipped("reopen"));
    };
    let mut driver = make();
    let mut kept: Vec<(NewRecord, Position)> = Vec::new();
    for round in 0..4 {
        for (topic, partition) in [(Topic::Keys, 0), (Topic::DeadLetters, 1), (Topic::Requests, 1)] {
            let staged = record(topic, partition, round);
            let position = driver.store(&staged)?;
            kept.push((staged, position));
        }
        // In another partition: one sync serves them all.
        driver.commit(0, &frame("one", round))?;
        drop(driver);
        driver = Driver::new(reopen(), can.patience);
        for (staged, position) in &kept {
            driver.require(staged, *position)?;
        }
    }
    Ok(Verdict::Holds)
}

pub(super) fn flushed_survives_a_crash(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let Some(reopen) = can.reopen else {
        return Ok(Verdict::Skipped("reopen"));
    };
    let mut driver = make();
    let mut kept = Vec::new();
    for topic in [Topic::Requests, Topic::Keys, Topic::Outcomes] {
        let written = record(topic, 1, 0);
        let position = driver.store(&written)?;
        kept.push((written, position));
    }
    driver.log.flush().map_err(|error| error.to_string())?;
    drop(driver);
    let driver = Driver::new(reopen(), can.patience);
    for (written, position) in &kept {
        driver.require(written, *position)?;
    }
    Ok(Verdict::Holds)
}

pub(super) fn a_removed_key_stays_removed(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let Some(reopen) = can.reopen else {
        return Ok(Verdict::Skipped("reopen"));
    };
    let mut driver = make();
    for number in 0..5 {
        driver.store(&record(Topic::Keys, 0, number))?;
    }
    driver.remove(Topic::Keys, 0, &Removal::Exactly(vec![Position(1)]))?;
    let tail = driver.tail(Topic::Keys, 0)?;
    drop(driver);
    let mut driver = Driver::new(reopen(), can.patience);
    let found = driver.read_all(Topic::Keys, 0, Position::ZERO)?;
    let places: Vec<u64> = found.iter().map(|record| record.position.0).collect();
    let expected: Vec<u64> = (0..tail.0).filter(|place| *place != 1).collect();
    require(places == expected, || format!("after reopening there are {places:?}"))?;
    let next = driver.store(&record(Topic::Keys, 0, 9))?;
    require(next >= tail, || format!("{next} was used again"))?;
    Ok(Verdict::Holds)
}
