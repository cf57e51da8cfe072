#!/usr/bin/env python3
"""Writes layouts.json beside it: one vector for each fixed layout and for sealing, identity and heads.

Standard library only, written from FORMAT.md and independent of the Rust code, AES-256-GCM included. The numbers are
the contract: a released layout keeps its vectors for ever.
"""
import hashlib
import hmac
import json
import pathlib
import struct


def tag(name):
    text = ("lexecon/v1/" + name).encode("ascii")
    return bytes([len(text)]) + text


def u8(x): return struct.pack(">B", x)
def u16(x): return struct.pack(">H", x)
def u32(x): return struct.pack(">I", x)
def u64(x): return struct.pack(">Q", x)
def i64(x): return struct.pack(">q", x)
def text(x): return u8(len(x.encode())) + x.encode()
def long_text(x): return u16(len(x.encode())) + x.encode()


def h32(x): return u8(x) * 32
def id16(x): return u8(x) * 16


# --- AES-256-GCM (FIPS 197, NIST SP 800-38D) ---

def times2(x): return (x << 1) ^ (0x11B if x & 0x80 else 0)


def gf256(a, b):
    out = 0
    while b:
        if b & 1:
            out ^= a
        a, b = times2(a), b >> 1
    return out


def sbox():
    table = []
    for x in range(256):
        inverse = next((y for y in range(256) if gf256(x, y) == 1), 0)
        value = 0x63
        for shift in range(5):
            value ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        table.append(value)
    return table


SBOX = sbox()


def round_keys(key):
    words = [list(key[i:i + 4]) for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = list(words[-1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = times2(constant)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i:i + 4], []) for i in range(0, 60, 4)]


def aes(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, key in enumerate(keys[1:], 1):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c:c + 4]
                for i in range(4):
                    mixed.append(times2(a[i]) ^ times2(a[(i + 1) % 4]) ^ a[(i + 1) % 4] ^ a[(i + 2) % 4] ^ a[(i + 3) % 4])
            state = mixed
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(state)


