#!/usr/bin/env python3
"""What inputs cost: processor time per byte that a client sends, beside nginx, for shapes of requests that a hostile
client would choose.

    tests/bench/input_cost.py [--webserv BINARY] [--nginx BINARY] [--names a,b] [--limit 2.0]

Each shape is sent at two sizes. Per shape: nanoseconds per byte of both servers (from /proc/PID/schedstat, so the
speed of the client does not matter), their ratio, and how the cost per byte grows from the smaller to the larger size:
near 1 is linear, near 4 is quadratic. Shapes that nginx does not know (forms, tus, WebDAV's XML) are compared with
nginx taking the same bytes as the body of a PUT. Exit status 1 where a ratio is over the limit or a growth over 2.
Loopback and one temporary directory only; a minute or two. Needs nginx; nothing here is run by `cargo test`.
"""

import argparse
import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONF = """daemon off; pid {d}/pid; error_log {d}/error.log crit; {user}
events {{ }}
http {{ access_log off; client_max_body_size 0; client_body_temp_path {d}/body; large_client_header_buffers 8 32k;
 keepalive_requests 1000000; {extra}
 server {{ listen 127.0.0.1:{port}{h2}; root {d}/www; {server}
  location /dav/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; {ext} }}
  {more}
 }} }}
"""


