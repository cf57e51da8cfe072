//! What must hold at the end, seen from the log alone: nothing here uses an owner or its state, but to compare with it.

use std::collections::{BTreeMap, BTreeSet};

use domain::routing::{Routing, RoutingKey};
use engine::fold::{self, FoldedTo};
use engine::keys::Keyring;
use engine::kv::Kv;
use engine::kv::memory::MemoryKv;
use engine::replay;
use engine::store::Store;
use eventlog::{LogReader, Position, ReadLimit, Topic};
use ledger::{ChainId, Head, Stray, accept, event_type};
use policy::BundleSource;

use crate::world::{Figures, World};

/// A small bundle with all three outcomes.
pub fn bundle() -> BundleSource {
    let files = [
        (
            "manifest.toml",
            "format = 1\nname = \"simulation\"\nversion = \"1.0.0\"\ndescription = \"all three outcomes\"\nmode = \"strict\"\nschema = \"schema.cedarschema\"\n\
             policies = [\"policies.cedar\"]\nroles = []\ndata_classes = []\n",
        ),
        (
            "schema.cedarschema",
            "type TenantFacts = {};\naction read, write, pay appliesTo { principal: [User, Agent, Model, AiSystem], resource: [Resource], context: RequestContext };\n",
        ),
        (
            "policies.cedar",
            "@id(\"readers\")\npermit (principal, action == Action::\"read\", resource);\n\
             @id(\"payers\")\npermit (principal, action == Action::\"pay\", resource);\n\
             @id(\"look-at-payments\")\n@outcome(\"escalate\")\n@severity(\"high\")\npermit (principal, action == Action::\"pay\", resource);\n",
        ),
    ];
    BundleSource { files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect() }
}

/// A planted bug: local state whose input position runs ahead of the ledger.
pub fn scrambled(kv: &MemoryKv) -> MemoryKv {
    let copy = kv.clone();
    for partition in 0..2 {
        let key = engine::store::StateKey::Input { topic: "requests".into(), partition };
        let store = Store::new(&copy, partition);
        if let Ok(Some(engine::store::StateRecord::Input { to_offset })) = store.get(&key) {
            let ahead = engine::store::StateRecord::Input { to_offset: to_offset + 1 };
            let writes = store.changes([(&key, Some(&ahead))]);
            copy.write(writes).unwrap();
        }
    }
    copy
}

/// Every invariant; the figures are filled on the way.
pub fn all(world: &World, figures: &mut Figures) -> Result<(), String> {
    if let Some(stopped) = world.stopped().first() {
        return Err(format!("an owner stopped: {stopped}"));
    }
    let mut answers: BTreeMap<[u8; 32], u64> = BTreeMap::new();
    let mut conflicts: BTreeSet<([u8; 32], [u8; 32])> = BTreeSet::new();
    let mut undecodable = 0;
    for chain in &world.chains {
        partition(world, *chain, figures, &mut answers, &mut conflicts, &mut undecodable)?;
    }
    for ((actor, id), bodies) in &world.sent {
        let framed = bodies.first().ok_or("sent nothing")?;
        let request = world.ctx.requests.read(framed).map_err(|error| error.to_string())?;
        let index = world.ctx.secrets.index_key(&request.tenant);
        let routing = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor);
        let bytes = wire::encode_request(&request).map_err(|error| error.to_string())?;
        let identity =
            engine::owner::identify(&index, &routing, &request, &bytes).map_err(|error| error.to_string())?;
        let decided = answers.get(&identity.key).copied().unwrap_or(0);
        if decided != 1 {
            if std::env::var_os("SIM_TRACE").is_some() {
                for chain in &world.chains {
                    for topic in [Topic::Requests] {
                        for record in world
                            .log
                            .read(
                                topic,
                                chain.partition,
                                Position::ZERO,
                                ReadLimit { records: usize::MAX, bytes: usize::MAX },
                            )
                            .unwrap()
                        {
                            println!(
                                "left in {topic:?} {}: {} headers {:?}",
                                chain.partition,
                                record.position,
                                record.headers.len()
                            );
                        }
                    }
                    let key = engine::store::StateKey::Input { topic: "requests".into(), partition: chain.partition };
                    println!(
                        "covered {:?} of tail {:?}",
                        Store::new(world.last_state(), chain.partition).get(&key),
                        world.log.tail(Topic::Requests, chain.partition)
                    );
                    let mut head = Head::genesis(*chain);
                    for record in world
                        .log
                        .read(
                            Topic::Ledger,
                            chain.partition,
                            Position::ZERO,
                            ReadLimit { records: usize::MAX, bytes: usize::MAX },
                        )
                        .unwrap()
                    {
                        if let Ok(frame) = accept(&head, &record.value) {
                            head = frame.head.clone();
                            for event in &frame.events {
                                if let Ok(facts) = engine::record::facts(event)
                                    && facts.request_key == identity.key
                                {
                                    println!(
                                        "p{} seq {} type {} offset {}",
                                        chain.partition, event.body.seq, event.body.event_type, facts.input_offset
                                    );
                                }
                            }
                        }
                    }
                }
            }
            return Err(format!("I1: {actor} {id} was decided {decided} times"));
        }
        let recorded = conflicts.iter().filter(|(key, _)| *key == identity.key).count();
        if recorded + 1 != bodies.len() {
            return Err(format!("I1: {actor} {id} has {} bodies and {recorded} conflicts", bodies.len()));
        }
    }
    if undecodable != world.poison {
        return Err(format!("A7: {} poison records, {undecodable} refusals", world.poison));
    }
    Ok(())
}

