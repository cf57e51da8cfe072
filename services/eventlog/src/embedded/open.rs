//! Opening: is there a database, is it ours, and does it hold all that its anchor says was acknowledged?
//!
//! RocksDB starts afresh where CURRENT is missing and it may create; so it may only where there is nothing at all.

use std::{fs, io, path::Path};

use rocksdb::{DB, Options};

use super::{
    anchor::{self, Anchor, Mark},
    fault,
    settings::Settings,
    store::Store,
};
use crate::{Error, Position, Topic};

/// Opens the store, checks it against its anchor, and anchors what lies in it: whatever can be read is acknowledged.
/// Recovery has written all of it to synced files by then.
pub(super) fn open(settings: &Settings) -> Result<(Store, Anchor), Error> {
    let directory = &settings.directory;
    fs::create_dir_all(directory).map_err(|error| fault::of_io(directory, &error))?;
    let anchored = anchor::read(&settings.anchor)?;
    if anchored.is_none() && is_unfinished(directory)? {
        // The directory goes with it.
        DB::destroy(&Options::default(), directory).map_err(|error| fault::of_rocksdb(directory, &error))?;
        fs::create_dir_all(directory).map_err(|error| fault::of_io(directory, &error))?;
    }
    let fresh = is_fresh(directory)?;
    if let (true, Some((_, mark))) = (fresh, &anchored) {
        return Err(missing_store(settings, mark));
    }
    let store = Store::open(settings, fresh)?;
    let mark = store.mark()?;
    let anchor = match anchored {
        Some((generation, stored)) => {
            store.check(&stored, &settings.anchor)?;
            let mut anchor = Anchor::open(&settings.anchor, generation)?;
            anchor.write(&mark)?;
            anchor
        }
        None if mark.heads.iter().any(|head| head.tail(Topic::Ledger) > Position::ZERO) => {
            let (anchor, directory) = (settings.anchor.clone(), directory.clone());
            return Err(Error::AnchorMissing { anchor, directory });
        }
        None => anchor::create(&settings.anchor, &mark)?,
    };
    Ok((store, anchor))
}

/// There is an anchor and no database.
fn missing_store(settings: &Settings, mark: &Mark) -> Error {
    let heads = || (0..).zip(&mark.heads);
    let lost =
        Topic::ALL.into_iter().rev().flat_map(|topic| heads().map(move |(p, head)| (topic, p, head.tail(topic))));
    let anchor = settings.anchor.clone();
    match lost.max_by_key(|(topic, _, tail)| (*topic == Topic::Ledger && tail.0 > 0, *tail)) {
        Some((topic, partition, anchored)) if anchored > Position::ZERO => {
            Error::TailBelowAnchor { topic, partition, tail: Position::ZERO, anchored, anchor }
        }
        _ => Error::AnchorDamaged { anchor, detail: "its log does not exist".to_owned() },
    }
}

/// Writes a new anchor from what lies in the store, for an operator who has verified the ledger against an export or a
/// signed checkpoint. Never done by itself: it declares whatever is missing as never acknowledged.
///
/// # Errors
/// As [`Embedded::open`](super::Embedded::open), but for those of the anchor.
pub fn rebuild_anchor(settings: &Settings) -> Result<(), Error> {
    settings.check()?;
    if is_fresh(&settings.directory)? {
        let (directory, detail) = (settings.directory.clone(), "no event log".to_owned());
        return Err(Error::Foreign { directory, detail });
    }
    let store = Store::open(settings, false)?;
    anchor::create(&settings.anchor, &store.mark()?).map(|_| ())
}

/// Whether a first start was killed when it had made a database without a file that records could be in. RocksDB refuses
/// to open that, and nothing was ever written to it.
fn is_unfinished(directory: &Path) -> Result<bool, Error> {
    let mut is_made = false;
    for entry in fs::read_dir(directory).map_err(|error| fault::of_io(directory, &error))? {
        let name = entry.map_err(|error| fault::of_io(directory, &error))?.file_name();
        let name = name.to_string_lossy();
        is_made |= name == "CURRENT";
        if name.ends_with(".sst") || name.ends_with(".log") {
            return Ok(false);
        }
    }
    Ok(is_made)
}

/// Whether a database may be made here: there is none, and nothing else either.
fn is_fresh(directory: &Path) -> Result<bool, Error> {
    let fault = |error: io::Error| fault::of_io(directory, &error);
    let mut strange = None;
    let mut holds_data = false;
    for entry in fs::read_dir(directory).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name().to_string_lossy().into_owned();
        if name == "CURRENT" {
            return Ok(false);
        }
        let ours = ["LOCK", "LOG", "IDENTITY", "MANIFEST-", "OPTIONS-"];
        let data = name.ends_with(".sst") || name.ends_with(".log");
        holds_data |= data;
        if !data && !name.ends_with(".dbtmp") && !ours.iter().any(|prefix| name.starts_with(prefix)) {
            strange = Some(name);
        }
    }
    let directory = directory.to_path_buf();
    match strange {
        Some(name) => Err(Error::Foreign { directory, detail: format!("the file {name}") }),
        None if holds_data => Err(Error::Damaged { directory, detail: "the file CURRENT is missing".to_owned() }),
        // Empty, or a first start that was killed before it had made anything.
        None => Ok(true),
    }
}
