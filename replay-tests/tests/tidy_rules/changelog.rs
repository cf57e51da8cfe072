//! The form of CHANGELOG.md (Keep a Changelog 1.1.0): releases newest first, `Unreleased` before them, entries under a
//! closed list of kinds.

use super::Tree;

const KINDS: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// Version and date, both comparable.
type Release = (Vec<u64>, String);

pub fn form(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.files.get("CHANGELOG.md") else {
        return vec!["CHANGELOG.md is missing".to_owned()];
    };
    let mut faults = Faults(Vec::new());
    if text.lines().next() != Some("# Changelog") {
        faults.add(1, "starts with `# Changelog`");
    }
    let mut releases = 0;
    let mut newer: Option<Release> = None;
    // The heading of the kind that is open, and whether an entry was seen under it.
    let mut kind: Option<(usize, bool)> = None;
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if line.starts_with('#') {
            close(&mut kind, &mut faults);
        }
        if let Some(title) = line.strip_prefix("### ") {
            kind = Some((at, false));
            if !KINDS.contains(&title) {
                faults.add(at, &format!("{title} is none of {}", KINDS.join(", ")));
            }
        } else if let Some(title) = line.strip_prefix("## ") {
            releases += 1;
            if title == "[Unreleased]" && releases == 1 {
                continue;
            }
            let Some(release) = release(title) else {
                faults.add(at, "a release is `## [1.2.3] - 2026-01-31`");
                continue;
            };
            if releases == 1 {
                faults.add(at, "the first release is `## [Unreleased]`");
            }
            if newer.as_ref().is_some_and(|n| release.0 >= n.0 || release.1 > n.1) {
                faults.add(at, "releases stand newest first");
            }
            newer = Some(release);
        } else if line.starts_with("- ") && releases > 0 {
            match &mut kind {
                Some((_, has_entry)) => *has_entry = true,
                None => faults.add(at, "an entry stands under a kind of change"),
            }
        }
    }
    close(&mut kind, &mut faults);
    faults.0
}

struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, at: usize, what: &str) {
        self.0.push(format!("CHANGELOG.md:{at}: {what}"));
    }
}

fn close(kind: &mut Option<(usize, bool)>, faults: &mut Faults) {
    if let Some((at, false)) = kind.take() {
        faults.add(at, "a kind of change has entries");
    }
}

/// `[1.2.3] - 2026-01-31`
fn release(title: &str) -> Option<Release> {
    let (version, date) = title.strip_prefix('[')?.split_once("] - ")?;
    let version: Vec<u64> = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let numbers: Vec<u32> = date.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    let is_date = matches!(numbers[..], [2020..=2199, 1..=12, 1..=31]) && date.len() == 10;
    (version.len() == 3 && is_date).then(|| (version, date.to_owned()))
}
