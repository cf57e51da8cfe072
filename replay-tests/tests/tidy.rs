//! Taste, as a test: sizes of files, openings, words, names, paths, links, the status table, the change log.
//!
//! Each rule is a function from a tree of files to faults, so that each can be fed a small bad tree and shown to find
//! exactly what was planted there. Deliberately not here: who may use whom (see `layers.rs`), and anything that the
//! compiler, rustfmt or clippy finds already.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod tidy_rules;

use std::path::Path;

use tidy_rules::{Tree, changelog, links, proofs, sizes, status, words};

fn workspace() -> Tree {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    assert!(tree.files.len() > 30 && tree.files.contains_key("Cargo.toml"), "the workspace is read wrongly");
    tree
}

fn is_clean(rule: fn(&Tree) -> Vec<String>) {
    let faults = rule(&workspace());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A rule over a planted tree finds these faults and no others.
fn check(rule: fn(&Tree) -> Vec<String>, files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(rule(&Tree::of(files)), expected, "over {:?}", files.iter().map(|f| f.0).collect::<Vec<_>>());
}

fn lines(count: usize) -> String {
    format!("//! Why.\n{}", "fn f() {}\n".repeat(count - 1))
}

#[test]
fn files_are_short() {
    let tests = "#[cfg(test)]\nmod tests {\n";
    check(sizes::files, &[("a/x.rs", &lines(800))], &[]);
    check(sizes::files, &[("a/x.rs", &lines(801))], &["a/x.rs: 801 lines, more than 800: split it"]);
    check(sizes::files, &[("a/x.rs", &format!("{}{tests}{}", lines(800), "// t\n".repeat(150)))], &[]);
    check(
        sizes::files,
        &[("a/x.rs", &format!("{}{tests}{}", lines(10), "// t\n".repeat(250)))],
        &["a/x.rs: 252 lines of inline tests, more than 200: move them out"],
    );
    check(sizes::indexes, &[("a/lib.rs", &lines(150)), ("a/b/mod.rs", &lines(150)), ("a/c.rs", &lines(151))], &[]);
    check(sizes::indexes, &[("a/lib.rs", &lines(151))], &["a/lib.rs: 151 lines, more than 150: move code out"]);
    check(sizes::indexes, &[("a/mod.rs", &lines(151))], &["a/mod.rs: 151 lines, more than 150: move code out"]);
    is_clean(sizes::files);
}

#[test]
fn indexes_are_short() {
    is_clean(sizes::indexes);
}

#[test]
fn files_open_with_why() {
    check(sizes::openings, &[("a.rs", "//! Why.\nfn f() {}\n"), ("run.sh", "#!/bin/sh\n# Why.\n")], &[]);
    check(sizes::openings, &[("a.rs", "// Why.\n")], &["a.rs: does not open with //! and why it is there"]);
    check(sizes::openings, &[("a.rs", "")], &["a.rs: does not open with //! and why it is there"]);
    check(sizes::openings, &[("a.rs", "//!\n//! Why.\n")], &["a.rs: does not open with //! and why it is there"]);
    check(sizes::openings, &[("x", "#!/bin/sh\nls\n")], &["x: a script says after its first line why it is there"]);
    check(
        sizes::openings,
        &[("x.py", "#!/usr/bin/env python3\n\"\"\"Why.\"\"\"\n"), ("y.py", "import os\n")],
        &["y.py: a script says after its first line why it is there"],
    );
    is_clean(sizes::openings);
}

#[test]
fn nothing_is_left_unfinished() {
    let word = |word: &str| format!("//! Why.\n// {word} later\n");
    for planted in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")] {
        check(words::unfinished, &[("a.rs", &word(planted))], &[&format!("a.rs:2: unfinished: {planted}")]);
        check(words::unfinished, &[("a.md", planted)], &[&format!("a.md:1: unfinished: {planted}")]);
        check(words::unfinished, &[("a.rs", &word(&format!("A{planted}B")))], &[]);
    }
    for planted in [concat!("to", "do!"), concat!("unimple", "mented!")] {
        check(
            words::unfinished,
            &[("a.rs", &word(&format!("{planted}()")))],
            &[&format!("a.rs:2: unfinished: {planted}")],
        );
        check(words::unfinished, &[("Cargo.toml", &planted.replace('!', " = \"warn\""))], &[]);
    }
    is_clean(words::unfinished);
}

