//! The log in memory: what each fate does, crashes, snapshots, notices.

use std::{collections::BTreeMap, time::Duration};

use eventlog::{
    Completion, Done, Error, EventLog, Health, LogReader, NewRecord, Position, ReadLimit, Removal, Ticket, Topic,
    faults::{Faulty, Injected, Odds},
    memory::{Chances, Fate, LogState, Memory, Plan, WriteFate},
};

fn frames(state: &LogState) -> String {
    let read = state.read(Topic::Ledger, 0, Position::ZERO, ReadLimit::default()).unwrap();
    read.iter().map(|record| String::from_utf8(record.value.clone()).unwrap()).collect()
}

/// Appends `a` with a fate at `at`, then `b` and `c` plainly at the tail.
fn check(fate: Fate, at: u64, answer: Done, after: &str) {
    let mut state = LogState::new(1);
    state.append(0, Position::ZERO, b"0".to_vec(), Fate::Plain);
    assert_eq!(answer, state.append(0, Position(at), b"a".to_vec(), fate), "{fate:?} at {at}");
    for frame in [b"b", b"c"] {
        let tail = state.tail(Topic::Ledger, 0).unwrap();
        let done = state.append(0, tail, frame.to_vec(), Fate::Plain);
        assert_eq!(Done::Committed(tail), done, "{fate:?} at {at}");
    }
    let crashed = {
        let mut state = state.clone();
        state.crash();
        frames(&state)
    };
    assert_eq!((after, after), (frames(&state).as_str(), crashed.as_str()), "{fate:?} at {at}");
}

#[test]
fn each_fate_of_a_frame() {
    check(Fate::Plain, 1, Done::Committed(Position(1)), "0abc");
    check(Fate::Plain, 0, Done::Conflict, "0bc");
    check(Fate::Plain, 2, Done::Conflict, "0bc");
    check(Fate::Lost, 1, Done::Unknown, "0bc");
    check(Fate::Unknown, 1, Done::Unknown, "0abc");
    check(Fate::Unknown, 0, Done::Unknown, "0abc");
    check(Fate::Late { after: 0 }, 1, Done::Unknown, "0bac");
    check(Fate::Late { after: 1 }, 1, Done::Unknown, "0bac");
    check(Fate::Late { after: 2 }, 1, Done::Unknown, "0bca");
    check(Fate::Late { after: 3 }, 1, Done::Unknown, "0bc");
    check(Fate::Twice { after: 0 }, 1, Done::Unknown, "0aabc");
    check(Fate::Twice { after: 1 }, 1, Done::Unknown, "0abac");
    check(Fate::Twice { after: 2 }, 1, Done::Unknown, "0abca");
    check(Fate::Blind, 1, Done::Committed(Position(1)), "0abc");
    check(Fate::Blind, 0, Done::Conflict, "0abc");
    check(Fate::Conflict, 1, Done::Conflict, "0abc");
}

#[test]
fn a_late_frame_settles_when_told() {
    let mut state = LogState::new(2);
    for frame in [b"a", b"b"] {
        state.append(0, Position::ZERO, frame.to_vec(), Fate::Late { after: 9 });
    }
    assert_eq!((2, String::new()), (state.late(), frames(&state)));
    state.settle(1);
    state.settle(7);
    state.lose(0);
    assert_eq!((0, "b".to_owned()), (state.late(), frames(&state)));
}

#[test]
fn a_crash_takes_what_no_frame_made_durable() {
    let key = |value: &str| vec![NewRecord::new(Topic::Keys, 0, *b"", value.as_bytes())];
    let request = |value: &str| vec![NewRecord::new(Topic::Requests, 0, *b"", value.as_bytes())];
    let mut state = LogState::new(1);
    assert_eq!(Ok(Some(vec![Position(0)])), state.write(key("k0"), WriteFate::Plain));
    assert_eq!(Ok(None), state.write(key("lost"), WriteFate::Lost));
    assert_eq!(Ok(None), state.write(key("k1"), WriteFate::Unknown));
    assert!(state.write(key("refused"), WriteFate::Refused).unwrap_err().is_transient());
    state.write(request("r0"), WriteFate::Plain).unwrap();
    state.append(0, Position::ZERO, b"f".to_vec(), Fate::Plain);
    let durable = state.clone();
    state.write(request("r1"), WriteFate::Plain).unwrap();
    state.remove(Topic::Requests, 0, &Removal::Below(Position(1))).unwrap();
    assert_eq!(Position(1), state.start(Topic::Requests, 0).unwrap());
    assert_ne!(durable, state);
    state.crash();
    assert_eq!(durable, state, "back to the frame, the removal undone");
    state.remove(Topic::Keys, 0, &Removal::Exactly(vec![Position(0)])).unwrap();
    state.crash();
    let keys = state.read(Topic::Keys, 0, Position::ZERO, ReadLimit::default()).unwrap();
    let keys: Vec<_> = keys.iter().map(|record| record.value.as_slice()).collect();
    assert_eq!([b"k1"], *keys, "a removed key stays removed");
}

