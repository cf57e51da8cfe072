//! Words that stand for work not done, names that say nothing, and places that exist on one machine only.

use super::Tree;

// Written in two halves, so that this file is not its own first fault.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const UNFINISHED_MACROS: &[&str] = &[concat!("to", "do!"), concat!("unimple", "mented!")];
const EMPTY_NAMES: &[&str] = &["manager", "managers", "helper", "helpers", "util", "utils", "common"];
const TYPE_WORDS: &[&str] = &["struct", "enum", "trait", "type", "union"];
const MACHINE_PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/fa", "rm/"),
];
const OUTSIDE: &str = concat!("..", "/shared");
const REGISTRY_HOSTS: &[&str] = &["registry", "proxy", "repo", "repo1", "index", "static", "deb"];

/// Every line of text of ours, numbered from 1. `Cargo.lock` names a registry in each of its entries.
fn all_lines(tree: &Tree) -> impl Iterator<Item = (&str, usize, &str)> {
    let ours = tree.files.iter().filter(|(path, _)| !path.ends_with("Cargo.lock") && *path != "LICENSE");
    ours.flat_map(|(path, text)| text.lines().enumerate().map(move |(at, line)| (path.as_str(), at + 1, line)))
}

/// Does it stand in the line, and not as a part of a longer word?
fn has_word(line: &str, word: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_inside)
            && (word.ends_with('!') || !line[at + word.len()..].chars().next().is_some_and(is_inside))
    })
}

pub fn unfinished(tree: &Tree) -> Vec<String> {
    let words = || UNFINISHED.iter().chain(UNFINISHED_MACROS);
    all_lines(tree)
        .flat_map(|(path, at, line)| {
            words().filter(move |w| has_word(line, w)).map(move |w| format!("{path}:{at}: unfinished: {w}"))
        })
        .collect()
}

/// `KeyManager2` → `key`, `manager2`.
fn camel_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_uppercase() => word.push(c),
            _ => words.push(c.to_lowercase().collect()),
        }
    }
    words
}

/// The type that a line of Rust declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|w| w.starts_with("pub") || *w == "unsafe");
    TYPE_WORDS.contains(&words.next()?).then_some(())?;
    words.next()?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

pub fn names(tree: &Tree) -> Vec<String> {
    let is_empty = |word: &str| EMPTY_NAMES.contains(&word);
    let mut faults = Vec::new();
    for (path, text) in &tree.files {
        if path.split(['/', '.', '_', '-']).any(is_empty) {
            faults.push(format!("{path}: name what it is for"));
        }
        if path.ends_with(".rs") {
            for (at, line) in text.lines().enumerate() {
                if let Some(name) = declared(line).filter(|n| camel_words(n).iter().any(|w| is_empty(w))) {
                    faults.push(format!("{path}:{}: type {name}: name what it is", at + 1));
                }
            }
        }
    }
    faults
}

pub fn machines(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, at, line) in all_lines(tree) {
        let starts_here = |place: &str| {
            let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '~' | '}' | '.' | '-' | '_');
            line.match_indices(place).any(|(at, _)| !line[..at].chars().next_back().is_some_and(is_inside))
        };
        if MACHINE_PLACES.iter().any(|place| starts_here(place)) {
            faults.push(format!("{path}:{at}: names a place on one machine"));
        }
        if line.contains(OUTSIDE) {
            faults.push(format!("{path}:{at}: names a place outside the project"));
        }
        let hosts = line.split("://").skip(1).filter_map(|rest| rest.split('.').next());
        if hosts.into_iter().any(|host| REGISTRY_HOSTS.contains(&host)) {
            faults.push(format!("{path}:{at}: names the host of a registry"));
        }
    }
    faults
}
