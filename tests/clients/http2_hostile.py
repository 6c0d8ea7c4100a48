"""A hostile client of HTTP/2: http2_hostile.py HOST PORT SEED CONNECTIONS. By the package's own machine, and with frames
that it would not send; what the server sends has to be in order all the same. Prints how the connections ended."""

import random
import socket
import struct
import sys

import h2.config
import h2.connection
import h2.events
import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

host, port, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
r = random.Random(seed)
BASE = [(":method", "GET"), (":scheme", "http"), (":path", "/small"), (":authority", "a.test")]


class Hostile:
    def __init__(self):
        self.sock = socket.create_connection((host, port))
        self.sock.settimeout(60)
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.conn = h2.connection.H2Connection(config=config)
        self.conn.initiate_connection()
        self.flush()
        self.legal, self.buf, self.decoder, self.block = True, b"", hpack.Decoder(), None
        self.decoder.max_header_list_size = 1 << 20
        self.dead, self.pongs, self.goaway, self.opened, self.ended = False, set(), None, set(), set()
        self.window = 65535

    def flush(self):
        self.raw(self.conn.data_to_send())

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.dead = True

    def frame(self, frame):
        self.legal = False
        if isinstance(frame, WindowUpdateFrame) and frame.stream_id == 0:
            self.window += frame.window_increment
        self.raw(frame.serialize())

    # A frame of any type but WINDOW_UPDATE, which is counted.
    def any(self, payload):
        self.known = False
        self.legal = False
        kind, flags = r.choice([0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 16, 255]), r.getrandbits(8)
        sid = self.sid() | r.choice([0, 1 << 31])
        self.raw(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", sid) + payload)

    def request(self, path, body=None):
        sid = self.conn.get_next_available_stream_id()
        method = "GET" if body is None else "POST"
        fields = [(":method", method), BASE[1], (":path", path), BASE[3]]
        self.conn.send_headers(sid, fields, end_stream=body is None)
        self.opened.add(sid)
        if body is not None:
            size = min(len(body), self.conn.local_flow_control_window(sid), 16384)
            self.conn.send_data(sid, body[:size], end_stream=True)
        self.flush()
        return sid

    def sid(self):
        return r.choice(sorted(self.opened) + [0, 1, 2, 99, 2**31 - 1])

    # What came has to be frames, whatever was sent.
    def take(self, data):
        self.buf += data
        while len(self.buf) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.buf[:9]))
            assert length <= 16384, "a frame of %d" % length
            if len(self.buf) < 9 + length:
                break
            frame.parse_body(memoryview(self.buf[9 : 9 + length]))
            self.buf = self.buf[9 + length :]
            assert self.goaway is None or not self.final, "a frame behind the last GOAWAY: %r" % frame
            assert self.block is None or isinstance(frame, ContinuationFrame), "within a block: %r" % frame
            assert frame.stream_id == 0 or frame.stream_id in self.opened or not self.known, repr(frame)
            if isinstance(frame, (HeadersFrame, ContinuationFrame)):
                self.block = (self.block or b"") + frame.data
                if "END_HEADERS" in frame.flags:
                    fields = self.decoder.decode(self.block)
                    for name, value in fields:
                        assert name == name.lower() and name, fields
                    assert all(name[0] != ":" or name == ":status" for name, _ in fields), fields
                    self.block = None
            elif isinstance(frame, DataFrame):
                assert frame.stream_id not in self.ended, "DATA behind the end: %r" % frame
                self.window -= frame.flow_controlled_length
                assert self.window >= 0, "more DATA than the window"
            elif isinstance(frame, PingFrame) and "ACK" in frame.flags:
                self.pongs.add(frame.opaque_data)
            elif isinstance(frame, GoAwayFrame):
                self.goaway = frame.error_code
                self.final = frame.error_code != 0
            elif isinstance(frame, (ExtensionFrame, PushPromiseFrame)):
                raise AssertionError("no frame of a server: %r" % frame)
            if "END_STREAM" in frame.flags:
                self.ended.add(frame.stream_id)

    # What is missing where nothing comes.
    def receive(self, missing):
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            raise AssertionError(missing) from None
        except ConnectionError:
            data = b""
        if not data:
            self.dead = True
            return
        self.take(data)
        if self.legal:
            # Judged by the package's own machine as well.
            for event in self.conn.receive_data(data):
                assert not isinstance(event, h2.events.ConnectionTerminated), "GOAWAY for nothing: %r" % event

    final, known = False, True

    # The server has understood all that was sent, or has given the connection up.
    def settle(self):
        mark = struct.pack(">Q", r.getrandbits(63))
        if self.legal:
            self.conn.ping(mark)
            self.flush()
        else:
            self.raw(PingFrame(0, mark).serialize())
        while not self.dead and mark not in self.pongs:
            self.receive("no answer to PING")


def garbage(size):
    return bytes(r.getrandbits(8) for _ in range(size))


def block(fields):
    return hpack.Encoder().encode(fields)


def posted(path):
    return [(":method", "POST"), BASE[1], (":path", path), BASE[3]]


