//! One value of every kind of record and every variant, and the codec of each behind one shape.

use domain::ids::Tenant;
use domain::request::{PersonalPart, Severity};
use wire::{CommandRecord, DeadLetter, DeadLetterRef, Error, Mark, Outcome, OutcomeRecord, PolicyRecord, SharedPart};

use crate::generate::{full, minimal};

/// Decodes and encodes again.
pub type Again = fn(&[u8]) -> Result<Vec<u8>, Error>;

pub struct Sample {
    pub subject: &'static str,
    pub name: String,
    /// The schema of the bytes, as a document of its own.
    pub document: String,
    pub bytes: Vec<u8>,
    pub again: Again,
}

pub fn shared() -> SharedPart {
    SharedPart {
        nonce: [9; 32],
        request: Some(full().split().0),
        explanation: "policy pay-small permits it".into(),
        detail: String::new(),
        severity: Some(Severity::Critical),
        risk_score: Some(33),
        undecodable: None,
    }
}

pub fn undecodable() -> SharedPart {
    SharedPart {
        nonce: [0; 32],
        request: None,
        explanation: String::new(),
        detail: "ends inside a value".into(),
        severity: None,
        risk_score: None,
        undecodable: Some(DeadLetterRef { partition: 7, position: 1 << 40 }),
    }
}

pub fn persons() -> Vec<PersonalPart> {
    full().split().1
}

pub fn policies() -> [PolicyRecord; 2] {
    [
        PolicyRecord::Publish {
            command_id: [1; 16],
            bundle_hash: [2; 32],
            chunk_no: 1,
            chunks: 3,
            bytes: vec![0, 255, 7],
            by: "ops-1".into(),
        },
        PolicyRecord::Activate { command_id: [3; 16], bundle_hash: [2; 32], by: "ops-2".into() },
    ]
}

pub fn commands() -> [CommandRecord; 2] {
    [
        CommandRecord::CreateTenant { command_id: [4; 16], tenant: Tenant::new("acme").unwrap(), by: "ops-1".into() },
        CommandRecord::MarkDeadLetter {
            command_id: [5; 16],
            partition: 3,
            position: 99,
            mark: Mark::Discarded,
            by: "ops-1".into(),
        },
    ]
}

pub fn outcome() -> OutcomeRecord {
    OutcomeRecord {
        tenant: full().tenant,
        request_id: full().request_id,
        decision_id: [6; 16],
        outcome: Outcome::Escalate,
        reason_code: "high_risk_oversight".into(),
        partition: 5,
        outcome_no: 1_000_000,
        seq: 1_000_017,
        event_hash: [8; 32],
    }
}

pub fn dead_letter() -> DeadLetter {
    DeadLetter {
        topic: "requests".into(),
        partition: 2,
        offset: 12_345,
        reason_code: "undecodable".into(),
        detail: "ends inside a value".into(),
        headers: vec![("traceparent".into(), Some(b"00-ab".to_vec())), ("empty".into(), None)],
        key: Some(b"28ed9e597287d651".to_vec()),
        value: Some(vec![0, 0, 0, 0, 1, 255]),
        value_bytes: 6,
        at_us: 1_790_000_000_000_000,
    }
}

/// A section's own schema, cut out of the decision document.
pub fn section(tag: u16) -> String {
    let document: serde_json::Value = serde_json::from_str(wire::decision_schema()).unwrap();
    let fields = document["fields"].as_array().unwrap();
    let r#type = |tag: u16| fields.iter().find(|field| field["section"] == tag).unwrap()["type"][1].clone();
    let mut section = r#type(tag);
    if tag == 256 {
        // Defined where it is used first, which is in section 32.
        let kinds = crate::foreign::definition(&mut r#type(32), "request.subjects.id_type")["type"].clone();
        crate::foreign::definition(&mut section, "id_type")["type"] = kinds;
    }
    section["namespace"] = "lexecon.decision".into();
    section.to_string()
}

pub fn all() -> Vec<Sample> {
    let sample = |subject, name: &str, document: &str, bytes: Result<Vec<u8>, Error>, again| Sample {
        subject,
        name: name.to_owned(),
        document: document.to_owned(),
        bytes: bytes.unwrap(),
        again,
    };
    let request: Again = |bytes| wire::encode_request(&wire::decode_request(bytes)?);
    let shared_again: Again = |bytes| wire::encode_shared(&wire::decode_shared(bytes)?);
    let person: Again = |bytes| wire::encode_person(&wire::decode_person(bytes)?);
    let policy: Again = |bytes| PolicyRecord::decode(bytes)?.encode();
    let command: Again = |bytes| CommandRecord::decode(bytes)?.encode();
    let outcomes: Again = |bytes| OutcomeRecord::decode(bytes)?.encode();
    let dead: Again = |bytes| DeadLetter::decode(bytes)?.encode();
    let mut samples = vec![
        sample("request", "full", wire::request_schema(), wire::encode_request(&full()), request),
        sample("request", "minimal", wire::request_schema(), wire::encode_request(&minimal()), request),
        sample("decision", "shared", &section(32), wire::encode_shared(&shared()), shared_again),
        sample("decision", "undecodable", &section(32), wire::encode_shared(&undecodable()), shared_again),
        sample("outcome", "escalate", wire::outcome_schema(), outcome().encode(), outcomes),
        sample("dead-letter", "truncated", wire::dead_letter_schema(), dead_letter().encode(), dead),
    ];
    for (part, name) in persons().iter().zip(["actor", "on-behalf-of", "subject-0", "subject-1"]) {
        samples.push(sample("decision", name, &section(256), wire::encode_person(part), person));
    }
    for (record, name) in policies().iter().zip(["publish", "activate"]) {
        samples.push(sample("policy", name, wire::policy_schema(), record.encode(), policy));
    }
    for (record, name) in commands().iter().zip(["create-tenant", "mark-dead-letter"]) {
        samples.push(sample("command", name, wire::command_schema(), record.encode(), command));
    }
    samples
}
