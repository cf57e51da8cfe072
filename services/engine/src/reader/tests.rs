//! The reader over ledgers made by the real sealing, framing and fold, compared with what was answered at commit.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use domain::event::AnswerKind;
use domain::ids::Action;
use domain::request::ActorKind;
use policy::{Outcome, ReasonCode};

use super::*;
use crate::follow::sample::{Ask, World};
use crate::follow::{Cursor, advance, all, chains, load_cursor};
use crate::keys::NO_TENANT;
use crate::store::SurrogateState;

fn reader(world: &World, settings: Settings) -> Reader {
    Reader::with(world.kv.clone(), Arc::new(world.log.clone()), world.secrets.clone(), &world.deployment, settings)
}

fn catch_up(world: &World) {
    let settings = follow::Settings::default();
    for chain in chains(&world.deployment) {
        let stored = load_cursor(&*world.kv, chain.partition, "decisions").unwrap();
        let mut at = stored.unwrap_or_else(|| Cursor::start(chain));
        loop {
            let step = advance(&all(&settings), &at, &world.log, &*world.kv, &settings).unwrap();
            if step.cursor.position == step.tail {
                break;
            }
            at = step.cursor;
        }
    }
}

fn every_kind() -> Vec<Ask> {
    let ask = |id: &str| Ask::permit(id, "default", "agent-1", "pay");
    let mut person = ask("person");
    (person.actor, person.kind) = ("clerk-7", ActorKind::Person);
    let mut crowd = ask("crowd").decided(Outcome::Escalate, ReasonCode::OversightRequired);
    (crowd.subjects, crowd.for_whom) = (16, Some("boss-1"));
    let mut unreadable = ask("unreadable").answered(AnswerKind::Rejected, ReasonCode::Undecodable);
    unreadable.readable = false;
    vec![
        ask("permit"),
        ask("deny").decided(Outcome::Deny, ReasonCode::Forbidden),
        person,
        crowd,
        ask("rejected").answered(AnswerKind::Rejected, ReasonCode::Invalid),
        unreadable,
        ask("conflict").answered(AnswerKind::Conflicted, ReasonCode::Conflict),
        ask("rerouted").answered(AnswerKind::Rerouted { partition: 1 }, ReasonCode::Rerouted),
    ]
}