fn partition(
    world: &World,
    chain: ChainId,
    figures: &mut Figures,
    answers: &mut BTreeMap<[u8; 32], u64>,
    conflicts: &mut BTreeSet<([u8; 32], [u8; 32])>,
    undecodable: &mut usize,
) -> Result<(), String> {
    let log: &dyn LogReader = &world.log;
    let fresh = MemoryKv::default();
    let store = Store::new(&fresh, chain.partition);
    let mut verifier = ledger::verify::log::LogVerifier::new(chain.ledger_id, chain.chain_epoch, Vec::new());
    let mut so_far = FoldedTo { head: Head::genesis(chain), recorded_at_us: 0, next_outcome_no: 0 };
    let mut heads = BTreeSet::from([chain.genesis()]);
    let mut covered = 0;
    let records = log
        .read(Topic::Ledger, chain.partition, Position::ZERO, ReadLimit { records: usize::MAX, bytes: usize::MAX })
        .unwrap();
    for record in &records {
        let frame = match accept(&so_far.head, &record.value) {
            Ok(frame) => frame,
            Err(refused) => {
                figures.strays += 1;
                match refused.classify(|head| heads.contains(head)) {
                    Stray::Harmless | Stray::Garbage => continue,
                    other => return Err(format!("I2: a stray that is not harmless: {other:?}: {refused}")),
                }
            }
        };
        figures.frames += 1;
        verifier.frame(chain.partition, &record.value).map_err(|fault| format!("I2, I8: {fault}"))?;
        for event in &frame.events {
            match event.body.event_type {
                event_type::WRITER_CLAIMED => figures.claims += 1,
                event_type::DECIDED | event_type::REJECTED | event_type::CONFLICTED => {
                    let facts = engine::record::facts(event).map_err(|error| error.to_string())?;
                    match event.body.event_type {
                        event_type::CONFLICTED => {
                            if !conflicts.insert((facts.request_key, facts.request_mac)) {
                                return Err("I1: a conflict was recorded twice".into());
                            }
                        }
                        event_type::REJECTED if facts.request_key == [0; 32] => *undecodable += 1,
                        _ => *answers.entry(facts.request_key).or_default() += 1,
                    }
                }
                _ => {}
            }
        }
        for range in frame.run.inputs.iter().filter(|range| range.topic == "requests") {
            covered = range.to_offset;
        }
        let (fold, next) = fold::accepted(&store, &frame, so_far, world.ctx.terms.remembered_us())
            .map_err(|error| format!("I3: {error}"))?;
        fresh.write(fold.into_writes(&store, frame.run.first_seq, record.position)).unwrap();
        heads.insert(next.head.run_head);
        so_far = next;
    }
    let _ = covered;
    readable(world, chain)?;
    let theirs = Store::new(world.last_state(), chain.partition).digest().unwrap();
    if theirs != store.digest().unwrap() {
        return Err("I3: the owner's state is not the fold of the ledger".into());
    }
    Ok(())
}

/// Every event can be opened and decided again with what the log holds: keys were durable before their frames, and no
/// key that counts was swept.
fn readable(world: &World, chain: ChainId) -> Result<(), String> {
    let accepted = only_accepted(world, chain);
    let report = replay::replay(&world.ctx, chain, &accepted, &MemoryKv::default(), &mut |_| {})
        .map_err(|error| format!("replay: {error}"))?;
    if let Some(difference) = report.first_difference {
        return Err(format!("I4: {difference:?}"));
    }
    if let Some((reason, count)) = report.not_replayable.iter().next() {
        return Err(format!("K6: {count} events cannot be replayed: {reason}"));
    }
    let _ = Keyring::new(world.last_state(), &world.ctx.secrets, chain.partition);
    Ok(())
}

fn only_accepted(world: &World, _chain: ChainId) -> eventlog::memory::Memory {
    world.log.clone()
}
