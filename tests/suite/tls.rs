//! HTTPS, as other people's clients see it: curl, openssl s_client and Python's ssl module. Skipped, loudly, where one
//! of them is missing.

use crate::client::Client;
use crate::harness::{Server, Setup, http, noise, on_nginx};
use crate::upstream::Upstream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a program; None, loudly, where it is not installed.
pub fn tool(program: &str, args: &[&str], input: &[u8]) -> Option<Output> {
    use std::io::Write;
    let child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: {program} is not installed");
        return None;
    };
    // A program that does not read its input is no failure.
    let _ = child.stdin.take().expect("piped").write_all(input);
    Some(child.wait_with_output().expect("a program ends"))
}

pub fn openssl(args: &[&str]) -> bool {
    match tool("openssl", args, b"") {
        None => false,
        Some(output) => {
            assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
    }
}

/// A certificate `conf/NAME.crt` with key `conf/NAME.key` in the directory, signed by itself. False: there is no
/// openssl.
pub fn certificate(dir: &Path, name: &str, kind: &str) -> bool {
    std::fs::create_dir_all(dir.join("conf")).expect("a directory");
    let path = |end: &str| dir.join(format!("conf/{name}.{end}")).to_string_lossy().into_owned();
    let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
    let mut args = vec!["req", "-x509", "-nodes", "-days", "30", "-subj", &subject, "-addext", &alternative];
    match kind {
        "rsa" => args.extend(["-newkey", "rsa:2048"]),
        rsa if rsa.starts_with("rsa:") => args.extend(["-newkey", rsa]),
        _ => args.extend(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
    }
    let (certificate, key) = (path("crt"), path("key"));
    args.extend(["-out", &certificate, "-keyout", &key]);
    openssl(&args)
}

/// A server over TLS with a certificate for `localhost`, and this content. None: there is no openssl.
fn secure(block: &str) -> Option<Setup> {
    let setup = http(&format!(
        "server {{\n    listen 127.0.0.1:%%PORT%% ssl;\n    server_name localhost;\n    root %%DIR%%/html;\n    \
         ssl_certificate localhost.crt;\n    ssl_certificate_key localhost.key;\n{block}\n}}"
    ));
    certificate(setup.dir(), "localhost", "ec").then_some(setup)
}

/// Runs curl against the server under the name `localhost`, which it must verify.
fn curl(server: &Server, target: &str, more: &[&str]) -> Option<String> {
    let ca = server.path("conf/localhost.crt").to_string_lossy().into_owned();
    let resolve = format!("localhost:{}:127.0.0.1", server.port());
    let url = format!("https://localhost:{}{target}", server.port());
    let mut args = vec!["-s", "-S", "-m", "20", "--cacert", &ca, "--resolve", &resolve];
    args.extend(more);
    args.push(&url);
    let output = tool("curl", &args, b"")?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Runs a Python script whose first lines connect: `connect(name=…, **options)` gives a socket of TLS. Gives what it
/// prints.
pub fn python(server: &Server, script: &str) -> Option<String> {
    let before = format!(
        "import socket, ssl, sys\nPORT, DIR = {}, {:?}\n{}",
        server.port(),
        server.path("").to_string_lossy(),
        "def context(**o):\n    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n    c.check_hostname = False\n    \
         c.verify_mode = ssl.CERT_NONE\n    if 'cert' in o: c.load_cert_chain(DIR + '/conf/' + o['cert'] + '.crt', DIR + '/conf/' + \
         o['cert'] + '.key')\n    if 'most' in o: c.maximum_version = o['most']\n    return c\n\
         def connect(name='localhost', **o):\n    s = socket.create_connection(('127.0.0.1', PORT), 20)\n    \
         return o.get('context', context(**o)).wrap_socket(s, server_hostname=name, session=o.get('session'), \
         suppress_ragged_eofs=False)\n\
         def ask(s, text):\n    s.sendall(text.encode() if isinstance(text, str) else text)\n    out = b''\n    \
         while True:\n        b = s.recv(65536)\n        if not b: return out\n        out += b\n\
         def get(target, host='localhost', **o):\n    s = connect(**o)\n    \
         return ask(s, f'GET {target} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n').decode()\n"
    );
    let output = tool("python3", &["-"], format!("{before}{script}").as_bytes())?;
    assert!(output.status.success(), "python: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn curl_gets_pages_over_both_protocols_and_keeps_the_connection() {
    let Some(setup) = secure("location /v { return 200 \"$scheme $https $ssl_protocol $ssl_server_name.\"; }") else {
        return;
    };
    let server = setup.file("html/a.txt", "content").start();
    let Some(page) = curl(&server, "/a.txt", &[]) else { return };
    assert_eq!(page, "content");
    for (version, protocol) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let shown = curl(&server, "/v", &["--tls-max", version]).expect("curl is there");
        assert_eq!(shown, format!("https on {protocol} localhost."));
    }
    let old = curl(&server, "/v", &["--tls-max", "1.1"]).expect("curl is there");
    assert!(old.contains("curl:"), "TLS 1.1 is refused: {old}");
    // Of three requests the last two use the connection of the first.
    let url = format!("https://localhost:{}/a.txt", server.port());
    let connects = curl(&server, "/a.txt", &["-w", "[%{num_connects}]", &url, &url]).expect("curl is there");
    assert_eq!(connects, "content[1]content[0]content[0]");
}

#[test]
fn a_large_file_and_its_parts_arrive_as_they_are() {
    let Some(setup) = secure("") else { return };
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let server = setup.file("html/big", &content).start();
    let script = "import hashlib\n\
        for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):\n    \
        s = connect(most=most)\n    out = ask(s, 'GET /big HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')\n    \
        body = out.split(b'\\r\\n\\r\\n', 1)[1]\n    print(body == open(DIR + '/html/big', 'rb').read())\n    \
        s = connect(most=most)\n    out = ask(s, 'GET /big HTTP/1.1\\r\\nHost: localhost\\r\\nRange: bytes=99999-199998\\r\\n\
        Connection: close\\r\\n\\r\\n')\n    body = out.split(b'\\r\\n\\r\\n', 1)[1]\n    \
        print(body == open(DIR + '/html/big', 'rb').read()[99999:199999])\n";
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, "True\nTrue\nTrue\nTrue\n");
    }
}

#[test]
fn an_upload_is_stored_and_one_that_is_cut_is_not() {
    let Some(setup) = secure("location /up/ { allowed_methods PUT GET; client_max_body_size 0; }") else { return };
    let server = setup.mkdir("html/up").start();
    // The second breaks off without a word, as an attacker on the way would cut it.
    let script = "body = bytes(range(256)) * 4000\n\
        head = 'PUT /up/%s HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n'\n\
        print(ask(connect(), (head % ('whole', len(body))).encode() + body).split()[1].decode())\n\
        s = connect()\ns.sendall((head % ('cut', len(body))).encode() + body[:-1])\nsocket.socket.shutdown(s, 2)\n\
        print(ask(connect(), (head % ('after', 3)).encode() + b'abc').split()[1].decode())\n";
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, "201\n201\n");
        let whole: Vec<u8> = (0..4000).flat_map(|_| 0..=255).collect();
        assert!(server.read("html/up/whole") == whole);
        assert!(!server.exists("html/up/cut"), "a cut body is no file");
    }
}