class Server:
    def __init__(self, name, binary, where):
        self.name, self.dir = name, Path(where) / name
        for below in ("www/dav", "www/up", "body"):
            (self.dir / below).mkdir(parents=True)
        (self.dir / "www/f").write_bytes(b"x" * 1000)
        (self.dir / "www/range").write_bytes(b"x" * 100_000)
        for n in range(3):
            (self.dir / f"www/dav/{n}").write_bytes(b"x")
        with socket.socket() as s, socket.socket() as other:
            s.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.port, second = s.getsockname()[1], other.getsockname()[1]
        ours = name == "webserv"
        text = CONF.format(
            d=self.dir, port=self.port, user="user root;" if os.geteuid() == 0 else "",
            h2="" if ours else "", extra="" if ours else f"proxy_temp_path {self.dir}/p; fastcgi_temp_path {self.dir}/q; "
            f"uwsgi_temp_path {self.dir}/r; scgi_temp_path {self.dir}/s;",
            server="http2 on;" if ours else "", ext="dav_ext_methods PROPFIND;" if ours else "",
            more="location /up/ { allowed_methods GET POST PUT; upload_resumable on; upload_on_duplicate overwrite; }"
            if ours else f"location /h2/ {{ }} }} server {{ listen 127.0.0.1:{second} http2; root {self.dir}/www;")
        self.h2_port = self.port if ours else second
        conf = self.dir / "conf"
        conf.write_text(text)
        arguments = [binary, "-c", str(conf)] + ([] if ours else ["-p", str(self.dir), "-e", str(self.dir / "error.log"),
                                                                  "-g", "master_process off;"])
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.time() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.time() > end or self.process.poll() is not None:
                    sys.exit(f"{name} did not start: see {conf}")
                time.sleep(0.05)

    def cpu(self):
        """Nanoseconds on a processor so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    def stop(self):
        self.process.terminate()
        self.process.wait()


def head(method, target, fields="", close=False):
    end = "Connection: close\r\n" if close else ""
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}{end}\r\n".encode()


def put(body, fields="", target="/dav/new"):
    return head("PUT", target, f"Content-Length: {len(body)}\r\n{fields}") + body


def chunked(pieces, target="/dav/new", trailers=b""):
    return head("PUT", target, "Transfer-Encoding: chunked\r\n") + b"".join(pieces) + b"0\r\n" + trailers + b"\r\n"


def form(body):
    return head("POST", "/up/", "Content-Type: multipart/form-data; boundary=bbbbbbbb\r\n"
                f"Content-Length: {len(body)}\r\n") + body


def propfind(body):
    return head("PROPFIND", "/dav/0", f"Depth: 0\r\nContent-Length: {len(body)}\r\n") + body


def one_part(body):
    return b"--bbbbbbbb\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n" + body + b"\r\n--bbbbbbbb--\r\n"


def field(text, target="/f", method="GET"):
    return head(method, target, text)


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
# :method GET, :scheme http, :path /, :authority l
GET_H2 = bytes([0x82, 0x86, 0x84, 0x41, 1]) + b"l"


def literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


# name: (bytes of one request for a size n; what nginx gets instead: the same body by PUT, the same head by PUT, or None)
SHAPES = {
    "get": (lambda n: field(""), None),
    "get-404": (lambda n: head("GET", "/" + "n" * n), None),
    "chunks-1": (lambda n: chunked([b"1\r\nx\r\n"] * (n * 20)), None),
    "chunks-zeros": (lambda n: chunked([b"0000000001\r\nx\r\n"] * (n * 20)), None),
    "chunks-16": (lambda n: chunked([b"10\r\n" + b"x" * 16 + b"\r\n"] * (n * 20)), None),
    "chunks-extension": (lambda n: chunked([b"1;a=b\r\nx\r\n"] * (n * 20)), None),
    "chunks-mixed": (lambda n: chunked([b"%x\r\n" % (1 + i % 7) + b"x" * (1 + i % 7) + b"\r\n" for i in range(n * 20)]),
                     None),
    "trailers": (lambda n: chunked([b"1\r\nx\r\n"], trailers=b"a: b\r\n" * (n // 8)), None),
    "fields-short": (lambda n: field("".join(f"x{i}: y\r\n" for i in range(n // 10))), None),
    "fields-same": (lambda n: field("x: y\r\n" * (n // 10)), None),
    "field-long": (lambda n: field("x: " + "y" * n * 8 + "\r\n"), None),
    "field-blank": (lambda n: field("x:" + " " * n * 4 + "y\r\n"), None),
    "connection": (lambda n: field("Connection: " + ",".join(f"o{i}" for i in range(n)) + "\r\n"), None),
    "connection-lines": (lambda n: field("".join(f"Connection: o{i}\r\n" for i in range(n // 10))), None),
    "cookies": (lambda n: field("Cookie: " + "; ".join(f"c{i}=v" for i in range(n)) + "\r\n"), None),
    "cookie-lines": (lambda n: field("Cookie: a=b\r\n" * (n // 10)), None),
    "accept-encoding": (lambda n: field("Accept-Encoding: " + ",".join(["gzip;q=0.1"] * n) + "\r\n"), None),
    "accept": (lambda n: field("Accept: " + ",".join(["text/html;q=0.1"] * n) + "\r\n", "/none"), None),
    "if-none-match": (lambda n: field("If-None-Match: " + ",".join(f'"{i}"' for i in range(n)) + "\r\n"), None),
    "if-match-weak": (lambda n: field("If-Match: " + ",".join(f'W/"{i}"' for i in range(n)) + "\r\n"), None),
    "if-modified-since": (lambda n: field("If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n"), None),
    "range-bad": (lambda n: field("Range: bytes=" + ",".join("9-8" for _ in range(n)) + "\r\n", "/range"), None),
    "range-many": (lambda n: field("Range: bytes=" + ",".join(f"{i}-{i}" for i in range(0, n)) + "\r\n", "/range"), None),
    "range-same": (lambda n: field("Range: bytes=" + ",".join(["0-"] * n) + "\r\n", "/range"), None),
    "range-suffix": (lambda n: field("Range: bytes=" + ",".join(["-1"] * n) + "\r\n", "/range"), None),
    "range-out": (lambda n: field("Range: bytes=" + ",".join(["999999-"] * n) + "\r\n", "/range"), None),
    "forwarded": (lambda n: field("X-Forwarded-For: " + ", ".join(["10.0.0.1"] * n) + "\r\n"), None),
    "basic": (lambda n: field("Authorization: Basic " + base64.b64encode(b"u" * n * 3).decode() + "\r\n"), None),
    "referer": (lambda n: field("Referer: http://" + "a." * n * 2 + "/\r\n"), None),
    "path-escapes": (lambda n: head("GET", "/" + "%61" * n), None),
    "path-dots": (lambda n: head("GET", "/a/.." * n + "/f"), None),
    "path-here": (lambda n: head("GET", "/." * n + "/f"), None),
    "path-slashes": (lambda n: head("GET", "/" * n * 2 + "f"), None),
    "path-segments": (lambda n: head("GET", "/a" * n * 2), None),
    "arguments": (lambda n: head("GET", "/f?" + "&".join(["a=b"] * n)), None),
    "blank-lines": (lambda n: b"\r\n" * 2 + field(""), None),
    "destination": (lambda n: head("COPY", "/dav/0", "Destination: /dav/" + "%61" * (n // 4) + "\r\n"), None),
    "put-small": (lambda n: put(b"x" * n), None),
    "expect": (lambda n: head("PUT", "/dav/new", f"Expect: 100-continue\r\nContent-Length: {n}\r\n") + b"x" * n, None),
    "form-one": (lambda n: form(one_part(b"x" * n * 100)), "put"),
    "form-lines": (lambda n: form(one_part(b"\r\n" * n * 50)), "put"),
    "form-near": (lambda n: form(one_part(b"\r\n--bbbbbbb" * n * 10)), "put"),
    "form-nearer": (lambda n: form(one_part(b"\r\n--bbbbbbbx" * n * 10)), "put"),
    "form-dashes": (lambda n: form(one_part(b"\r\n-" * n * 30)), "put"),
    "form-fields": (lambda n: form(b"".join(b"--bbbbbbbb\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n"
                                           for _ in range(n // 3)) + b"--bbbbbbbb--\r\n"), "put"),
    "form-head": (lambda n: form(b"--bbbbbbbb\r\nContent-Disposition: form-data; name=f; filename=f\r\n"
                                 + b"x: y\r\n" * (n // 10) + b"\r\nx\r\n--bbbbbbbb--\r\n"), "put"),
    "xml-elements": (lambda n: propfind(b'<propfind xmlns="DAV:"><prop>' + b"<a/>" * n + b"</prop></propfind>"), "put"),
    "xml-namespaces": (lambda n: propfind(b'<propfind xmlns="DAV:"><prop>'
                                          + b"".join(b'<a xmlns:n%d="u%d"/>' % (i, i) for i in range(n // 4))
                                          + b"</prop></propfind>"), "put"),
    "xml-attributes": (lambda n: propfind(b'<propfind xmlns="DAV:"' + b"".join(b' a%d="v"' % i for i in range(n // 2))
                                          + b"><allprop/></propfind>"), "put"),
    "xml-deep": (lambda n: propfind(b'<propfind xmlns="DAV:">' + b"<a>" * (n // 2) + b"</a>" * (n // 2) + b"</propfind>"),
                 "put"),
    "xml-entities": (lambda n: propfind(b'<propfind xmlns="DAV:"><prop><a>' + b"&amp;" * n + b"</a></prop></propfind>"),
                     "put"),
    "xml-comments": (lambda n: propfind(b'<propfind xmlns="DAV:">' + b"<!---->" * n + b"<allprop/></propfind>"), "put"),
    "xml-instructions": (lambda n: propfind(b'<propfind xmlns="DAV:">' + b"<?a?>" * n * 2 + b"<allprop/></propfind>"), "put"),
    "tus-metadata": (lambda n: head("POST", "/up/", "Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nContent-Length: 0\r\n"
                                    "Upload-Metadata: " + ",".join(f"k{i} YQ==" for i in range(n // 2)) + "\r\n"), "head"),
    "dav-if": (lambda n: head("PUT", "/dav/new", "If: " + " ".join(["(<urn:x>)"] * n) + "\r\nContent-Length: 0\r\n"),
               "head"),
}


# HTTP/2: all that is sent on one connection, of which the first part is the preface.
def streams(block):
    return lambda n: b"".join(frame(1, 5, 1 + 2 * i, block(i)) for i in range(n))


SHAPES_H2 = {
    "h2-get": streams(lambda i: GET_H2),
    "h2-indexed": streams(lambda i: GET_H2 + b"\x90" * 60),
    "h2-literals": streams(lambda i: GET_H2 + b"".join(literal(b"x%d" % j, b"y") for j in range(30))),
    "h2-insert": streams(lambda i: GET_H2 + b"".join(b"\x40\x01x\x01%c" % (97 + j % 26) for j in range(60))),
    "h2-cookies": streams(lambda i: GET_H2 + literal(b"cookie", b"a=b") * 60),
    "h2-continuation": lambda n: b"".join(
        frame(1, 1, 1 + 2 * i, GET_H2) + frame(9, 0, 1 + 2 * i, literal(b"x", b"y")) + frame(9, 4, 1 + 2 * i) for i in range(n)),
    "h2-ping": lambda n: frame(6, 0, 0, b"12345678") * n,
    "h2-settings": lambda n: frame(4, 0, 0) * n,
    "h2-window": lambda n: frame(8, 0, 0, (1).to_bytes(4, "big")) * n,
    "h2-priority": lambda n: b"".join(frame(2, 0, 1 + 2 * i, b"\0\0\0\0\1") for i in range(n)),
    "h2-unknown": lambda n: frame(77, 0, 0, b"x") * n,
    "h2-reset": lambda n: b"".join(frame(1, 5, 1 + 2 * i, GET_H2) + frame(3, 0, 1 + 2 * i, b"\0\0\0\x08") for i in range(n)),
    "h2-data-empty": lambda n: frame(1, 4, 1, bytes([0x83, 0x86, 0x44, 1]) + b"/" + bytes([0x41, 1]) + b"l")
    + frame(0, 0, 1) * n,
    "h2-data-tiny": lambda n: frame(1, 4, 1, bytes([0x83, 0x86, 0x44, 1]) + b"/" + bytes([0x41, 1]) + b"l")
    + frame(0, 0, 1, b"x") * n,
    "h2-padding": lambda n: frame(1, 4, 1, bytes([0x83, 0x86, 0x44, 1]) + b"/" + bytes([0x41, 1]) + b"l")
    + frame(0, 8, 1, b"\0x") * n,
}


def drain(s):
    try:
        while s.recv(1 << 18):
            pass
    except OSError:
        pass


def exchange(port, data, limit=20):
    """Sends all of it while reading what comes, until the server has answered and closed. Bytes that it took."""
    s = socket.create_connection(("127.0.0.1", port), limit)
    s.setblocking(False)
    sent, quiet = 0, time.time()
    done = False
    while time.time() - quiet < 0.5 or (sent < len(data) and time.time() - quiet < limit):
        moved = False
        if sent < len(data):
            try:
                sent += s.send(data[sent:sent + (1 << 18)])
                moved = True
            except BlockingIOError:
                pass
            except OSError:
                break
        elif not done:
            done = True
        try:
            got = s.recv(1 << 18)
            if not got:
                break
            moved = True
        except BlockingIOError:
            pass
        except OSError:
            break
        if moved:
            quiet = time.time()
        else:
            time.sleep(0.001)
    s.close()
    return sent


def measure(server, one, port, requests):
    data = one * requests
    before = server.cpu()
    sent = exchange(port, data)
    time.sleep(0.02)
    return (server.cpu() - before) / max(sent, 1), sent


def as_nginx(one, how):
    """The same bytes, as far as nginx knows them."""
    top, _, body = one.partition(b"\r\n\r\n")
    if how == "head":
        # It makes a file here, too.
        return b"PUT /dav/new HTTP/1.1\r\n" + b"\r\n".join(top.split(b"\r\n")[1:]) + b"\r\n\r\n"
    return put(body)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webserv", default="target/release/webserv")
    parser.add_argument("--nginx", default=shutil.which("nginx") or "/usr/sbin/nginx")
    parser.add_argument("--names", default="")
    parser.add_argument("--limit", type=float, default=2.0)
    given = parser.parse_args()
    names = [name for name in given.names.split(",") if name]
    where = tempfile.mkdtemp(prefix="webserv-input-cost-")
    ours, theirs = Server("webserv", os.path.abspath(given.webserv), where), Server("nginx", given.nginx, where)
    bad = []
    print(f"{'shape':18} {'bytes':>9} {'webserv':>9} {'nginx':>9} ns/byte  ratio  growth")
    try:
        for name in [*SHAPES, *SHAPES_H2]:
            if names and name not in names:
                continue
            h2 = name in SHAPES_H2
            figures = {}
            for size in (100, 400):
                for server in (ours, theirs):
                    best = None
                    for _ in range(3):
                        if h2:
                            data, requests = PREFACE + SHAPES_H2[name](size * 2), 1
                            port = server.h2_port
                        else:
                            make, how = SHAPES[name]
                            data, port = make(size), server.port
                            if how and server is theirs:
                                data = as_nginx(data, how)
                            requests = max(1, min(400, 400_000 // len(data)))
                        cost, sent = measure(server, data, port, requests)
                        best = min(best or (cost, sent), (cost, sent))
                    figures[size, server.name] = best
            (a, _), (b, sent) = figures[100, "webserv"], figures[400, "webserv"]
            n = figures[400, "nginx"][0]
            ratio, growth = b / max(n, 0.001), b / max(a, 0.001)
            wrong = ratio > given.limit or growth > 2
            bad += [name] * wrong
            print(f"{name:18} {sent:9} {b:9.2f} {n:9.2f}         {ratio:6.2f} {growth:6.2f}{'  <' * wrong}", flush=True)
    finally:
        ours.stop()
        theirs.stop()
        shutil.rmtree(where, ignore_errors=True)
    print("over the limit:", ", ".join(bad) or "none")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