#[test]
fn names_say_what_a_thing_is() {
    check(words::names, &[("a.rs", "pub struct KeyManager {\n")], &["a.rs:1: type KeyManager: name what it is"]);
    check(words::names, &[("a.rs", "enum Utils {\n")], &["a.rs:1: type Utils: name what it is"]);
    check(words::names, &[("a.rs", "pub(crate) trait HelperOf<T> {\n")], &["a.rs:1: type HelperOf: name what it is"]);
    check(words::names, &[("a.rs", "type CommonError = u8;\n")], &["a.rs:1: type CommonError: name what it is"]);
    check(words::names, &[("a.rs", "struct Utility;\nstruct Uncommon;\n// struct KeyManager\n")], &[]);
    check(words::names, &[("a/util.rs", "")], &["a/util.rs: name what it is for"]);
    check(words::names, &[("a/test_helpers/x.rs", "")], &["a/test_helpers/x.rs: name what it is for"]);
    check(words::names, &[("services/common/Cargo.toml", "")], &["services/common/Cargo.toml: name what it is for"]);
    check(words::names, &[("a/keyring.rs", ""), ("utilities.md", "")], &[]);
    is_clean(words::names);
}

#[test]
fn no_machine_is_named() {
    let at = |path: &str| format!("see {path} for more");
    for planted in [concat!("/wo", "rk/x"), concat!("/ro", "ot/x"), concat!("/ho", "me/me/x"), concat!("/Us", "ers/me")]
    {
        check(words::machines, &[("a.md", &at(planted))], &["a.md:1: names a place on one machine"]);
    }
    check(
        words::machines,
        &[("a.md", &at(concat!("..", "/shared/x")))],
        &["a.md:1: names a place outside the project"],
    );
    let host = concat!("https", "://", "static.example.org/x");
    check(words::machines, &[("a.sh", host)], &["a.sh:1: names the host of a registry"]);
    check(words::machines, &[("a.md", "network/root/x, homework/x, https://example.org/static.html")], &[]);
    is_clean(words::machines);
}

#[test]
fn links_lead_somewhere() {
    let good = "# One thing\n[a](b/c.md) [d](b/) [e](https://example.org/x) [f](#one-thing) [g](b/c.md#two-things-2)\n";
    let target = "# Two things\n## Two *things*: `2`\n";
    check(links::relative, &[("a.md", good), ("b/c.md", target)], &[]);
    check(links::relative, &[("a.md", "x\n[a](b.md)")], &["a.md:2: leads nowhere: b.md"]);
    check(links::relative, &[("d/a.md", "![a](../b.png)")], &["d/a.md:1: leads nowhere: ../b.png"]);
    check(links::relative, &[("a.md", "[a](#nowhere)")], &["a.md:1: no such heading: #nowhere"]);
    check(links::relative, &[("a.md", "[a](b.md#x)"), ("b.md", "# Y")], &["a.md:1: no such heading: b.md#x"]);
    check(links::relative, &[("a.md", "[a]: b.md\n")], &["a.md:1: leads nowhere: b.md"]);
    check(links::relative, &[("a.md", "```\n[a](b.md)\n```\n`[a](b.md)`\n")], &[]);
    is_clean(links::relative);
}

#[test]
fn readme_has_a_row_for_each_requirement() {
    let table = status::REQUIREMENTS.iter().map(|id| format!("| {id} | x | done |\n")).collect::<String>();
    check(status::rows, &[("README.md", &table)], &[]);
    check(
        status::rows,
        &[("README.md", &table.replace("| B3 |", "| B |"))],
        &["README.md: B3 has 0 rows in the status table"],
    );
    let twice = format!("{table}| **A1** | again |\n");
    check(status::rows, &[("README.md", &twice)], &["README.md: A1 has 2 rows in the status table"]);
    check(status::rows, &[], &["README.md is missing"]);
    assert_eq!(status::REQUIREMENTS.len(), 51);
    is_clean(status::rows);
}