#[test]
fn a_hello_may_come_byte_by_byte_and_a_request_at_any_cut() {
    let Some(setup) = secure("location / { return 200 \"body of $uri\"; }") else { return };
    let server = setup.start();
    let script = "c = context()\n\
        def drip(cut):\n    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()\n    t = c.wrap_bio(i, o, server_hostname='localhost')\n    \
        s = socket.create_connection(('127.0.0.1', PORT), 20)\n    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n    \
        def push():\n        b = o.read()\n        for at in range(0, len(b), cut): s.sendall(b[at:at + cut])\n    \
        while True:\n        try:\n            t.do_handshake(); break\n        except ssl.SSLWantReadError:\n            \
        push(); i.write(s.recv(65536))\n    push()\n    t.write(b'GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); push()\n    \
        while True:\n        try:\n            return b'body of /x' in t.read(65536)\n        except ssl.SSLWantReadError:\n            \
        i.write(s.recv(65536))\n\
        print([drip(cut) for cut in (1, 3, 100, 10000)])\n";
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, "[True, True, True, True]\n");
    }
}

#[test]
fn plain_requests_to_the_port_and_handshakes_to_plain_ports_are_told_so() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key;\n\
         server { listen 127.0.0.1:%%PORT%% ssl; error_page 497 =301 https://$host$request_uri; }\n\
         server { listen 127.0.0.1:%%PORT1%% ssl; }\nserver { listen 127.0.0.1:%%PORT2%%; }\n\
         server { listen 127.0.0.1:%%PORT3%% ssl; error_page 497 /told; location = /told { return 200 \"$status\"; } }",
    );
    if !certificate(setup.dir(), "localhost", "rsa") {
        return;
    }
    let server = setup.start();
    server.get("/a?b").is(301).has("Location", "https://localhost/a?b");
    server.client_at(3).get("/").is(400).body_is("400");
    let answer = server.client_at(1).get("/");
    answer.is(400).contains("The plain HTTP request was sent to HTTPS port");
    server.await_file("logs/error.log", |log| log.contains("client sent plain HTTP request to HTTPS port"));
    let answer = server.client_at(2).request([22, 3, 1, 0, 5, 1, 0, 0, 1, 3, b'\n', b'\n']);
    answer.is(400);
    server.await_file("logs/error.log", |log| log.contains("client sent a TLS handshake to a plain HTTP port"));
}

#[test]
fn the_name_chooses_the_certificate_and_a_server_may_refuse() {
    let setup = http(
        "server { listen 127.0.0.1:%%PORT%% ssl; ssl_reject_handshake on; }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name a.test; ssl_certificate a.test.crt; ssl_certificate_key a.test.key; \
         location / { return 200 \"A\"; } }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name *.b.test; ssl_certificate b.test.crt; ssl_certificate_key b.test.key; \
         location / { return 200 \"B $ssl_server_name\"; } }",
    );
    if !certificate(setup.dir(), "a.test", "ec") || !certificate(setup.dir(), "b.test", "rsa") {
        return;
    }
    let server = setup.start();
    let script = "def leaf(name):\n    d = connect(name=name).getpeercert(True)\n    \
        return [n for n in ('a.test', 'b.test') if n.encode() in d]\n\
        print(leaf('a.test'), leaf('www.b.test'))\n\
        print(get('/', name='www.b.test', host='www.b.test').split('\\r\\n\\r\\n')[1])\n\
        try:\n    connect(name='c.test')\nexcept ssl.SSLError as e:\n    print(e.reason)\n";
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, "['a.test'] ['b.test']\nB www.b.test\nTLSV1_UNRECOGNIZED_NAME\n");
    }
}

