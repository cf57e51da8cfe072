//! Ordinary records: density, reading, removal, refusals.

use super::{
    Capabilities, Finding, Verdict,
    driver::{Driver, record, require},
};
use crate::{Done, Error, NewRecord, Position, ReadLimit, Record, Removal, Ticket, Topic};

const WRITTEN: [Topic; 6] =
    [Topic::Requests, Topic::Commands, Topic::Policies, Topic::Keys, Topic::DeadLetters, Topic::Outcomes];

type Make<'a> = &'a dyn Fn() -> Driver;
type Call = Box<dyn Fn(&mut Driver) -> Ticket>;

pub(super) fn positions_are_dense(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    for topic in WRITTEN {
        let mut last = None;
        for number in 0..20 {
            let position = driver.store(&record(topic, 1, number))?;
            require(last < Some(position), || format!("{topic} went from {last:?} to {position}"))?;
            last = Some(position);
        }
        let tail = driver.tail(topic, 1)?;
        let exact = !can.faultless || tail == Position(20);
        require(exact, || format!("{topic} ends at {tail} after 20 records"))?;
        let found = driver.read_all(topic, 1, Position::ZERO)?;
        require((0..tail.0).eq(found.iter().map(|record| record.position.0)), || {
            format!("{topic} has {} records up to {tail}, with gaps", found.len())
        })?;
    }
    let positions = staged(&mut driver, 0)?;
    let dense = positions.windows(2).all(|pair| matches!(pair, [a, b] if a.next() == *b));
    require(positions.len() == 5, || format!("5 staged records at {positions:?}"))?;
    require(dense || !can.faultless, || format!("staged together, they lie at {positions:?}"))?;
    Ok(Verdict::Holds)
}

/// Five keys in one call, until they are stored.
fn staged(driver: &mut Driver, partition: u32) -> Result<Vec<Position>, Finding> {
    loop {
        let records = (0..5).map(|number| record(Topic::Keys, partition, number)).collect();
        let ticket = driver.log.stage(records);
        match driver.wait(ticket)? {
            Done::Staged { positions } => return Ok(positions),
            Done::Unknown => {}
            Done::Failed(error) if error.is_transient() => {}
            other => return Err(format!("staging was answered {other:?}")),
        }
    }
}

pub(super) fn a_completed_record_is_readable(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    for topic in WRITTEN {
        for (number, partition) in [(0, 0), (1, 1), (2, 0)] {
            let written = record(topic, partition, number);
            let position = driver.store(&written)?;
            driver.require(&written, position)?;
        }
        let empty = NewRecord::new(topic, 0, Vec::new(), Vec::new());
        let position = driver.store(&empty)?;
        driver.require(&empty, position)?;
    }
    Ok(Verdict::Holds)
}

pub(super) fn a_readable_record_stays(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let mut seen: Vec<(Topic, Vec<Record>)> = Vec::new();
    for number in 0..30 {
        driver.store(&record(Topic::Requests, 0, number))?;
        driver.store(&record(Topic::Keys, 0, number))?;
        driver.commit(0, &super::driver::frame("one", number))?;
        if number % 10 == 0 {
            for topic in [Topic::Requests, Topic::Keys, Topic::Ledger] {
                seen.push((topic, driver.read_all(topic, 0, Position::ZERO)?));
            }
        }
    }
    for (topic, before) in seen {
        let now = driver.read_all(topic, 0, Position::ZERO)?;
        require(now.starts_with(&before), || format!("{topic} changed below {}", before.len()))?;
    }
    Ok(Verdict::Holds)
}

pub(super) fn reads_keep_their_limits(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    for _ in 0..10 {
        driver.store(&NewRecord::new(Topic::Requests, 0, Vec::new(), vec![7; 100]))?;
    }
    let tail = driver.tail(Topic::Requests, 0)?;
    let count = |from, records, bytes| {
        let limit = ReadLimit { records, bytes };
        let read = driver.reader.read(Topic::Requests, 0, Position(from), limit);
        read.map(|read| read.len()).map_err(|error| error.to_string())
    };
    for (from, records, bytes, expected) in [
        (0, 3, usize::MAX, 3),
        (2, usize::MAX, 250, 2),
        (0, usize::MAX, 300, 3),
        // Always one, so that a reader moves on.
        (0, 0, 0, 1),
        (0, 5, 1, 1),
        (tail.0, 10, 1_000, 0),
        (tail.0 + 5, 10, 1_000, 0),
    ] {
        let found = count(from, records, bytes)?;
        require(found == expected, || {
            format!("from {from}, {records} records, {bytes} bytes: {found}, not {expected}")
        })?;
    }
    let unknown = driver.reader.tail(Topic::Requests, driver.log.partitions());
    require(matches!(unknown, Err(Error::UnknownPartition { .. })), || {
        format!("a partition that does not exist: {unknown:?}")
    })?;
    Ok(Verdict::Holds)
}

