"""The servers that are compared: how each is found, configured in its own language, started, watched and stopped.

`features` are what a row of the comparison asks for: "log", "vhosts", "regexes", "upload", "listing", "servers". A
peer that has no such thing gives no configuration (None) and is left out of the row. Where a server keeps small files
or descriptors by default, the others are set to do so too; keep-alive, sendfile and limits are set alike; none logs a 404.
"""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HOSTS, REGEXES, SERVERS, IDLE = 1_000, 200, 10_000, 5_000
MINUTES = 300  # seconds: longer than any measurement, so that nothing is closed for idleness
TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")


class Place:
    """What one started server is given: its port, the common site, and a directory of its own."""

    def __init__(self, port, site, own):
        self.port, self.site, self.own = port, site, own
        self.store = own / "www"  # uploads go to store/up
        (self.store / "up").mkdir(parents=True, exist_ok=True)


def nginx_like(place, feature, nginx, files):
    inner, more = "", ""
    if feature == "vhosts":
        more = "".join(
            f"server {{ listen 127.0.0.1:{place.port}; server_name h{n}.test; root {place.site}/h{n}; }}\n"
            for n in range(HOSTS))
    if feature == "servers":
        more = "".join(
            f"server {{ listen 127.0.0.1:{place.port}; server_name s{n}.test www.s{n}.test; root {place.site};\n"
            f"  location /a/ {{ autoindex on; }} location ~ \\.x$ {{ return 404; }} }}\n" for n in range(SERVERS))
    if feature == "regexes":
        inner = "".join(f"location ~ ^/app{n}/[a-z]+\\.html$ {{ root {place.site}/re; }}\n" for n in range(REGEXES))
    if feature == "upload":
        allow = "dav_methods PUT;" if nginx else "allowed_methods GET PUT;"
        inner = f"location /up/ {{ root {place.store}; client_max_body_size 0; {allow} }}\n"
    if feature == "listing":
        inner = "location /list/ { autoindex on; }\n"
    log = f"{place.own}/access.log" if feature == "log" else "off"
    return nginx_text(place, nginx, files, inner=inner, more=more, log=log)


