//! Hash and encoding: frozen bytes, exact round trip, nothing but canonical bytes accepted.

use std::collections::BTreeMap;

use policy::{Bundle, BundleSource, Error};
use proptest::prelude::*;

use crate::support::small;

const GOOD: &str = "@id(\"looks\")\npermit (principal, action, resource);\n";

fn source(files: &[(&str, &[u8])]) -> BundleSource {
    BundleSource { files: files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect() }
}

/// Computed with Python's `hashlib.sha3_256` over a tag and parts packed with `struct`.
#[test]
fn hashes_are_frozen() {
    let check = |files: &[(&str, &[u8])], encoded: &str, hash: &str| {
        let source = source(files);
        assert_eq!(hex::encode(source.encode().unwrap()), encoded);
        assert_eq!(source.hash().unwrap().to_string(), hash);
    };
    check(&[], "", "1da2c4c750e1fbd70f0fb8ede33269b1ca14965f83861c993ec300ae458f6d97");
    check(
        &[("b/c", b""), ("a.txt", b"hello\n")],
        "0005612e747874000000000000000668656c6c6f0a0003622f630000000000000000",
        "b1cc5a3bba4327ab3da25ca9d2ee3f6f2d1915e73be4b3db0422a37ae5bbcd7f",
    );
}

#[test]
fn a_bundle_survives_the_log() {
    let bundle = Bundle::parse(&small("strict", GOOD)).unwrap();
    let back = Bundle::parse(&Bundle::decode(&bundle.encode()).unwrap()).unwrap();
    assert_eq!((bundle.hash(), bundle.encode()), (back.hash(), back.encode()));
    assert_eq!(bundle.compile().hash(), bundle.hash());
    let other = Bundle::parse(&small("strict", &GOOD.replace("looks", "sees"))).unwrap();
    assert_ne!(bundle.hash(), other.hash());
}

#[test]
fn only_canonical_bytes_are_decoded() {
    let good = source(&[("a", b"1"), ("b", b"2")]).encode().unwrap();
    let whole = 12;
    for cut in (0..good.len()).filter(|cut| *cut != 0 && *cut != whole) {
        assert!(matches!(Bundle::decode(&good[..cut]), Err(Error::Truncated { .. })), "cut at {cut}");
    }
    let swapped = [&good[whole..], &good[..whole]].concat();
    assert_eq!(Bundle::decode(&swapped), Err(Error::Order { at: 12 }));
    let twice = [&good[..whole], &good[..whole]].concat();
    assert_eq!(Bundle::decode(&twice), Err(Error::Order { at: 12 }));
    assert_eq!(Bundle::decode(b"\x00\x01\xff\0\0\0\0\0\0\0\0"), Err(Error::Path { at: 0 }));
    assert!(matches!(Bundle::decode(b"\x00\x01a\xff\xff\xff\xff\xff\xff\xff\xff"), Err(Error::Truncated { .. })));
}

proptest! {
    #[test]
    fn files_round_trip(files in prop::collection::btree_map("[a-z/]{0,8}", prop::collection::vec(any::<u8>(), 0..40), 0..5)) {
        let source = BundleSource { files };
        prop_assert_eq!(BundleSource::decode(&source.encode().unwrap()).unwrap(), source);
    }

    #[test]
    fn whatever_decodes_was_canonical(bytes in prop::collection::vec(0u8..4, 0..60)) {
        if let Ok(source) = BundleSource::decode(&bytes) {
            prop_assert_eq!(source.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[ -~\n]{0,200}", file in 0usize..5) {
        let mut source = small("strict", GOOD);
        let path = source.files.keys().nth(file).unwrap().clone();
        source.files.insert(path, text.into_bytes());
        let _ = Bundle::parse(&source);
    }
}

#[test]
fn a_map_of_files_is_ordered_by_bytes() {
    let files: BTreeMap<String, Vec<u8>> = [("a/b", ""), ("a-b", ""), ("B", "")]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .collect();
    let encoded = BundleSource { files }.encode().unwrap();
    let order: Vec<u8> = vec![b'B', b'-', b'/'];
    let found: Vec<u8> = encoded.iter().copied().filter(|byte| order.contains(byte)).collect();
    assert_eq!(found, order);
}
