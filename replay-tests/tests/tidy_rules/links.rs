//! Links of Markdown files to other files and to headings. Addresses on the web are not asked for: a test that needs
//! the network fails for reasons that nobody here caused.

use super::Tree;

pub fn relative(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (at, line) in prose(text) {
            for target in targets(&line) {
                faults.extend(fault(tree, path, &target).map(|what| format!("{path}:{at}: {what}: {target}")));
            }
        }
    }
    faults
}

fn fault(tree: &Tree, from: &str, target: &str) -> Option<&'static str> {
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
    if is_elsewhere || target.is_empty() {
        return None;
    }
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let file = if file.is_empty() { Some(from.to_owned()) } else { resolve(from, file) };
    let Some(file) = file.filter(|file| tree.has(file)) else {
        return Some("leads nowhere");
    };
    let text = tree.files.get(&file).filter(|_| file.ends_with(".md"));
    let is_missing = |heading: &str| text.is_some_and(|text| !headings(text).iter().any(|h| h == heading));
    heading.is_some_and(is_missing).then_some("no such heading")
}

/// A path from the root for one that is meant from a file; none if it leaves the tree.
fn resolve(from: &str, to: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in to.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Lines outside fenced blocks, numbered from 1, with inline code taken out.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            out.push((at + 1, line.split('`').step_by(2).collect::<Vec<_>>().join("`")));
        }
    }
    out
}

/// `[text](target)`, `![text](target "title")` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let mut targets: Vec<String> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|inside| inside.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect();
    let defined = line.strip_prefix('[').filter(|rest| !rest.starts_with('^')).and_then(|rest| rest.split_once("]: "));
    targets.extend(defined.and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned));
    targets
}

/// Anchors of a document's headings, as forges make them: lower case, punctuation dropped, spaces to hyphens, repeats
/// numbered.
fn headings(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase().replace(' ', "-");
        let anchor: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        let before = anchors.iter().filter(|a| **a == anchor).count();
        anchors.push(if before == 0 { anchor } else { format!("{anchor}-{before}") });
    }
    anchors
}