pub(super) fn removed_records_are_never_read(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    for topic in WRITTEN {
        for number in 0..12 {
            driver.store(&record(topic, 0, number))?;
            driver.store(&record(topic, 1, number))?;
        }
        let tail = driver.tail(topic, 0)?;
        let untouched = driver.read_all(topic, 1, Position::ZERO)?;
        let exactly = Removal::Exactly(vec![Position(2), Position(7), Position(u64::MAX)]);
        driver.remove(topic, 0, &exactly)?;
        driver.remove(topic, 0, &Removal::Below(Position(4)))?;
        // Again: it is idempotent, and never moves back.
        driver.remove(topic, 0, &exactly)?;
        driver.remove(topic, 0, &Removal::Below(Position(1)))?;
        let found = driver.read_all(topic, 0, Position::ZERO)?;
        let places: Vec<u64> = found.iter().map(|record| record.position.0).collect();
        let expected: Vec<u64> = (4..tail.0).filter(|place| *place != 7).collect();
        require(places == expected, || format!("{topic} still has {places:?}"))?;
        let start = driver.reader.start(topic, 0).map_err(|error| error.to_string())?;
        require(start == Position(4), || format!("{topic} starts at {start}, not at 4"))?;
        let (now, next) = (driver.tail(topic, 0)?, driver.store(&record(topic, 0, 99))?);
        require(now == tail && next >= tail, || format!("{topic} used {next} again, tail {now}"))?;
        // All of it, what lies beyond the tail being nothing.
        driver.remove(topic, 0, &Removal::Below(Position(u64::MAX)))?;
        let (end, left) = (driver.tail(topic, 0)?, driver.read_all(topic, 0, Position::ZERO)?);
        let start = driver.reader.start(topic, 0).map_err(|error| error.to_string())?;
        require(left.is_empty() && start == end, || format!("{topic} kept {}", left.len()))?;
        let next = driver.store(&record(topic, 0, 100))?;
        require(next >= end, || format!("{topic} used {next} again after removing all"))?;
        let other = driver.read_all(topic, 1, Position::ZERO)?;
        require(other == untouched, || format!("{topic} partition 1 lost records"))?;
    }
    Ok(Verdict::Holds)
}

pub(super) fn the_ledger_is_never_removed_from(make: Make<'_>, _: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let position = driver.commit(0, b"kept")?;
    for removal in [Removal::Below(Position(9)), Removal::Exactly(vec![position])] {
        let ticket = driver.log.remove(Topic::Ledger, 0, removal);
        let done = driver.wait(ticket)?;
        let refused = matches!(done, Done::Failed(Error::NeverRemoved { .. }) | Done::Unknown);
        require(refused, || format!("removing frames was answered {done:?}"))?;
        let kept = driver.at(Topic::Ledger, 0, position)?;
        require(kept.value == b"kept", || format!("the frame became {kept:?}"))?;
    }
    Ok(Verdict::Holds)
}

pub(super) fn what_is_refused_is_not_written(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let none = driver.log.partitions();
    let large = vec![1; can.record_bytes_max + 1];
    let calls: Vec<Call> = vec![
        Box::new(|driver| driver.log.submit(record(Topic::Ledger, 0, 0))),
        Box::new(|driver| driver.log.submit(record(Topic::Keys, 0, 0))),
        Box::new(|driver| driver.log.stage(vec![record(Topic::Keys, 0, 0), record(Topic::Ledger, 0, 0)])),
        Box::new(|driver| driver.log.publish(0, vec![record(Topic::Requests, 0, 0)])),
        Box::new(|driver| driver.log.publish(0, vec![record(Topic::Outcomes, 0, 0), record(Topic::Outcomes, 1, 0)])),
        Box::new(move |driver| driver.log.submit(record(Topic::Requests, none, 0))),
        Box::new(move |driver| driver.log.append(none, Position::ZERO, vec![1])),
        Box::new(move |driver| driver.log.remove(Topic::Keys, none, Removal::Below(Position(1)))),
        Box::new({
            let large = large.clone();
            move |driver| driver.log.submit(NewRecord::new(Topic::Requests, 0, [], large.clone()))
        }),
        Box::new(move |driver| driver.log.append(0, Position::ZERO, large.clone())),
    ];
    for (number, call) in calls.iter().enumerate() {
        let ticket = call(&mut driver);
        let done = driver.wait(ticket)?;
        let refused = matches!(done, Done::Failed(_)) || (!can.faultless && done == Done::Unknown);
        require(refused, || format!("refusal {number} was answered {done:?}"))?;
    }
    for topic in Topic::ALL {
        for partition in 0..none {
            let tail = driver.tail(topic, partition)?;
            require(tail == Position::ZERO, || format!("{topic} has {tail} records that it refused"))?;
        }
    }
    Ok(Verdict::Holds)
}

pub(super) fn topic_ids_differ_and_stay(make: Make<'_>, can: &Capabilities<'_>) -> Result<Verdict, Finding> {
    let mut driver = make();
    let ids = |driver: &Driver| {
        let places = Topic::ALL.into_iter().flat_map(|topic| [(topic, 0), (topic, 1)]);
        places.map(|(topic, partition)| driver.reader.topic_id(topic, partition)).collect::<Vec<_>>()
    };
    let before = ids(&driver);
    let mut distinct = before.clone();
    distinct.sort_unstable();
    distinct.dedup();
    require(distinct.len() == before.len(), || "two partitions share an id".to_owned())?;
    driver.store(&record(Topic::Requests, 0, 0))?;
    require(ids(&driver) == before, || "an id changed while the log was open".to_owned())?;
    if let Some(reopen) = can.reopen {
        drop(driver);
        let again = Driver::new(reopen(), can.patience);
        require(ids(&again) == before, || "an id changed when the log was reopened".to_owned())?;
    }
    Ok(Verdict::Holds)
}