#[test]
fn a_view_is_the_same_at_commit_and_ever_after() {
    let mut world = World::new(2);
    world.commit_in(1, &every_kind(), 0);
    let reader = reader(&world, Settings::default());
    for view in &world.views {
        assert_eq!(reader.at(1, view.seq).unwrap().as_ref(), Some(view), "before any follower has seen it");
    }
    catch_up(&world);
    for view in &world.views {
        let found = reader.decision(&view.decision_id).unwrap();
        assert_eq!(found.as_ref(), Some(view));
        assert!(view.readable);
        assert_eq!(view.actor.is_none(), view.request_id.as_deref().is_none_or(|id| id == "person"));
    }
    let last = world.last(1).1;
    let mut other_id = world.views[0].decision_id;
    other_id.0[15] ^= 1;
    assert_eq!(reader.decision(&other_id).unwrap(), None, "a prefix is not an id");
    for (partition, seq) in [(1, 0), (1, last + 1), (1, u64::MAX), (0, 5)] {
        assert_eq!(reader.at(partition, seq).unwrap(), None, "{partition} {seq}: no answer stands there");
    }
    assert!(matches!(reader.at(2, 0), Err(Error::UnknownPartition { partition: 2, partitions: 2 })));
    let shown = format!("{:?}", world.views);
    for hidden in ["agent-1", "clerk-7", "boss-1", "customer", "Ada"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
}

#[test]
fn what_was_erased_is_left_out_and_nothing_else() {
    let mut world = World::new(1);
    world.commit_in(0, &every_kind(), 0);
    catch_up(&world);
    let reader = reader(&world, Settings::default());
    let store = Store::new(&*world.kv, 0);
    for (partition, surrogate) in world.surrogates() {
        assert_eq!(partition, 0);
        let erased = StateRecord::Surrogate(SurrogateState::Erased { at_us: 1 });
        world.kv.write(store.changes([(&StateKey::Surrogate(surrogate), Some(&erased))])).unwrap();
    }
    for before in &world.views {
        let personal = matches!(before.request_id.as_deref(), Some("person" | "crowd"));
        let expected = DecisionView { readable: !personal, ..before.clone() };
        assert_eq!(reader.at(0, before.seq).unwrap(), Some(expected));
    }
    // Without the organisation's key the clear sections are left.
    let keys = Range::partition(Space::Keyring, 0);
    world.kv.write(vec![crate::kv::Write::DeleteRange(keys.space, keys.from, keys.to)]).unwrap();
    for before in &world.views {
        let expected = DecisionView {
            readable: false,
            explanation: None,
            request_id: None,
            actor: None,
            severity: None,
            detail: String::new(),
            risk_score: None,
            ..before.clone()
        };
        assert_eq!(reader.at(0, before.seq).unwrap(), Some(expected));
    }
    assert_eq!(NO_TENANT, "", "what could not be read is sealed for no tenant");
}

fn by(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

fn tenant(name: &str) -> Option<Tenant> {
    Some(Tenant::new(name).unwrap())
}

fn actor(id: &str) -> Option<ActorId> {
    Some(ActorId::new(id).unwrap())
}

fn action(name: &str) -> Option<Action> {
    Some(Action::new(name).unwrap())
}

/// Filters, with who must have acted (views do not show persons).
fn filters(world: &World) -> Vec<(Filter, Option<&'static str>)> {
    let middle = world.views[world.views.len() / 2].recorded_at_us;
    let plain = |change: fn(&mut Filter)| (by(change), None);
    vec![
        plain(|_| {}),
        plain(|f| f.tenant = tenant("acme")),
        plain(|f| f.tenant = tenant("nobody")),
        plain(|f| f.action = action("pay")),
        plain(|f| (f.tenant, f.action) = (tenant("default"), action("read_file"))),
        plain(|f| f.outcome = Some(Outcome::Escalate)),
        plain(|f| (f.outcome, f.action) = (Some(Outcome::Deny), action("pay"))),
        plain(|f| (f.outcome, f.tenant) = (Some(Outcome::Permit), tenant("default"))),
        plain(|f| f.kind = Some(Kind::Rejected)),
        plain(|f| f.kind = Some(Kind::Rerouted)),
        plain(|f| f.reason = Some(ReasonCode::Conflict)),
        (by(|f| f.from_us = Some(middle)), None),
        (by(|f| f.to_us = Some(middle)), None),
        (by(|f| (f.from_us, f.to_us, f.outcome) = (Some(middle), Some(middle + 20_000), Some(Outcome::Permit))), None),
        (by(|f| f.actor = actor("agent-2")), Some("agent-2")),
        (by(|f| f.actor = actor("clerk-7")), Some("clerk-7")),
        (by(|f| (f.actor, f.tenant) = (actor("clerk-7"), tenant("acme"))), Some("clerk-7")),
        (
            by(|f| (f.actor, f.outcome, f.to_us) = (actor("agent-1"), Some(Outcome::Permit), Some(middle))),
            Some("agent-1"),
        ),
        (by(|f| f.actor = actor("agent-9")), Some("agent-9")),
    ]
}

/// What a page should show, from what was answered.
fn expected(world: &World, filter: &Filter, acted: Option<&str>) -> Vec<DecisionView> {
    let mut all: Vec<DecisionView> = world
        .views
        .iter()
        .filter(|view| {
            // Of the mixed ledger's actors only the clerk is a person.
            let actor = view.actor.as_deref().unwrap_or("clerk-7");
            filter.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == view.tenant)
                && filter.action.as_ref().is_none_or(|action| action.as_str() == view.action)
                && filter.outcome.is_none_or(|outcome| Some(outcome) == view.outcome)
                && filter.reason.is_none_or(|reason| reason == view.reason)
                && filter.kind.is_none_or(|kind| kind == view.kind)
                && filter.from_us.is_none_or(|from| view.recorded_at_us >= from)
                && filter.to_us.is_none_or(|to| view.recorded_at_us < to)
                && acted.is_none_or(|acted| acted == actor)
        })
        .cloned()
        .collect();
    all.sort_by_key(|view| std::cmp::Reverse((view.recorded_at_us, view.partition, view.seq)));
    all
}

/// Walks all pages, with more decided before each further one. Gives the events and how many pages there were.
fn walk(
    world: &mut World,
    filter: &Filter,
    limit: usize,
    settings: &Settings,
    grow: bool,
) -> (Vec<DecisionView>, usize) {
    let reader = reader(world, settings.clone());
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = reader.decisions(filter, cursor.as_deref(), limit).unwrap();
        assert!(page.items.len() <= limit);
        for view in &page.items {
            let reflected = page.positions.iter().find(|(partition, _)| *partition == view.partition).unwrap().1;
            assert!(view.seq <= reflected, "a page reflects what it shows");
        }
        found.extend(page.items);
        pages += 1;
        if grow && pages < 30 {
            world.round(1_000 + pages);
            catch_up(world);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return (found, pages),
        }
        assert!(pages < 100_000);
    }
}

