//! A writer in a process of its own, so that it can be killed, starved and lied to; its parent keeps what it was told.
//!
//! The child is this test binary again, told by the environment to write: a test like any other that does nothing when
//! it was not asked. It prints a line for each acknowledgement, before it goes on.

use std::{
    ffi::OsStr,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use eventlog::{
    Done, Error, EventLog, Health, LogReader, NewRecord, Position, ReadLimit, Topic,
    embedded::{Embedded, Settings},
};

pub(crate) const PARTITIONS: u32 = 4;
const DIRECTORY: &str = "EVENTLOG_CHILD_DIRECTORY";
const ROUNDS: &str = "EVENTLOG_CHILD_ROUNDS";
const LIMIT: &str = "EVENTLOG_CHILD_FILE_BYTES_MAX";

/// One line of the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// This record must be there on every later open.
    Kept { topic: Topic, partition: u32, position: Position, hash: u64 },
    /// A write's fate is unknown.
    Unknown,
    /// The log says that it is broken; how often it was not reopened.
    Broken(u32),
    /// The cause is that the medium is full.
    NoSpace,
    /// It works again.
    Working,
    /// The child came to its end.
    Finished,
}

impl Said {
    fn line(&self) -> String {
        match self {
            Self::Kept { topic, partition, position, hash } => {
                format!("kept {} {partition} {position} {hash}", topic.number())
            }
            Self::Unknown => "unknown".to_owned(),
            Self::Broken(attempts) => format!("broken {attempts}"),
            Self::NoSpace => "no-space".to_owned(),
            Self::Working => "working".to_owned(),
            Self::Finished => "finished".to_owned(),
        }
    }

    /// None for what the test harness prints, and for a line that a kill cut short.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.strip_prefix("child: ")?.strip_suffix(" .")?.split(' ').collect();
        Some(match *words.as_slice() {
            ["kept", topic, partition, position, hash] => Self::Kept {
                topic: Topic::from_number(topic.parse().ok()?)?,
                partition: partition.parse().ok()?,
                position: Position(position.parse().ok()?),
                hash: hash.parse().ok()?,
            },
            ["unknown"] => Self::Unknown,
            ["broken", attempts] => Self::Broken(attempts.parse().ok()?),
            ["no-space"] => Self::NoSpace,
            ["working"] => Self::Working,
            ["finished"] => Self::Finished,
            _ => return None,
        })
    }

    fn say(&self) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nchild: {} .", self.line()).unwrap();
        out.flush().unwrap();
    }
}

