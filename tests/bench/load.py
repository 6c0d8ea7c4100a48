"""The clients: wrk with a script made for the row, files sent by PUT, and connections that do nothing."""

import re
import socket
import subprocess
import threading
import time

from peers import Failed, environment, pin

# What wrk measured, in one line that is easy to read back; times in microseconds.
REPORT = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("BENCH %d %d %d %d %d %d\\n", summary.requests, summary.bytes, summary.duration,
    latency:percentile(99), e.connect + e.read + e.write + e.timeout, e.status))
end
"""


def script(method="GET", path="/1k.html", host=None, headers=(), body=0, count=1, depth=1):
    """Lua for wrk: `count` requests in turn, `%d` in path and host being their number; `depth` of them at a time."""
    pairs = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers)
    content = f'string.rep("x", {body})' if body else "nil"
    if count == depth == 1:
        return f'wrk.method = "{method}"\nwrk.path = "{path}"\nwrk.body = {content}\n{pairs}{REPORT}'
    renamed = f'wrk.headers["Host"] = string.format("{host}", n)' if host else ""
    return f"""{pairs}
local made, at = {{}}, 0
function init(args)
  for n = 0, {count - 1} do
    {renamed}
    made[n + 1] = string.rep(wrk.format("{method}", string.format("{path}", n), nil, {content}), {depth})
  end
end
function request()
  at = at % #made + 1
  return made[at]
end
{REPORT}"""


class Load:
    """What one run of a client came to: requests, bytes, seconds, p99 in milliseconds, errors."""

    def __init__(self, requests, size, seconds, p99, errors):
        self.requests, self.bytes, self.seconds, self.p99, self.errors = requests, size, seconds, p99, errors


def wrk(binary, core, port, lua, connections, seconds, refused):
    """Runs wrk with a script file. `refused`: the row is about answers from 400 on, they are no errors."""
    command = [binary, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(lua),
               f"http://127.0.0.1:{port}/"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, env=environment(),
                         preexec_fn=pin(core))
    found = re.search(r"BENCH (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", ran.stdout)
    if not found:
        raise Failed(f"wrk failed: {(ran.stderr or ran.stdout).strip()[-200:]}")
    requests, size, duration, p99, broken, status = map(int, found.groups())
    return Load(requests, size, duration / 1e6, p99 / 1e3, broken + (0 if refused else status))


def uploads(port, path, names, size, seconds):
    """Sends the file to each name at the same time by PUT, again and again until the seconds are over."""
    until = time.monotonic() + seconds
    times, errors = [], []

    def send(name):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client, open(path, "rb") as file:
                while True:
                    began = time.monotonic()
                    client.sendall(f"PUT {name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
                    client.sendfile(file, 0, size)
                    if answer(client)[:12] not in (b"HTTP/1.1 201", b"HTTP/1.1 204", b"HTTP/1.1 200"):
                        raise OSError("refused")
                    times.append(time.monotonic() - began)
                    if time.monotonic() >= until:
                        return
        except OSError as error:
            errors.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=send, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not times:
        raise Failed(f"no upload succeeded: {errors[0]}")
    slowest = sorted(times)[(len(times) * 99 - 1) // 100]
    return Load(len(times), len(times) * size, time.monotonic() - began, slowest * 1e3, len(errors))


def answer(client):
    """One whole answer with a Content-Length, or with none and no body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise OSError("closed")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    missing = (int(length.group(1)) if length else 0) - len(body)
    while missing > 0:
        missing -= len(client.recv(min(missing, 65536))) or missing
    return head


def idle(port, count):
    """Connections that asked once and are kept: what most clients of a server are at any moment."""
    clients = []
    try:
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            clients[-1].sendall(b"GET /1k.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer(clients[-1])
    except OSError as error:
        close(clients)
        raise Failed(f"connection {len(clients)} failed: {error}") from error
    return clients


def close(clients):
    for client in clients:
        client.close()