#[test]
fn pages_give_each_match_once_in_order_while_events_arrive() {
    let base = || {
        let world = World::mixed(3, 60);
        catch_up(&world);
        world
    };
    let mut world = base();
    let mut empty = Vec::new();
    for (filter, acted) in filters(&base()) {
        let wanted = expected(&world, &filter, acted);
        if wanted.is_empty() {
            empty.push(filter.clone());
        }
        for limit in [1, 7, 500] {
            let (found, _) = walk(&mut world, &filter, limit, &Settings::default(), false);
            assert_eq!(found, wanted, "{filter:?} by {limit}");
        }
        // Few rows looked at for a page: more pages, some of them empty, and the same events.
        let tight = Settings { page_rows_max: 5, ..Settings::default() };
        let (found, pages) = walk(&mut world, &filter, 500, &tight, false);
        assert_eq!(found, wanted, "{filter:?} with few rows");
        assert!(pages >= wanted.len() / 5);
        // Many tenants: everything is walked by time; an actor needs a tenant then.
        let tenants = Settings { page_tenants_max: 1, ..Settings::default() };
        if filter.actor.is_none() || filter.tenant.is_some() {
            assert_eq!(walk(&mut world, &filter, 7, &tenants, false).0, wanted, "{filter:?} with many tenants");
        } else {
            let refused = reader(&world, tenants).decisions(&filter, None, 7).unwrap_err();
            assert!(matches!(refused, Error::TenantNeeded { limit: 1 }), "{refused}");
        }
        let mut growing = base();
        let before: Vec<_> = expected(&growing, &filter, acted);
        let (found, _) = walk(&mut growing, &filter, 3, &Settings::default(), true);
        let old: Vec<_> = found.iter().filter(|view| before.contains(view)).cloned().collect();
        assert_eq!(old, before, "{filter:?} while events arrive");
        let places: std::collections::BTreeSet<_> = found.iter().map(|view| (view.partition, view.seq)).collect();
        assert_eq!(places.len(), found.len(), "{filter:?}: none comes twice");
    }
    assert_eq!(
        empty,
        [by(|f| f.tenant = tenant("nobody")), by(|f| f.actor = actor("agent-9"))],
        "every other filter is put to the test"
    );
}

#[test]
fn a_cursor_that_no_page_gave_is_refused() {
    let world = World::mixed(1, 2);
    catch_up(&world);
    let reader = reader(&world, Settings::default());
    for bad in ["", "1", "1.2", "1.2.3.4", "a.0.1", "01.0.1", "+1.0.1", "1.0.-1", "1.4294967296.1", " 1.0.1"] {
        let refused = reader.decisions(&Filter::default(), Some(bad), 5).unwrap_err();
        assert!(matches!(refused, Error::BadCursor), "{bad}: {refused}");
    }
    assert_eq!(reader.decisions(&Filter::default(), Some("-5.0.3"), 5).unwrap().items, []);
}

