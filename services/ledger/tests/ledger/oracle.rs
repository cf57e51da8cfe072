//! The independent verifier in `tests/oracle/verify.py` says the same: verdict, kind and place.

use std::path::PathBuf;
use std::process::Command;

use ledger::verify::{Anchor, Fault, Options, Report, Verifier};
use serde_json::{Value, json};

/// One file and how it is verified.
pub struct Case {
    pub name: String,
    pub file: Vec<u8>,
}

impl Case {
    pub fn new(name: impl Into<String>, file: Vec<u8>) -> Case {
        let name = name.into();
        Case { name, file }
    }
}

pub fn verify(file: &[u8], options: Options) -> Result<Report, Fault> {
    let mut verifier = Verifier::new(options);
    verifier.feed(file)?;
    verifier.finish()
}

pub fn verdict(result: &Result<Report, Fault>) -> Value {
    match result {
        Ok(_) => json!({ "verdict": "VALID", "fault": null, "partition": null, "seq": null }),
        Err(fault) => json!({
            "verdict": "INVALID",
            "fault": fault.kind.as_str(),
            "partition": fault.partition,
            "seq": fault.seq,
        }),
    }
}

/// What Rust says of every case, after asserting that Python says the same.
pub fn agree(cases: &[Case], partial: bool, anchors: &[Anchor]) -> Vec<Result<Report, Fault>> {
    let directory = tempfile::tempdir().unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/verify.py");
    let mut all = Vec::new();
    // A command line holds only so many names.
    for (round, cases) in cases.chunks(500).enumerate() {
        let mut command = Command::new("python3");
        command.arg(&script);
        if partial {
            command.arg("--partial");
        }
        for Anchor { partition, seq, hash } in anchors {
            command.arg(format!("--expect-head={partition}:{seq}:{hash}"));
        }
        for (at, case) in cases.iter().enumerate() {
            let path = directory.path().join(format!("{round}-{at}.ledger"));
            std::fs::write(&path, &case.file).unwrap();
            command.arg(path);
        }
        let output = command.output().expect("the oracle needs python3 on the path");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), cases.len());
        for (case, python) in cases.iter().zip(lines) {
            let anchors = anchors.to_vec();
            let rust = verify(&case.file, Options { partial, anchors });
            assert_eq!(verdict(&rust), python, "{}: rust found {rust:?}", case.name);
            all.push(rust);
        }
    }
    all
}
