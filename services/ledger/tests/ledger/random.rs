//! Parsers on arbitrary bytes: a value or an error, never a panic; and what is written is read back.

use ledger::export::{Parser, decode_heads};
use ledger::layout::{Facts, Outcome, SchemaAdded};
use ledger::seal::Envelope;
use ledger::verify::{Options, Verifier};
use ledger::{Body, Hash, Head, Run, StoredEvent, accept};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sample;

/// Bytes that look like the real thing for a while: a real record with a few bytes changed, cut or added.
fn damaged(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = original.len();
    (vec((0..length, any::<u8>()), 0..4), 0..=length, vec(any::<u8>(), 0..20)).prop_map(move |(changes, keep, tail)| {
        let mut bytes = original.clone();
        changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        bytes.truncate(keep.max(length / 2));
        bytes.extend(tail);
        bytes
    })
}

fn parse_everything(bytes: &[u8]) {
    let _ = Body::decode(bytes);
    let _ = StoredEvent::decode(bytes).map(|event| event.sections_match());
    let _ = Run::decode(bytes).map(|run| run.encode());
    let _ = Facts::decode(bytes);
    let _ = Outcome::decode(bytes);
    let _ = SchemaAdded::decode(bytes);
    let _ = Envelope::decode(bytes);
    let _ = decode_heads(bytes);
    let _ = accept(&Head::genesis(sample::chain(0)), bytes);
    let mut parser = Parser::default();
    parser.feed(bytes);
    while let Ok(Some(_)) = parser.next_record() {}
    for partial in [false, true] {
        let options = Options { partial, ..Options::default() };
        let mut verifier = Verifier::new(options);
        if verifier.feed(bytes).is_ok() {
            let _ = verifier.finish();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..600)) {
        parse_everything(&bytes);
    }

    #[test]
    fn damaged_exports(bytes in damaged(sample::export(&sample::partitions()))) {
        parse_everything(&bytes);
    }

    #[test]
    fn damaged_frames(bytes in damaged(sample::partitions()[0].frames[0].1.bytes.clone())) {
        parse_everything(&bytes);
        let (before, frame) = &sample::partitions()[0].frames[0];
        // `accept` does not look at a run's accounting, which is hashed all the same: another run is another head.
        if let Ok(accepted) = accept(before, &bytes) {
            let hashes = |events: &[StoredEvent<'_>]| events.last().map(|event| event.event_hash);
            prop_assert_eq!(hashes(&accepted.events), frame.events.last().map(|event| event.event_hash));
            prop_assert_eq!(accepted.head == frame.head, bytes == frame.bytes);
        }
    }

    #[test]
    fn chunks_of_any_size_give_the_same_verdict(sizes in vec(1_usize..3000, 1..40)) {
        let file = sample::export(&sample::partitions());
        let mut verifier = Verifier::new(Options::default());
        let mut rest = file.as_slice();
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            verifier.feed(chunk).unwrap();
            rest = after;
            if rest.is_empty() { break }
        }
        let whole = crate::oracle::verify(&file, Options::default());
        prop_assert_eq!(verifier.finish(), whole);
    }

    #[test]
    fn runs_are_read_as_written(seqs in any::<[u64; 2]>(), hash in any::<[u8; 32]>(), topics in vec("[a-zé]{0,9}", 0..4), numbers in any::<[u64; 6]>()) {
        let [from_offset, to_offset, requests, decisions, rejected, non_request] = numbers;
        let input = |topic: &String| ledger::InputRange { topic: topic.clone(), partition: 3, from_offset, to_offset, requests, decisions, rejected, non_request };
        let run = Run {
            chain: sample::chain(1), first_seq: seqs[0], last_seq: seqs[1], prev_head: Hash(hash), events_head: Hash::ZERO,
            run_root: Hash(hash), inputs: topics.iter().map(input).collect(),
        };
        let bytes = run.encode().unwrap();
        prop_assert_eq!(Run::decode(&bytes), Ok(run));
        prop_assert!(Run::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