#[test]
fn a_lagging_partition_comes_late_but_once() {
    let mut world = World::new(2);
    let asks = |round: usize| {
        (0..2).map(move |n| Ask::permit(format!("{round}-{n}"), "default", "agent-1", "pay")).collect::<Vec<_>>()
    };
    for round in 0..6 {
        world.commit_in(0, &asks(round), 0);
        world.commit_in(1, &asks(100 + round), 0);
    }
    // Only partition 0 is followed when the first page is read.
    let settings = follow::Settings::default();
    let chain = chains(&world.deployment)[0];
    advance(&all(&settings), &Cursor::start(chain), &world.log, &*world.kv, &settings).unwrap();
    let reader = reader(&world, Settings::default());
    let first = reader.decisions(&Filter::default(), None, 4).unwrap();
    assert_eq!(first.positions, vec![world.last(0)]);
    catch_up(&world);
    let mut found = first.items;
    let mut next = first.next;
    while let Some(cursor) = next {
        let page = reader.decisions(&Filter::default(), Some(&cursor), 4).unwrap();
        found.extend(page.items);
        next = page.next;
    }
    let places: std::collections::BTreeSet<_> = found.iter().map(|view| (view.partition, view.seq)).collect();
    assert_eq!(places.len(), found.len());
    assert_eq!(found.iter().filter(|view| view.partition == 0).count(), 12);
    assert!(found.iter().any(|view| view.partition == 1));
}

#[test]
fn requests_are_found_by_identity() {
    let mut world = World::new(4);
    let ask = Ask::permit("r-1", "default", "agent-1", "pay");
    let right = world.right(&ask);
    let wrong = (right + 1) % 4;
    world.commit_in(wrong, &[ask.clone().answered(AnswerKind::Rerouted { partition: right }, ReasonCode::Rerouted)], 0);
    let identity = |world: &World, at| world.identity(&world.request_at(&ask, at));
    let reader = reader(&world, Settings::default());
    let look = |world: &World| {
        let request = world.request_at(&ask, 0);
        reader.request(&request.tenant, &request.actor.id, &request.request_id).unwrap()
    };
    assert_eq!(look(&world), None, "forwarded is not answered");
    world.commit_in(right, std::slice::from_ref(&ask), 0);
    let decided = world.views[1].clone();
    let same = identity(&world, world.now_us);
    let other = identity(&world, world.now_us + 1);
    assert_ne!(same.mac, other.mac);
    for followed in [false, true] {
        assert_eq!(look(&world).as_ref(), Some(&decided), "followed: {followed}");
        assert_eq!(reader.answered(right, &same).unwrap().as_ref(), Some(&decided));
        assert_eq!(reader.answered(right, &other).unwrap(), None, "another body is for the log to judge");
        catch_up(&world);
    }
    // A conflict is found by its own body and takes nothing's place.
    world.now_us += 1;
    world.commit_in(right, &[ask.clone().answered(AnswerKind::Conflicted, ReasonCode::Conflict)], 0);
    let conflict = identity(&world, world.now_us);
    catch_up(&world);
    assert_eq!(look(&world).as_ref(), Some(&decided));
    assert_eq!(reader.answered(right, &conflict).unwrap().as_ref(), Some(&world.views[2]));
    // What state has forgotten is still in the read model, and still compared by body.
    world.kv.write(Store::new(&*world.kv, right).clear()).unwrap();
    let found = reader.answered(right, &same).unwrap().unwrap();
    assert_eq!((found.seq, found.readable), (decided.seq, false), "state also says which keys count");
    assert_eq!(reader.answered(right, &other).unwrap(), None);
    // A request that was refused where it lay is found there.
    let lost = Ask::permit("r-2", "default", "agent-1", "pay").answered(AnswerKind::Rejected, ReasonCode::Misrouted);
    world.commit_in(wrong, std::slice::from_ref(&lost), 0);
    let request = world.request_at(&lost, 0);
    let found = reader.request(&request.tenant, &request.actor.id, &request.request_id).unwrap();
    assert_eq!(found.as_ref(), world.views.last());
}

