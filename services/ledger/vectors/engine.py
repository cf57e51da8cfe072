#!/usr/bin/env python3
"""Writes engine.txt beside it: vectors of the layouts of FORMAT.md that other rooms than the ledger write.

Standard library only, written from FORMAT.md and independent of the Rust code; AES, HKDF and plain fields are those of
make.py. The plaintexts of Avro sections are the fixtures under schemas/, the records of the state those in
engine/src/store/frozen.txt. The numbers are the contract: lines are added, none is ever changed.
"""
import hashlib
import hmac
import pathlib
import sys

sys.dont_write_bytecode = True

from make import aes, aes_gcm, h32, hkdf_sha512, i64, id16, round_keys, tag, text, u8, u16, u32, u64  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SERVICES = HERE.parent.parent
SCHEMAS = SERVICES.parent / "schemas"


def h3(*parts): return hashlib.sha3_256(b"".join(parts)).digest()
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def mac(key, *parts): return hmac.new(key, b"".join(parts), hashlib.sha3_256).digest()
def xor(a, b): return bytes(x ^ y for x, y in zip(a, b))
def fixture(subject, name): return (SCHEMAS / subject / "fixtures" / f"{name}.v1.bin").read_bytes()


# --- Keys ---

KEK, INDEX, QUEUE = (bytes.fromhex(digits) for digits in (
    "75a02bcc239d61948fe7982e36372d31e0ac20ef3eb9b0517b61d76f154e5dd0",
    "6cbfd67587b2556dc1f8beb0001174eae02fa96e732d5957f6c0e126d1ce1d4c",
    "75d398a7b9dbe9f9b2ad0cf1c658b264c416e8e7f93b0a1f4d9e7a00d3d82585"))
PERIOD, PARTITION = 1, 3


def derive(secret, info): return hkdf_sha512(secret, bytes(64), info, 32)


def xaes_256_gcm(key, nonce, plaintext, aad):
    """C2SP, c2sp.org/XAES-256-GCM."""
    keys = round_keys(key)
    doubled = int.from_bytes(aes(keys, bytes(16)), "big") << 1
    k1 = (doubled & (1 << 128) - 1 ^ (0x87 if doubled >> 128 else 0)).to_bytes(16, "big")
    derived = b"".join(aes(keys, xor(b"\0" + u8(n) + b"X\0" + nonce[:12], k1)) for n in (1, 2))
    return aes_gcm(derived, nonce[12:], plaintext, aad)


def wrapped(tenant, dek_id, dek, nonce):
    key = derive(KEK, tag("tenant-kek") + tenant)
    aad = tag("kek-wrap") + u32(PERIOD) + dek_id + tenant
    return u8(1) + u32(PERIOD) + nonce + xaes_256_gcm(key, nonce, dek, aad)


def keyring_key(tenant, surrogate, retention_class, dek_id, box):
    return (u8(1) + u8(1) + dek_id + u8(len(tenant)) + tenant + surrogate + u8(retention_class) + u32(PERIOD)
            + u16(len(box)) + box)


def waiting_request(framed, nonce):
    return u8(1) + nonce + xaes_256_gcm(QUEUE, nonce, framed, tag("queue") + u32(PARTITION))


def dead_letter(avro, nonce):
    key = derive(KEK, tag("dead-letter-kek"))
    aad = tag("dead-letter") + u32(PERIOD) + u32(PARTITION)
    return u8(1) + u32(PERIOD) + nonce + xaes_256_gcm(key, nonce, avro, aad)