#[test]
fn a_wrong_path_is_answered_by_the_server_that_the_hello_named() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key; error_page 400 /page;\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name a.test; location = /page { return 200 A; } }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name b.test; location = /page { return 200 B; } }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name c.test; location = /page { return 200 C; } \
         ssl_verify_client on; ssl_client_certificate localhost.crt; }",
    );
    let script = "for name in ('a.test', 'b.test', 'B.TEST', 'c.test', 'd.test'):\n    for field in ('', 'Transfer-Encoding: foo\\r\\n'):\n        \
        text = f'GET /%zz HTTP/1.1\\r\\nHost: d.test\\r\\n{field}\\r\\n'\n        print(ask(connect(name=name), text).decode()[-1], end='')\n";
    if certificate(setup.dir(), "localhost", "ec")
        && let Some(shown) = python(&setup.start(), script)
    {
        assert_eq!(shown, "AABBBBCCAA");
    }
}

#[test]
fn certificates_of_clients_are_asked_for_and_judged() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key; ssl_client_certificate good.crt;\n\
         add_header Verify \"$ssl_client_verify|$ssl_client_s_dn|$ssl_client_fingerprint\" always;\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name on; ssl_verify_client on; }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name optional; ssl_verify_client optional; }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name any; ssl_verify_client optional_no_ca; }\n\
         server { listen 127.0.0.1:%%PORT%% ssl; server_name off; }",
    );
    if !["localhost", "good", "bad"].iter().all(|name| certificate(setup.dir(), name, "ec")) {
        return;
    }
    let server = setup.file("html/index.html", "x").start();
    let script = "def go(name, host=None, **o):\n    a = get('/none', host=host or name, name=name, **o)\n    \
        v = [l for l in a.split('\\r\\n') if l.startswith('Verify')]\n    why = [w for w in ('No required SSL', 'certificate error') if w in a]\n    \
        print(a.split()[1], v[0].split('|')[0], v[0].split('|')[1], len(v[0].split('|')[2]), *why)\n\
        go('on'); go('on', cert='good'); go('on', cert='bad')\n\
        go('optional'); go('optional', cert='bad'); go('any', cert='bad'); go('off', cert='good')\n\
        go('off', host='on'); go('optional', host='off')\n";
    let expected = "400 Verify: NONE  0 No required SSL\n404 Verify: SUCCESS CN=good 40\n\
        400 Verify: FAILED:self-signed certificate CN=bad 40 certificate error\n404 Verify: NONE  0\n\
        400 Verify: FAILED:self-signed certificate CN=bad 40 certificate error\n\
        404 Verify: FAILED:self-signed certificate CN=bad 40\n404 Verify: NONE  0\n421 Verify: NONE  0\n404 Verify: NONE  0\n";
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, expected);
    }
}