#[test]
fn outcomes_are_dense_and_can_be_resumed_anywhere() {
    let mut world = World::mixed(2, 40);
    world.append(0, b"a stray".to_vec());
    world.round(41);
    catch_up(&world);
    let reader = reader(&world, Settings::default());
    for partition in 0..2 {
        let all: Vec<DecisionView> = world
            .views
            .iter()
            .filter(|view| view.partition == partition && view.kind != Kind::Rerouted)
            .cloned()
            .collect();
        let numbers: Vec<u64> = all.iter().map(|view| view.outcome_no).collect();
        assert_eq!(numbers, (0..u64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
        for after in [None, Some(0), Some(3), numbers.last().copied(), Some(u64::MAX)] {
            for limit in [1, 5, 500] {
                let from = after.map_or(0, |after| usize::try_from(after).unwrap().saturating_add(1)).min(all.len());
                let expected = &all[from..all.len().min(from + limit)];
                assert_eq!(reader.outcomes(partition, after, limit).unwrap(), expected, "{after:?} {limit}");
            }
        }
    }
}

#[test]
fn positions_heads_and_waiting() {
    let mut world = World::mixed(2, 10);
    let reader = reader(&world, Settings::default());
    assert_eq!(reader.positions().unwrap(), []);
    let nobody = reader.wait_for(&[(0, 0)], Duration::from_secs(60));
    assert!(matches!(nobody, Err(Error::Wait(crate::follow::WaitError::NotFollowing))));
    catch_up(&world);
    let ends = vec![world.last(0), world.last(1)];
    assert_eq!(reader.positions().unwrap(), ends);
    let partitions = reader.partitions().unwrap();
    for view in &partitions {
        assert_eq!(&view.head, world.head(view.partition));
        assert_eq!((view.partition, view.last_seq().unwrap()), ends[usize::try_from(view.partition).unwrap()]);
        assert_eq!((view.position, view.followers.len()), (view.tail, follow::NAMES.len()));
    }
    world.round(20);
    let lag =
        |reader: &Reader| reader.partitions().unwrap().iter().map(|view| view.followers[0].lag_events).sum::<u64>();
    let ahead = world.last(0).1 + world.last(1).1 - ends[0].1 - ends[1].1;
    assert_eq!(lag(&reader), ahead, "lag without anybody following is told by the log");

    let followers = Followers::start(world.kv.clone(), Arc::new(world.log.clone()), &world.deployment).unwrap();
    reader.follow(&followers);
    let ends = [world.last(0), world.last(1)];
    reader.clone().wait_for(&ends, Duration::from_secs(60)).unwrap();
    assert_eq!(reader.positions().unwrap(), ends);
    assert_eq!(lag(&reader), 0);
    let conserved = reader.conservation().unwrap();
    assert!(conserved.len() == 2 && conserved.iter().all(|each| each.account.holds() && each.topic == "requests"));
    let answers = u64::try_from(world.views.len()).unwrap();
    assert_eq!(reader.statistics().unwrap().answers(), answers);
    assert_eq!(conserved.iter().map(|each| each.account.requests).sum::<u64>(), answers);
    assert_eq!(reader.active_policy(0).unwrap(), None);
    assert!(!reader.knows_tenant(0, &Tenant::new("default").unwrap()).unwrap());
    let store = Store::new(&*world.kv, 0);
    let policy = Record::ActivePolicy { bundle_hash: [4; 32], mode: Mode::Strict, seq: 1 };
    let tenant = StateKey::Domain(Key::Tenant(Tenant::new("default").unwrap()));
    let changes = [
        (&StateKey::Domain(Key::ActivePolicy), Some(&StateRecord::Domain(policy))),
        (&tenant, Some(&StateRecord::Domain(Record::Tenant { seq: 1 }))),
    ];
    world.kv.write(store.changes(changes)).unwrap();
    assert_eq!(
        reader.active_policy(0).unwrap(),
        Some(ActivePolicy { bundle_hash: [4; 32], mode: Mode::Strict, seq: 1 })
    );
    assert!(reader.knows_tenant(0, &Tenant::new("default").unwrap()).unwrap());
}
