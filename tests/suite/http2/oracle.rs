//! The codecs beside PyPI's `hpack`, `hyperframe` and `h2`: what they encode is decoded alike, what we encode they
//! decode, and their client is served. Skipped, loudly, where python3 or the packages are missing.

use super::site;
use crate::table::skipped;
use crate::uploads::clients::packages;
use std::io::Write;
use std::process::{Command, Stdio};
use webserv::http::h2::hpack::{Block, Bounds, Decoder, encode};

fn python(script: &str, input: &str, args: &[String]) -> Option<String> {
    // Where .ci/run installs them, or with the system.
    let modules = packages().join("python");
    let run = || {
        let mut command = Command::new("python3");
        if modules.is_dir() {
            command.env("PYTHONPATH", &modules);
        }
        command
    };
    let probe = run().args(["-c", "import h2, hpack, hyperframe"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        skipped("python3 with the packages h2, hpack and hyperframe");
        return None;
    }
    let mut child = run()
        .args(["-c", script])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "the oracle failed");
    Some(String::from_utf8(out.stdout).expect("text"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

/// Header lists with every kind of repetition: what a table is for.
const ENCODE: &str = "
import random, sys
from hpack import Encoder
random.seed(7)
e = Encoder()
names = [':method', ':path', 'accept', 'cookie', 'x-a', 'x-long', 'user-agent', 'content-type']
for block in range(400):
    if block % 37 == 36:
        e.header_table_size = random.choice([0, 100, 1000, 4096])
    fields = []
    for _ in range(random.randrange(1, 12)):
        value = bytes(random.randrange(32, 256) for _ in range(random.choice([0, 1, 5, 20, 300])))
        if random.random() < 0.5:
            value = random.choice([b'GET', b'/', b'a=b', b'text/html'])
        fields.append((random.choice(names).encode(), value))
    data = e.encode(fields, huffman=random.random() < 0.7)
    print(data.hex(), ' '.join(n.hex() + ':' + v.hex() for n, v in fields))
";

#[test]
fn blocks_of_hpack_are_decoded_to_what_went_in() {
    let Some(lines) = python(ENCODE, "", &[]) else { return };
    let mut decoder = Decoder::default();
    let bounds = Bounds { total: 1 << 20, fields: 1000 };
    for (at, line) in lines.lines().enumerate() {
        let (data, fields) = line.split_once(' ').expect("two parts");
        let mut block = Block::default();
        decoder.decode(&unhex(data), &bounds, &mut block).unwrap_or_else(|e| panic!("block {at}: {e}"));
        let got: Vec<String> = (block.fields.iter())
            .map(|field| format!("{}:{}", hex(field.name.of(&block.text)), hex(field.value.of(&block.text))))
            .collect();
        assert_eq!(got.join(" "), fields, "block {at}");
    }
}

const DECODE: &str = "
import sys
from hpack import Decoder
d = Decoder()
d.max_allowed_table_size = 4096
for line in sys.stdin:
    fields = d.decode(bytes.fromhex(line.strip()), raw=True)
    print(' '.join(n.hex() + ':' + v.hex() for n, v in fields))
";

#[test]
fn our_blocks_are_decoded_by_hpack() {
    let all: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 6] = [b"", b"text/html", b"Mon, 01 Jan 2024 00:00:00 GMT", &all, &[b'x'; 5000], b"\xff\xff"];
    let (mut input, mut wanted) = (String::new(), String::new());
    for (at, value) in values.into_iter().enumerate() {
        for name in ["content-type", "x-unknown", "etag", "set-cookie", "a"] {
            let mut out = if input.is_empty() { vec![encode::NO_TABLE] } else { Vec::new() };
            let status = [200u16, 404, 206, 418, 103, 500][at];
            encode::status(&mut out, status);
            encode::field(&mut out, name.as_bytes(), value);
            input.push_str(&format!("{}\n", hex(&out)));
            let status = hex(status.to_string().as_bytes());
            wanted.push_str(&format!("{}:{status} {}:{}\n", hex(b":status"), hex(name.as_bytes()), hex(value)));
        }
    }
    let Some(got) = python(DECODE, &input, &[]) else { return };
    assert_eq!(got, wanted);
}

/// PyPI's own client, which checks what a server may send.
const CLIENT: &str = "
import socket, sys
import h2.connection, h2.config, h2.events
host, port = sys.argv[1], int(sys.argv[2])
sock = socket.create_connection((host, port)); sock.settimeout(20)
conn = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=True, header_encoding='utf-8'))
conn.initiate_connection(); sock.sendall(conn.data_to_send())
paths = ['/small', '/large', '/missing', '/small', '/large']
streams = {}
for path in paths:
    sid = conn.get_next_available_stream_id()
    conn.send_headers(sid, [(':method', 'GET'), (':scheme', 'http'), (':path', path), (':authority', 'a.test')], end_stream=True)
    streams[sid] = [path, None, 0, False]
sock.sendall(conn.data_to_send())
while not all(s[3] for s in streams.values()):
    data = sock.recv(65536)
    assert data, 'the server has gone'
    for event in conn.receive_data(data):
        if isinstance(event, h2.events.ResponseReceived):
            streams[event.stream_id][1] = dict(event.headers)[':status']
        elif isinstance(event, h2.events.DataReceived):
            streams[event.stream_id][2] += len(event.data)
            conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            streams[event.stream_id][3] = True
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            raise SystemExit(repr(event))
    sock.sendall(conn.data_to_send())
for path, status, size, _ in streams.values():
    print(path, status, size)
";

