//! Killed without warning, at random: while it works, while it starts, while it copies itself, while it stops.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_json::json;

use crate::client::Client;
use crate::evidence::{
    Offsets, dead_letters, decide_and_keep, get, submitted, verify_by_repeat, verify_export, verify_file,
};
use crate::load::{Load, Produced, Said};
use crate::server::{Server, killed_while_starting, run};

fn rounds() -> usize {
    std::env::var("LEXECON_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100)
}

fn pause(rng: &mut ChaCha20Rng, micros: std::ops::Range<u64>) {
    let until = Instant::now() + Duration::from_micros(rng.random_range(micros));
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Every record that is no request ends as a dead letter. Returns how many letters there are.
fn every_poison_is_a_dead_letter(server: &Server, poison: &Offsets) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (found, count) = dead_letters(server);
        if poison.is_subset(&found) {
            return count;
        }
        assert!(Instant::now() < deadline, "no dead letter: {:?}", poison.difference(&found).collect::<Vec<_>>());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Every framed request is decided, wherever it was put: in the wrong partition it is forwarded.
fn every_produced_is_decided(server: &Server, produced: &[Produced]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    for Produced { actor, id, .. } in produced {
        let path = format!("/v1/requests?tenant=default&actor={actor}&request_id={id}");
        loop {
            let (status, answer) = get(server, &path);
            if status == 200 {
                break;
            }
            assert!(Instant::now() < deadline, "{id} is in the log and not decided: {status} {answer}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn every_acknowledged_decision_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let said = Arc::new(Said::default());
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (mut in_flight_at_kill, mut slowest) = (0, Duration::ZERO);
    let rounds = rounds();
    for round in 0..rounds {
        let since = Instant::now();
        let server = Server::start(&data);
        slowest = slowest.max(since.elapsed());
        let before = said.known();
        if !before.is_empty() {
            verify_by_repeat(&server.address, &before, 200, &mut rng);
        }
        let load = Load::start(&server.address, round, &said);
        pause(&mut rng, 30_000..350_000);
        in_flight_at_kill += usize::from(said.in_flight());
        server.kill();
        load.join();
    }
    let server = Server::start(&data);
    let (mut known, poison) = (said.known(), said.poison());
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    let letters = every_poison_is_a_dead_letter(&server, &poison);
    let produced = said.produced();
    every_produced_is_decided(&server, &produced);
    // One of each actor: what lies before it in its partition is done with when it is answered.
    (0..23).for_each(|number| decide_and_keep(&server, &format!("last-{number}"), &mut known));
    server.stop();
    let told = verify_export(&data, directory.path(), &known);
    assert!(poison.is_subset(&told.refused_at), "a dead letter without its event");
    assert_eq!(told.consumed, submitted(&data), "the runs name every request that the log ever held");
    assert_eq!(told.consumed, told.decided + told.duplicates + told.rejected);
    replay_and_rebuild(&data);
    println!(
        "kill -9: {rounds} rounds, {in_flight_at_kill} with requests in flight, {} acknowledged, {} events: 0 lost, 0 doubled, 0 \
         chain breaks; consumed {} = decided {} + duplicates {} + rejected {}; {} framed, also twice and in wrong partitions; {} poisoned, all of \
         them among {letters} dead letters; slowest start {slowest:?}",
        known.len(),
        told.events,
        told.consumed,
        told.decided,
        told.duplicates,
        told.rejected,
        produced.len(),
        poison.len()
    );
    assert!(in_flight_at_kill * 10 >= rounds * 8, "only {in_flight_at_kill} of {rounds} kills met requests in flight");
    assert!(poison.len() >= rounds / 2, "only {} were poisoned", poison.len());
    assert!(told.duplicates > 0, "nothing came twice");
}

fn replay_and_rebuild(data: &Path) {
    let (code, out, err) = run("lexecon", &["replay", "--json", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "replay: {out}{err}");
    let (code, out, err) = run("lexecon", &["rebuild", "--json", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "rebuild: {out}{err}");
}

#[test]
fn a_start_may_be_killed_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let since = Instant::now();
    Server::start(&directory.path().join("measured")).kill();
    let first_start = u64::try_from(since.elapsed().as_micros()).unwrap();
    let (mut first, mut later, mut listened) = (0, 0, 0);
    for round in 0..12 {
        let data = directory.path().join(format!("data{round}"));
        let mut known = Default::default();
        // The first start again and again, until one gets through; then starts on what is there.
        for kill in 0..3 {
            let after = Duration::from_micros(rng.random_range(0..first_start));
            listened += usize::from(killed_while_starting(&data, after));
            first += usize::from(kill == 0);
            later += usize::from(kill > 0);
        }
        let server = Server::start(&data);
        decide_and_keep(&server, "start-1", &mut known);
        server.kill();
        let after = Duration::from_micros(rng.random_range(0..first_start));
        listened += usize::from(killed_while_starting(&data, after));
        later += 1;
        let server = Server::start(&data);
        verify_by_repeat(&server.address, &known, usize::MAX, &mut rng);
        decide_and_keep(&server, "start-2", &mut known);
        server.kill();
        verify_export(&data, directory.path(), &known);
    }
    println!(
        "killed while starting: {first} first starts in an empty directory and {later} later ones, {listened} of them \
         listened already; each directory started again, all acknowledged are there, every export verifies"
    );
    assert!(listened < first + later, "no kill met a start");
}

#[test]
fn a_backup_may_be_killed_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let said = Arc::new(Said::default());
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let (mut cut, mut whole, mut refused) = (0, 0, 0);
    let rounds = 10;
    for round in 0..rounds {
        let server = Server::start(&data);
        let before = said.known();
        verify_by_repeat(&server.address, &before, 200, &mut rng);
        let load = Load::start(&server.address, round, &said);
        pause(&mut rng, 20_000..60_000);
        let known = said.known();
        let copy = directory.path().join(format!("copy{round}"));
        let asked = {
            let (address, copy) = (server.address.clone(), copy.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(&address)?;
                client.call("POST", "/v1/backup", Some(&json!({"directory": copy.to_str().unwrap()})))
            })
        };
        pause(&mut rng, 0..60_000);
        server.kill();
        load.join();
        match asked.join().unwrap() {
            // What was said to be whole must be: it holds all that was acknowledged before it was asked for.
            Some((status, answer)) => {
                assert_eq!(status, 200, "{answer}");
                verify_export(&copy, directory.path(), &known);
                whole += 1;
            }
            None => {
                cut += 1;
                let file = directory.path().join("cut.ledger");
                let _ = std::fs::remove_file(&file);
                let (from, to) = (copy.to_str().unwrap(), file.to_str().unwrap());
                let (code, _, err) = run("lexecon", &["ledger", "export", "--data", from, "--out", to]);
                if code == 0 {
                    // The answer was lost, or what was missing is made again.
                    verify_file(&file, &known);
                } else {
                    assert!(!err.trim().is_empty() && !err.contains("panicked"), "{err}");
                    refused += 1;
                }
            }
        }
    }
    let known = said.known();
    let server = Server::start(&data);
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    let copy = directory.path().join("last");
    let url = format!("http://{}", server.address);
    let (code, out, err) = run("lexecon", &["backup", copy.to_str().unwrap(), "--url", &url]);
    assert_eq!(code, 0, "{out}{err}");
    server.kill();
    verify_export(&data, directory.path(), &known);
    verify_export(&copy, directory.path(), &known);
    // A copy is a data directory like any other.
    let server = Server::start(&copy);
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    server.kill();
    println!(
        "killed during a backup: {rounds} rounds under load, {whole} copies were whole, {cut} cut off, of which {refused} are refused \
         and the others complete; {} acknowledged, 0 lost in the data and in the last copy",
        known.len()
    );
}

#[test]
fn a_stop_may_be_killed_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let said = Arc::new(Said::default());
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let (mut killed, mut ended) = (0, 0);
    let rounds = 15;
    for round in 0..rounds {
        let mut server = Server::start(&data);
        let before = said.known();
        verify_by_repeat(&server.address, &before, 200, &mut rng);
        let load = Load::start(&server.address, round, &said);
        pause(&mut rng, 30_000..150_000);
        server.ask_to_stop();
        pause(&mut rng, 0..60_000);
        match server.ends_within(Duration::ZERO) {
            Some(_) => ended += 1,
            None => killed += 1,
        }
        server.kill();
        load.join();
    }
    let known = said.known();
    let server = Server::start(&data);
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    server.stop();
    let told = verify_export(&data, directory.path(), &known);
    replay_and_rebuild(&data);
    println!(
        "killed after SIGTERM: {rounds} rounds under load, {killed} killed while stopping, {ended} had ended; {} acknowledged, 0 \
         lost, {} events verify",
        known.len(),
        told.events
    );
    assert!(killed > 0, "no kill met a stop");
}
