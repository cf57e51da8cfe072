//! The binary: exit codes, text and JSON.

use std::process::{Command, Output};

use serde_json::Value;

use crate::sample;

fn run(file: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger-verify"));
    command.arg(file).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tells_valid_from_invalid_from_unreadable() {
    let directory = tempfile::tempdir().unwrap();
    let partitions = sample::partitions();
    let file = sample::export(&partitions);
    let good = directory.path().join("good.ledger");
    std::fs::write(&good, &file).unwrap();

    let output = run(&good, &[]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.starts_with("VALID\n") && text.contains("forgery"), "{text}");
    let output = run(&good, &["--json"]);
    let object = json(&output);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(object["verdict"], "VALID");
    assert_eq!((&object["fault"], &object["partition"], &object["seq"]), (&Value::Null, &Value::Null, &Value::Null));
    let events: usize = partitions.iter().flat_map(|p| &p.frames).map(|(_, frame)| frame.events.len()).sum();
    assert_eq!(object["events"], events);
    assert_eq!(object["heads"].as_array().unwrap().len(), 3);
    assert_eq!(object["heads"][1]["run_head"], partitions[1].head.run_head.to_string());

    // Every head that is printed can be given back; another one cannot.
    let head = &partitions[1].head;
    let anchor = format!("1:{}:{}", head.next_seq - 1, head.run_head);
    assert!(text.contains(&anchor), "{text}");
    assert_eq!(run(&good, &["--expect-head", &anchor]).status.code(), Some(0));
    let later = format!("1:{}:{}", head.next_seq, head.run_head);
    let output = run(&good, &["--expect-head", &later, "--json"]);
    assert_eq!((output.status.code(), &json(&output)["fault"]), (Some(1), &"TRUNCATED".into()));

    let bad = directory.path().join("bad.ledger");
    let mut changed = file.clone();
    let at = file.windows(10).position(|bytes| bytes == b"send_email").unwrap();
    changed[at] = b'S';
    std::fs::write(&bad, changed).unwrap();
    let output = run(&bad, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("BODY_MISMATCH") && text.contains("seq         2"), "{text}");
    let output = run(&bad, &["--json"]);
    let object = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&object["verdict"], &object["fault"]), (&"INVALID".into(), &"BODY_MISMATCH".into()));
    assert_eq!((&object["partition"], &object["seq"]), (&0.into(), &2.into()));

    for missing in [directory.path().join("none"), directory.path().to_owned()] {
        for arguments in [&["--json"][..], &[]] {
            let output = run(&missing, arguments);
            assert_eq!(output.status.code(), Some(2));
            assert!(!output.stderr.is_empty());
        }
    }
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(json(&run(&empty, &["--json"]))["fault"], "TRUNCATED");
}
