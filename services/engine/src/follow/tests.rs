//! Followers over ledgers made by the real sealing, framing and fold.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use domain::event::AnswerKind;
use eventlog::memory::{Memory, Plan};
use eventlog::{LogReader, ReadLimit, Topic};
use ledger::{ChainId, FrameBuilder, Head, LedgerId};
use policy::{Outcome, ReasonCode};

use super::sample::{Ask, World};
use super::*;
use crate::kv::memory::MemoryKv;
use crate::kv::{Entry as Row, Kv, Write};

const LONG: Duration = Duration::from_secs(60);

/// What each follower derived from each partition.
fn digests(world: &World, kv: &dyn Kv) -> Vec<(&'static str, u32, [u8; 32])> {
    let mut all_digests = Vec::new();
    for follower in all(&Settings::default()) {
        for partition in 0..world.deployment.partitions {
            all_digests.push((follower.name(), partition, digest(&*follower, partition, kv).unwrap()));
        }
    }
    all_digests
}

/// Follows all there is, from where `kv` stands.
fn catch_up(world: &World, kv: &dyn Kv, settings: &Settings) -> Vec<Cursor> {
    let followers = all(settings);
    chains(&world.deployment)
        .into_iter()
        .map(|chain| {
            let stored = load_cursor(kv, chain.partition, "decisions").unwrap();
            let mut at = stored.unwrap_or_else(|| Cursor::start(chain));
            loop {
                let step = advance(&followers, &at, &world.log, kv, settings).unwrap();
                assert_eq!(step.halt, None);
                let done = step.cursor.position == step.tail;
                at = step.cursor;
                if done {
                    return at;
                }
            }
        })
        .collect()
}

fn small(read_frames_max: usize, batch_bytes_max: usize) -> Settings {
    Settings {
        read_frames_max,
        batch_bytes_max,
        statistics_names_max: 3,
        statistics_hours_max: 2,
        ..Settings::default()
    }
}

#[test]
fn a_rebuild_gives_the_digest_of_following_along() {
    let mut world = World::new(2);
    let along = MemoryKv::new();
    for round in 0..60 {
        world.round(round);
        // Some hours go by, so that old ones are forgotten.
        world.now_us += 600_000_000;
        catch_up(&world, &along, &small(1, 1));
    }
    let expected = digests(&world, &along);
    let distinct: std::collections::BTreeSet<_> = expected.iter().map(|(.., digest)| digest).collect();
    assert_eq!(distinct.len(), expected.len(), "every follower derived something of its own");
    for (frames, bytes) in [(1, 1), (7, 2_000), (256, 4 << 20)] {
        let fresh = MemoryKv::new();
        let cursors = catch_up(&world, &fresh, &small(frames, bytes));
        assert_eq!(digests(&world, &fresh), expected, "{frames} {bytes}");
        for cursor in cursors {
            assert_eq!(&cursor.head, world.head(cursor.head.chain.partition));
        }
    }
    for (chain, stop_short) in chains(&world.deployment).into_iter().zip([true, false]) {
        let fresh = MemoryKv::new();
        let last = world.last(chain.partition).1 - u64::from(stop_short);
        // The last frame of this partition holds one event at least, so stopping before it leaves something out.
        let up_to = if stop_short {
            world
                .views
                .iter()
                .filter(|view| view.partition == chain.partition && view.seq < last)
                .map(|view| view.seq)
                .max()
                .unwrap()
                - 4
        } else {
            last
        };
        let (mut heard, followers) = (0, all(&small(64, 1 << 20)));
        let rebuilt = rebuild(&followers, chain, Some(up_to), &world.log, &fresh, &small(64, 1 << 20), &mut |events| {
            heard += events
        })
        .unwrap();
        assert_eq!(heard, rebuilt.events);
        for follower in &followers {
            let found = digest(&**follower, chain.partition, &fresh).unwrap();
            let same = expected.contains(&(follower.name(), chain.partition, found));
            assert_eq!(same, !stop_short, "{}", follower.name());
        }
    }
}

/// Flips the byte that says which format an event has.
fn newer_format(mut frame: Vec<u8>) -> Vec<u8> {
    let format = 5 + 32 + ledger::hash::tag(ledger::hash::Tag::Event).len();
    frame[format] = 2;
    frame
}