#[test]
fn every_invariant_names_a_test_that_runs() {
    let document = "# A\n\n## Invariants\n| id | what | test |\n|---|---|---|\n| I1 | x | `t/a.rs::holds` |\n\n## B\n";
    let code = "#[test]\nfn holds() {}\n";
    let planted: &[(&str, &str, &str)] = &[
        (document, "", "ARCHITECTURE.md:6: t/a.rs::holds: there is no function holds"),
        (document, "fn holds() {}\n", "ARCHITECTURE.md:6: t/a.rs::holds: holds is no test"),
        (
            document,
            "#[test]\n#[ignore = \"why\"]\nfn holds() {}\n",
            "ARCHITECTURE.md:6: t/a.rs::holds: holds is ignored",
        ),
        (&document.replace("t/a.rs", "t/b.rs"), code, "ARCHITECTURE.md:6: t/b.rs::holds: there is no file t/b.rs"),
        (&document.replace("`t/a.rs::holds`", "trust me"), code, "ARCHITECTURE.md:6: I1 names no test"),
        (
            &document.replace("\n\n## B", "\n| I1 | y | `t/a.rs::holds` |\n\n## B"),
            code,
            "ARCHITECTURE.md:7: I1 stands twice",
        ),
        ("# A\n", code, "ARCHITECTURE.md: no table under `## Invariants`"),
    ];
    check(proofs::named, &[("ARCHITECTURE.md", document), ("t/a.rs", code)], &[]);
    for (document, code, expected) in planted {
        check(proofs::named, &[("ARCHITECTURE.md", document), ("t/a.rs", code)], &[expected]);
    }
    let readme = ("README.md", "see `t/a.rs::gone`");
    let expected = "README.md:1: t/a.rs::gone: there is no function gone";
    check(proofs::named, &[("ARCHITECTURE.md", document), ("t/a.rs", code), readme], &[expected]);
    check(proofs::named, &[], &["ARCHITECTURE.md is missing"]);
    is_clean(proofs::named);
}

#[test]
fn change_log_keeps_its_form() {
    let good = "# Changelog\n\nWhat changed.\n\n## [Unreleased]\n\n### Added\n- A.\n  More of A.\n\n## [0.2.0] - 2026-02-03\n### Fixed\n- B.\n\n## [0.1.0] - 2026-01-02\n### Added\n- C.\n";
    let planted: &[(&str, &str, &str)] = &[
        ("# Changelog\n", "# News\n", "1: starts with `# Changelog`"),
        ("## [Unreleased]", "## Unreleased", "5: a release is `## [1.2.3] - 2026-01-31`"),
        ("## [Unreleased]", "## [0.3.0] - 2026-03-04", "5: the first release is `## [Unreleased]`"),
        ("### Added\n- A.", "### New\n- A.", "7: New is none of Added, Changed, Deprecated, Removed, Fixed, Security"),
        ("2026-02-03", "2026-13-03", "11: a release is `## [1.2.3] - 2026-01-31`"),
        ("2026-02-03", "2025-02-03", "15: releases stand newest first"),
        ("0.2.0", "0.0.9", "15: releases stand newest first"),
        ("### Fixed\n", "", "12: an entry stands under a kind of change"),
        ("- B.\n", "", "12: a kind of change has entries"),
    ];
    check(changelog::form, &[("CHANGELOG.md", good)], &[]);
    for (from, to, expected) in planted {
        let bad = good.replacen(from, to, 1);
        let found = changelog::form(&Tree::of(&[("CHANGELOG.md", &bad)]));
        assert!(found.contains(&format!("CHANGELOG.md:{expected}")), "{from:?} → {to:?}: {found:?}");
    }
    check(changelog::form, &[], &["CHANGELOG.md is missing"]);
    is_clean(changelog::form);
}