def ghash(h, data):
    h, y = int.from_bytes(h, "big"), 0
    for at in range(0, len(data), 16):
        x, v, y = y ^ int.from_bytes(data[at:at + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                y ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return y.to_bytes(16, "big")


def aes_gcm(key, nonce, plaintext, aad):
    keys = round_keys(key)
    stream = b"".join(aes(keys, nonce + u32(n)) for n in range(2, 2 + -(-len(plaintext) // 16)))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream))
    padded = [part + bytes(-len(part) % 16) for part in (aad, ciphertext)]
    digest = ghash(aes(keys, bytes(16)), b"".join(padded) + u64(8 * len(aad)) + u64(8 * len(ciphertext)))
    return ciphertext + bytes(a ^ b for a, b in zip(digest, aes(keys, nonce + u32(1))))


def hkdf_sha512(ikm, salt, info, length):
    prk, block, out = hmac.new(salt, ikm, hashlib.sha512).digest(), b"", b""
    while len(out) < length:
        block = hmac.new(prk, block + info + u8(len(out) // 64 + 1), hashlib.sha512).digest()
        out += block
    return out[:length]


# --- Layouts ---

def facts(amount, surrogates, flags):
    return (u8(1) + text("tenant-ä") + h32(1) + h32(2) + h32(3) + text("requests") + u32(4) + u64(5) + i64(-6)
            + h32(7) + u16(8) + u8(2) + u8(9) + u8(10) + u16(len(surrogates))
            + b"".join(u8(role) + id16(x) for role, x in surrogates) + text("send_email") + amount
            + u8(len(flags)) + b"".join(text(a) + text(b) for a, b in flags))


LAYOUTS = {
    "facts": facts(u8(1) + i64(-1999) + b"EUR", [(0, 11), (2, 12)], [("flag", "on"), ("other", "")]),
    "facts_least": facts(u8(0), [], []),
    "outcome": u8(1) + u8(2) + u16(4) + u64(13) + u16(2) + text("a") + text("b") + u16(1) + text("log"),
    "claim_first": u8(1) + id16(1) + u8(1) + u32(8) + u8(1) + u16(2)
                   + text("commands") + u32(0) + id16(2) + u64(3) + text("requests") + u32(0) + id16(4) + u64(5),
    "claim_later": u8(1) + id16(1) + u8(0),
    "input_lost": u8(1) + text("requests") + u32(1) + u64(2) + u64(30) + u8(4),
    "schema_added": u8(1) + h32(1) + u32(2) + b"{}",
    "input_advanced": u8(1),
    "key_created": u8(1) + text("default") + id16(0) + id16(1) + u8(2) + u32(3) + h32(4),
    "erasure_requested": u8(1) + text("default") + id16(1) + id16(2) + u8(3),
    "erasure_keys_destroyed": u8(1) + text("default") + id16(1) + u16(2) + h32(2) + h32(3) + u64(4) + h32(5),
    "erasure_final": u8(1) + text("default") + id16(1) + u32(2),
    "kek_rolled": u8(1) + u32(1) + u32(2),
    "epoch_closed": u8(1) + u32(1),
    "policy_published": u8(1) + h32(1) + u32(0) + u32(2) + u32(5) + b"piece",
    "policy_activated": u8(1) + h32(1) + u8(2) + id16(3) + i64(4),
    "tenant_created": u8(1) + text("default") + id16(1),
    "command_refused": u8(1) + id16(1) + text("commands") + u32(2) + u64(3) + u16(4) + long_text("no such tenant"),
    "dead_letter_marked": u8(1) + id16(1) + u32(2) + u64(3) + u8(1),
}


def seal_vectors():
    dek, salt = h32(0x11), h32(0x22)
    okm = hkdf_sha512(dek, salt, tag("seal-hkdf"), 76)
    key, nonce, commitment = okm[:32], okm[32:44], okm[44:]
    aad = (tag("seal-aad") + bytes(range(16)) + u32(3) + u32(0) + id16(0x44) + u16(32) + h32(0x55) + id16(0x66) + u32(7))
    envelopes = []
    for length in (0, 1, 252, 253, 600):
        plaintext = bytes((5 * n + 1) % 256 for n in range(length))
        padded = u32(length) + plaintext
        padded += bytes(-len(padded) % 256)
        envelope = u8(1) + id16(0x66) + u32(7) + salt + commitment + aes_gcm(key, nonce, padded, aad)
        envelopes.append({"plaintext": plaintext.hex(), "envelope": envelope.hex()})
    return {"key": key.hex(), "nonce": nonce.hex(), "aad": aad.hex(), "envelopes": envelopes}


def identity_vectors():
    key, request = h32(0x33), b"canonical avro bytes"
    routing, request_id, name = b"0011223344556677", b"request-1", " Zoë ".encode()

    def mac(message): return hmac.new(key, message, hashlib.sha3_256).hexdigest()

    return {
        "request_bytes": request.hex(),
        "request_key": mac(tag("request-key") + u8(len(routing)) + routing + u16(len(request_id)) + request_id),
        "request_mac": mac(tag("request-mac") + request),
        "request_commit": hashlib.sha3_256(tag("request") + h32(0x77) + request).hexdigest(),
        "lookup_as_given": mac(tag("subject-lookup") + u16(1) + u32(len(name)) + name),
    }


def main():
    # GCM test case 14 of the specification's appendix B: a check of this file, not of the crate.
    assert aes_gcm(bytes(32), bytes(12), bytes(16), b"").hex() == (
        "cea7403d4d606b6e074ec5d3baf39d18" "d0d1c8a799996bf0265b98b5d48ab919")
    lengths = (0, 1, 2, 31, 32, 33, 134, 135, 136, 137, 271, 272, 273, 1024, 4096)
    vectors = {
        "layouts": {name: content.hex() for name, content in LAYOUTS.items()},
        "heads": (u32(2) + u32(0) + u64(9) + h32(1) + u32(7) + u64(0) + h32(2)).hex(),
        "seal": seal_vectors(),
        "identity": identity_vectors(),
        "sha3_256": [{"length": n, "digest": hashlib.sha3_256(bytes((7 * i + 3) % 256 for i in range(n))).hexdigest()}
                     for n in lengths],
    }
    path = pathlib.Path(__file__).with_name("layouts.json")
    path.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