def keys():
    assert xaes_256_gcm(u8(1) * 32, b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM", b"").hex() == (
        "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271")
    box = wrapped(b"acme", id16(0x21), h32(0x11), u8(0x22) * 24)
    return {
        "kek": KEK,
        "index": INDEX,
        "queue": QUEUE,
        "index-key": derive(INDEX, tag("index") + b"acme"),
        "wrapped-key": box,
        "wrapped-key-no-tenant": wrapped(b"", id16(0x21), h32(0x11), u8(0x22) * 24),
        "keyring-key": keyring_key(b"acme", id16(0x31), 4, id16(0x21), box),
        "keyring-directory": u8(1) + u8(2) + h32(0x41) + id16(0x31),
        "waiting-request": waiting_request(b"a request", u8(0x52) * 24),
        "dead-letter": dead_letter(fixture("dead-letter", "truncated"), u8(0x62) * 24),
    }


# --- Hashes of other rooms ---

def routing_key(*parts): return sha256(b"\0".join(parts))[:8]


def bundle(files):
    encoded = b"".join(u16(len(path)) + path + u64(len(content)) + content for path, content in sorted(files.items()))
    return encoded, h3(tag("policy"), encoded)


def topic_id(log_id, topic, partition):
    return sha256(b"lexecon eventlog topic id", log_id, u8(topic), u32(partition))[:16]


def head_anchor(generation, log_id, heads):
    content = b"LEXANCR1" + u64(generation) + log_id + u32(len(heads))
    content += b"".join(b"".join(map(u64, tails)) + frame for tails, frame in heads)
    return content + sha256(content)


def rooms():
    encoded, digest = bundle({b"b/c": b"", b"a.txt": b"hello\n"})
    return {
        "routing-key-actor": routing_key(b"default", b"agent-7"),
        "routing-key-tenant": routing_key(b"default"),
        "bundle-text": encoded,
        "bundle-hash": digest,
        "topic-id": topic_id(id16(7), 0, PARTITION),
        "head-anchor": head_anchor(5, id16(7), [(range(10, 17), sha256(b"frame"))]),
    }


# --- The first two frames of a partition: claim and schema, then keys and a decision ---

LEDGER_ID, AT_US, ANSWER_SEQ = bytes(range(16)), 1_790_000_000_000_000, 7
ACTOR, PRINCIPAL, RECIPIENT, PAYER = (id16(n) for n in (0xA1, 0xA2, 0xA3, 0xA4))
ORGANISATION = bytes(16)
# Whose, section tag, fixture of the plaintext; in the order in which keys are made.
SECTIONS = [(ACTOR, 256, "actor"), (PRINCIPAL, 257, "on-behalf-of"), (RECIPIENT, 258, "subject-0"),
            (PAYER, 259, "subject-1"), (ORGANISATION, 32, "shared")]


def dek_id(n): return id16(0xB0 + n)
def dek(n): return h32(0xC0 + n)
def salt(n): return h32(0xD0 + n)