#[test]
fn certificates_of_clients_are_judged_over_http2_as_over_http1() {
    let Some(setup) = secure(
        "http2 on; ssl_client_certificate good.crt; ssl_verify_client on;\n\
         location / { return 200 \"$server_protocol $ssl_protocol $ssl_client_verify $ssl_client_s_dn\\n\"; }",
    ) else {
        return;
    };
    assert!(["good", "bad"].iter().all(|name| certificate(setup.dir(), name, "ec")));
    let server = setup.start();
    let path = |end: &str| server.path(&format!("conf/{end}")).to_string_lossy().into_owned();
    let [good, good_key, bad, bad_key] = ["good.crt", "good.key", "bad.crt", "bad.key"].map(path);
    let table: [(&[&str], &str); 3] = [
        (&["--cert", &good, "--key", &good_key], "HTTP/2.0 TLSv1.3 SUCCESS CN=good"),
        (&["--cert", &bad, "--key", &bad_key], "The SSL certificate error"),
        (&[], "No required SSL certificate was sent"),
    ];
    for (certificate, expected) in table {
        let Some(shown) = curl(&server, "/", &[&["--http2"], certificate].concat()) else { return };
        assert!(shown.contains(expected), "{certificate:?}: {shown}");
    }
}

#[test]
fn sessions_are_resumed_also_after_a_reload_and_not_by_another_certificate() {
    let Some(setup) = secure("location / { return 200 \"$ssl_session_reused\"; }") else { return };
    assert!(certificate(setup.dir(), "other", "ec"));
    let server = setup.start();
    // Connections that come while the configuration is read are served by the old one.
    let done = if on_nginx() { "reconfigur" } else { "the configuration was reloaded" };
    let script = format!(
        "DONE = '{done}'\n\
        import os, signal, time\n\
        c = context(most=ssl.TLSVersion.TLSv1_2)\n\
        def go(session=None):\n    s = connect(context=c, session=session)\n    \
        r = ask(s, 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n').decode()[-1]\n    return r, s.session\n\
        def reloaded():\n    before = open(DIR + '/logs/error.log').read().count(DONE)\n    \
        os.kill(int(open(DIR + '/logs/webserv.pid').read()), signal.SIGHUP)\n    \
        end = time.time() + 20\n    \
        while open(DIR + '/logs/error.log').read().count(DONE) == before and time.time() < end: time.sleep(.01)\n\
        a, session = go()\nb, _ = go(session)\nreloaded()\nd, _ = go(session)\n\
        for end in ('crt', 'key'): os.rename(f'{{DIR}}/conf/other.{{end}}', f'{{DIR}}/conf/localhost.{{end}}')\n\
        reloaded()\ne, _ = go(session)\nprint(a, b, d, e)\n"
    );
    if let Some(shown) = python(&server, &script) {
        assert_eq!(shown, ". r r .\n");
    }
}

#[test]
fn renegotiation_is_refused_and_nothing_is_compressed() {
    let Some(setup) = secure("") else { return };
    let server = setup.file("html/index.html", "x").start();
    let address = format!("127.0.0.1:{}", server.port());
    let Some(output) = tool("openssl", &["s_client", "-tls1_2", "-connect", &address], b"R\n") else { return };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(shown.contains("Compression: NONE"), "{shown}");
    assert!(
        shown.contains("RENEGOTIATING") && !shown.contains("Verify return code: 0 (ok)\n---\nread R BLOCK"),
        "{shown}"
    );
    server_still_answers(&server);
}

fn server_still_answers(server: &Server) {
    if let Some(page) = curl(server, "/", &[]) {
        assert_eq!(page, "x");
    }
}

#[test]
fn garbage_instead_of_a_hello_is_answered_with_an_alert() {
    let Some(setup) = secure("") else { return };
    let server = setup.file("html/index.html", "x").start();
    for (bytes, alert) in [
        (&[22, 3, 1, 0, 4, 2, 0, 0, 0][..], 50),
        (&[22, 3, 1, 0, 4, 1, 0xff, 0, 0], 40),
        (&[22, 2, 0, 0, 4, 1, 0, 0, 0], 70),
    ] {
        let mut client = Client::connect(server.address(0));
        client.send(bytes);
        assert_eq!(client.rest(), [21, 3, 3, 0, 2, 2, alert], "{bytes:?}");
    }
    server_still_answers(&server);
    server.await_file("logs/error.log", |log| {
        let line = log.lines().find(|line| line.contains("SSL handshake failed"));
        line.is_some_and(|line| line.contains(", client: 127.0.0.1, server: 127.0.0.1:"))
    });
}

