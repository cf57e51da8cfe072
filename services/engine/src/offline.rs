//! The same data without a process that serves it: read, verify, replay and rebuild a directory that nobody uses.
//!
//! Opening takes the directory's lock, so nothing changes under a reader's hands. State and read models may lag behind
//! the ledger (they are not synced): they are brought up to it first, by the same fold and the same followers.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use eventlog::embedded::Embedded;
use eventlog::{EventLog, LogReader, Position, ReadLimit, Topic};
use ledger::accept;

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
use crate::store::Store;
use crate::system::{StartError, context};

/// A data directory, held by this process and served by none.
pub struct Offline {
    data: DataDir,
    // Held for its lock and its reader; nothing is written.
    _log: Embedded,
    log: Arc<dyn LogReader>,
    secrets: Arc<Secrets>,
    kv: Arc<RocksKv>,
    ctx: Context,
    settings: Settings,
}

/// What a rebuild compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RebuildReport {
    /// State, and each read model.
    pub parts: Vec<RebuiltPart>,
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
        settings.log.partitions = deployment.partitions;
        let embedded = Embedded::open(settings.log.clone())?;
        let log = embedded.reader();
        let secrets = Arc::new(Secrets::open(&data.keys())?);
        let kv = Arc::new(RocksKv::open(&data.state(), &settings.kv)?);
        let ctx = context(&settings, &deployment, secrets.clone(), log.clone())?;
        Ok(Offline { data, _log: embedded, log, secrets, kv, ctx, settings })
    }

    /// Dead letters, with what was done to them as far as state has folded.
    pub fn letters(&self) -> crate::letters::Letters<'_> {
        crate::letters::Letters::new(self.log.as_ref(), &self.secrets, self.kv.as_ref(), self.deployment().partitions)
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
        self.catch_up()?;
        Ok(Reader::new(self.kv.clone(), self.log.clone(), self.secrets.clone(), self.data.deployment()))
    }

    /// Folds what state, keyring index and read models lack.
    fn catch_up(&self) -> Result<(), ReplayError> {
        let followers = follow::all(&self.settings.follow);
        for partition in 0..self.deployment().partitions {
            replay::absorb_keys(&self.ctx, self.log.as_ref(), self.kv.as_ref(), partition)?;
            self.fold(partition, self.kv.as_ref(), &mut |_| {})?;
            for follower in &followers {
                let chain = self.deployment().chain(partition);
                let stored = follow::load_cursor(self.kv.as_ref(), partition, follower.name())?;
                let mut cursor = stored.unwrap_or_else(|| follow::Cursor::start(chain));
                loop {
                    let step = follow::advance(
                        std::slice::from_ref(follower),
                        &cursor,
                        self.log.as_ref(),
                        self.kv.as_ref(),
                        &self.settings.follow,
                    )?;
                    if let Some(halt) = step.halt {
                        return Err(follow::Error::Halted { partition, halt }.into());
                    }
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
                let Ok(frame) = accept(&so_far.head, &record.value) else { continue };
                let count = u64::try_from(frame.events.len()).unwrap_or(0);
                let (fold, next) = fold::accepted(&store, &frame, so_far, self.ctx.terms.remembered_us())?;
                kv.write(fold.into_writes(&store, frame.run.first_seq, record.position))?;
                so_far = next;
                events += count;
                progress(count);
            }
        }
        Ok(events)
    }

    fn events(&self) -> Result<u64, ReplayError> {
        let mut events = 0;
        for partition in 0..self.deployment().partitions {
            let (at, _) = FoldedTo::load(&Store::new(self.kv.as_ref(), partition), self.deployment().chain(partition))?;
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
        self.catch_up()?;
        let (beside, _gone) = self.beside("rebuild")?;
        let followers = follow::all(&self.settings.follow);
        let total = self.events()?.saturating_mul(u64::try_from(followers.len()).unwrap_or(0) + 1);
        let mut done = 0;
        let mut report = RebuildReport::default();
        let since = Instant::now();
        let (mut events, mut was, mut is) = (0, Vec::new(), Vec::new());
        for partition in 0..self.deployment().partitions {
            events += self.fold(partition, &beside, &mut |count| {
                done += count;
                progress(done, total);
            })?;
            was.push(Store::new(self.kv.as_ref(), partition).digest()?);
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
                was.push(follow::digest(follower.as_ref(), partition, self.kv.as_ref())?);
                is.push(follow::digest(follower.as_ref(), partition, &beside)?);
            }
            report.parts.push(part(follower.name(), events, since, &was, &is));
        }
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

fn part(name: &'static str, events: u64, since: Instant, was: &[[u8; 32]], is: &[[u8; 32]]) -> RebuiltPart {
    let over = |digests: &[[u8; 32]]| {
        let parts: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
        ledger::hash::h3(&parts).0
    };
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
