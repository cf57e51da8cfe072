//! Writers that do not stop: single requests and batches over HTTP, framed requests as a producer would put them into
//! the log, in any partition, repeats of both, and bytes that are no request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use domain::ids::RequestId;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use replay_tests::sample;
use serde_json::{Value, json};

use crate::client::Client;
use crate::evidence::{Acknowledged, Offsets, acknowledged, body};

const WRITERS: usize = 6;
const PARTITIONS: u32 = 8;
const POISON_BYTES_MAX: usize = 300;

/// What the writers of all rounds know together.
#[derive(Default)]
pub struct Said {
    pub known: Mutex<Acknowledged>,
    pub sent: Mutex<Vec<String>>,
    /// Bytes that are no request and that the log took.
    pub poison: Mutex<Offsets>,
    /// Framed requests that the log took: actor, id and bytes.
    pub produced: Mutex<Vec<Produced>>,
    in_flight: AtomicUsize,
    /// Set while the system says that it is not ready.
    not_ready: AtomicBool,
    /// New requests that were asked and acknowledged within one such time.
    wrongly: AtomicUsize,
}

/// A request as a producer frames it.
#[derive(Clone)]
pub struct Produced {
    pub actor: String,
    pub id: String,
    bytes: Vec<u8>,
}

impl Said {
    pub fn known(&self) -> Acknowledged {
        self.known.lock().unwrap().clone()
    }

    pub fn poison(&self) -> Offsets {
        self.poison.lock().unwrap().clone()
    }

    pub fn produced(&self) -> Vec<Produced> {
        self.produced.lock().unwrap().clone()
    }

    /// Whether the system says that it is not ready.
    pub fn set_not_ready(&self, is: bool) {
        self.not_ready.store(is, Ordering::SeqCst);
    }

    /// New requests that were asked and acknowledged while it was not ready.
    pub fn acknowledged_wrongly(&self) -> usize {
        self.wrongly.load(Ordering::SeqCst)
    }

    /// Whether anybody waits for an answer right now.
    pub fn in_flight(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0
    }
}

/// Writers with one connection each.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// `round` makes their requests other ones than those of any round before.
    pub fn start(address: &str, round: usize, said: &Arc<Said>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        said.in_flight.store(0, Ordering::SeqCst);
        let threads = (0..WRITERS)
            .map(|number| {
                let (address, stop, said) = (address.to_owned(), stop.clone(), said.clone());
                let rng = ChaCha20Rng::seed_from_u64((round * 16 + number) as u64);
                let mut writer = Writer { name: format!("r{round}-{number}"), count: 0, rng, said };
                std::thread::spawn(move || {
                    let Some(mut client) = Client::connect(&address) else { return };
                    while !stop.load(Ordering::SeqCst) && writer.write(&mut client).is_some() {}
                })
            })
            .collect();
        Load { stop, threads }
    }

    /// Waits for the writers: those that still have an answer to come, and those that lost the connection.
    pub fn join(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

struct Writer {
    name: String,
    count: u32,
    rng: ChaCha20Rng,
    said: Arc<Said>,
}

impl Writer {
    /// None when the connection broke before the answer: whoever waits then was in flight.
    fn write(&mut self, client: &mut Client) -> Option<()> {
        match self.rng.random_range(0..25) {
            0 => return self.poison(client),
            1 | 2 => return self.produce(client),
            _ => {}
        }
        let count = if self.rng.random_ratio(1, 3) { 20 } else { 1 };
        let (ids, new): (Vec<String>, Vec<bool>) = (0..count).map(|_| self.id()).unzip();
        let not_ready = self.said.not_ready.load(Ordering::SeqCst);
        self.said.in_flight.fetch_add(1, Ordering::SeqCst);
        let answers = if count == 1 {
            client.call("POST", "/v1/decisions", Some(&body(&ids[0]))).map(|(_, answer)| vec![answer])
        } else {
            let requests: Vec<Value> = ids.iter().map(|id| body(id)).collect();
            let answer = client.call("POST", "/v1/decisions:batch", Some(&json!({ "requests": requests })));
            answer.map(|(_, answer)| answer["results"].as_array().cloned().unwrap_or_default())
        }?;
        self.said.in_flight.fetch_sub(1, Ordering::SeqCst);
        let not_ready = not_ready && self.said.not_ready.load(Ordering::SeqCst);
        let mut known = self.said.known.lock().unwrap();
        for ((id, new), answer) in ids.iter().zip(new).zip(&answers) {
            if let Some(coordinate) = acknowledged(answer) {
                self.said.wrongly.fetch_add(usize::from(new && not_ready), Ordering::SeqCst);
                let before = known.insert(id.clone(), coordinate.clone());
                assert!(before.is_none_or(|before| before == coordinate), "{id} was answered by two events");
            }
        }
        Some(())
    }

    /// A new id, or one that somebody sent before; and whether it is new.
    fn id(&mut self) -> (String, bool) {
        let mut sent = self.said.sent.lock().unwrap();
        if self.rng.random_ratio(1, 6) && !sent.is_empty() {
            return (sent[self.rng.random_range(0..sent.len())].clone(), false);
        }
        self.count += 1;
        let id = format!("{}-{}", self.name, self.count);
        sent.push(id.clone());
        (id, true)
    }

    fn poison(&mut self, client: &mut Client) -> Option<()> {
        let mut bytes = vec![0; self.rng.random_range(1..POISON_BYTES_MAX)];
        self.rng.fill_bytes(&mut bytes);
        // Half of it looks like a framed record.
        if self.rng.random_ratio(1, 2) {
            bytes[0] = 0;
        }
        if let Some(place) = self.put(client, &bytes)? {
            assert!(self.said.poison.lock().unwrap().insert(place), "two records at {place:?}");
        }
        Some(())
    }

    /// A framed request, or one again that the log took before.
    fn produce(&mut self, client: &mut Client) -> Option<()> {
        let again = self.rng.random_ratio(1, 3);
        let before = self.said.produced().choose(&mut self.rng).filter(|_| again).cloned();
        let produced = before.unwrap_or_else(|| {
            self.count += 1;
            let (actor, id) = (format!("producer-{}", self.count % 23), format!("{}-framed-{}", self.name, self.count));
            let mut request = sample::request(&actor, self.count, 0);
            request.request_id = RequestId::new(id.clone()).unwrap();
            request.occurred_at_us = jiff::Timestamp::now().as_microsecond();
            Produced { actor, id, bytes: wire::frame_request(&request).unwrap() }
        });
        if self.put(client, &produced.bytes)?.is_some() {
            self.said.produced.lock().unwrap().push(produced);
        }
        Some(())
    }

    /// Puts bytes into any partition, right or wrong. Where they lie, when the log took them.
    fn put(&mut self, client: &mut Client, bytes: &[u8]) -> Option<Option<(u64, u64)>> {
        let path = format!("/v1/requests:raw?partition={}", self.rng.random_range(0..PARTITIONS));
        let (status, answer) = client.send("POST", &path, "application/octet-stream", bytes)?;
        let receipt: Value = serde_json::from_slice(&answer).unwrap();
        let place = || (receipt["partition"].as_u64().unwrap(), receipt["position"].as_u64().unwrap());
        Some((status == 202).then(place))
    }
}