#[test]
fn upstreams_are_spoken_to_over_tls_and_verified_where_that_is_wanted() {
    let setup = http(
        "server { listen 127.0.0.1:%%PORT1%% ssl; server_name a.test; ssl_certificate a.test.crt; ssl_certificate_key a.test.key; \
         ssl_verify_client optional_no_ca; location / { return 200 \"$ssl_server_name|$ssl_client_s_dn|$uri\"; } }\n\
         upstream group { server 127.0.0.1:%%PORT1%%; keepalive 2; }\n\
         server { listen 127.0.0.1:%%PORT%%;\n\
         location /plain/ { proxy_pass https://127.0.0.1:%%PORT1%%/; }\n\
         location /group/ { proxy_pass https://group/; proxy_http_version 1.1; proxy_set_header Connection \"\"; }\n\
         location /named/ { proxy_pass https://group/; proxy_set_header Host a.test; proxy_ssl_name a.test; proxy_ssl_server_name on; proxy_ssl_verify on; \
         proxy_ssl_trusted_certificate a.test.crt; proxy_ssl_certificate b.test.crt; proxy_ssl_certificate_key b.test.key; }\n\
         location /other/ { proxy_pass https://group/; proxy_ssl_name c.test; proxy_ssl_verify on; proxy_ssl_trusted_certificate a.test.crt; }\n\
         location /distrust/ { proxy_pass https://group/; proxy_ssl_verify on; proxy_ssl_trusted_certificate b.test.crt; }\n\
         location /made/ { set $to 127.0.0.1:%%PORT1%%; proxy_pass https://$to; } }",
    );
    if !certificate(setup.dir(), "a.test", "ec") || !certificate(setup.dir(), "b.test", "ec") {
        return;
    }
    let server = setup.start();
    for _ in 0..3 {
        server.get("/plain/x").is(200).body_is("||/x");
        server.get("/group/x").is(200).body_is("||/x");
        server.get("/named/x").is(200).body_is("a.test|CN=b.test|/x");
        server.get("/made/x").is(200).body_is("||/made/x");
    }
    server.get("/other/x").is(502);
    server.await_file("logs/error.log", |log| log.contains("upstream SSL certificate does not match \"c.test\""));
    server.get("/distrust/x").is(502);
    server.await_file("logs/error.log", |log| {
        log.contains("upstream SSL certificate verify error: (18:self-signed certificate)")
    });
}

#[test]
fn applications_that_speak_uwsgi_are_spoken_to_over_tls() {
    // A server of HTTP takes the request for garbage, and says who sent it.
    let setup = http(
        "server { listen 127.0.0.1:%%PORT1%% ssl; server_name a.test; ssl_certificate a.test.crt; ssl_certificate_key a.test.key; \
         ssl_verify_client optional_no_ca; add_header X-Name $ssl_client_s_dn always; }\n\
         server { listen 127.0.0.1:%%PORT%%; uwsgi_ssl_certificate b.test.crt; uwsgi_ssl_certificate_key b.test.key;\n\
         location / { uwsgi_pass suwsgi://127.0.0.1:%%PORT1%%; }\n\
         location /made { uwsgi_pass suwsgi://$arg_to; }\n\
         location /distrust { uwsgi_pass suwsgi://127.0.0.1:%%PORT1%%; uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate b.test.crt; } }",
    );
    if !certificate(setup.dir(), "a.test", "ec") || !certificate(setup.dir(), "b.test", "ec") {
        return;
    }
    let server = setup.start();
    server.get("/").is(400).has("X-Name", "CN=b.test");
    server.get(&format!("/made?to={}", server.address(1))).is(400).has("X-Name", "CN=b.test");
    server.get("/distrust").is(502);
    server.await_file("logs/error.log", |log| log.contains("upstream: \"suwsgi://127.0.0.1"));
}