/// Starts a child behind a wrapping command such as `strace …`; empty for none.
pub(crate) fn spawn(wrapper: &[&OsStr], data: &Path, rounds: u32, file_bytes_max: Option<u64>) -> Child {
    let this = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().copied().chain([this.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", "child::entry", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, data).env(ROUNDS, rounds.to_string());
    if let Some(limit) = file_bytes_max {
        command.env(LIMIT, limit.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// What it says until it ends, or until `stop`, which then kills it.
pub(crate) fn listen(mut child: Child, mut stop: impl FnMut(&[Said]) -> bool) -> Vec<Said> {
    let mut said = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut killed = false;
    for line in lines.map_while(Result::ok) {
        said.extend(Said::parse(&line));
        if !killed && stop(&said) {
            killed = true;
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn settings(data: &Path) -> Settings {
    let partitions = PARTITIONS;
    // Small, so that flushes, compactions and new write-ahead logs happen during a test.
    let write_buffer_bytes = 64 << 10;
    Settings { partitions, write_buffer_bytes, wal_bytes_max: 1 << 20, ..Settings::at(data) }
}

/// Everything the child was told is there; returns how many records.
pub(crate) fn verify(reader: &dyn LogReader, said: &[Said]) -> usize {
    let mut count = 0;
    for line in said {
        let Said::Kept { topic, partition, position, hash: expected } = line else {
            continue;
        };
        let limit = ReadLimit { records: 1, bytes: 1 };
        let found = reader.read(*topic, *partition, *position, limit).unwrap();
        let found = found.first().filter(|record| record.position == *position);
        let found = found.map(|record| hash(&record.value));
        assert_eq!(Some(*expected), found, "{topic} {partition} {position} was acknowledged");
        count += 1;
    }
    count
}

#[test]
fn entry() {
    let Some(data) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds = number(ROUNDS).unwrap();
    let mut log = Embedded::open(settings(Path::new(&data))).unwrap();
    for round in 0..rounds {
        // From the middle on writes fail, until the log has said so for a while.
        if round == rounds / 2
            && let Some(limit) = number(LIMIT)
        {
            limit_files(Some(limit));
        }
        write_round(&mut log, round);
    }
    Said::Finished.say();
}

/// One round: a request and a key for each partition, then a frame for each, committed or not.
fn write_round(log: &mut Embedded, round: u64) {
    let reader = log.reader();
    let mut staged = Vec::new();
    for partition in 0..PARTITIONS {
        let mut value = format!("key {round} {partition} ").into_bytes();
        value.resize(200, b'k');
        log.submit(NewRecord::new(Topic::Requests, partition, *b"key", *b"request"));
        let ticket = log.stage(vec![NewRecord::new(Topic::Keys, partition, *b"", value.clone())]);
        staged.push((ticket, partition, hash(&value)));
    }
    let answers = log.poll(Duration::ZERO);
    let mut kept = Vec::new();
    for (ticket, partition, hash) in staged {
        for answer in answers.iter().filter(|answer| answer.ticket == ticket) {
            match &answer.done {
                Done::Staged { positions } => {
                    let (topic, position) = (Topic::Keys, positions[0]);
                    kept.push(Said::Kept { topic, partition, position, hash });
                }
                Done::Unknown => Said::Unknown.say(),
                other => panic!("{other:?}"),
            }
        }
    }
    let mut sent = Vec::new();
    for partition in 0..PARTITIONS {
        let Ok(at) = reader.tail(Topic::Ledger, partition) else {
            continue;
        };
        let mut frame = format!("frame {round} {partition} ").into_bytes();
        frame.resize(1_000 + frame.len() * 7, b'f');
        sent.push((log.append(partition, at, frame.clone()), partition, hash(&frame)));
    }
    for answer in log.poll(Duration::ZERO) {
        let Some((_, partition, hash)) = sent.iter().find(|(ticket, ..)| *ticket == answer.ticket) else {
            continue;
        };
        match answer.done {
            Done::Committed(position) => {
                kept.iter().for_each(Said::say);
                kept.clear();
                let (topic, partition, hash) = (Topic::Ledger, *partition, *hash);
                Said::Kept { topic, partition, position, hash }.say();
            }
            Done::Unknown => Said::Unknown.say(),
            other => panic!("{other:?}"),
        }
    }
    if matches!(log.health(), Health::Broken { .. }) {
        await_working(log);
    }
}

fn await_working(log: &mut Embedded) {
    let reader = log.reader();
    assert!(reader.tail(Topic::Ledger, 0).is_err(), "readers see a log that is broken");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut attempts_seen = None;
    while let Health::Broken { attempts, error } = log.health() {
        if matches!(error, Error::NoSpace { .. }) {
            Said::NoSpace.say();
        }
        if attempts_seen != Some(attempts) {
            Said::Broken(attempts).say();
            attempts_seen = Some(attempts);
        }
        if attempts >= 2 {
            limit_files(None);
        }
        log.append(0, Position::ZERO, vec![0]);
        for answer in log.poll(Duration::from_millis(50)) {
            let committed = matches!(answer.done, Done::Committed(_));
            assert!(!committed, "committed while broken");
        }
        assert!(Instant::now() < deadline, "not working again");
        log.poll(Duration::from_millis(50));
    }
    Said::Working.say();
}

fn limit_files(bytes: Option<u64>) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Fsize);
    limit.current = bytes.or(limit.maximum);
    setrlimit(Resource::Fsize, limit).unwrap();
}