fn forked(world: &mut World) -> Vec<u8> {
    let real = world.head(0).clone();
    let rewritten = Head { run_head: ledger::Hash([9; 32]), ..real };
    let mut builder = FrameBuilder::new(&rewritten, 1);
    builder.push(crate::record::fixed(7, 1, vec![1])).unwrap();
    builder.finish(Vec::new()).unwrap().bytes
}

fn foreign() -> Vec<u8> {
    let chain = ChainId { ledger_id: LedgerId([8; 16]), partition: 0, chain_epoch: 0 };
    let mut builder = FrameBuilder::new(&Head::genesis(chain), 1);
    let claim = ledger::layout::Claim { writer_id: [0; 16], origin: None };
    builder.push(crate::record::fixed(0, 1, claim.encode().unwrap())).unwrap();
    builder.finish(Vec::new()).unwrap().bytes
}

#[test]
fn strays_are_counted_and_passed() {
    let mut world = World::new(1);
    let ask = |id: &str| vec![Ask::permit(id, "default", "agent-1", "pay")];
    let (loser, _) = world.frame(0, &ask("lost-race"), 0);
    world.commit_in(0, &ask("a"), 0);
    let first = world.log.read(Topic::Ledger, 0, Position(1), ReadLimit::default()).unwrap()[0].value.clone();
    for (stray, expected) in [
        (loser, Strays { harmless: 1, garbage: 0 }),
        (first, Strays { harmless: 2, garbage: 0 }),
        (b"no frame".to_vec(), Strays { harmless: 2, garbage: 1 }),
        (foreign(), Strays { harmless: 2, garbage: 2 }),
    ] {
        world.append(0, stray);
        let cursor = &catch_up(&world, &*world.kv, &Settings::default())[0];
        assert_eq!(cursor.strays, expected);
        assert_eq!(&cursor.head, world.head(0));
    }
    world.commit_in(0, &ask("b"), 0);
    // Strays and accepted frames in one batch, too: what was a head is known before it is stored.
    let fresh = MemoryKv::new();
    let cursor = &catch_up(&world, &fresh, &Settings::default())[0];
    assert_eq!((cursor.strays, cursor.position), (Strays { harmless: 2, garbage: 2 }, Position(7)));
    assert_eq!(cursor.last_seq(), Some(world.last(0).1));
}

type Break = fn(&mut World) -> Vec<u8>;

#[test]
fn a_fork_and_a_newer_format_stop_the_follower_where_they_are() {
    let breaks: [(&str, Break); 2] = [
        ("FORKED", forked),
        ("UNDECODABLE", |world| newer_format(world.frame(0, &[Ask::permit("x", "default", "agent-1", "pay")], 0).0)),
    ];
    for (word, make) in breaks {
        let mut world = World::mixed(1, 5);
        let bytes = make(&mut world);
        let at = world.append(0, bytes);
        world.append(0, b"never reached".to_vec());
        let kv = Arc::new(MemoryKv::new());
        let log: Arc<dyn LogReader> = Arc::new(world.log.clone());
        for _start in 0..2 {
            let followers = Followers::start(kv.clone(), log.clone(), &world.deployment).unwrap();
            followers.wait_for(&[world.last(0)], LONG).unwrap();
            let (partition, seq) = world.last(0);
            let stopped = until(|| match followers.wait_for(&[(partition, seq + 1)], Duration::ZERO) {
                Err(WaitError::Stopped { reason, .. }) => Some(reason),
                _ => None,
            });
            assert!(stopped.contains(word), "{stopped}");
            // They stop one after the other.
            let faults = until(|| Some(followers.faults(u64::MAX)).filter(|faults| faults.len() == NAMES.len()));
            assert!(
                faults.iter().all(|fault| fault.contains(word) && fault.contains(&format!("position {at}"))),
                "{faults:?}"
            );
            let cursor = load_cursor(&*kv, 0, "decisions").unwrap().unwrap();
            assert_eq!(cursor.position, at, "{word}: the cursor stays");
        }
    }
}

/// Polls until there is something.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing happened in time");
        std::thread::yield_now();
    }
}

