//! Prints what encoding and decoding a typical request costs, in nanoseconds per request, one thread.
//!
//! `cargo run --release -p wire --example codec`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::{
    Actor, ActorKind, Amount, ContextValue, IdType, LegalBasis, Principal, Request, Resource, Risk, RiskClass, Subject,
};
use sha3::{Digest, Sha3_256};
use wire::{Limits, RequestReader, SchemaId, framing};

fn main() {
    let request = typical();
    let canonical = wire::encode_request(&request).unwrap();
    let mut reader = RequestReader::with_builtin(Limits::default()).unwrap();
    let framed = wire::frame_request(&request).unwrap();
    // A writer that knows one field more, so that every request must be carried over.
    let id = SchemaId(1000);
    let longer = wire::request_schema().replacen(
        "{\"name\": \"tenant\", \"type\": \"string\"",
        "{\"name\": \"trace\", \"type\": \"long\"}, {\"name\": \"tenant\", \"type\": \"string\"",
        1,
    );
    reader.add(id, &longer).unwrap();
    let foreign = framing::join(id, &[&[2_u8], &canonical[..]].concat());
    assert!(reader.read(&framed).unwrap() == request && reader.read(&foreign).unwrap() == request);

    println!("typical request: {} bytes canonical", canonical.len());
    // Work of a known size, to compare machines and moments by.
    measure("yardstick: SHA3-256 of 500 bytes", || Sha3_256::digest([7_u8; 500]));
    measure("encode", || wire::encode_request(&request).unwrap());
    measure("decode canonical", || wire::decode_request(&canonical).unwrap());
    measure("read framed, same schema", || reader.read(&framed).unwrap());
    measure("read framed, with resolution", || reader.read(&foreign).unwrap());
    measure("split", || request.split());
    measure("validate", || request.validate());
    measure("facts", || request.facts(0, false));
    let (impersonal, parts) = request.split();
    let shared = wire::SharedPart {
        nonce: [7; 32],
        request: Some(impersonal),
        explanation: "policy pay-small-amounts permits the action".into(),
        detail: String::new(),
        severity: None,
        risk_score: Some(20),
        undecodable: None,
    };
    measure("encode shared section", || wire::encode_shared(&shared).unwrap());
    measure("encode person section", || wire::encode_person(&parts[0]).unwrap());
}

/// The best of many short runs: what the work costs when nothing else has the core.
fn measure<T>(name: &str, mut work: impl FnMut() -> T) {
    const ROUNDS: u32 = 1_000;
    let mut best = u128::MAX;
    for _ in 0..300 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(work());
        }
        best = best.min(start.elapsed().as_nanos() / u128::from(ROUNDS));
    }
    println!("{name:32} {best:6} ns");
}

fn typical() -> Request {
    let word = |text: &str| Word::new(text).unwrap();
    Request {
        tenant: Tenant::new("acme-insurance").unwrap(),
        request_id: RequestId::new("01J9ZQ4W6V7M8N5P2R3S4T5U6V").unwrap(),
        actor: Actor {
            id: ActorId::new("agent-claims-handler-17").unwrap(),
            kind: ActorKind::Agent,
            model: Some("example-model-2026-01".into()),
            roles: ["claims-handler", "payments"].map(word).into(),
            on_behalf_of: Some(Principal {
                id: ActorId::new("personnel-0815").unwrap(),
                kind: ActorKind::Person,
                delegation_depth: 1,
            }),
        },
        action: Action::new("send_money").unwrap(),
        tool: Some(word("bank-transfer")),
        resource: Some(Resource { kind: word("claim"), id: "claim/2026/000174".into() }),
        intent: Some("pay out the agreed settlement for claim 2026/000174".into()),
        data_classes: ["financial", "personal"].map(word).into(),
        practice: None,
        risk_class: RiskClass::Limited,
        risk: Some(Risk::Score(20)),
        confidence_percent: Some(93),
        amount: Some(Amount { minor_units: 129_900, currency: *b"EUR" }),
        purpose: Some(word("claims-settlement")),
        legal_basis: Some(LegalBasis::Contract),
        approval: None,
        context: BTreeMap::from([
            (word("channel"), ContextValue::Text("portal".into())),
            (word("attempt"), ContextValue::Long(1)),
            (word("recurring"), ContextValue::Bool(false)),
        ]),
        subjects: vec![Subject {
            id_type: IdType::Customer,
            id: SubjectId::new("customer-00017744").unwrap(),
            role: word("recipient"),
            fields: BTreeMap::from([
                (word("name"), "Erika Mustermann".into()),
                (word("iban"), "DE02120300000000202051".into()),
            ]),
        }],
        occurred_at_us: 1_790_000_000_123_456,
    }
}
