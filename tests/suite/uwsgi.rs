//! uwsgi_pass, scgi_pass and fastcgi_pass to a real application server: uWSGI with a program in Python, which speaks
//! all three.

use crate::harness::{BOTH, Setup, Table, eventually, noise, server};
use crate::table::skipped;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

const UWSGI: &str = "/usr/bin/uwsgi_python3";

const APPLICATION: &str = r#"
import hashlib

def application(env, start):
    path = env['PATH_INFO']
    plain = [('Content-Type', 'text/plain')]
    if path.endswith('/sum'):
        sum, size = hashlib.md5(), 0
        while True:
            piece = env['wsgi.input'].read(65536)
            if not piece:
                break
            sum.update(piece)
            size += len(piece)
        start('200 OK', plain)
        return [f"{sum.hexdigest()} {size} {env.get('CONTENT_LENGTH')}".encode()]
    if path.endswith('/large'):
        start('200 OK', plain)
        return (b'0123456789' * 1000 for _ in range(400))
    if path.endswith('/tea'):
        start("418 I'm a teapot", plain + [('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')])
        return [b'tea']
    if path.endswith('/fail'):
        raise ValueError('no')
    if path.endswith('/accel'):
        start('200 OK', plain + [('X-Accel-Redirect', '/inside/secret.txt')])
        return [b'']
    start('200 OK', plain)
    return ['\n'.join(f'{name}={value}' for name, value in sorted(env.items()) if name.isupper()).encode()]
"#;

/// Gone when dropped.
struct Uwsgi(Child);

impl Uwsgi {
    /// None, said aloud: it is not installed, or does not start here.
    fn start(setup: &Setup) -> Option<Uwsgi> {
        if !std::path::Path::new(UWSGI).exists() {
            skipped("uwsgi-plugin-python3 is not installed");
            return None;
        }
        let dir = setup.dir();
        std::fs::write(dir.join("application.py"), APPLICATION).expect("a writable directory");
        let child = Command::new(UWSGI)
            .current_dir(dir)
            .args(["--socket", "u.sock", "--scgi-socket", "s.sock", "--fastcgi-socket", "f.sock"])
            .args(["--chmod-socket=666", "--wsgi-file", "application.py", "--need-app", "--die-on-term"])
            // Its own limit of 4 s is reached where the machine is busy.
            .args(["--socket-timeout", "60"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("uwsgi.log")).expect("a writable directory"))
            .spawn();
        let Ok(child) = child else {
            skipped("uWSGI cannot be started");
            return None;
        };
        let mut uwsgi = Uwsgi(child);
        let mut ended = false;
        eventually("uWSGI listens", || {
            ended = matches!(uwsgi.0.try_wait(), Ok(Some(_)));
            ended || ["u", "s", "f"].iter().all(|name| UnixStream::connect(dir.join(format!("{name}.sock"))).is_ok())
        });
        if ended {
            let log = std::fs::read(dir.join("uwsgi.log")).unwrap_or_default();
            skipped(&format!("uWSGI ended: {}", String::from_utf8_lossy(&log).trim()));
            return None;
        }
        Some(uwsgi)
    }
}

impl Drop for Uwsgi {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_application_in_python_is_served_over_all_three_protocols() {
    let params = |kind: &str| {
        let values = [
            ("QUERY_STRING", "$query_string"),
            ("REQUEST_METHOD", "$request_method"),
            ("CONTENT_TYPE", "$content_type"),
            ("CONTENT_LENGTH", "$content_length"),
            ("REQUEST_URI", "$request_uri"),
            ("PATH_INFO", "$uri"),
            ("SCRIPT_NAME", "''"),
            ("SERVER_PROTOCOL", "$server_protocol"),
            ("SERVER_NAME", "$server_name"),
            ("SERVER_PORT", "$server_port"),
        ];
        values.map(|(name, value)| format!("{kind}_param {name} {value};\n")).concat()
    };
    let location = |kind: &str, name: &str| {
        format!(
            "location /{name}/ {{ {kind}_pass unix:%%DIR%%/{name}.sock; {0}
                 location /{name}/streamed/ {{ {kind}_pass unix:%%DIR%%/{name}.sock; {kind}_request_buffering off; }}
                 location /{name}/caught/ {{ {kind}_pass unix:%%DIR%%/{name}.sock; {kind}_intercept_errors on;
                     error_page 418 = /sorry.html; }} }}",
            params(kind)
        )
    };
    let setup = server(&format!(
        "client_max_body_size 64m; scgi_param SCGI 1; {} {} {} location /inside/ {{ internal; }}",
        location("uwsgi", "u"),
        location("scgi", "s").replace("scgi_param QUERY", "scgi_param SCGI 1; scgi_param QUERY"),
        location("fastcgi", "f")
    ))
    .file("html/inside/secret.txt", "secret")
    .file("html/sorry.html", "sorry")
    .allow_log("upstream");
    let Some(_uwsgi) = Uwsgi::start(&setup) else { return };
    let s = setup.start();
    let large = noise(3 << 20);
    let mut table = Table::new("uWSGI");
    for name in ["u", "s", "f"] {
        table.row(BOTH, &format!("{name}: what it is told"), || {
            let answer = s.get_with(&format!("/{name}/x/y?a=b%20c"), "X-Field: v\r\nProxy: x\r\n");
            let text = answer.is(200).has("Content-Type", "text/plain").text();
            for line in ["QUERY_STRING=a=b%20c", "REQUEST_METHOD=GET", "HTTP_X_FIELD=v"] {
                assert!(text.lines().any(|one| one == line), "{line}: {text}");
            }
            assert!(text.contains(&format!("PATH_INFO=/{name}/x/y\n")), "{text}");
        });
        table.row(BOTH, &format!("{name}: bodies"), || {
            let sum = s.method("POST", &format!("/{name}/sum"), "", &large).is(200).text();
            assert!(sum.ends_with(&format!(" {0} {0}", large.len())), "{sum}");
            let chunked = |path: &str| {
                let head = format!("POST /{name}/{path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                let body: Vec<u8> = large
                    .chunks(100_000)
                    .flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
                    .collect();
                let mut client = s.client();
                client.send([head.as_bytes(), &body, b"0\r\n\r\n"].concat());
                client.response().is(200).text()
            };
            assert_eq!(chunked("sum"), sum);
            let streamed = s.method("POST", &format!("/{name}/streamed/sum"), "", &large).is(200).text();
            assert_eq!(streamed, sum);
        });
        table.row(BOTH, &format!("{name}: answers"), || {
            assert_eq!(s.get(&format!("/{name}/large")).is(200).body.len(), 4_000_000);
            let tea = s.get(&format!("/{name}/tea"));
            tea.is(418).body_is("tea");
            assert_eq!(tea.all("set-cookie"), ["a=1", "b=2"]);
            s.get(&format!("/{name}/caught/tea")).is(200).body_is("sorry");
            s.get(&format!("/{name}/accel")).is(200).body_is("secret");
            s.get(&format!("/{name}/fail")).is(502);
        });
        table.row(BOTH, &format!("{name}: HEAD"), || {
            let mut client = s.client();
            client.send(format!("HEAD /{name}/tea HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.response_to_head().is(418);
            client.expect_alive("/sorry.html", 200);
        });
    }
}