/// Drives a log for a while and returns everything that was answered and stored.
fn run(seed: u64) -> (Vec<Completion>, LogState) {
    let log = Memory::new(2, Plan::seeded(seed, Chances::STORMY));
    let mut writers = [log.connect(), log.connect()];
    let mut answers = Vec::new();
    for round in 0..200u32 {
        for writer in &mut writers {
            let at = log.tail(Topic::Ledger, round % 2).unwrap();
            writer.append(round % 2, at, round.to_be_bytes().to_vec());
            writer.submit(NewRecord::new(Topic::Requests, 0, *b"k", *b"v"));
            answers.extend(writer.poll(Duration::ZERO));
        }
    }
    (answers, log.snapshot())
}

#[test]
fn a_seed_gives_one_history_and_every_fate() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for Completion { done, .. } in run(7).0 {
        let kind = match done {
            Done::Submitted { .. } => "submitted",
            Done::Committed(_) => "committed",
            Done::Conflict => "conflict",
            Done::Unknown => "unknown",
            Done::Assigned(_) => "assigned",
            Done::Failed(error) if error.is_transient() => "refused",
            other => panic!("{other:?}"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    assert!(kinds.len() == 6 && kinds["assigned"] == 2, "{kinds:?}");
    assert!(["committed", "conflict", "unknown", "refused"].iter().all(|kind| kinds[kind] > 20), "{kinds:?}");
}

#[test]
fn the_wrapper_injects_every_fault_and_repeats_itself() {
    let drive = |seed| {
        let log = Memory::new(1, Plan::plain());
        let mut faulty = Faulty::new(log.connect(), seed, Odds::STORMY);
        let mut answers = Vec::new();
        for round in 0..300u32 {
            let at = log.tail(Topic::Ledger, 0).unwrap();
            faulty.append(0, at, round.to_be_bytes().to_vec());
            faulty.submit(NewRecord::new(Topic::Requests, 0, *b"k", *b"v"));
            answers.extend(faulty.poll(Duration::ZERO));
        }
        (faulty.injected(), answers)
    };
    let (injected, answers) = drive(3);
    assert_eq!((injected, &answers), (drive(3).0, &drive(3).1));
    let Injected { lost, unknown, late, conflict, delayed } = injected;
    assert!([lost, unknown, late, conflict, delayed].iter().all(|count| *count > 5), "{injected:?}");
    let in_order = answers.windows(2).all(|pair| pair[0].ticket <= pair[1].ticket);
    assert!(!in_order, "delayed completions overtake nothing");
}

#[test]
fn scripts_snapshots_notices_and_breakage() {
    let log = Memory::new(2, Plan::plain().frames([Fate::Lost]).writes([WriteFate::Unknown]));
    let mut writer = log.connect_to(vec![1]);
    let lost = writer.append(0, Position::ZERO, b"f".to_vec());
    let unknown = writer.submit(NewRecord::new(Topic::Requests, 0, *b"k", *b"v"));
    writer.notify(Done::Revoked(vec![1]));
    let done = |ticket, done| Completion { ticket, done };
    let expected = [
        done(Ticket::NOTICE, Done::Assigned(vec![1])),
        done(Ticket::NOTICE, Done::Revoked(vec![1])),
        done(unknown, Done::Unknown),
        done(lost, Done::Unknown),
    ];
    assert_eq!(expected, *writer.poll(Duration::ZERO));

    let before = log.snapshot();
    let fork = Memory::from_state(before.clone(), Plan::plain());
    log.with_state(|state| state.set_now_us(5));
    writer.append(0, Position::ZERO, b"f".to_vec());
    writer.poll(Duration::ZERO);
    assert_eq!(before, fork.snapshot(), "a fork shares nothing");
    let read = log.read(Topic::Ledger, 0, Position::ZERO, ReadLimit::default()).unwrap();
    assert_eq!(5, read[0].appended_at_us);

    log.set_broken(Some(Error::NeverRemoved { topic: Topic::Ledger }));
    assert!(matches!(log.tail(Topic::Ledger, 0), Err(Error::Unavailable { .. })));
    assert!(matches!(writer.health(), Health::Broken { .. }));
    let (append, submit) =
        (writer.append(0, Position(1), b"g".to_vec()), writer.submit(NewRecord::new(Topic::Requests, 0, *b"k", *b"v")));
    let answers = writer.poll(Duration::ZERO);
    assert!(answers.contains(&done(append, Done::Unknown)), "{answers:?}");
    let failed =
        |answer: &Completion| answer.ticket == submit && matches!(answer.done, Done::Failed(Error::Unavailable { .. }));
    assert!(answers.iter().any(failed), "{answers:?}");
    assert!(writer.flush().is_err());
    log.set_broken(None);
    assert_eq!((Health::Working, Ok(())), (writer.health(), writer.flush()));
}
