//! What `accept` refuses, and what a refusal means for a reader.

use ledger::verify::FaultKind;
use ledger::verify::log::{LogVerifier, Seen};
use ledger::{
    ChainId, Error, FrameBuilder, Hash, Head, LedgerId, NewEvent, Refused, Section, Stray, accept, event_type,
};

use crate::sample::{self, Partition, chain, own};

fn partition() -> Partition {
    let mut partition = Partition::new(0);
    partition.begin();
    partition.answers(&[event_type::DECIDED]);
    partition.answers(&[event_type::DECIDED, event_type::DECIDED]);
    partition
}

/// A frame of one opaque event on any head.
fn frame_on(head: &Head) -> Vec<u8> {
    let mut builder = FrameBuilder::new(head, head.writer_epoch);
    builder.push(own(500, vec![1])).unwrap();
    builder.finish(Vec::new()).unwrap().bytes
}

#[test]
fn strays_are_told_apart() {
    let partition = partition();
    let heads: Vec<Hash> = partition.frames.iter().map(|(before, _)| before.run_head).collect();
    let (before, last) = &partition.frames[2];
    let head = &partition.head;
    let with = |edit: &dyn Fn(&mut Head)| {
        let mut head = head.clone();
        edit(&mut head);
        frame_on(&head)
    };
    let flipped = |at: usize| {
        let mut frame = frame_on(head);
        frame[at] ^= 2;
        frame
    };
    let run_format = |mut frame: Vec<u8>| {
        let run = frame.windows(4).rposition(|bytes| bytes == b"/run").unwrap();
        frame[run + 4] = 2;
        frame
    };
    let table: &[(&str, Vec<u8>, Stray)] = &[
        ("a retry", last.bytes.clone(), Stray::Harmless),
        ("a race lost", frame_on(before), Stray::Harmless),
        ("a zombie", with(&|head| head.writer_epoch = 9), Stray::Harmless),
        ("a head that never was", with(&|head| head.run_head = Hash([7; 32])), Stray::Forked),
        (
            "an old seq on a head that never was",
            with(&|head| {
                head.run_head = Hash([7; 32]);
                head.next_seq = 1
            }),
            Stray::Forked,
        ),
        ("beyond the next", with(&|head| head.next_seq += 1), Stray::Forked),
        ("another partition", with(&|head| head.chain.partition = 1), Stray::Harmless),
        ("another partition's own head", frame_on(&Head { writer_epoch: 1, ..Head::genesis(chain(1)) }), Stray::Forked),
        ("another ledger", with(&|head| head.chain.ledger_id = LedgerId([1; 16])), Stray::Garbage),
        ("a newer event format", flipped(5 + 32 + 17), Stray::Undecodable),
        ("a newer suite", flipped(5 + 32 + 18), Stray::Undecodable),
        ("a newer run format", run_format(frame_on(head)), Stray::Undecodable),
        ("a changed event", flipped(5 + 32 + 60), Stray::Garbage),
        ("a changed section", flipped(5 + 32 + 115 + 43 + 10), Stray::Garbage),
        ("too large", vec![0; ledger::FRAME_BYTES_MAX + 1], Stray::Garbage),
        ("nothing", Vec::new(), Stray::Garbage),
    ];
    for (name, frame, expected) in table {
        let refused = accept(head, frame).expect_err(name);
        let stray = refused.classify(|hash| heads.contains(hash) || *hash == head.run_head);
        assert_eq!(stray, *expected, "{name}: {refused:?}");
    }
}

#[test]
fn a_log_is_verified_among_strays() {
    let partition = partition();
    let frames: Vec<&[u8]> = partition.frames.iter().map(|(_, frame)| frame.bytes.as_slice()).collect();
    let mut verifier = LogVerifier::new(chain(0).ledger_id, 0, Vec::new());
    for (frame, seen) in [
        (frames[0], Seen::Accepted),
        (frames[0], Seen::Harmless),
        (b"noise", Seen::Garbage),
        (frames[1], Seen::Accepted),
        (frames[2], Seen::Accepted),
        (frames[1], Seen::Harmless),
    ] {
        assert_eq!(verifier.frame(0, frame), Ok(seen));
    }
    let report = verifier.finish().unwrap();
    assert_eq!((report.events, report.strays_harmless, report.strays_garbage), (5, 2, 1));

    let mut verifier = LogVerifier::new(chain(0).ledger_id, 0, Vec::new());
    verifier.frame(0, frames[0]).unwrap();
    let fault = verifier.frame(0, frames[2]).unwrap_err();
    assert_eq!((fault.kind, fault.partition, fault.seq), (FaultKind::Forked, Some(0), Some(2)));
}

#[test]
fn the_builder_makes_only_what_is_accepted() {
    let partition = partition();
    let head = &partition.head;
    let event = |event_type| own(event_type, vec![1]);
    let twice = |first: u16, second: u16, epoch| {
        let mut builder = FrameBuilder::new(head, epoch);
        builder.push(event(first)).and_then(|_| builder.push(event(second))).err()
    };
    let epoch = head.writer_epoch;
    let wrong_epoch = |given| Some(Error::WriterEpoch { current: epoch, given });
    assert_eq!(twice(500, 500, epoch), None);
    assert_eq!(twice(500, 0, epoch), Some(Error::ClaimPosition));
    assert_eq!(twice(0, 500, epoch), wrong_epoch(epoch));
    assert_eq!(twice(500, 500, epoch + 1), wrong_epoch(epoch + 1));
    assert_eq!(twice(event_type::EPOCH_CLOSED, 500, epoch), Some(Error::Closed));

    let first = Head::genesis(ChainId { partition: 5, ..chain(0) });
    assert!(FrameBuilder::new(&first, 0).push(event(500)).is_err(), "the first frame is a claim");

    let mut builder = FrameBuilder::new(head, epoch);
    builder.push(event(500)).unwrap();
    let earlier = NewEvent { recorded_at_us: 0, ..event(500) };
    assert!(matches!(builder.push(earlier), Err(Error::TimeDecreases { .. })));
    let mut unsorted = event(500);
    unsorted.sections.push(Section { ..unsorted.sections[0].clone() });
    assert!(matches!(builder.push(unsorted), Err(Error::Order { .. })));
    assert_eq!(builder.len(), 1, "a refused event leaves the builder as it was");
    let unbalanced = vec![sample::range("requests", 0, 0, [1, 1, 0, 0])];
    assert!(matches!(builder.clone().finish(unbalanced), Err(Error::Accounting { .. })));
    assert!(matches!(FrameBuilder::new(head, epoch).finish(Vec::new()), Err(Error::FrameEmpty)));

    // Filled to the last byte that fits, the frame is accepted; `fits` and `push` agree on where that is.
    let inputs = vec![sample::range("commands", 0, 3, [0, 0, 0, 1])];
    let big = |bytes| own(500, vec![0; bytes]);
    let (mut low, mut high) = (0, ledger::FRAME_BYTES_MAX);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if builder.fits(&big(middle), &inputs) { low = middle } else { high = middle }
    }
    builder.push(big(low)).unwrap();
    assert!(matches!(builder.push(event(500)), Err(Error::FrameFull { .. })));
    let frame = builder.finish(inputs).unwrap();
    assert_eq!(frame.bytes.len(), ledger::FRAME_BYTES_MAX);
    let accepted = accept(head, &frame.bytes).unwrap();
    assert_eq!(accepted.head, frame.head);
    assert!(matches!(accept(&frame.head, &frame.bytes), Err(Refused::Seq(_))));
}