def headers(c, data, *flags, sid=None):
    sid = sid or max(c.opened, default=-1) + 2
    c.opened.add(sid)
    c.frame(HeadersFrame(sid, data, flags=["END_HEADERS", *flags]))


def get(c):
    if c.legal:
        c.request(r.choice(["/small", "/large", "/missing"]))


def post(c):
    if c.legal:
        c.request("/up/%d" % r.getrandbits(40), garbage(r.choice([0, 1, 5000])))


def reset(c):
    if c.opened:
        c.frame(RstStreamFrame(r.choice(sorted(c.opened)), error_code=8))


def settings(c):
    values = [0, 1, 100, 16384, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1]
    c.frame(SettingsFrame(0, {r.choice([1, 3, 4, 5, 6, 8, 9, 77]): r.choice(values) for _ in range(r.randrange(5))}))


def priority(c):
    depends, weight = c.sid(), r.randrange(256)
    c.frame(PriorityFrame(c.sid() or 1, depends_on=depends, stream_weight=weight, exclusive=r.random() < 0.5))


def window(c):
    c.frame(WindowUpdateFrame(c.sid(), window_increment=r.choice([1, 5, 65536, 2**31 - 1])))


def upper(c):
    headers(c, block(BASE + [("X-Up", "1")]), "END_STREAM")


def pseudo(c):
    names = [":path", ":x", ":status", "", "te", "connection", "a b"]
    wrong = [(r.choice(names), r.choice(["", "x", "\n", "\0", "/"])) for _ in range(3)]
    headers(c, block(r.sample(BASE * 2, r.randrange(7)) + wrong), "END_STREAM")


def corrupt(c):
    data = block(BASE + [("x", "y" * 50)])
    headers(c, bytes(b if r.random() > 0.1 else r.getrandbits(8) for b in data), "END_STREAM")


def unfinished(c):
    c.legal = c.known = False
    c.raw(HeadersFrame(max(c.opened, default=-1) + 2, block(BASE)[:3], flags=[]).serialize())


def length(c):
    value = r.choice(["0", "3", "-1", "x", "9" * 30])
    headers(c, block(posted("/up/x") + [("content-length", value)]))
    c.frame(DataFrame(max(c.opened), garbage(r.randrange(9)), flags=["END_STREAM"]))


def data(c):
    c.frame(DataFrame(c.sid() or 3, garbage(r.choice([0, 9, 16384])), flags=r.choice([[], ["END_STREAM"]])))


def padded(c):
    c.frame(DataFrame(c.sid() or 3, b"abc", pad_length=r.randrange(256), flags=["PADDED"]))


def trailers(c):
    headers(c, block(posted("/up/y")))
    end = r.choice([[], ["END_STREAM"]])
    headers(c, block([(r.choice(["x", ":path", "X"]), "y")]), *end, sid=max(c.opened))


def push(c):
    c.frame(PushPromiseFrame(c.sid() or 1, promised_stream_id=2, data=block(BASE), flags=["END_HEADERS"]))


def goaway(c):
    c.frame(GoAwayFrame(0, last_stream_id=c.sid(), error_code=r.randrange(20)))


def continuation(c):
    c.frame(ContinuationFrame(c.sid() or 1, block(BASE), flags=r.choice([[], ["END_HEADERS"]])))


def bomb(c):
    headers(c, b"\x40\x01a\x7f\x81\x1e" + b"b" * 4096 + b"\xbe" * 9000, "END_STREAM")


def pings(c):
    for _ in range(20):
        c.frame(PingFrame(0, garbage(8), flags=r.choice([[], ["ACK"]])))


def anything(c):
    c.any(garbage(r.choice([0, 1, 4, 5, 6, 8, 9, 100])))


def noise(c):
    c.legal = c.known = False
    c.raw(garbage(r.choice([1, 8, 9, 50])))


# After these the server may wait for the rest of something.
HALVES = [unfinished, noise, anything, continuation, corrupt]
ACTIONS = HALVES + [get, post, reset, settings, priority, window, upper, pseudo, length, data, padded, trailers, push]
ACTIONS += [goaway, bomb, pings]

ends = {}
for number in range(rounds):
    c = Hostile()
    actions = [r.choice([get, post, r.choice(ACTIONS), r.choice(ACTIONS)]) for _ in range(r.randrange(1, 9))]
    try:
        is_cut = False
        for action in actions:
            action(c)
            if c.dead:
                break
            is_cut |= action in HALVES
            if not is_cut and r.random() < 0.5:
                c.settle()
        if is_cut or r.random() < 0.2:
            try:
                c.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            while not c.dead:
                c.receive("no end of a connection that its client has ended")
        else:
            c.settle()
        assert not c.legal or c.goaway is None
    except Exception:
        print("connection", number, [action.__name__ for action in actions], file=sys.stderr)
        raise
    end = (
        "legal" if c.legal else "closed" if c.goaway is None and c.dead else "lives" if c.goaway is None else "goaway"
    )
    ends[end] = ends.get(end, 0) + 1
    c.sock.close()
print(*("%s=%d" % end for end in sorted(ends.items())))