#[test]
fn the_client_of_the_h2_package_is_served() {
    let s = site("");
    let args = [s.address(0).ip().to_string(), s.port().to_string()];
    let Some(out) = python(CLIENT, "", &args) else { return };
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!((lines[0], lines[1], lines[4]), ("/small 200 5", "/large 200 3000000", "/large 200 3000000"));
    assert!(lines[2].starts_with("/missing 404 "), "{}", lines[2]);
}

/// Blocks that were damaged, and blocks put together from what a decoder has to take or to refuse: each by itself, to
/// be decoded behind one that fills the table. What `hpack` makes of it: fields, or `-` where it is none.
const DAMAGE: &str = r"
import random
from hpack import Encoder, Decoder
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
random.seed(11)

def integer(value, bits, first=0, zeros=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(128 | value & 127)
        value >>= 7
    out.append(value | (128 if zeros else 0))
    out += [128] * (zeros - 1) + [0] * (zeros > 0)
    return bytes(out)

def string(value, huff):
    data = huffman.encode(value) if huff else value
    return integer(len(data), 7, 128 if huff else 0) + data

def text():
    return bytes(random.randrange(256) for _ in range(random.choice([0, 1, 2, 9, 126, 127, 128, 254, 255, 256, 400])))

def field():
    kind = random.randrange(8)
    if kind == 0:
        return integer(random.choice([0, 1, 2, 61, 62, 63, 70, 126, 127, 128, 129, 254, 255, 256, 16383, 1 << 20]), 7, 128)
    if kind == 1:
        return integer(random.choice([0, 1, 30, 31, 32, 4095, 4096, 4097, 1 << 16]), 5, 32)
    bits, first = random.choice([(6, 64), (4, 0), (4, 16)])
    name = random.choice([0, 0, 1, 14, 15, 16, 61, 62, 63, 64, 65, 80])
    out = integer(name, bits, first, random.choice([0, 0, 0, 1]))
    if name == 0:
        out += string(text(), random.random() < .5)
    return out + string(text(), random.random() < .5)

def damaged(data):
    data = bytearray(data)
    for _ in range(random.choice([0, 1, 1, 2])):
        if not data:
            break
        at = random.randrange(len(data))
        what = random.randrange(4)
        if what == 0:
            data[at] ^= 1 << random.randrange(8)
        elif what == 1:
            del data[at:at + random.choice([1, 2, 50])]
        elif what == 2:
            data[at:at] = bytes(random.choice([0, 0x20, 0x3f, 0x7f, 0x80, 0xbe, 0xff]) for _ in range(random.choice([1, 2, 4])))
        else:
            del data[at:]
    return bytes(data)

filled = b''.join(bytes([64]) + string(b'name-%d' % n, n % 2) + string(b'v' * (40 * n), n % 3 == 0) for n in range(9))
print(filled.hex())
for _ in range(6000):
    data = damaged(b''.join(field() for _ in range(random.choice([1, 1, 2, 5]))))
    d = Decoder(max_header_list_size=1 << 30)
    d.max_allowed_table_size = 4096
    d.decode(filled, raw=True)
    try:
        fields = d.decode(data, raw=True)
        said = ' '.join(n.hex() + ':' + v.hex() for n, v in fields)
        # What is in the table then is shown by the entries that a last block names.
        for index in range(62, 90):
            try:
                (n, v), = d.decode(integer(index, 7, 128), raw=True)
                said += ' ' + n.hex() + ':' + v.hex()
            except Exception:
                said += ' end'
                break
    except Exception:
        said = '-'
    print(data.hex() + '|' + said)
";

#[test]
fn damaged_blocks_are_judged_as_hpack_does() {
    let Some(lines) = python(DAMAGE, "", &[]) else { return };
    let bounds = Bounds { total: 1 << 20, fields: 1000 };
    let mut lines = lines.lines();
    let filled = unhex(lines.next().expect("the first block"));
    let index = |index: usize| match index {
        0..127 => vec![0x80 | index as u8],
        _ => vec![0xff, (index - 127) as u8],
    };
    let (mut taken, mut refused, mut unlike) = (0, 0, Vec::new());
    for line in lines {
        let (data, said) = line.split_once('|').expect("two parts");
        let mut decoder = Decoder::default();
        let mut block = Block::default();
        decoder.decode(&filled, &bounds, &mut block).expect("a block");
        let mut read = |data: &[u8]| {
            let mut block = Block::default();
            decoder.decode(data, &bounds, &mut block).ok()?;
            let text = |span: webserv::util::span::Span| hex(span.of(&block.text));
            Some(block.fields.iter().map(|field| format!("{}:{}", text(field.name), text(field.value))).collect())
        };
        let got: Option<Vec<String>> = read(&unhex(data));
        let got = got.map(|mut got| {
            for at in 62..90 {
                match read(&index(at)) {
                    Some(entry) => got.extend(entry),
                    None => {
                        got.push("end".into());
                        break;
                    }
                }
            }
            got
        });
        match &got {
            Some(_) => taken += 1,
            None => refused += 1,
        }
        let wanted = (said != "-").then(|| said.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>());
        let is_alike = match (&got, &wanted) {
            (Some(got), Some(wanted)) => got.iter().eq(wanted.iter()),
            (None, None) => true,
            _ => false,
        };
        if !is_alike {
            unlike.push(format!("{data}: {got:?} and {said}"));
        }
    }
    assert!(unlike.is_empty(), "{} of {}: {:#?}", unlike.len(), taken + refused, &unlike[..unlike.len().min(9)]);
    assert!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
}
