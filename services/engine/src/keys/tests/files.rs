//! Key files: made once, with the right modes, and refused with path and remedy when they are not as they must be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use domain::ids::Tenant;
use ledger::seal::Dek;
use tempfile::TempDir;

use crate::keys::{Error, Notice, Secrets};

const FILES: [&str; 3] = ["index.key", "queue.key", "kek-000001.key"];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn made() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data/keys");
    Secrets::open_or_create(&dir).unwrap();
    (home, dir)
}

/// What tells one set of secrets from another: a key that one wrapped opens under the other.
fn same(a: &Secrets, b: &Secrets) -> bool {
    let tenant = Tenant::new("acme").unwrap();
    let wrapped = a.wrap(a.period(), "acme", &[1; 16], &Dek([2; 32]), [3; 24]).unwrap();
    b.unwrap("acme", &[1; 16], &wrapped).is_ok() && a.index_key(&tenant).bytes() == b.index_key(&tenant).bytes()
}

#[test]
fn the_first_start_makes_keys_for_the_owner_alone_and_later_ones_read_them() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data/keys");
    assert!(matches!(Secrets::open(&dir).unwrap_err(), Error::Io { .. }), "nothing is made by open");
    let (first, notices) = Secrets::open_or_create(&dir).unwrap();
    let [Notice::Created { dir: told, files }] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!((told, files.len()), (&dir, FILES.len()));
    assert!(notices[0].to_string().contains(dir.to_str().unwrap()) && notices[0].to_string().contains("copy"));
    assert_eq!(mode(&dir), 0o700);
    for file in FILES {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
        assert_eq!(fs::read(dir.join(file)).unwrap().len(), 65, "{file}: hexadecimal, for people to copy");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), FILES.len(), "no temporary file is left");

    let (second, notices) = Secrets::open_or_create(&dir).unwrap();
    assert!(notices.is_empty());
    assert!(same(&first, &second) && same(&first, &Secrets::open(&dir).unwrap()));
    let (_other_home, other) = made();
    assert!(!same(&first, &Secrets::open(&other).unwrap()), "keys are drawn, not fixed");
}

#[test]
fn raw_and_hexadecimal_files_are_the_same_key() {
    let (_home, dir) = made();
    let before = Secrets::open(&dir).unwrap();
    for file in FILES {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        fs::write(dir.join(file), hex::decode(text.trim()).unwrap()).unwrap();
    }
    assert!(same(&before, &Secrets::open(&dir).unwrap()));
    let text = fs::read(dir.join("index.key")).unwrap();
    fs::write(dir.join("index.key"), format!("{}\r\n", hex::encode_upper(text))).unwrap();
    assert!(same(&before, &Secrets::open(&dir).unwrap()));
}

