//! A session is resumed only where clients are verified as they were when it began: over a reload, between servers, and
//! whichever way the session is kept (a ticket of TLS 1.2 or 1.3, or the server's cache).

use crate::harness::http;
use crate::tls::{certificate, python};

const SCRIPT: &str = r#"
import os, signal, time
CONF = DIR + '/conf/test.conf'
TEXT = open(CONF).read()

def reloads():
    return open(DIR + '/logs/error.log').read().count('the configuration was reloaded')

def reload(old='', new=''):
    assert old in TEXT
    before, end = reloads(), time.time() + 60
    open(CONF, 'w').write(TEXT.replace(old, new) if old else TEXT)
    os.kill(int(open(DIR + '/logs/webserv.pid').read()), signal.SIGHUP)
    while reloads() == before:
        assert time.time() < end, 'no reload'
        time.sleep(.01)

def kind(most, options):
    c = context(most=most, cert='a')
    c.options |= options
    return c

KINDS = [kind(ssl.TLSVersion.TLSv1_2, 0), kind(ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TICKET),
         kind(ssl.TLSVersion.TLSv1_3, 0)]

def go(c, session=None, name='one'):
    s = connect(context=c, session=session, name=name)
    r = ask(s, f'GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n').decode()
    assert ' 200 ' in r, r
    return r[-1], s.session

for old, new in CHANGES:
    sessions = [go(c)[1] for c in KINDS]
    same = ''.join(go(c, session)[0] for c, session in zip(KINDS, sessions))
    reload(old, new)
    there = ''.join(go(c, session)[0] for c, session in zip(KINDS, sessions))
    sessions = [go(c)[1] for c in KINDS]
    reload()
    back = ''.join(go(c, session)[0] for c, session in zip(KINDS, sessions))
    print(f'{old} -> {new}: {same} {there} {back}')
for a, b in (('one', 'other'), ('other', 'one')):
    print(a, b, ''.join(go(c, go(c, name=a)[1], name=b)[0] for c in KINDS))
"#;

/// CVE-2025-23419 among others.
#[test]
fn sessions_are_resumed_only_where_clients_are_verified_as_before() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key; ssl_session_cache shared:one:1m;
         ssl_client_certificate a.crt;
         server { listen 127.0.0.1:%%PORT%% ssl; server_name one; ssl_verify_client optional; ssl_verify_depth 2;
             add_header X x; return 200 \"$ssl_session_reused\"; }
         server { listen 127.0.0.1:%%PORT%% ssl; server_name other; return 200 \"$ssl_session_reused\"; }",
    );
    if !["localhost", "a", "b"].iter().all(|name| certificate(setup.dir(), name, "ec")) {
        return;
    }
    let server = setup.start();
    let both = [server.read("conf/a.crt"), server.read("conf/b.crt")].concat();
    std::fs::write(server.path("conf/both.crt"), both).expect("written");
    // As they were, then after the change, then sessions of the change as before it.
    let table = [
        ("add_header X x", "add_header X y", "rrr rrr rrr"),
        ("client optional;", "client on;", "rrr ... ..."),
        ("client optional;", "client optional_no_ca;", "rrr ... ..."),
        ("client optional;", "client off;", "rrr ... ..."),
        ("certificate a.crt", "certificate both.crt", "rrr ... ..."),
        ("verify_depth 2", "verify_depth 3", "rrr ... ..."),
        ("add_header X x", "ssl_trusted_certificate b.crt", "rrr ... ..."),
    ];
    let changes: Vec<String> = table.iter().map(|(old, new, _)| format!("('{old}', '{new}')")).collect();
    let Some(shown) = python(&server, &format!("CHANGES = [{}]\n{SCRIPT}", changes.join(", "))) else { return };
    let mut want: String = table.iter().map(|(old, new, outcome)| format!("{old} -> {new}: {outcome}\n")).collect();
    want.push_str("one other ...\nother one ...\n");
    assert_eq!(shown, want);
}

#[test]
fn a_new_session_of_tls_1_3_has_an_id_of_its_own() {
    let setup = http(
        "server { listen 127.0.0.1:%%PORT%% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;
             return 200 \"[$ssl_session_id$ssl_session_reused]\"; }",
    );
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let server = setup.start();
    let script = r#"
def go(c, session=None):
    s = connect(context=c, session=session)
    r = ask(s, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n').decode()
    return r.rsplit('[', 1)[1].rstrip(']'), s.session
for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    c = context(most=most)
    (a, session), (b, _) = go(c), go(c)
    d, _ = go(c, session)
    print(len(a), len(b), a[:64] != b[:64], a[-1], len(d), d[-1])
"#;
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, "1 1 False . 65 r\n65 65 True . 65 r\n");
    }
}

