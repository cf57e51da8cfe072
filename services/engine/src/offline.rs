//! The same data without a process that serves it: read, verify, replay and rebuild a directory that nobody uses.
//!
//! Opening takes the directory's lock, so nothing changes under a reader's hands. State and read models may lag behind
//! the ledger (they are not synced): they are brought up to it first, by the same fold and the same followers, and they
//! are opened only by what needs them, so that damaged ones can be replaced. Replay, rebuild and folding use the terms
//! that the directory records, never a default: they decide what state remembers.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use domain::decide::Terms;
use eventlog::embedded::Embedded;
use eventlog::{EventLog, LogReader, Position, ReadLimit, Topic};
use ledger::{Head, Refused, Stray, accept};

use crate::datadir::{DataDir, Deployment};
use crate::fold::{self, FoldedTo};
use crate::follow;
use crate::keys::Secrets;
use crate::kv::rocks::RocksKv;
use crate::kv::{Kv, Space};
use crate::owner::Context;
use crate::reader::Reader;
use crate::replay::{self, ReplayError, ReplayReport};
use crate::settings::Settings;
use crate::store::{self, Store};
use crate::system::{StartError, context, log_error};

/// A data directory, held by this process and served by none.
pub struct Offline {
    data: DataDir,
    // Held for its lock and its reader; nothing is written.
    _log: Embedded,
    log: Arc<dyn LogReader>,
    secrets: Arc<Secrets>,
    kv: OnceLock<Arc<RocksKv>>,
    ctx: Context,
    settings: Settings,
}

/// What a rebuild compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RebuildReport {
    /// State, and each read model.
    pub parts: Vec<RebuiltPart>,
}

/// What took the place of state and read models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplaceReport {
    /// State, and each read model.
    pub parts: Vec<MadePart>,
}

/// One part that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct MadePart {
    /// `state`, or the name of a read model.
    pub name: &'static str,
    /// Digest over all partitions.
    pub digest: [u8; 32],
}

/// One part that was made again.
#[derive(Clone, Debug, PartialEq)]
pub struct RebuiltPart {
    /// `state`, or the name of a read model.
    pub name: &'static str,
    /// Partitions compared.
    pub partitions: u32,
    /// Events folded.
    pub events: u64,
    /// How long it took.
    pub seconds: f64,
    /// Digest over all partitions of what was there.
    pub digest_before: [u8; 32],
    /// Digest over all partitions of what was made.
    pub digest_after: [u8; 32],
    /// Whether they are the same.
    pub equal: bool,
}

impl Offline {
    /// Opens a data directory.
    ///
    /// # Errors
    /// [`StartError`]: none there, in use, foreign, damaged.
    pub fn open(path: &Path) -> Result<Offline, StartError> {
        let data = DataDir::open(path)?;
        let deployment = data.deployment().clone();
        let mut settings = Settings::new(path);
        settings.terms = data.terms();
        settings.log.partitions = deployment.partitions;
        let embedded = Embedded::open(settings.log.clone()).map_err(|error| log_error(error, path))?;
        let log = embedded.reader();
        let secrets = Arc::new(Secrets::open(&data.keys())?);
        let ctx = context(&settings, &deployment, secrets.clone(), log.clone())?;
        Ok(Offline { data, _log: embedded, log, secrets, kv: OnceLock::new(), ctx, settings })
    }

    /// State and read models, opened at the first use.
    fn kv(&self) -> Result<&Arc<RocksKv>, crate::kv::Error> {
        if let Some(open) = self.kv.get() {
            return Ok(open);
        }
        let opened = Arc::new(RocksKv::open(&self.data.state(), &self.settings.kv)?);
        Ok(self.kv.get_or_init(|| opened))
    }