#[test]
fn what_is_not_as_it_must_be_is_refused_with_path_and_remedy() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, &[&str]); 12] = [
        ("a key others can read", |dir| chmod(&dir.join("index.key"), 0o640), &["index.key", "0640", "chmod 600"]),
        ("a key others can write", |dir| chmod(&dir.join("kek-000001.key"), 0o602), &["kek-000001.key", "chmod 600"]),
        ("a directory others can enter", |dir| chmod(dir, 0o755), &["keys", "0755", "chmod 700"]),
        (
            "a short key",
            |dir| fs::write(dir.join("queue.key"), [7; 31]).unwrap(),
            &["queue.key", "64 hexadecimal", "restore"],
        ),
        ("a long key", |dir| fs::write(dir.join("queue.key"), "0".repeat(4096)).unwrap(), &["queue.key", "restore"]),
        ("no hexadecimal", |dir| fs::write(dir.join("queue.key"), "g".repeat(64)).unwrap(), &["queue.key", "restore"]),
        ("an empty key", |dir| fs::write(dir.join("index.key"), "").unwrap(), &["index.key", "restore"]),
        ("no index key", |dir| fs::remove_file(dir.join("index.key")).unwrap(), &["index.key", "missing", "restore"]),
        (
            "no key of a period",
            |dir| fs::remove_file(dir.join("kek-000001.key")).unwrap(),
            &["kek-000001.key", "restore"],
        ),
        (
            "a period left out",
            |dir| {
                fs::rename(dir.join("kek-000001.key"), dir.join("kek-000003.key"))
                    .and_then(|()| fs::copy(dir.join("kek-000003.key"), dir.join("kek-000001.key")))
                    .map(|_| ())
                    .unwrap()
            },
            &["kek-000002.key", "missing"],
        ),
        (
            "a misnamed period",
            |dir| fs::rename(dir.join("kek-000001.key"), dir.join("kek-1.key")).unwrap(),
            &["kek-1.key", "kek-NNNNNN.key"],
        ),
        (
            "a directory in place of a key",
            |dir| fs::remove_file(dir.join("index.key")).and_then(|()| fs::create_dir(dir.join("index.key"))).unwrap(),
            &["index.key", "not a file"],
        ),
    ];
    for (why, spoil, words) in cases {
        let (_home, dir) = made();
        let good = FILES.map(|file| fs::read_to_string(dir.join(file)).unwrap());
        spoil(&dir);
        for refused in [Secrets::open(&dir).map(|_| ()), Secrets::open_or_create(&dir).map(|_| ())] {
            let error = refused.expect_err(why);
            let message = format!("{error} {error:?}");
            assert!(message.contains(dir.to_str().unwrap()), "{why}: {message}");
            assert!(words.iter().all(|word| message.contains(word)), "{why}: {message}");
            assert!(good.iter().all(|key| !message.contains(key.trim())), "{why}: a key is shown");
        }
    }
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("keys");
    fs::write(&dir, "").unwrap();
    assert!(matches!(Secrets::open_or_create(&dir).unwrap_err(), Error::WrongKind { .. }));
}

/// The first start, interrupted at each step of its order: all temporary files, then the renames.
#[test]
fn an_interrupted_first_start_is_finished_or_begun_again() {
    for renamed in 0..=FILES.len() {
        let (_home, dir) = made();
        let whole = Secrets::open(&dir).unwrap();
        for file in FILES.iter().skip(renamed) {
            fs::rename(dir.join(file), dir.join(format!("{file}.new"))).unwrap();
        }
        let (secrets, notices) = Secrets::open_or_create(&dir).unwrap();
        // Before the first rename nothing was used, so the keys may be other ones; after it they must be the same.
        assert_eq!(same(&whole, &secrets), renamed > 0, "{renamed} renamed");
        assert_eq!(notices.is_empty(), renamed > 0, "{renamed} renamed");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), FILES.len(), "{renamed} renamed");
    }
    let (_home, dir) = made();
    for file in FILES {
        fs::remove_file(dir.join(file)).unwrap();
    }
    fs::write(dir.join("index.key.new"), "12").unwrap();
    let (_, notices) = Secrets::open_or_create(&dir).unwrap();
    assert_eq!(notices.len(), 1, "a torn temporary file is not a key");
}

#[test]
fn several_periods_are_read_and_the_last_one_wraps() {
    let (_home, dir) = made();
    let first = Secrets::open(&dir).unwrap();
    let old = first.wrap(1, "acme", &[1; 16], &Dek([2; 32]), [3; 24]).unwrap();
    fs::write(dir.join("kek-000002.key"), "5".repeat(64)).unwrap();
    chmod(&dir.join("kek-000002.key"), 0o600);
    let both = Secrets::open(&dir).unwrap();
    assert_eq!((first.period(), both.period()), (1, 2));
    assert_eq!(both.unwrap("acme", &[1; 16], &old).unwrap().0, [2; 32]);

    fs::remove_file(dir.join("kek-000001.key")).unwrap();
    let later = Secrets::open(&dir).unwrap();
    let error = later.unwrap("acme", &[1; 16], &old).unwrap_err();
    assert!(matches!(error, Error::MissingPeriod { period: 1, .. }), "the period was forgotten: {error}");
    assert!(error.to_string().contains("kek-000001.key"), "{error}");
}