#[test]
fn a_session_of_tls_1_2_that_the_server_keeps_has_its_id_from_the_first_connection_on() {
    let setup = http(
        "ssl_session_cache shared:kept:1m; ssl_session_tickets off;
         server { listen 127.0.0.1:%%PORT%% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;
             return 200 \"[$ssl_session_id$ssl_session_reused]\"; }",
    );
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let server = setup.start();
    let script = r#"
def go(c, session=None):
    s = connect(context=c, session=session)
    r = ask(s, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n').decode()
    return r.rsplit('[', 1)[1].rstrip(']'), s.session
c = context(most=ssl.TLSVersion.TLSv1_2)
(a, session), (b, _) = go(c), go(c)
d, _ = go(c, session)
print(len(a), len(b), a[:64] != b[:64], a[-1], d[-1], a[:64] == d[:64] == session.id.hex())
"#;
    if let Some(shown) = python(&server, script) {
        assert_eq!(shown, "65 65 True . r True\n");
    }
}

const KEPT: &str = r#"
import os, signal, time
CONF = DIR + '/conf/test.conf'
TEXT = open(CONF).read()

def once(s, name='one'):
    s.sendall(f'GET / HTTP/1.1\r\nHost: {name}\r\n\r\n'.encode())
    return s.recv(65536)[9:12].decode()

old = connect(cert='a', name='one')
waits = connect(cert='a', name='one')
# Without a name in its hello, as proxies connect.
nameless = connect(cert='a', name=None)
print(once(old), once(old), once(nameless))
open(CONF, 'w').write(TEXT.replace('certificate a.crt', 'certificate b.crt'))
os.kill(int(open(DIR + '/logs/webserv.pid').read()), signal.SIGHUP)
end = time.time() + 60
while 'the configuration was reloaded' not in open(DIR + '/logs/error.log').read():
    assert time.time() < end, 'no reload'
    time.sleep(.01)
print(once(old), once(waits), once(nameless), once(connect(cert='a', name='one')), once(connect(cert='b', name='one')))
"#;

/// The verdict of the handshake is that of the CAs that were trusted then.
#[test]
fn a_client_whose_ca_was_taken_away_by_a_reload_is_refused_on_its_old_connection() {
    let setup = http(
        "ssl_certificate localhost.crt; ssl_certificate_key localhost.key; ssl_client_certificate a.crt;
         server { listen 127.0.0.1:%%PORT%% ssl; server_name one; ssl_verify_client on; return 200 secret; }",
    );
    if !["localhost", "a", "b"].iter().all(|name| certificate(setup.dir(), name, "ec")) {
        return;
    }
    let server = setup.start();
    let Some(shown) = python(&server, KEPT) else { return };
    assert_eq!(shown, "200 200 200\n400 400 400 400 200\n");
}

/// Its handshakes are those of the default server, whose clients must not get in.
#[test]
fn a_server_without_certificates_verifies_clients_by_its_own_ca() {
    if crate::table::skip_on_nginx("nginx takes the verdict of the default server") {
        return;
    }
    let setup = http(
        "server { listen 127.0.0.1:%%PORT%% ssl default_server; server_name one; ssl_certificate localhost.crt;
             ssl_certificate_key localhost.key; ssl_verify_client optional; ssl_client_certificate a.crt;
             return 200 \"$ssl_client_verify|\"; }
         server { listen 127.0.0.1:%%PORT%% ssl; server_name two; ssl_verify_client on; ssl_client_certificate b.crt;
             return 200 \"$ssl_client_verify|\"; }",
    );
    if !["localhost", "a", "b"].iter().all(|name| certificate(setup.dir(), name, "ec")) {
        return;
    }
    let server = setup.start();
    let script = r#"
for cert in ('a', 'b'):
    for name in ('one', 'two'):
        r = get('/', host=name, name=name, cert=cert)
        print(cert, name, r[9:12], r[-8:] if ' 200 ' in r[:15] else '')
"#;
    let Some(shown) = python(&server, script) else { return };
    assert_eq!(shown, "a one 200 SUCCESS|\na two 400 \nb one 400 \nb two 200 SUCCESS|\n");
}

/// Whether its bytes had arrived by then decides nothing.
#[test]
fn pipelined_requests_are_judged_each_by_its_own_server() {
    if crate::table::skip_on_nginx("nginx takes the verdict of the default server") {
        return;
    }
    let borrower = |name: &str, ca: &str| {
        format!(
            "server {{ listen 127.0.0.1:%%PORT%% ssl; server_name {name}; ssl_verify_client optional_no_ca;
                 ssl_client_certificate {ca}.crt; return 200 \"$ssl_client_verify|\"; }}"
        )
    };
    let setup = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%% ssl default_server; server_name one; ssl_certificate localhost.crt;
             ssl_certificate_key localhost.key; ssl_verify_client optional_no_ca; ssl_client_certificate a.crt;
             return 200 \"$ssl_client_verify|\"; }}
         {} {}
         server {{ listen 127.0.0.1:%%PORT%% ssl; server_name off; ssl_verify_client off;
             return 200 \"$ssl_client_verify|\"; }}",
        borrower("two", "b"),
        borrower("three", "a")
    ));
    if !["localhost", "a", "b"].iter().all(|name| certificate(setup.dir(), name, "ec")) {
        return;
    }
    let server = setup.start();
    let script = r#"
import re
NAMES = ['one', 'two', 'three', 'off', 'two', 'one', 'off']
def request(name, last):
    return f'GET / HTTP/1.1\r\nHost: {name}\r\nConnection: {"close" if last else "keep-alive"}\r\n\r\n'
def verdicts(requests):
    return re.findall(r'(SUCCESS|FAILED|NONE)', ask(connect(cert='b', name=None), ''.join(requests)).decode())
alone = [verdicts([request(name, True)])[0] for name in NAMES]
print(alone == verdicts([request(name, at == len(NAMES) - 1) for at, name in enumerate(NAMES)]), *alone)
"#;
    let Some(shown) = python(&server, script) else { return };
    assert_eq!(shown, "True FAILED SUCCESS FAILED FAILED SUCCESS FAILED FAILED\n");
}
