//! Compare-and-append: what `Committed` promises, alone and among rivals.

use std::collections::BTreeMap;

use super::{
    Capabilities, Finding, Verdict,
    driver::{Driver, frame, require},
};
use crate::{Done, Position, Ticket, Topic};

type Make<'a> = &'a dyn Fn() -> Driver;

pub(super) fn committed_lies_at_its_position(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let mut committed = 0;
    for number in 0..60 {
        let at = driver.tail(Topic::Ledger, 0)?;
        let sent = frame("one", number);
        match driver.append(0, at, &sent)? {
            Done::Committed(position) => {
                require(position == at, || format!("asked for {at}, committed at {position}"))?;
                let found = driver.at(Topic::Ledger, 0, position)?;
                require(found.value == sent, || format!("{at} holds another frame: {found:?}"))?;
                let bare = found.key.is_empty() && found.headers.is_empty();
                require(bare, || format!("a frame has a key or headers: {found:?}"))?;
                committed += 1;
            }
            Done::Conflict | Done::Unknown if !can.faultless => {}
            other => return Err(format!("an append at the tail was answered {other:?}")),
        }
    }
    require(committed > 0, || "no frame of 60 was committed".to_owned())?;
    Ok(Verdict::Holds)
}

pub(super) fn only_the_tail_commits(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    for number in 0..10 {
        driver.commit(0, &frame("one", number))?;
    }
    for round in 0..10 {
        let tail = driver.tail(Topic::Ledger, 0)?;
        for at in [0, tail.0.saturating_sub(1), tail.0 + 100 + round, u64::MAX - 1] {
            let done = driver.append(0, Position(at), b"misplaced")?;
            let allowed = done == Done::Conflict || (!can.faultless && done == Done::Unknown);
            require(allowed, || format!("an append at {at}, tail {tail}, was answered {done:?}"))?;
        }
    }
    Ok(Verdict::Holds)
}

pub(super) fn no_position_is_committed_twice(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let mut committed: BTreeMap<Position, Vec<u8>> = BTreeMap::new();
    for round in 0..20 {
        let at = driver.tail(Topic::Ledger, 0)?;
        // Three for one place and one for the next, in one poll.
        let places = [at, at, at.next(), at];
        let sent: Vec<(Ticket, Vec<u8>)> = places
            .into_iter()
            .enumerate()
            .map(|(number, at)| {
                let bytes = frame("one", round * 10 + number);
                (driver.log.append(0, at, bytes.clone()), bytes)
            })
            .collect();
        for (ticket, bytes) in sent {
            if let Done::Committed(position) = driver.wait(ticket)? {
                let before = committed.insert(position, bytes);
                require(before.is_none(), || format!("{position} was committed twice"))?;
            }
        }
    }
    verify(&driver, 0, &committed)?;
    require(!can.faultless || committed.len() == 40, || format!("{} frames of 40 were committed", committed.len()))?;
    Ok(Verdict::Holds)
}

pub(super) fn partitions_are_apart(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let partitions = driver.log.partitions();
    let mut committed: BTreeMap<u32, BTreeMap<Position, Vec<u8>>> = BTreeMap::new();
    for round in 0..10 {
        let mut sent = Vec::new();
        for partition in 0..partitions {
            let at = driver.tail(Topic::Ledger, partition)?;
            let bytes = frame(&format!("partition {partition}"), round);
            sent.push((driver.log.append(partition, at, bytes.clone()), partition, bytes));
        }
        for (ticket, partition, bytes) in sent {
            if let Done::Committed(position) = driver.wait(ticket)? {
                committed.entry(partition).or_default().insert(position, bytes);
            }
        }
    }
    for (partition, committed) in &committed {
        verify(&driver, *partition, committed)?;
        let own = format!(" of partition {partition} ");
        for record in driver.read_all(Topic::Ledger, *partition, Position::ZERO)? {
            let text = String::from_utf8_lossy(&record.value).into_owned();
            require(text.contains(&own), || format!("partition {partition} holds {text:?}"))?;
        }
    }
    let count: usize = committed.values().map(BTreeMap::len).sum();
    let all = u32::try_from(count) == Ok(partitions * 10);
    require(count > 0 && (all || !can.faultless), || format!("{count} frames were committed"))?;
    Ok(Verdict::Holds)
}

pub(super) fn rivals_never_share_a_position(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let Some(rival) = can.rival else {
        return Ok(Verdict::Skipped("rival"));
    };
    let mut writers = [make(), Driver::new(rival(), can.patience)];
    let mut committed: BTreeMap<Position, Vec<u8>> = BTreeMap::new();
    let mut by_writer = [0u32; 2];
    for number in 0..100 {
        // Both see the same tail, then both append; who comes first alternates.
        let mut sent = Vec::new();
        for (name, writer) in ["one", "two"].iter().zip(&mut writers) {
            let at = writer.tail(Topic::Ledger, 0)?;
            let bytes = frame(name, number);
            sent.push((writer.log.append(0, at, bytes.clone()), bytes));
        }
        let mut answers: Vec<_> = writers.iter_mut().zip(&mut by_writer).zip(sent).collect();
        if number % 2 == 1 {
            answers.reverse();
        }
        for ((writer, count), (ticket, bytes)) in answers {
            if let Done::Committed(position) = writer.wait(ticket)? {
                *count += 1;
                let before = committed.insert(position, bytes);
                require(before.is_none(), || format!("{position} was committed to both"))?;
            }
        }
    }
    for writer in &writers {
        verify(writer, 0, &committed)?;
    }
    require(by_writer.iter().all(|count| *count > 0), || format!("one writer never committed: {by_writer:?}"))?;
    Ok(Verdict::Holds)
}

/// Every acknowledged frame is where it was said to be.
pub(super) fn verify(driver: &Driver, partition: u32, committed: &BTreeMap<Position, Vec<u8>>) -> Result<(), Finding> {
    for (position, bytes) in committed {
        let found = driver.at(Topic::Ledger, partition, *position)?;
        require(found.value == *bytes, || {
            format!("partition {partition} lost the frame committed at {position}: {found:?}")
        })?;
    }
    Ok(())
}