#[test]
fn read_models_of_another_log_are_not_carried_on() {
    let world = World::mixed(1, 4);
    let kv = Arc::new(MemoryKv::new());
    catch_up(&world, &*kv, &Settings::default());
    let mut other = World::new(1);
    for round in 10..20 {
        other.round(round);
    }
    let elsewhere = crate::datadir::Deployment { ledger_id: LedgerId([9; 16]), ..world.deployment.clone() };
    for (log, deployment, word) in [
        (Memory::new(1, Plan::default()), &world.deployment, "TRUNCATED"),
        (other.log.clone(), &world.deployment, "TRUNCATED"),
        (world.log.clone(), &elsewhere, "rebuild them"),
    ] {
        let followers = Followers::start(kv.clone(), Arc::new(log), deployment).unwrap();
        let faults = until(|| Some(followers.faults(u64::MAX)).filter(|faults| faults.len() == NAMES.len()));
        assert!(faults.iter().all(|fault| fault.contains(word)), "{faults:?}");
    }
}

#[test]
fn threads_follow_rebuild_in_place_and_survive_a_broken_log() {
    let mut world = World::mixed(3, 20);
    let kv = Arc::new(MemoryKv::new());
    let settings = Settings { threads: 2, retry_min: Duration::from_millis(1), ..Settings::default() };
    let log: Arc<dyn LogReader> = Arc::new(world.log.clone());
    let mut followers = Followers::with(kv.clone(), log, chains(&world.deployment), settings.clone()).unwrap();
    let everything = |world: &World| (0..3).map(|partition| world.last(partition)).collect::<Vec<_>>();
    for round in 20..40 {
        world.round(round);
        for partition in 0..3 {
            followers.waker().wake(partition);
        }
    }
    followers.wait_for(&everything(&world), LONG).unwrap();
    assert_eq!(followers.progress().positions(), everything(&world));
    assert!(
        followers.standings().iter().all(|standing| standing.lag_events == 0 && standing.position == standing.tail)
    );

    let fresh = MemoryKv::new();
    catch_up(&world, &fresh, &settings);
    let expected = digests(&world, &fresh);
    for name in NAMES {
        followers.rebuild(name).unwrap();
        followers.wait_for(&everything(&world), LONG).unwrap();
        for digest in followers.digests(name).unwrap() {
            assert_eq!(digest.last_seq, Some(world.last(digest.partition).1));
            assert!(expected.contains(&(name, digest.partition, digest.digest)), "{name}");
        }
    }
    assert!(followers.rebuild("decision").unwrap_err().to_string().contains("decisions, outcomes"));

    world.log.set_broken(Some(eventlog::Error::Unavailable { reason: "disk".into() }));
    let faults = until(|| Some(followers.faults(u64::MAX)).filter(|faults| !faults.is_empty()));
    assert!(faults[0].contains("disk"), "{faults:?}");
    world.log.set_broken(None);
    world.round(40);
    followers.wait_for(&everything(&world), LONG).unwrap();
    // A partition without anything new forgets its failure at its next look, not by being waited for.
    until(|| followers.faults(0).is_empty().then_some(()));

    let (partition, seq) = world.last(0);
    let wait = |seq| followers.wait_for(&[(partition, seq)], Duration::from_millis(5));
    assert!(matches!(wait(seq + 1), Err(WaitError::TimedOut { stands, .. }) if stands == Some(seq)));
    assert!(matches!(followers.wait_for(&[(9, 0)], LONG), Err(WaitError::UnknownPartition { partition: 9 })));
    followers.stop();
    world.round(41);
    let behind: u64 = followers.standings().iter().filter(|s| s.name == "decisions").map(|s| s.lag_events).sum();
    let written: u64 =
        (0..3).map(|p| world.last(p).1 - followers.progress().positions()[usize::try_from(p).unwrap()].1).sum();
    assert_eq!((behind, written > 0), (written, true), "lag is counted in events");
}

/// Counts what is written.
#[derive(Default)]
struct Counting {
    kv: MemoryKv,
    batches: Mutex<Vec<usize>>,
}

impl Kv for Counting {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, kv::Error> {
        self.kv.get(space, key)
    }
    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, kv::Error> {
        self.kv.get_many(space, keys)
    }
    fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize, reverse: bool) -> Result<Vec<Row>, kv::Error> {
        self.kv.scan(space, from, to, limit, reverse)
    }
    fn write(&self, batch: Vec<Write>) -> Result<(), kv::Error> {
        self.batches.lock().unwrap().push(batch.iter().map(Write::size).sum());
        self.kv.write(batch)
    }
}