#[test]
fn the_order_of_suites_is_the_clients_where_it_is_said_and_the_cheap_one_first_where_not() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key;
         server { listen 127.0.0.1:%%PORT0%% ssl; return 200 $ssl_cipher; }
         server { listen 127.0.0.1:%%PORT1%% ssl; ssl_prefer_server_ciphers off; return 200 $ssl_cipher; }",
    );
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let server = setup.start();
    let (cheap, strong, chacha) = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256");
    let table = [
        (0, [strong, chacha, cheap], cheap),
        (0, [chacha, strong, cheap], chacha),
        (1, [strong, chacha, cheap], strong),
        (1, [cheap, strong, chacha], cheap),
    ];
    for (at, order, want) in table {
        let (url, list) = (format!("https://127.0.0.1:{}/", server.address(at).port()), order.join(":"));
        let args = ["-s", "-k", "-m", "20", "--tls13-ciphers", &list, &url];
        let Some(output) = tool("curl", &args, b"") else { return };
        assert_eq!(String::from_utf8_lossy(&output.stdout), want, "server {at}, client {list}");
    }
}

#[test]
fn a_file_arrives_whole_in_records_of_the_least_size() {
    let Some(setup) = secure("ssl_buffer_size 1;") else { return };
    let content = crate::harness::noise(300_000);
    let server = setup.file("html/big", &content).start();
    let url = format!("https://127.0.0.1:{}/big", server.port());
    let Some(output) = tool("curl", &["-s", "-S", "-k", "-m", "20", &url], b"") else { return };
    assert!(output.stdout == content, "{} bytes: {}", output.stdout.len(), String::from_utf8_lossy(&output.stderr));
}

/// The rest of a cached response is sent by an exchange of its own; the request behind it is another server's.
#[test]
fn a_request_behind_the_rest_of_a_cached_response_is_judged_by_its_handshake() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key; sendfile on;
         server { listen 127.0.0.1:%%PORT%% ssl; server_name open; root %%DIR%%/html;
                  location /names { return 200 $ssl_server_name; } }
         server { listen 127.0.0.1:%%PORT%% ssl; server_name closed; ssl_verify_client on;
                  ssl_client_certificate localhost.crt; location / { return 200 secret; } }",
    );
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let server = setup.send_buffer(16 << 10).file("html/large", noise(1_000_000)).start();
    // Of a client that has no certificate and reads little; asked for three times, a response is cached.
    let script = "LARGE = b'GET /large HTTP/1.1\\r\\nHost: open\\r\\n\\r\\n'\n\
        def small():\n    s = socket.socket()\n    s.settimeout(20)\n    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)\n    \
        s.connect(('127.0.0.1', PORT))\n    return context().wrap_socket(s, server_hostname='open')\n\
        for n in range(3):\n    s = small()\n    s.sendall(LARGE)\n    left = 1000000\n    while left > 0: left -= len(s.recv(65536))\n    s.close()\n\
        for host, target in [('closed', '/'), ('open', '/names')]:\n    s = small()\n    s.sendall(LARGE)\n    s.recv(1)\n    \
        out = ask(s, f'GET {target} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n')\n    \
        last = out[out.rfind(b'HTTP/1.1 '):].decode('latin-1')\n    print(last.split('\\r\\n')[0], '|', last.split('\\r\\n\\r\\n')[1][:4])\n";
    let Some(said) = python(&server, script) else { return };
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("HTTP/1.1 421 ") && !lines[0].contains("secr"), "{said}");
    assert_eq!(lines[1], "HTTP/1.1 200 OK | open");
}

#[test]
fn a_client_that_has_ended_its_side_gets_the_answer_of_an_upstream() {
    let upstream = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer");
    let Some(setup) = secure(&format!("location / {{ proxy_pass http://{}; }}", upstream.address)) else { return };
    let server = setup.start();
    // The request and close_notify arrive together; the socket stays open.
    let script = "s = socket.create_connection(('127.0.0.1', PORT), 20)\n\
        i, o = ssl.MemoryBIO(), ssl.MemoryBIO()\n\
        t = context().wrap_bio(i, o, server_hostname='localhost')\n\
        while True:\n    try:\n        t.do_handshake()\n        break\n    except ssl.SSLWantReadError:\n        \
        s.sendall(o.read())\n        i.write(s.recv(65536))\n\
        t.write(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')\n\
        try: t.unwrap()\nexcept ssl.SSLError: pass\n\
        s.sendall(o.read())\n\
        while s.recv(65536): pass\n";
    if python(&server, script).is_none() {
        return;
    }
    let log = server.await_file("logs/access.log", |log| log.contains("GET / "));
    assert!(log.contains("\" 200 6 "), "{log}");
}