def nginx_text(place, nginx, files, http="", inner="", more="", log="off"):
    """nginx and webserv read the same text but for descriptors kept, and nginx's other temporary paths. `http` and
    `more` stand in http {}, before and after the server that has `inner`."""
    only = ""
    if nginx:
        only = f"open_file_cache max={files // 2} inactive=60s; open_file_cache_valid 1s;\n"
        only += "".join(f"{name}_temp_path {place.own}/{name};\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes 1; daemon off; pid {place.own}/pid; error_log {place.own}/error.log warn;
worker_rlimit_nofile {files};
events {{ worker_connections {files // 2}; }}
http {{
types {{ text/html html; text/plain txt; }} default_type application/octet-stream;
access_log {log}; log_not_found off; sendfile on; tcp_nopush on;
keepalive_timeout {MINUTES}; keepalive_requests 1000000000;
server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
map_hash_max_size 65536; map_hash_bucket_size 128; variables_hash_max_size 65536;
{only}{http}server {{ listen 127.0.0.1:{place.port} default_server; root {place.site};
{inner}}}
{more}}}
"""


def lighttpd(place, feature, files):
    modules, more = [], ""
    if feature == "log":
        modules.append("mod_accesslog")
        more = f'accesslog.filename = "{place.own}/access.log"\n'
    if feature == "vhosts":
        more = "".join(f'$HTTP["host"] == "h{n}.test" {{ server.document-root = "{place.site}/h{n}" }}\n'
                       for n in range(HOSTS))
    if feature == "servers":
        more = "".join(
            f'$HTTP["host"] =~ "^(www\\.)?s{n}\\.test$" {{ server.document-root = "{place.site}"\n'
            f'  $HTTP["url"] =~ "^/a/" {{ dir-listing.activate = "enable" }} }}\n' for n in range(SERVERS))
        modules.append("mod_dirlisting")
    if feature == "regexes":
        more = "".join(f'$HTTP["url"] =~ "^/app{n}/[a-z]+\\.html$" {{ server.document-root = "{place.site}/re" }}\n'
                       for n in range(REGEXES))
    if feature == "upload":
        modules.append("mod_webdav")
        more = (f'$HTTP["url"] =~ "^/up/" {{ server.document-root = "{place.store}"\n'
                '  webdav.activate = "enable" webdav.is-readonly = "disable" }\n')
    if feature == "listing":
        modules.append("mod_dirlisting")
        more = '$HTTP["url"] =~ "^/list/" { dir-listing.activate = "enable" }\n'
    names = ", ".join(f'"{name}"' for name in modules)
    return f"""server.modules = ({names})
server.document-root = "{place.site}"
server.bind = "127.0.0.1"
server.port = {place.port}
server.errorlog = "{place.own}/error.log"
server.upload-dirs = ("{place.own}")
server.max-fds = {files}
server.max-connections = {files // 2}
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = {MINUTES}
mimetype.assign = (".html" => "text/html", ".txt" => "text/plain", "" => "application/octet-stream")
{more}"""


def h2o(place, feature, files):
    if feature in ("regexes", "upload"):
        return None  # paths are prefixes only; there is no PUT handler
    user = "user: root\n" if os.geteuid() == 0 else ""
    log = f"access-log: {place.own}/access.log\n" if feature == "log" else ""

    def host(name, root, more=""):
        return f'  "{name}":\n    paths:\n      "/":\n        file.dir: {root}\n{more}'

    listing = f'      "/list/":\n        file.dir: {place.site}/list\n        file.dirlisting: ON\n'
    hosts = host("default", place.site, listing if feature == "listing" else "")
    if feature == "vhosts":
        hosts += "".join(host(f"h{n}.test", f"{place.site}/h{n}") for n in range(HOSTS))
    if feature == "servers":
        area = f'      "/a/":\n        file.dir: {place.site}\n        file.dirlisting: ON\n'
        hosts += "".join(host(f"{www}s{n}.test", place.site, area) for n in range(SERVERS) for www in ("", "www."))
    return f"""{user}num-threads: 1
max-connections: {files // 2}
http1-request-timeout: {MINUTES}
error-log: {place.own}/error.log
pid-file: {place.own}/pid
{log}listen:
  host: 127.0.0.1
  port: {place.port}
hosts:
{hosts}"""


class Peer:
    def __init__(self, name, binary, version):
        self.name, self.binary, self.version = name, binary, version

    def write_config(self, place, feature, files):
        """Writes the configuration for a feature; None where this server has no such thing."""
        if self.name in ("nginx", "webserv"):
            text = nginx_like(place, feature, self.name == "nginx", files)
        else:
            text = {"lighttpd": lighttpd, "h2o": h2o}[self.name](place, feature, files)
        if text is None:
            return None
        path = place.own / "server.conf"
        path.write_text(text)
        return path

    def command(self, config, place, test):
        more = {"nginx": ["-p", place.own, "-e", place.own / "early.log", "-c", config] + ["-t"] * test,
                "webserv": ["-p", place.own, "-c", config] + ["-t"] * test,
                "lighttpd": ["-tt" if test else "-D", "-f", config],
                "h2o": ["-c", config] + ["-t"] * test}[self.name]
        return [str(word) for word in [self.binary, *more]]


def find(wanted, webserv):
    """The peers of the list that are on this machine; says aloud who is missing."""
    # Debian keeps servers where an ordinary user's PATH does not look.
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin"
    found = []
    for name in wanted:
        binary = str(webserv) if name == "webserv" else shutil.which(name, path=path)
        if binary is None or not os.access(binary, os.X_OK):
            print(f"- {name}: left out, not installed" + (" (cargo build --release)" * (name == "webserv")))
            continue
        told = subprocess.run([binary, "--version" if name == "webserv" else "-v"], capture_output=True, text=True)
        version = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
        found.append(Peer(name, binary, version.group() if version else "?"))
    return found


def environment():
    """Ours, without the variable by which servers of nginx's kind inherit listening sockets."""
    return {name: value for name, value in os.environ.items() if name != "NGINX"}


def pin(core):
    """For preexec_fn: puts a child on one core, where there are cores to choose from."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})


class Failed(Exception):
    pass


class Server:
    """A running server: the child we started and all its descendants."""

    def __init__(self, peer, feature, site, own, core, files):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own.mkdir()
        self.peer, self.place, self.core = peer, Place(port, site, own), core
        self.port, self.child = port, None
        self.config = peer.write_config(self.place, feature, files)

    def start(self, path="/1k.html", host="localhost"):
        """Starts it and waits for its first answer. Gives the seconds that took."""
        began = time.monotonic()
        out = open(self.place.own / "out", "wb")
        self.child = subprocess.Popen(self.peer.command(self.config, self.place, False), stdin=subprocess.DEVNULL,
                                      stdout=out, stderr=out, env=environment(), preexec_fn=pin(self.core))
        out.close()
        while True:
            if self.child.poll() is not None:
                raise Failed(f"ended at start: {self.complaint()}")
            try:
                status, length = self.ask("GET", path, {"Host": host})
            except OSError:
                if time.monotonic() - began > 60:
                    raise Failed("does not answer") from None
                time.sleep(0.002)
                continue
            if (status, length) != (200, 1024):
                raise Failed(f"answers {path} with {status}, {length} bytes")
            self.pids = self.tree()
            return time.monotonic() - began

    def complaint(self):
        """What it said was wrong: the first line that sounds like it, else the last one."""
        for name in ("out", "early.log", "error.log"):
            path = self.place.own / name
            if path.exists() and (said := path.read_text(errors="replace").strip().splitlines()):
                wrong = [line for line in said if re.search(r"fail|emerg|error|assert", line)]
                return [*wrong, said[-1]][0][:200].replace("|", "/")
        return "without a word"

    def ask(self, method, path, headers, body=None):
        """One request on a connection of its own: status and length of the body."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request(method, path, body, {"Connection": "close", **headers})
            answer = client.getresponse()
            return answer.status, len(answer.read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            client.close()

    def tree(self):
        """The child and its descendants; none once the child is gone."""
        if self.child is None or self.child.poll() is not None:
            return []
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:
                pass  # ended while we looked
        found = [self.child.pid]
        for pid in found:
            found += [other for other, parent in parents.items() if parent == pid]
        return found

    def cpu(self):
        """Microseconds of processor time of the tree, user and system, so far."""
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[11:15]) * TICK  # utime stime cutime cstime
        return total

    def memory(self):
        """Bytes resident in the tree; a page shared within it counts once."""
        total = 0
        for pid in self.pids:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) * 1024
        return total

    def stop(self):
        """Ends the processes that this object started, and only those."""
        tree = self.tree()
        if tree:
            self.child.terminate()
            try:
                self.child.wait(3)
            except subprocess.TimeoutExpired:
                # Still our own: the child was not waited for, so its number and its children's stand.
                for pid in reversed(self.tree()):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.child.wait()
        shutil.rmtree(self.place.own, ignore_errors=True)
