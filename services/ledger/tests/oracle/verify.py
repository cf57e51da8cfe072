#!/usr/bin/env python3
"""Independent verifier of ledger exports, standard library only: a differential oracle for the Rust one.

It was written from FORMAT.md, shares no code with the crate, reads whole files and is slow on purpose. For each FILE
it prints one JSON object: verdict, fault, partition, seq. Arguments starting with `--partial` or
`--expect-head=P:SEQ:HASH` apply to all files.
"""
import hashlib
import json
import struct
import sys

MAGIC = b"lexecon/ledger-export@v1\n"
RECORD_MAX = 900 * 1024
ANSWERS = (1, 2, 3, 5)


def sha3(data):
    return hashlib.sha3_256(data).digest()


def tag(name):
    text = b"lexecon/v1/" + name.encode()
    return bytes([len(text)]) + text


class Fault(Exception):
    def __init__(self, kind, place=(None, None), detail=""):
        super().__init__(detail)
        self.kind, self.place = kind, place


class Bad(Exception):
    """Bytes that are not the layout."""


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Bad("short")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def text(self, form="B"):
        try:
            return self.take(self.number(form)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Bad("text") from error

    def below(self, limit):
        value = self.number("B")
        if value >= limit:
            raise Bad("unknown value")
        return value

    def end(self):
        if self.at != len(self.data):
            raise Bad("trailing")


def genesis(chain):
    return sha3(tag("genesis") + chain[0] + struct.pack(">II", chain[1], chain[2]))


def event_id(chain, seq):
    raw = bytearray(sha3(tag("event-id") + chain[0] + struct.pack(">IIQ", chain[1], chain[2], seq))[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def link(prev, content):
    return sha3(tag("chain") + prev + sha3(content))


def root(leaves):
    if len(leaves) == 1:
        return sha3(b"\0" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha3(b"\1" + root(leaves[:split]) + root(leaves[split:]))


class Event:
    def __init__(self, stored):
        cursor = Cursor(stored)
        self.prev = cursor.take(32)
        start = cursor.at
        if cursor.take(17) != tag("event"):
            raise Bad("tag")
        if cursor.take(2) != b"\1\1":
            raise Bad("format or suite")
        self.chain = (cursor.take(16), cursor.number("I"), cursor.number("I"))
        self.seq = cursor.number("Q")
        self.epoch = cursor.number("I")
        self.type = cursor.number("H")
        self.id = cursor.take(16)
        self.time = cursor.number("q")
        self.schema = cursor.take(32)
        self.entries = []
        for _ in range(cursor.number("H")):
            self.entries.append((cursor.number("H"), cursor.below(3), cursor.number("Q"), cursor.take(32)))
        tags = [entry[0] for entry in self.entries]
        if any(a >= b for a, b in zip(tags, tags[1:])):
            raise Bad("order")
        self.body = stored[start:cursor.at]
        self.present = []
        while cursor.at < len(stored):
            section = cursor.number("H")
            self.present.append((section, cursor.take(cursor.number("Q"))))
        self.hash = link(self.prev, self.body)
        self.consistent = self.id == event_id(self.chain, self.seq)

    def sections_match(self):
        entries = iter(self.entries)
        for section, content in self.present:
            entry = next((e for e in entries if e[0] == section), None)
            if entry is None or entry[2] != len(content):
                return False
            if sha3(tag("section") + struct.pack(">HBQ", *entry[:3]) + content) != entry[3]:
                return False
        return True

    def clear(self, section):
        if not any(e[0] == section and e[1] == 0 for e in self.entries):
            raise Bad("no such clear section")
        for present, content in self.present:
            if present == section:
                return content
        raise Bad("absent")


class Run:
    def __init__(self, data):
        cursor = Cursor(data)
        if cursor.take(15) != tag("run") or cursor.take(1) != b"\1":
            raise Bad("tag or format")
        self.chain = (cursor.take(16), cursor.number("I"), cursor.number("I"))
        self.first, self.last = cursor.number("Q"), cursor.number("Q")
        self.prev, self.end, self.root = cursor.take(32), cursor.take(32), cursor.take(32)
        self.inputs = []
        for _ in range(cursor.number("H")):
            topic = cursor.text()
            self.inputs.append(((topic.encode(), cursor.number("I")), [cursor.number("Q") for _ in range(6)]))
        cursor.end()
        self.head = link(self.end, data)


def read_facts(data):
    c = Cursor(data)
    if c.number("B") != 1:
        raise Bad("layout")
    c.text()
    c.take(96)
    pair = (c.text().encode(), c.number("I"))
    offset = c.number("Q")
    c.take(8 + 32 + 2 + 3)
    c.take(17 * c.number("H"))
    c.text()
    if c.below(2):
        c.take(11)
    for _ in range(c.number("B")):
        c.text(), c.text()
    c.end()
    return pair, offset


def read_outcome(data):
    c = Cursor(data)
    if c.number("B") != 1:
        raise Bad("layout")
    c.below(4)
    c.number("H")
    number = c.number("Q")
    for _ in range(2):
        for _ in range(c.number("H")):
            c.text()
    c.end()
    return number


# What follows the layout byte: t text, T long text, d document (u32 length), c commitments, digits bytes, m mark.
LAYOUTS = {
    6: "32 d", 7: "", 8: "t 16 16 1 4 32", 9: "t 16 16 1", 10: "t 16 c 8 32", 11: "t 16 4", 12: "4 4", 13: "4",
    32: "32 4 4 p", 33: "32 1 16 8", 34: "t 16", 35: "16 t 4 8 2 T", 36: "16 4 8 m",
}


def read_layout(data, layout):
    c, out = Cursor(data), []
    if c.number("B") != 1:
        raise Bad("layout")
    for part in layout.split():
        if part == "t":
            out.append(c.text())
        elif part == "T":
            out.append(c.text("H"))
        elif part in "dp":
            length = c.number("I")
            if length > (RECORD_MAX if part == "d" else 256 * 1024):
                raise Bad("long")
            out.append(c.take(length))
        elif part == "c":
            out.append(c.take(32 * c.number("H")))
        elif part == "m":
            out.append(c.below(2))
        else:
            out.append(c.take(int(part)))
    c.end()
    return out


def read_claim(data):
    c = Cursor(data)
    if c.number("B") != 1:
        raise Bad("layout")
    c.take(16)
    starts = None
    if c.below(2):
        c.number("I")
        c.below(2)
        starts = []
        for _ in range(c.number("H")):
            pair = (c.text().encode(), c.number("I"))
            c.take(16)
            starts.append((pair, c.number("Q")))
    c.end()
    return starts


class Chain:
    def __init__(self, name, next_seq, head, epoch, partial):
        self.name, self.next, self.head, self.epoch, self.partial = name, next_seq, head, epoch, partial
        self.closed = False
        self.next_epoch = None
        self.time = -(1 << 63)
        self.outcome = None if partial else 0
        self.schemas = set()
        self.inputs = {}


class Verifier:
    def __init__(self, partial=False, anchors=()):
        self.partial = partial
        self.anchors = [[a, None] for a in anchors]
        self.documents = {}
        self.now = None
        self.done = {}
        self.batch, self.size = [], 0
        self.any_event = False

    def here(self):
        if self.batch:
            found = self.belongs(self.batch[0], None)
            return (found[0][1], found[1] + len(self.batch)) if found else (None, None)
        return (self.now.name[1], self.now.next) if self.now else (None, None)

    def belongs(self, first, run):
        try:
            event = Event(first)
        except Bad:
            event = None
        if self.now:
            extends = first[:32] == self.now.head or (run and run.prev == self.now.head)
            if extends or (event and event.chain == self.now.name):
                return self.now.name, self.now.next
        if event and event.consistent:
            return event.chain, event.seq
        return (run.chain, run.first) if run else None

    def file(self, data):
        if data[:len(MAGIC)] != MAGIC[:len(data)]:
            raise Fault("UNDECODABLE")
        if len(data) < len(MAGIC):
            raise Fault("TRUNCATED")
        at, ended = len(MAGIC), False
        while at < len(data):
            kind = data[at]
            if kind > 3:
                raise Fault("UNDECODABLE", self.here())
            if at + 5 > len(data):
                raise Fault("TRUNCATED", self.here())
            length = int.from_bytes(data[at + 1:at + 5], "big")
            if length > RECORD_MAX:
                raise Fault("UNDECODABLE", self.here())
            if at + 5 + length > len(data):
                raise Fault("TRUNCATED", self.here())
            if ended:
                raise Fault("UNDECODABLE", self.here())
            content = data[at + 5:at + 5 + length]
            at += 5 + length
            if kind == 0:
                self.document(content)
            elif kind == 3:
                self.heads(content)
                ended = True
            else:
                self.any_event = True
                self.size += 5 + length
                if self.size > RECORD_MAX:
                    raise Fault("UNDECODABLE", self.here())
                if kind == 1:
                    self.batch.append(content)
                else:
                    self.run(content)
                    self.batch, self.size = [], 0
        if not ended:
            raise Fault("TRUNCATED", self.here())
        if not all(self.documents.values()):
            raise Fault("BODY_MISMATCH")
        self.compare_anchors()

    def document(self, content):
        name = sha3(tag("schema") + struct.pack(">Q", len(content)) + content)
        if self.any_event or name in self.documents:
            raise Fault("UNDECODABLE", self.here())
        self.documents[name] = False

    def run(self, data):
        try:
            run = Run(data)
        except Bad:
            run = None
        if not self.batch:
            raise Fault("LINK_BROKEN" if run else "UNDECODABLE", self.here())
        found = self.belongs(self.batch[0], run)
        if not found:
            raise Fault("UNDECODABLE")
        self.enter(*found)
        events = self.events()
        self.covered(events, run)
        self.committed(events, run)
        self.written(events)
        self.meaning(events, run)
        for anchor in self.anchors:
            (partition, seq, known), seen = anchor
            if partition == run.chain[1] and run.first <= seq <= run.last and seen is not True:
                hashes = [events[seq - run.first].hash] + ([run.head] if seq == run.last else [])
                anchor[1] = known in hashes
        now = self.now
        now.next, now.head, now.epoch = run.last + 1, run.head, events[0].epoch
        now.closed = events[-1].type == 13

    def enter(self, name, seq):
        now = self.now
        if now and now.name == name:
            return
        if now:
            if now.name[0] != name[0]:
                raise Fault("LINK_BROKEN", (name[1], seq))
            if name[1] < now.name[1]:
                raise Fault("FORKED" if name[1] in self.done else "UNDECODABLE", (name[1], seq))
            if name[1] == now.name[1]:
                if not now.closed or now.next_epoch != name[2] or seq:
                    raise Fault("LINK_BROKEN", (name[1], now.next))
            else:
                self.done[now.name[1]] = now
        if seq == 0:
            self.now = Chain(name, 0, genesis(name), 0, False)
        elif not self.partial:
            raise Fault("LINK_BROKEN", (name[1], 0))
        else:
            try:
                first = Event(self.batch[0])
                head, epoch = first.prev, max(first.epoch - (first.type == 0), 0)
            except Bad:
                head, epoch = bytes(32), 0
            self.now = Chain(name, seq, head, epoch, True)

    def at(self, index):
        return (self.now.name[1], self.now.next + index)

    def events(self):
        events = []
        for index, stored in enumerate(self.batch):
            place = self.at(index)
            try:
                event = Event(stored)
            except Bad as error:
                raise Fault("UNDECODABLE", place) from error
            if not event.consistent:
                raise Fault("BODY_MISMATCH", place)
            if event.chain != self.now.name:
                raise Fault("LINK_BROKEN", place)
            if event.seq < place[1]:
                raise Fault("FORKED", (place[0], event.seq))
            if event.seq > place[1]:
                raise Fault("LINK_BROKEN", place)
            if not event.sections_match():
                raise Fault("BODY_MISMATCH", place)
            events.append(event)
        return events

    def covered(self, events, run):
        first, after = self.now.next, self.now.next + len(events)
        last = self.at(len(events) - 1)
        if not run:
            raise Fault("UNDECODABLE", last)
        if run.chain != self.now.name:
            raise Fault("BODY_MISMATCH", last)
        if first < run.first < after:
            raise Fault("LINK_BROKEN", (last[0], run.first))
        if run.last >= after:
            raise Fault("LINK_BROKEN", (last[0], after))
        if (run.first, run.last + 1) != (first, after):
            raise Fault("LINK_BROKEN", last)

    def committed(self, events, run):
        last = self.at(len(events) - 1)
        chained = [self.now.head]
        for event in events:
            chained.append(link(chained[-1], event.body))
        broken = next((i for i, e in enumerate(events) if e.prev != chained[i]), None)
        root_holds, end_holds = root(chained[1:]) == run.root, chained[-1] == run.end
        if root_holds or end_holds:
            if broken is not None:
                raise Fault("LINK_BROKEN", self.at(broken))
            if run.prev != self.now.head or not end_holds:
                raise Fault("LINK_BROKEN", last)
            if not root_holds:
                raise Fault("BODY_MISMATCH", last)
        elif broken == 0:
            raise Fault("LINK_BROKEN", self.at(0))
        elif broken:
            raise Fault("BODY_MISMATCH", self.at(broken - 1))
        else:
            raise Fault("BODY_MISMATCH", last)

    def written(self, events):
        if self.now.closed:
            raise Fault("FORKED", self.at(0))
        for index, event in enumerate(events):
            if index:
                expected = events[0].epoch
            elif event.type == 0:
                expected = self.now.epoch + 1
            else:
                expected = self.now.epoch if self.now.next else None
            if event.epoch != expected or (index and (event.type == 0 or events[index - 1].type == 13)):
                raise Fault("FORKED", self.at(index))

    def meaning(self, events, run):
        tallies = {}
        for index, event in enumerate(events):
            place = self.at(index)
            present = {section for section, _ in event.present}
            if any(kind != 1 and section not in present for section, kind, _, _ in event.entries):
                raise Fault("BODY_MISMATCH", place)
            if event.time < self.now.time:
                raise Fault("LINK_BROKEN", place)
            self.now.time = event.time
            try:
                self.layout(event, place, tallies)
            except Bad as error:
                raise Fault("UNDECODABLE", place) from error
            self.schema(event, place)
        self.accounting(run, tallies)

    def layout(self, event, place, tallies):
        now = self.now
        if event.type in ANSWERS:
            pair, offset = read_facts(event.clear(1))
            number = read_outcome(event.clear(2))
            if now.outcome is not None and number != now.outcome:
                raise Fault("ACCOUNTING", place)
            now.outcome = number + (event.type != 3)
            tally = tallies.setdefault(pair, [0, 0, []])
            tally[event.type != 1] += 1
            tally[2].append((offset, offset + 1, event.seq))
        elif event.type == 0:
            starts = read_claim(event.clear(1))
            if (starts is None) == (event.seq == 0):
                raise Bad("origin")
            for pair, start in starts or ():
                if pair in now.inputs:
                    raise Fault("ACCOUNTING", place)
                now.inputs[pair] = start
        elif event.type == 4:
            c = Cursor(event.clear(1))
            if c.number("B") != 1:
                raise Bad("layout")
            pair = (c.text().encode(), c.number("I"))
            start, end = c.number("Q"), c.number("Q")
            c.number("B")
            c.end()
            if end < start:
                raise Fault("ACCOUNTING", place)
            tally = tallies.setdefault(pair, [0, 0, []])
            tally[1] += end - start
            tally[2].append((start, end, event.seq))
        elif event.type <= 36:
            content = event.clear(1)
            if event.type not in LAYOUTS:
                raise Bad("event type")
            fields = read_layout(content, LAYOUTS[event.type])
            if event.type == 6:
                name = sha3(tag("schema") + struct.pack(">Q", len(fields[1])) + fields[1])
                if name != fields[0] or name not in self.documents:
                    raise Fault("BODY_MISMATCH", place)
                now.schemas.add(name)
                self.documents[name] = True
            if event.type == 13:
                now.next_epoch = int.from_bytes(fields[0], "big")

    def schema(self, event, place):
        if event.schema == bytes(32):
            if any(entry[0] >= 16 for entry in event.entries):
                raise Fault("UNDECODABLE", place)
        elif event.schema not in self.now.schemas:
            if not self.now.partial or event.schema not in self.documents:
                raise Fault("BODY_MISMATCH", place)
            self.documents[event.schema] = True

    def accounting(self, run, tallies):
        partition, known = self.now.name[1], self.now.inputs
        pairs = [pair for pair, _ in run.inputs]
        if any(a >= b for a, b in zip(pairs, pairs[1:])):
            raise Fault("ACCOUNTING", (partition, run.last))
        for pair, (start, end, requests, decisions, rejected, other) in run.inputs:
            tiles = known[pair] == start if pair in known else self.now.partial
            fills = requests + other == end - start and decisions + rejected <= requests
            tally = tallies.pop(pair, [0, 0, []])
            if not tiles or not fills or tally[:2] != [decisions, rejected]:
                raise Fault("ACCOUNTING", (partition, run.last))
            at = start
            for first, after, seq in sorted(tally[2]):
                if first < at or after > end:
                    raise Fault("ACCOUNTING", (partition, seq))
                at = after
            known[pair] = end
        if tallies:
            raise Fault("ACCOUNTING", (partition, run.last))

    def heads(self, content):
        try:
            c = Cursor(content)
            stated = [(c.number("I"), c.number("Q"), c.take(32)) for _ in range(c.number("I"))]
            c.end()
            if any(a[0] >= b[0] for a, b in zip(stated, stated[1:])):
                raise Bad("order")
        except Bad as error:
            raise Fault("UNDECODABLE", self.here()) from error
        if self.batch:
            raise Fault("TRUNCATED", self.here())
        if self.now:
            self.done[self.now.name[1]] = self.now
            self.now = None
        stated = {entry[0]: entry[1:] for entry in stated}
        for partition, chain in sorted(self.done.items()):
            if partition not in stated:
                raise Fault("LINK_BROKEN", (partition, chain.next - 1))
            last, head = stated.pop(partition)
            if last > chain.next - 1:
                raise Fault("TRUNCATED", (partition, chain.next))
            if last < chain.next - 1 or head != chain.head:
                raise Fault("LINK_BROKEN", (partition, chain.next - 1))
        if stated:
            raise Fault("TRUNCATED", (min(stated), 0))

    def compare_anchors(self):
        for (partition, seq, _), seen in self.anchors:
            after = self.done[partition].next if partition in self.done else 0
            if seen is False:
                raise Fault("FORKED", (partition, seq))
            if seen is None and seq >= after:
                raise Fault("TRUNCATED", (partition, after))
            if seen is None:
                raise Fault("LINK_BROKEN", (partition, seq))


def verdict(path, partial, anchors):
    with open(path, "rb") as file:
        data = file.read()
    try:
        Verifier(partial, anchors).file(data)
    except Fault as fault:
        partition, seq = fault.place
        return {"verdict": "INVALID", "fault": fault.kind, "partition": partition, "seq": seq}
    return {"verdict": "VALID", "fault": None, "partition": None, "seq": None}


def main():
    files = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    anchors = []
    for argument in sys.argv[1:]:
        if argument.startswith("--expect-head="):
            partition, seq, known = argument.split("=", 1)[1].split(":")
            anchors.append((int(partition), int(seq), bytes.fromhex(known)))
    for path in files:
        print(json.dumps(verdict(path, "--partial" in sys.argv[1:], anchors)))


if __name__ == "__main__":
    main()
