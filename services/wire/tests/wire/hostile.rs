//! Bytes that mean harm: never a panic, never a hang, never more memory than the input deserves.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use wire::{Limits, RequestReader, SchemaId, Undecodable, framing, limits, request_schema};

use crate::foreign::definitions;
use crate::generate::{full, minimal, request};
use crate::samples;

/// The built-in schema as 1; as 2 one with types that take no bytes; as 3 one that makes small input large.
fn reader() -> RequestReader {
    let mut reader = RequestReader::with_builtin(Limits::default()).unwrap();
    let mut nulls: Json = serde_json::from_str(request_schema()).unwrap();
    let empty = json!({"type": "record", "name": "Empty", "fields": [{"name": "a", "type": "null"}, {"name": "b", "type": "null"}]});
    definitions(&mut nulls)
        .insert(0, json!({"name": "nothing", "type": {"type": "array", "items": {"type": "array", "items": empty}}}));
    reader.add(SchemaId(2), &nulls.to_string()).unwrap();
    reader
}

fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
    bytes
}

fn framed(id: u32, parts: &[&[u8]]) -> Vec<u8> {
    framing::join(SchemaId(id), &parts.concat())
}

/// The minimal request up to the data classes, and what follows them.
fn around_data_classes() -> (Vec<u8>, Vec<u8>) {
    let mut marked = minimal();
    marked.data_classes = [domain::ids::Word::new("marker").unwrap()].into();
    let canonical = wire::encode_request(&marked).unwrap();
    let at = canonical.windows(9).position(|window| window == b"\x02\x0cmarker\x00").unwrap();
    (canonical[..at].to_vec(), canonical[at + 9..].to_vec())
}

#[test]
fn a_corpus_of_harm() {
    let (before, after) = around_data_classes();
    let canonical = wire::encode_request(&full()).unwrap();
    let small = wire::encode_request(&minimal()).unwrap();
    let zeros = vec![0; limits::REQUEST_BYTES_MAX + 1];
    let tenant = |text: &[u8]| [&long(text.len() as i64)[..], text, &small[8..]].concat();
    let bomb = |count: i64| framed(1, &[&before, &long(count), &after]);
    let sized = |count: i64, size: i64| framed(1, &[&before, &long(count), &long(size), &after]);
    let empties = |outer: &[&[u8]]| framed(2, &[&outer.concat(), &small]);
    let corpus: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "not_framed"),
        ("no datum", framed(1, &[]), "truncated"),
        ("no id", vec![0, 0, 0], "not_framed"),
        ("other magic", vec![1, 0, 0, 0, 1, 0], "not_framed"),
        ("unknown schema", framed(9, &[&canonical]), "unknown_schema"),
        ("too large", framed(1, &[&zeros]), "too_large"),
        ("trailing byte", framed(1, &[&canonical, &[0]]), "trailing_bytes"),
        ("a length of 2^60", framed(1, &[&long(1 << 60)]), "truncated"),
        ("a negative length", framed(1, &[&long(-1)]), "bad_count"),
        ("the least length", framed(1, &[&long(i64::MIN)]), "bad_count"),
        ("an integer without end", framed(1, &[&[0xff; 64]]), "bad_number"),
        ("an integer of 65 bits", framed(1, &[&[0xff; 9], &[0x02]]), "bad_number"),
        ("a block of 2^60", bomb(1 << 60), "bad_count"),
        ("a block of 2^63 - 1", bomb(i64::MAX), "bad_count"),
        ("a block of -2^63", sized(i64::MIN, 0), "bad_count"),
        ("a block of negative size", sized(-1, -1), "bad_count"),
        ("a block of enormous size", sized(-1, i64::MAX), "bad_block"),
        ("a block a little longer than the rest", bomb(after.len() as i64 + 1), "bad_count"),
        ("2^60 items without bytes", empties(&[&long(1), &long(1 << 60)]), "bad_count"),
        ("a million items without bytes", empties(&[&long(1), &long(1_000_000)]), "too_many_values"),
        ("many blocks without bytes, within the budget", empties(&[&long(1), &[2; 100_000], &[0, 0]]), "taken"),
        ("no utf-8", framed(1, &[&tenant(&[0xff, 0xfe])]), "bad_utf8"),
        ("no tenant", framed(1, &[&tenant(b"")]), "bad_field"),
        ("a tenant of shouting", framed(1, &[&tenant(b"ACME")]), "bad_field"),
    ];
    let reader = reader();
    for (name, bytes, code) in corpus {
        let start = Instant::now();
        let result = reader.read(&bytes);
        assert!(start.elapsed() < Duration::from_secs(2), "{name} took {:?}", start.elapsed());
        assert_eq!(result.as_ref().map_or_else(Undecodable::code, |_| "taken"), code, "{name}: {:?}", result.map(drop));
    }
}

