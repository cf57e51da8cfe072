//! Processes killed at random and at each sync, syncs and writes that fail: nothing acknowledged is ever missing.

use std::{ffi::OsStr, fs, path::Path, process::Command};

use eventlog::{EventLog, embedded::Embedded};

use crate::child::{Said, listen, settings, spawn, verify};

fn words<const N: usize>(words: [&str; N]) -> [&OsStr; N] {
    words.map(OsStr::new)
}

fn kept(said: &[Said]) -> usize {
    said.iter().filter(|said| matches!(said, Said::Kept { .. })).count()
}

fn reopen_and_verify(data: &Path, said: &[Said]) -> usize {
    let log = Embedded::open(settings(data)).unwrap();
    verify(&*log.reader(), said)
}

#[test]
fn kill_9_at_any_moment_loses_nothing_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    let rounds = 25;
    for round in 0..rounds {
        // At another place in each round: after so many acknowledgements, while the next writes are under way.
        let after = 1 + (round * 37) % 90;
        let child = spawn(&[], data.path(), u32::MAX, None);
        let said = listen(child, |said| kept(said) >= after);
        assert!(kept(&said) >= after && !said.contains(&Said::Finished), "{:?}", said.last());
        all.extend(said);
        reopen_and_verify(data.path(), &all);
    }
    println!("kill -9: {rounds} kills, {} acknowledged records, 0 lost", kept(&all));
}

/// Whether `strace` may trace here; if not, the test says so.
fn can_inject(test: &str) -> bool {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        let why = format!("eventlog {test}: strace cannot trace here");
        println!("skipped: {why}");
        if let Some(skips) = std::env::var_os("LEXECON_TEST_SKIPS") {
            use std::io::Write;
            let mut skips = std::fs::File::options().create(true).append(true).open(skips).unwrap();
            writeln!(skips, "{why}").unwrap();
        }
    }
    can
}

/// Runs one child with an injection; the records it was told are then verified.
fn inject(injection: &str, rounds: u32) -> Vec<Said> {
    let data = tempfile::tempdir().unwrap();
    let injection = format!("inject={injection}");
    let strace = words(["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &injection]);
    let said = listen(spawn(&strace, data.path(), rounds, None), |_| false);
    reopen_and_verify(data.path(), &said);
    said
}

#[test]
fn killed_at_each_sync_loses_nothing_acknowledged() {
    if !can_inject("killed_at_each_sync") {
        return;
    }
    let (mut kills, mut records) = (0, 0);
    for sync in 1.. {
        let said = inject(&format!("fdatasync:signal=SIGKILL:when={sync}"), 6);
        records += kept(&said);
        if said.contains(&Said::Finished) {
            break;
        }
        kills += 1;
        assert!(sync < 200, "the child syncs without end");
    }
    assert!(kills >= 12, "two syncs a round were expected, {kills} found");
    println!("killed at each fdatasync: {kills} kills, {records} acknowledged records, 0 lost");
}

#[test]
fn a_failed_sync_is_unknown_and_the_log_recovers() {
    if !can_inject("a_failed_sync") {
        return;
    }
    let (mut unknown, mut refused, mut recovered) = (0, 0, 0);
    for sync in 1.. {
        let said = inject(&format!("fdatasync:error=EIO:when={sync}"), 6);
        let broke = said.iter().any(|said| matches!(said, Said::Broken(_)));
        match (broke, said.contains(&Said::Finished)) {
            // Past the last sync.
            (false, true) => break,
            // While it was opened, which was then refused.
            (false, false) => refused += 1,
            (true, finished) => {
                assert!(finished && said.contains(&Said::Working), "sync {sync}: {said:?}");
                recovered += 1;
            }
        }
        unknown += said.iter().filter(|said| **said == Said::Unknown).count();
        assert!(sync < 200, "the child syncs without end");
    }
    assert!(recovered >= 12, "two syncs a round were expected, {recovered} found");
    assert!(unknown >= 4 * recovered, "{unknown} frames became unknown in {recovered} rounds");
    println!(
        "fdatasync fails at each: {refused} opens refused, {recovered} rounds failed, {unknown} writes unknown, \
         0 acknowledged lost"
    );
}

#[test]
fn failing_writes_are_unknown_until_they_work_again() {
    let data = tempfile::tempdir().unwrap();
    // The signal for a file that is too large must be ignored for the write to fail instead; `exec` passes that on.
    let shell = words(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    let said = listen(spawn(&shell, data.path(), 12, Some(2_000)), |_| false);
    let place = |wanted: &Said| said.iter().position(|said| said == wanted);
    let unknown = place(&Said::Unknown).expect("no frame became unknown");
    let working = place(&Said::Working).expect("the log did not recover");
    assert!(unknown < working, "{said:?}");
    assert!(place(&Said::Broken(2)).is_some_and(|place| place < working), "it did not try again");
    assert_eq!(0, kept(&said[unknown..working]), "acknowledged while broken");
    assert!(kept(&said[..unknown]) > 0 && kept(&said[working..]) > 0, "{said:?}");
    assert!(said.contains(&Said::Finished));
    let records = reopen_and_verify(data.path(), &said);
    println!("writes fail: {records} acknowledged records, 0 lost, 0 acknowledged meanwhile");
}

#[test]
fn a_full_disk_is_named_and_the_log_recovers() {
    if !can_inject("a_full_disk") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    // Every new log numbers its files alike: a first one tells the name of the write-ahead log.
    drop(Embedded::open(settings(&root.path().join("first"))).unwrap());
    let files = fs::read_dir(root.path().join("first/log")).unwrap().flatten();
    let name = files.map(|file| file.file_name()).find(|name| name.to_string_lossy().ends_with(".log"));
    let data = root.path().join("second");
    let path = data.join("log").join(name.unwrap());
    let path = path.to_str().unwrap();
    let full = "inject=write:error=ENOSPC:when=6..8";
    let strace = words(["strace", "-f", "-o", "/dev/null", "-P", path, "-e", "trace=write", "-e", full]);
    let said = listen(spawn(&strace, &data, 8, None), |_| false);
    for expected in [Said::Unknown, Said::NoSpace, Said::Working, Said::Finished] {
        assert!(said.contains(&expected), "no {expected:?} in {said:?}");
    }
    let records = reopen_and_verify(&data, &said);
    println!("disk full: {records} acknowledged records, 0 lost");
}