#[test]
fn many_frames_are_one_write_bounded_in_bytes() {
    let mut world = World::new(1);
    for n in 0..40 {
        let asks: Vec<Ask> =
            (0..10).map(|m| Ask::permit(format!("{n}-{m}"), "default", "agent-1", "send_email")).collect();
        world.commit_in(0, &asks, 0);
    }
    let one = Counting::default();
    catch_up(&world, &one, &Settings::default());
    let batches = one.batches.lock().unwrap().clone();
    assert_eq!(batches.len(), 1);
    let per_decision = batches[0] / 400;
    println!("bytes of keys and values written for a decision by all followers: {per_decision}");
    assert!(per_decision < 280, "{per_decision}");

    let bounded = Counting::default();
    let limit = 16 * 1024;
    catch_up(&world, &bounded, &Settings { batch_bytes_max: limit, ..Settings::default() });
    let batches = bounded.batches.lock().unwrap().clone();
    // A batch ends with the frame that fills it; cursors come on top.
    let slack = 10 * 300 + 2_000;
    assert!(batches.len() > 3 && batches.iter().all(|bytes| *bytes < limit + slack), "{batches:?}");
    assert_eq!(digests(&world, &one), digests(&world, &bounded));
}

#[test]
fn counts_are_right_and_bounded() {
    let mut world = World::new(1);
    let settings = Settings { statistics_names_max: 4, statistics_hours_max: 2, ..Settings::default() };
    for n in 0_u64..30 {
        let mut ask = Ask::permit(format!("{n}"), "default", "agent-1", if n % 2 == 0 { "pay" } else { "junk" });
        ask.action = if n % 2 == 0 { ask.action } else { format!("junk-{n}") };
        let ask = match n % 5 {
            0 => ask.decided(Outcome::Deny, ReasonCode::Forbidden),
            1 => ask.answered(AnswerKind::Rejected, ReasonCode::Invalid),
            _ => ask,
        };
        world.now_us += 600_000_000;
        world.commit_in(0, &[ask], n % 3);
    }
    let kv = MemoryKv::new();
    catch_up(&world, &kv, &settings);
    let totals = Totals::read(&kv, 1, 3).unwrap();
    assert_eq!(totals.answers(), 30);
    assert_eq!(totals.outcomes, BTreeMap::from([(Outcome::Deny, 6), (Outcome::Permit, 18)]));
    assert_eq!(
        totals.reasons,
        [("forbidden", 6), ("invalid", 6), ("permitted", 18)].map(|(r, n)| (r.to_owned(), n)).into()
    );
    assert_eq!(totals.actions.names[0], ("pay".to_owned(), 15));
    assert_eq!(totals.actions.names.len(), 3);
    let shown: u64 = totals.actions.names.iter().map(|(_, count)| count).sum();
    assert_eq!(shown + totals.actions.other, 30);
    assert_eq!(totals.policies, Counted { names: vec![("allow-reads".into(), 24)], other: 0 });
    assert_eq!(totals.tenants, Counted { names: vec![("default".into(), 30)], other: 0 });
    // 30 answers, 10 minutes apart, end in the last of their hours; two hours are kept.
    assert_eq!(totals.hours.len(), 2);
    let hour = 3_600_000_000;
    assert_eq!(totals.hours[1].from_us, world.now_us / hour * hour);
    let counted: u64 = totals.hours.iter().map(|h| h.permitted + h.denied + h.escalated + h.not_evaluated).sum();
    let since = totals.hours[0].from_us;
    assert_eq!(counted, u64::try_from(world.views.iter().filter(|view| view.recorded_at_us >= since).count()).unwrap());
    let rows = kv.scan(Space::Statistics, &[], &[0xff; 8], usize::MAX, false).unwrap().len();
    assert!(rows < 40, "{rows} rows for thirty different actions");

    let account = InputAccount::decode(&kv.scan(Space::Conservation, &[], &[0xff; 8], 9, false).unwrap()[0].1).unwrap();
    assert!(account.holds());
    assert_eq!((account.decisions, account.rejected, account.duplicates()), (24, 6, 30));
    assert_eq!(account.to_offset, 60);
    assert!(!InputAccount { breaks: 1, ..account }.holds());
    assert!(!InputAccount { decisions: 55, ..account }.holds());
    assert!(!InputAccount { to_offset: 61, ..account }.holds());
}