#[test]
fn every_truncation_and_every_flipped_byte() {
    let reader = reader();
    let bytes = wire::frame_request(&full()).unwrap();
    for end in 0..bytes.len() {
        assert!(reader.read(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            // Many flips make another valid request; what is taken must be canonical or become it.
            if let Ok(request) = reader.read(&flipped) {
                assert!(request != full() || flipped == bytes, "flip {bit} of byte {at} means the same");
            }
        }
    }
}

#[test]
fn keys_are_given_once() {
    let mut twice = full();
    let word = |text: &str| domain::ids::Word::new(text).unwrap();
    twice.context =
        [(word("kk1"), domain::request::ContextValue::Long(1)), (word("kk2"), domain::request::ContextValue::Long(2))]
            .into();
    let mut bytes = wire::frame_request(&twice).unwrap();
    let at = bytes.windows(3).position(|window| window == b"kk2").unwrap();
    bytes[at + 2] = b'1';
    assert_eq!(reader().read(&bytes).map(drop), Err(Undecodable::DuplicateKey));
}

#[test]
fn lower_limits_hold() {
    let canonical = wire::encode_request(&full()).unwrap();
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        let mut reader = RequestReader::with_builtin(limits).unwrap();
        let mut document: Json = serde_json::from_str(request_schema()).unwrap();
        definitions(&mut document).retain(|field| field["name"] != "context");
        definitions(&mut document).push(json!({"name": "context", "type": {"type": "map", "values": ["long", "boolean", "string", {"type": "array", "items": "string"}]}}));
        reader.add(SchemaId(2), &document.to_string()).unwrap();
        reader
    };
    let read = |reader: &RequestReader| {
        reader.read(&framing::join(SchemaId(1), &canonical)).map_err(|error| error.code()).map(drop)
    };
    assert_eq!(read(&limits(|l| l.request_bytes_max = 100)), Err("too_large"));
    assert_eq!(read(&limits(|l| l.steps_max = 20)), Err("too_many_values"));
    assert_eq!(read(&limits(|_| {})), Ok(()));
    // Carried over, the context moves to its place and the result is as long as the canonical form.
    let moved = {
        let mut value = crate::foreign::decode(request_schema(), &canonical);
        let fields = crate::foreign::fields(&mut value, "");
        let at = fields.iter().position(|(name, _)| name == "context").unwrap();
        let context = fields.remove(at);
        fields.push(context);
        let mut document: Json = serde_json::from_str(request_schema()).unwrap();
        let fields = definitions(&mut document);
        let at = fields.iter().position(|field| field["name"] == "context").unwrap();
        let context = fields.remove(at);
        fields.push(context);
        crate::foreign::encode(&document.to_string(), &value)
    };
    let carried = |reader: &RequestReader| {
        reader.read(&framing::join(SchemaId(2), &moved)).map_err(|error| error.code()).map(drop)
    };
    assert_eq!(carried(&limits(|l| l.resolved_bytes_max = 100)), Err("expands"));
    assert_eq!(carried(&limits(|_| {})), Ok(()));
}

#[test]
fn errors_hold_nothing_of_the_payload() {
    let mut bytes = wire::frame_request(&full()).unwrap();
    let at = bytes.windows(5).position(|window| window == b"erika").unwrap();
    bytes[at + 1] = 7;
    let error = reader().read(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "subjects[0].id may hold only printable characters");
    assert!(!format!("{error:?}").contains("rika"));
}

/// Peak memory of this process in KiB, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|line| line.starts_with("VmHWM"))?.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn claims_allocate_nothing() {
    let reader = reader();
    let (before, after) = around_data_classes();
    let peak = peak_kib();
    for power in 10..63 {
        for count in [1_i64 << power, -(1 << power)] {
            let framed = framed(1, &[&before, &long(count), &long(1 << power), &after]);
            assert!(reader.read(&framed).is_err());
            for again in samples::all().iter().map(|sample| sample.again) {
                assert!(again(&[long(count), long(count)].concat()).is_err());
            }
        }
    }
    // Other tests run beside this one; the claims add up to exabytes.
    if let (Some(before), Some(after)) = (peak, peak_kib()) {
        assert!(after - before < 256 * 1024, "{} KiB more", after - before);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), id in 1..=2_u32) {
        let reader = reader();
        drop(reader.read(&bytes));
        drop(reader.read(&framing::join(SchemaId(id), &bytes)));
        for sample in samples::all() {
            drop((sample.again)(&bytes));
        }
    }

    #[test]
    fn any_damage(request in request(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = wire::frame_request(&request).unwrap();
        for (place, byte) in places {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(request) = reader().read(&bytes) {
            // Whatever is taken has canonical bytes that are taken again.
            let canonical = wire::encode_request(&request).unwrap();
            prop_assert!(wire::decode_request(&canonical).unwrap() == request);
        }
    }

    #[test]
    fn damaged_records(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for sample in samples::all() {
            let mut bytes = sample.bytes.clone();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop((sample.again)(&bytes));
        }
    }
}
