//! Every kind of record comes back as it was, and prints nothing that may be personal.

use proptest::prelude::*;
use wire::{CommandRecord, DeadLetter, OutcomeRecord, PolicyRecord};

use crate::generate::{full, request};
use crate::samples;

#[test]
fn records_come_back() {
    for part in [samples::shared(), samples::undecodable()] {
        assert!(wire::decode_shared(&wire::encode_shared(&part).unwrap()).unwrap() == part);
    }
    for part in samples::persons() {
        assert!(wire::decode_person(&wire::encode_person(&part).unwrap()).unwrap() == part);
    }
    for record in samples::policies() {
        assert!(PolicyRecord::decode(&record.encode().unwrap()).unwrap() == record);
    }
    for record in samples::commands() {
        assert!(CommandRecord::decode(&record.encode().unwrap()).unwrap() == record);
    }
    assert!(OutcomeRecord::decode(&samples::outcome().encode().unwrap()).unwrap() == samples::outcome());
    assert!(DeadLetter::decode(&samples::dead_letter().encode().unwrap()).unwrap() == samples::dead_letter());
}

proptest! {
    #[test]
    fn requests_come_back(request in request()) {
        let canonical = wire::encode_request(&request).unwrap();
        prop_assert!(wire::decode_request(&canonical).unwrap() == request);
        prop_assert_eq!(wire::encode_request(&request.clone()).unwrap(), canonical);
    }

    /// What is sealed comes back and makes the very bytes that commitments were computed over.
    #[test]
    fn sealed_parts_make_the_canonical_bytes_again(request in request()) {
        let (impersonal, parts) = request.split();
        let shared = wire::SharedPart { request: Some(impersonal), ..samples::undecodable() };
        let shared = wire::decode_shared(&wire::encode_shared(&shared).unwrap()).unwrap();
        let parts = parts.iter().map(|part| wire::decode_person(&wire::encode_person(part).unwrap()).unwrap()).collect();
        let joined = domain::request::Request::join(shared.request.unwrap(), parts).unwrap();
        prop_assert_eq!(wire::encode_request(&joined).unwrap(), wire::encode_request(&request).unwrap());
    }

    #[test]
    fn dead_letters_come_back(value in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)), offset in 0..i64::MAX as u64) {
        let record = DeadLetter { key: value.clone(), value, offset, ..samples::dead_letter() };
        prop_assert!(DeadLetter::decode(&record.encode().unwrap()).unwrap() == record);
    }
}

#[test]
fn numbers_beyond_the_schema_are_refused() {
    let far = u64::MAX;
    let place = wire::DeadLetterRef { partition: 0, position: far };
    let results = [
        wire::encode_shared(&wire::SharedPart { undecodable: Some(place), ..samples::undecodable() }),
        OutcomeRecord { seq: far, ..samples::outcome() }.encode(),
        DeadLetter { offset: far, ..samples::dead_letter() }.encode(),
    ];
    assert!(results.iter().all(|result| matches!(result, Err(wire::Error::Field { .. }))), "{results:?}");
}

#[test]
fn nothing_personal_is_printed() {
    let request = full();
    let mut texts = vec![format!("{request:?}"), format!("{:?}", request.actor)];
    texts.push(format!("{:?} {:?}", samples::shared(), samples::dead_letter()));
    texts.extend(samples::persons().iter().map(|part| format!("{part:?}")));
    texts.extend(samples::policies().iter().map(|record| format!("{record:?}")));
    texts.extend(samples::commands().iter().map(|record| format!("{record:?}")));
    let all = texts.join("\n");
    for secret in [
        "4711",
        "0815",
        "erika",
        "Erika",
        "c-99",
        "invoice",
        "ops-",
        "böse",
        "permits it",
        "ends inside",
        "00-ab",
        "28ed",
    ] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}