    /// Dead letters, with what was done to them as far as state has folded.
    ///
    /// # Errors
    /// State cannot be opened.
    pub fn letters(&self) -> Result<crate::letters::Letters<'_>, crate::kv::Error> {
        let kv = self.kv()?.as_ref();
        Ok(crate::letters::Letters::new(self.log.as_ref(), &self.secrets, kv, self.deployment().partitions))
    }

    /// The terms that decisions were made under last; replay and rebuild use them for the whole ledger.
    pub fn terms(&self) -> Terms {
        self.data.terms()
    }

    /// What the deployment is.
    pub fn deployment(&self) -> &Deployment {
        self.data.deployment()
    }

    /// Reads the log.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.log
    }

    /// A reader whose state and read models reflect the whole ledger.
    ///
    /// # Errors
    /// The ledger does not hold together, or the store fails.
    pub fn reader(&self) -> Result<Reader, ReplayError> {
        let kv = self.kv()?.clone();
        self.catch_up(kv.as_ref(), &mut |_| {})?;
        Ok(Reader::new(kv, self.log.clone(), self.secrets.clone(), self.data.deployment()))
    }

    /// Folds what state, keyring index and read models in `kv` lack. `progress` hears events.
    fn catch_up(&self, kv: &dyn Kv, progress: &mut dyn FnMut(u64)) -> Result<(), ReplayError> {
        let followers = follow::all(&self.settings.follow);
        for partition in 0..self.deployment().partitions {
            replay::absorb_keys(&self.ctx, self.log.as_ref(), kv, partition)?;
            self.fold(partition, kv, progress)?;
            for follower in &followers {
                let chain = self.deployment().chain(partition);
                let stored = follow::load_cursor(kv, partition, follower.name())?;
                let mut cursor = stored.unwrap_or_else(|| follow::Cursor::start(chain));
                loop {
                    let step = follow::advance(
                        std::slice::from_ref(follower),
                        &cursor,
                        self.log.as_ref(),
                        kv,
                        &self.settings.follow,
                    )?;
                    if let Some(halt) = step.halt {
                        return Err(follow::Error::Halted { partition, halt }.into());
                    }
                    progress(step.events);
                    if step.cursor.position == cursor.position {
                        break;
                    }
                    cursor = step.cursor;
                }
            }
        }
        Ok(())
    }

    /// Folds the ledger of a partition into `kv`, from where `kv` stands. Returns the events folded.
    fn fold(&self, partition: u32, kv: &dyn Kv, progress: &mut dyn FnMut(u64)) -> Result<u64, ReplayError> {
        let store = Store::new(kv, partition);
        let (mut so_far, mut position) = FoldedTo::load(&store, self.deployment().chain(partition))?;
        let tail = self.log.tail(Topic::Ledger, partition)?;
        let mut events = 0;
        while position < tail {
            let records = self.log.read(Topic::Ledger, partition, position, ReadLimit::default())?;
            if records.is_empty() {
                break;
            }
            for record in records {
                position = record.position.next();
                let frame = match accept(&so_far.head, &record.value) {
                    Ok(frame) => frame,
                    Err(refused) => {
                        self.passed_over(kv, &so_far.head, record.position, refused)?;
                        continue;
                    }
                };
                let count = u64::try_from(frame.events.len()).unwrap_or(0);
                let (fold, next) = fold::accepted(&store, &frame, so_far, self.ctx.terms.remembered_us())?;
                let mut writes = fold.into_writes(&store, frame.run.first_seq, record.position);
                writes.push(store::head_place(partition, &next.head));
                kv.write(writes)?;
                so_far = next;
                events += count;
                progress(count);
            }
        }
        Ok(events)
    }

    /// A frame that does not extend the head is passed over when it is harmless, as every reader does; a fork, or bytes
    /// that nobody can read, end the fold: what is behind them is not known to be the ledger.
    fn passed_over(&self, kv: &dyn Kv, head: &Head, position: Position, refused: Refused) -> Result<(), ReplayError> {
        let partition = head.chain.partition;
        let known = |hash: &ledger::Hash| {
            *hash == head.chain.genesis() || store::was_head(kv, partition, hash).unwrap_or(false)
        };
        match refused.classify(known) {
            Stray::Harmless | Stray::Garbage => Ok(()),
            Stray::Forked | Stray::Undecodable => Err(ReplayError::Refused { partition, position, refused }),
        }
    }

    fn events(&self, kv: &dyn Kv) -> Result<u64, ReplayError> {
        let mut events = 0;
        for partition in 0..self.deployment().partitions {
            let (at, _) = FoldedTo::load(&Store::new(kv, partition), self.deployment().chain(partition))?;
            events += at.head.next_seq;
        }
        Ok(events)
    }

    /// Decides the whole ledger again. `progress` hears positions done and in all.
    ///
    /// # Errors
    /// [`ReplayError`]; a difference is in the report.
    pub fn replay(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<ReplayReport, ReplayError> {
        let (beside, _gone) = self.beside("replay")?;
        let mut total = 0;
        for partition in 0..self.deployment().partitions {
            total += self.log.tail(Topic::Ledger, partition)?.0;
        }
        let mut report = ReplayReport::default();
        let mut before = 0;
        for partition in 0..self.deployment().partitions {
            let mut done = 0;
            let chain = self.deployment().chain(partition);
            report.add(replay::replay(&self.ctx, chain, self.log.as_ref(), &beside, &mut |position| {
                done = position;
                progress(before + position, total);
            })?);
            before += done;
        }
        Ok(report)
    }

    /// Folds state and read models afresh beside the live ones and compares digests. `progress` hears events.
    ///
    /// # Errors
    /// The ledger does not hold together, or a store fails; an unequal part is in the report.
    pub fn rebuild(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<RebuildReport, ReplayError> {
        let kv = self.kv()?.clone();
        self.catch_up(kv.as_ref(), &mut |_| {})?;
        let (beside, _gone) = self.beside("rebuild")?;
        let followers = follow::all(&self.settings.follow);
        let total = self.events(kv.as_ref())?.saturating_mul(u64::try_from(followers.len()).unwrap_or(0) + 1);
        let mut done = 0;
        let mut report = RebuildReport::default();
        let since = Instant::now();
        let (mut events, mut was, mut is) = (0, Vec::new(), Vec::new());
        for partition in 0..self.deployment().partitions {
            events += self.fold(partition, &beside, &mut |count| {
                done += count;
                progress(done, total);
            })?;
            was.push(Store::new(kv.as_ref(), partition).digest()?);
            is.push(Store::new(&beside, partition).digest()?);
        }
        report.parts.push(part("state", events, since, &was, &is));
        for follower in &followers {
            let since = Instant::now();
            let (mut events, mut was, mut is) = (0, Vec::new(), Vec::new());
            for partition in 0..self.deployment().partitions {
                let chain = self.deployment().chain(partition);
                let one = [follower.clone()];
                let made = follow::rebuild(
                    &one,
                    chain,
                    None,
                    self.log.as_ref(),
                    &beside,
                    &self.settings.follow,
                    &mut |count| {
                        done += count;
                        progress(done, total);
                    },
                )?;
                events += made.events;
                was.push(follow::digest(follower.as_ref(), partition, kv.as_ref())?);
                is.push(follow::digest(follower.as_ref(), partition, &beside)?);
            }
            report.parts.push(part(follower.name(), events, since, &was, &is));
        }
        Ok(report)
    }

    /// Folds state and read models afresh and puts them in the place of those that are there, whatever state these are
    /// in: they are not even opened. `progress` hears events. A crash at any moment leaves the old ones, the new ones,
    /// or none, which the next start makes anew.
    ///
    /// # Errors
    /// The ledger does not hold together, or a store fails; then nothing was replaced.
    pub fn replace(mut self, progress: &mut dyn FnMut(u64)) -> Result<ReplaceReport, ReplayError> {
        drop(self.kv.take());
        let (beside, made) = self.beside("rebuild")?;
        self.catch_up(&beside, progress)?;
        let mut report = ReplaceReport::default();
        let followers = follow::all(&self.settings.follow);
        let partitions = 0..self.deployment().partitions;
        let digests = |of: &dyn Fn(u32) -> Result<[u8; 32], ReplayError>| -> Result<[u8; 32], ReplayError> {
            Ok(over(&partitions.clone().map(of).collect::<Result<Vec<_>, _>>()?))
        };
        let digest = digests(&|partition| Ok(Store::new(&beside, partition).digest()?))?;
        report.parts.push(MadePart { name: "state", digest });
        for follower in &followers {
            let digest = digests(&|partition| Ok(follow::digest(follower.as_ref(), partition, &beside)?))?;
            report.parts.push(MadePart { name: follower.name(), digest });
        }
        beside.flush()?;
        drop(beside);
        self.data.replace_state(&made.0).map_err(|error| ReplayError::Replace(error.to_string()))?;
        Ok(report)
    }

    /// An empty store beside the live one, removed when done.
    fn beside(&self, name: &str) -> Result<(RocksKv, Removed), ReplayError> {
        let path = self.data.path().join(name);
        // Left over from one that was killed.
        let _ = std::fs::remove_dir_all(&path);
        let removed = Removed(path.clone());
        let kv = RocksKv::open(&path, &self.settings.kv)?;
        debug_assert!(kv.scan(Space::State, &[], &[0xff; 8], 1, false).is_ok_and(|rows| rows.is_empty()));
        Ok((kv, removed))
    }

    /// The ledger topic's tail of each partition, for messages.
    ///
    /// # Errors
    /// The log.
    pub fn tails(&self) -> Result<Vec<(u32, Position)>, ReplayError> {
        (0..self.deployment().partitions)
            .map(|partition| Ok((partition, self.log.tail(Topic::Ledger, partition)?)))
            .collect()
    }
}

/// Removes a directory when dropped.
struct Removed(std::path::PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes a new head anchor from what lies in the log, for an operator who has verified the ledger: it declares whatever
/// is missing as never acknowledged. Returns where each partition of the ledger ends.
///
/// # Errors
/// The directory or the log cannot be used.
pub fn rebuild_anchor(path: &Path) -> Result<Vec<(u32, Position)>, StartError> {
    let data = DataDir::open(path)?;
    let partitions = data.deployment().partitions;
    let settings = eventlog::embedded::Settings { partitions, ..eventlog::embedded::Settings::at(path) };
    eventlog::embedded::rebuild_anchor(&settings)?;
    let log = Embedded::open(settings)?.reader();
    let tail = |partition| Ok((partition, log.tail(Topic::Ledger, partition)?));
    (0..partitions).map(tail).collect()
}

/// One digest over those of all partitions.
fn over(digests: &[[u8; 32]]) -> [u8; 32] {
    let parts: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
    ledger::hash::h3(&parts).0
}

fn part(name: &'static str, events: u64, since: Instant, was: &[[u8; 32]], is: &[[u8; 32]]) -> RebuiltPart {
    RebuiltPart {
        name,
        partitions: u32::try_from(is.len()).unwrap_or(u32::MAX),
        events,
        seconds: since.elapsed().as_secs_f64(),
        digest_before: over(was),
        digest_after: over(is),
        equal: was == is,
    }
}
