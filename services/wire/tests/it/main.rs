//! Integration tests of the wire room, one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod sample;

#[test]
fn a_request_comes_back() {
    let request = sample::full();
    let reader = wire::RequestReader::with_builtin(wire::Limits::default()).unwrap();
    let canonical = wire::encode_request(&request).unwrap();
    assert!(wire::decode_request(&canonical).unwrap() == request);
    assert!(reader.read(&wire::frame_request(&request).unwrap()).unwrap() == request);
    let minimal = sample::minimal();
    assert!(reader.read(&wire::frame_request(&minimal).unwrap()).unwrap() == minimal);
}