def event_id(seq):
    digest = bytearray(h3(tag("event-id"), LEDGER_ID, u32(PARTITION), u32(0), u64(seq))[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
    return bytes(digest)


def sealed(n, section_tag, schema_hash, salt_no, plaintext):
    okm = hkdf_sha512(dek(n), salt(salt_no), tag("seal-hkdf"), 76)
    aad = (tag("seal-aad") + LEDGER_ID + u32(PARTITION) + u32(0) + event_id(ANSWER_SEQ) + u16(section_tag)
           + schema_hash + dek_id(n) + u32(PERIOD))
    padded = u32(len(plaintext)) + plaintext
    padded += bytes(-len(padded) % 256)
    return (u8(1) + dek_id(n) + u32(PERIOD) + salt(salt_no) + okm[44:] + aes_gcm(okm[:32], okm[32:44], padded, aad))


def body(seq, event_type, schema_hash, sections):
    entries = b"".join(
        u16(number) + u8(kind) + u64(len(content)) + h3(tag("section"), u16(number), u8(kind), u64(len(content)), content)
        for number, kind, content in sections)
    return (tag("event") + u8(1) + u8(1) + LEDGER_ID + u32(PARTITION) + u32(0) + u64(seq) + u32(1) + u16(event_type)
            + event_id(seq) + i64(AT_US) + schema_hash + u16(len(sections)) + entries)


def frame(first_seq, prev_head, events, inputs):
    """The bytes of a frame and the run_head after it."""
    out, prev, hashes = b"", prev_head, []
    for at, (event_type, schema_hash, sections) in enumerate(events):
        content = body(first_seq + at, event_type, schema_hash, sections)
        stored = prev + content + b"".join(u16(n) + u64(len(s)) + s for n, _, s in sections)
        out += u8(1) + u32(len(stored)) + stored
        prev = h3(tag("chain"), prev, h3(content))
        hashes.append(prev)
    run = (tag("run") + u8(1) + LEDGER_ID + u32(PARTITION) + u32(0) + u64(first_seq) + u64(first_seq + len(events) - 1)
           + prev_head + prev + root(hashes) + u16(len(inputs)) + b"".join(inputs))
    return out + u8(2) + u32(len(run)) + run, h3(tag("chain"), prev, h3(run))


def root(leaves):
    if len(leaves) == 1:
        return h3(b"\0", leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return h3(b"\1", root(leaves[:split]), root(leaves[split:]))


def answer():
    """Facts, outcome and the sealed sections of the decision about the request in schemas/request/fixtures/full."""
    document = (SCHEMAS / "decision" / "v1.avsc").read_bytes()
    schema_hash = h3(tag("schema"), u64(len(document)), document)
    request, index_key = fixture("request", "full"), derive(INDEX, tag("index") + b"acme")
    routing, request_id = routing_key(b"acme", b"personnel-4711").hex().encode(), b"r-2026-000017"
    request_key = mac(index_key, tag("request-key"), u8(len(routing)), routing, u16(len(request_id)), request_id)
    facts = (u8(1) + text("acme") + request_key + mac(index_key, tag("request-mac"), request)
             + h3(tag("request"), h32(9), request) + text("requests") + u32(PARTITION) + u64(0)
             + i64(1_790_000_000_123_456) + h32(0x63) + u16(1) + u8(2) + u8(4) + u8(3)
             + u16(4) + u8(0) + ACTOR + u8(1) + PRINCIPAL + u8(2) + RECIPIENT + u8(2) + PAYER
             + text("send_money") + u8(1) + i64(129_900) + b"EUR" + u8(0))
    outcome = u8(1) + u8(2) + u16(101) + u64(0) + u16(1) + text("high-risk") + u16(1) + text("human_review")
    sections = [(1, 0, facts), (2, 0, outcome)]
    in_order = sorted((section_tag, n, name) for n, (_, section_tag, name) in enumerate(SECTIONS))
    for salt_no, (section_tag, n, name) in enumerate(in_order):
        sections.append((section_tag, 1, sealed(n, section_tag, schema_hash, salt_no, fixture("decision", name))))
    return document, schema_hash, request_key, sections


def unread():
    """Sections 1 and 2 of a rejection of bytes that are no request."""
    raw = b"\0no request"
    facts = (u8(1) + text("") + bytes(64) + h3(tag("request"), h32(9), raw) + text("requests") + u32(PARTITION) + u64(0)
             + i64(0) + h32(0x63) + u16(1) + u8(2) + u8(1) + u8(0) + u16(0) + text("") + u8(0) + u8(0))
    return {"unread-section-1": facts, "unread-section-2": u8(1) + u8(3) + u16(200) + u64(0) + u16(0) + u16(0)}


def ledger():
    document, schema_hash, request_key, sections = answer()
    claim = (u8(1) + id16(1) + u8(1) + u32(8) + u8(0) + u16(3) + text("policies") + u32(0) + id16(2) + u64(0)
             + text("commands") + u32(PARTITION) + id16(3) + u64(0) + text("requests") + u32(PARTITION) + id16(4) + u64(0))
    added = u8(1) + schema_hash + u32(len(document)) + document
    genesis = h3(tag("genesis"), LEDGER_ID, u32(PARTITION), u32(0))
    first, head = frame(0, genesis, [(0, bytes(32), [(1, 0, claim)]), (6, bytes(32), [(1, 0, added)])], [])
    created = [(8, bytes(32), [(1, 0, u8(1) + text("acme") + whose + dek_id(n) + u8(4) + u32(PERIOD)
                                + h3(tag("dek-commit"), dek(n)))]) for n, (whose, _, _) in enumerate(SECTIONS)]
    consumed = text("requests") + u32(PARTITION) + u64(0) + u64(1) + u64(1) + u64(1) + u64(0) + u64(0)
    second, end = frame(2, head, created + [(1, schema_hash, sections)], [consumed])
    vectors = {"decision-schema-hash": schema_hash}
    vectors |= {f"answer-section-{number}": content for number, _, content in sections}
    vectors |= {"answer-body": body(ANSWER_SEQ, 1, schema_hash, sections), "first-frame-hash": sha256(first),
                "first-run-head": head, "second-frame-hash": sha256(second), "second-run-head": end}
    return vectors | read_models(request_key)


# --- Digests ---

STATE, DECISIONS, REQUESTS, ACTORS, OUTCOMES, STATISTICS, CONSERVATION = 0, 4, 5, 6, 7, 8, 9


def digest(*spaces):
    """Of spaces in their order, each a number and a map of keys to values."""
    rows = [u8(number) + u32(len(key)) + key + u32(len(value)) + value
            for number, entries in spaces for key, value in sorted(entries.items())]
    return h3(*rows)


def state():
    lines = [line.split() for line in (SERVICES / "engine/src/store/frozen.txt").read_text().splitlines()
             if not line.startswith("#")]
    rows = {bytes.fromhex(key): bytes.fromhex(value.strip("-")) for name, key, value in lines if name != "position"}
    return {"state-digest": digest((STATE, rows))}


def read_models(request_key):
    partition, at = u32(PARTITION), u64(AT_US ^ 1 << 63) + u64(ANSWER_SEQ)

    def term(order, value): return h3(u8(order), b"acme", b"\0", value)[:8]

    marks = u8(1 << 4 | 2) + u16(101) + h3(b"acme")[:4] + h3(b"send_money")[:4] + ACTOR[:4]
    decisions = {
        u8(0) + b"acme": b"",
        u8(1) + at: marks,
        u8(2) + term(2, b"send_money") + at: marks,
        u8(3) + term(3, u8(2)) + at: marks,
        u8(4) + event_id(ANSWER_SEQ)[:8]: u64(ANSWER_SEQ),
    }
    statistics = {u8(dimension + 16): u32(1) + u64(1) for dimension in (1, 2, 3)}
    statistics |= {u8(d) + name: u64(1) + u64(0) for d, name in ((1, b"high-risk"), (2, b"send_money"), (3, b"acme"))}
    statistics |= {cell: u64(1) for cell in (
        u8(4) + u8(1), u8(5) + u8(2), u8(6) + u16(101), u8(7) + u32(AT_US // 3_600_000_000) + u8(2))}
    conservation = {u32(PARTITION) + b"requests": u8(1) + u64(0) + u64(1) + u64(1) + u64(1) + u64(0) + u64(0) + u64(0)}

    def of(entries): return {partition + key: value for key, value in entries.items()}

    return {
        "digest-conservation": digest((CONSERVATION, of(conservation))),
        "digest-decisions": digest((DECISIONS, of(decisions)), (ACTORS, of({ACTOR + at: marks}))),
        "digest-outcomes": digest((OUTCOMES, of({u64(0): u64(2)}))),
        "digest-requests": digest((REQUESTS, of({request_key: u64(ANSWER_SEQ)}))),
        "digest-statistics": digest((STATISTICS, of(statistics))),
    }


def main():
    lines = ["# name, bytes. Written by engine.py. Frozen: lines are added, none is ever changed."]
    lines += [f"{name} {value.hex()}" for name, value in (keys() | rooms() | unread() | ledger() | state()).items()]
    (HERE / "engine.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
