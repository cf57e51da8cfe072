//! Breadth first, each state once: what is found is found by the shortest way.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use replay_tests::defect::Defect;

use crate::judge::Judge;
use crate::state::{Choice, State, World};

/// What was explored.
#[derive(Debug)]
pub struct Explored {
    pub states: usize,
    pub transitions: usize,
    pub depth: usize,
    pub audited: usize,
    pub ends: usize,
    pub seconds: f64,
}

/// A violation, and how it came about.
#[derive(Debug)]
pub struct Found {
    pub violation: String,
    pub states: usize,
    pub way: Vec<Choice>,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} states until it was found); the way there:", self.violation, self.states)?;
        self.way.iter().try_for_each(|choice| write!(f, " {choice:?}"))
    }
}

/// Explores everything within the bounds of `first`, and no more than `states_max` states.
///
/// # Errors
/// The first violation, or that there are more states.
pub fn explore(world: &World, first: State, defect: Option<Defect>, states_max: usize) -> Result<Explored, Found> {
    let begun = Instant::now();
    let mut judge = Judge::default();
    let mut seen = HashSet::from([first.fingerprint()]);
    // How each state was come to: the state before, and the choice.
    let mut ways: Vec<(usize, Option<Choice>)> = vec![(0, None)];
    let mut frontier = VecDeque::from([(0, 0, first)]);
    let mut explored = Explored { states: 0, transitions: 0, depth: 0, audited: 0, ends: 0, seconds: 0.0 };
    while let Some((at, depth, state)) = frontier.pop_front() {
        explored.depth = depth;
        for choice in state.choices() {
            let Some(next) = state.after(world, choice) else { continue };
            explored.transitions += 1;
            // What was told belongs to the way and not to the state, so it is judged on every way.
            let is_new = seen.insert(next.fingerprint());
            if !is_new && next.told.is_empty() {
                continue;
            }
            let judged = judge
                .state(world, &next, defect)
                .and_then(|_| if is_new && defect.is_none() { judge.end(world, &next) } else { Ok(()) });
            let violation = judged
                .err()
                .or_else(|| (seen.len() > states_max).then(|| format!("there are more than {states_max} states")));
            if let Some(violation) = violation {
                return Err(Found { violation, states: seen.len(), way: way(&ways, at, choice) });
            }
            if is_new {
                ways.push((at, Some(choice)));
                frontier.push_back((ways.len() - 1, depth + 1, next));
            }
        }
    }
    explored.states = seen.len();
    explored.audited = judge.audited();
    explored.ends = judge.ends;
    explored.seconds = begun.elapsed().as_secs_f64();
    Ok(explored)
}

fn way(ways: &[(usize, Option<Choice>)], mut at: usize, last: Choice) -> Vec<Choice> {
    let mut way = vec![last];
    while let (before, Some(choice)) = ways[at] {
        way.push(choice);
        at = before;
    }
    way.reverse();
    way
}
