//! Configurations with backends, requests to them and what backends answer, made from a seed.

use super::stub::{Answer, End, Framing, Records};
use crate::differential::cases::{Asked, raw_line};
use crate::differential::dice::{Dice, Words, block_lines, line};
use std::rc::Rc;

/// A configuration, and requests with what the backends answer in the course of each.
pub struct Made {
    pub conf: String,
    pub asks: Vec<(Asked, Vec<Answer>)>,
}

/// What all locations may lead to.
const AROUND: &str = "
    location /inner/ { alias %%DIR%%/html/; }
    location = /ret { return 200 \"ret $args\"; }
    location = /auth-own { return 204; }
    location = /auth-deny { return 403; }
    location = /auth-file { alias %%DIR%%/html/a.txt; }
    location = /auth-none { return 404; }
    location = /auth-fast { internal; fastcgi_pass fastcgi_one; fastcgi_pass_request_body off; fastcgi_param U \"$uri\"; }
    location = /err.html { root %%DIR%%/html; }
    location = /a-last-one { return 204; }\n";

const PROTOCOLS: [&str; 4] = ["proxy", "fastcgi", "scgi", "uwsgi"];

/// The upstreams of each protocol.
fn upstreams() -> String {
    let of = |protocol: &str| {
        let first = format!("%%{}1%%", protocol.to_ascii_uppercase());
        let second = format!("%%{}2%%", protocol.to_ascii_uppercase());
        format!(
            "upstream {protocol}_one {{ server {first}; }}
             upstream {protocol}_two {{ server {first} max_fails=0; server {second} max_fails=0; }}
             upstream {protocol}_kept {{ server {first}; keepalive 4; }}
             upstream {protocol}_dead {{ server 127.0.0.1:1 max_fails=0; server {first} max_fails=0; }}
             upstream {protocol}_backup {{ server 127.0.0.1:1 max_fails=0; server {second} backup max_fails=0; }}\n"
        )
    };
    PROTOCOLS.map(of).concat()
}

fn location(dice: &mut Dice, newer: bool) -> (String, String) {
    let name = dice.word("locations");
    let protocol = match name.as_str() {
        "/p/" | "^~ /p/" | "/p" | "= /p/a" => "proxy",
        "/f/" | "~ \\.php(/|$)" => "fastcgi",
        "/s/" => "scgi",
        "/u/" => "uwsgi",
        _ => dice.pick(&["proxy", "proxy", "proxy", "fastcgi", "fastcgi", "scgi", "uwsgi"]),
    };
    // A URI cannot stand behind a regular expression.
    let mut pass = dice.word(&format!("passes.{protocol}"));
    let has_uri = pass.contains("/;") || pass.contains("/pre;") || pass.contains("?q=1;");
    if name.starts_with('~') && has_uri || !name.starts_with('~') && pass.contains("$1") {
        pass = format!("{protocol}_pass {}{protocol}_one;", if protocol == "proxy" { "http://" } else { "" });
    }
    let mut body = vec![pass];
    if protocol == "proxy" && !body[0].contains("proxy_http_version") {
        // Its default is another one since 1.29.7.
        body.push(dice.pick(&VERSIONS).to_owned());
    }
    for (section, most) in [("around", 4), ("each", 4), (protocol, 4)] {
        let count = dice.below(most);
        block_lines(dice, count, section, &mut body);
    }
    if newer && dice.one_in(6) {
        block_lines(dice, 1, "newer", &mut body);
    }
    let text = body.join(" ").replace("%P%", protocol);
    (name.clone(), format!("location {name} {{ {text} }}\n"))
}

const VERSIONS: [&str; 3] = [
    "proxy_http_version 1.0;",
    "proxy_http_version 1.1; proxy_set_header Connection \"\";",
    "proxy_http_version 1.1; proxy_set_header Connection close;",
];

fn configuration(dice: &mut Dice, newer: bool) -> String {
    let (mut outer, count) = (Vec::new(), dice.below(3));
    block_lines(dice, count, "outer", &mut outer);
    let (outer, mut names, mut locations) = (outer.join("\n"), Vec::new(), String::new());
    for _ in 0..3 + dice.below(4) {
        let (name, text) = location(dice, newer);
        let is_same = |other: &String| other.trim_start_matches("^~ ") == name.trim_start_matches("^~ ");
        if !names.iter().any(is_same) {
            names.push(name);
            locations.push_str(&text);
        }
    }
    let (named, auth) = (line(dice, "named"), dice.word("auth"));
    let version = |text: &str| if text.contains("proxy_pass") { VERSIONS[0] } else { "" };
    format!(
        "map $arg_a $m {{ default 0; 1 one; ~^x(.*) $1; }}\nmap $upstream_status $g2 {{ default d; 200 ok; }}\n\
         {}proxy_read_timeout 20s; fastcgi_read_timeout 20s; scgi_read_timeout 20s; uwsgi_read_timeout 20s;\n\
         server {{ listen 127.0.0.1:%%PORT%%; server_name a.test; root %%DIR%%/html; set $who -; set $g 0;\n\
         {outer}\n{locations}{AROUND}location @named {{ {named} {} }}\nlocation = /auth {{ {auth} {} }} }}\n",
        upstreams(),
        version(&named),
        version(&auth)
    )
}

fn request(dice: &mut Dice, number: usize) -> Asked {
    let mut shown = String::new();
    if dice.one_in(8) {
        let (target, query) = (dice.word("targets"), dice.word("queries"));
        let body = dice.pick(&["\r\n", "\r\n", "Content-Length: 3\r\n\r\nabc"]);
        let method = if body == "\r\n" { "GET" } else { "POST" };
        shown = format!("{method} {target}{query} HTTP/1.1\r\nHost: a.test\r\nX-N: {number}a\r\n{body}");
    }
    let (method, version) = (dice.word("methods"), dice.pick(&["1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.0"]));
    let target = format!("{}{}", dice.word("targets"), dice.word("queries"));
    let close = if version == "1.0" { "" } else { "Connection: close\r\n" };
    shown.push_str(&format!("{method} {target} HTTP/{version}\r\nHost: {}\r\nX-N: {number}\r\n", dice.word("hosts")));
    let field = dice.word("fields");
    if !field.starts_with("Connection:") {
        shown.push_str(close);
    } else if version == "1.1" {
        shown.push_str("Connection: close, X-A\r\nX-A: hop\r\n");
    }
    // The first request says how much is asked for.
    let has_body = ["POST", "PUT", "PATCH"].contains(&method.as_str()) || dice.one_in(20);
    let is_framed = field.starts_with("Content-Length");
    let is_taken = field.starts_with("Connection:") || is_framed && has_body;
    if !field.is_empty() && !is_taken {
        shown.push_str(&format!("{field}\r\n"));
    }
    let body = if has_body { dice.word("bodies") } else { "\r\n".to_owned() };
    let is_chunked = body.starts_with("Transfer-Encoding");
    let body = if is_chunked && version == "1.0" { "Content-Length: 4\r\n\r\nbody".to_owned() } else { body };
    shown.push_str(&body.replace("%%BIG%%", &format!("Content-Length: 40000\r\n\r\n{}", "0123456789".repeat(4000))));
    Asked { shown: shown.clone(), bytes: shown.into_bytes(), question: None, differs: None }
}

/// The bytes of a line of the words, without its line end.
fn bytes(word: &str) -> Vec<u8> {
    raw_line(&format!("{word}\\"))
}

fn fields(dice: &mut Dice) -> Vec<u8> {
    let mut all = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for _ in 0..dice.below(5) {
        let section = if dice.one_in(25) { "odd_heads" } else { "heads" };
        let word = dice.word(section);
        let name = word.split(':').next().unwrap_or_default().to_ascii_lowercase();
        // One field twice is among the words.
        if known.contains(&name) {
            continue;
        }
        known.push(name);
        all.extend(match word.as_str() {
            "%%LONG%%" => format!("X-Long: {}", "l".repeat(5000 + dice.below(100_000))).into_bytes(),
            "%%MANY%%" => (0..600).flat_map(|n| format!("X-M{n}: {n}\r\n").into_bytes()).chain(*b"X-End: 1").collect(),
            word => bytes(word),
        });
        all.extend_from_slice(b"\r\n");
    }
    all
}

fn framing(dice: &mut Dice) -> (Framing, Option<Vec<u8>>) {
    match dice.below(40) {
        0..=7 => (Framing::Close, None),
        8..=21 => (Framing::Length, None),
        22..=28 => (Framing::Chunked, None),
        29 => (Framing::Lengths(2), None),
        30 => (Framing::Other(3), None),
        31 => (Framing::Other(-2), None),
        32 => (Framing::Both, None),
        33 | 34 => (Framing::Fields([bytes(&dice.word("lengths")), b"\r\n".to_vec()].concat()), None),
        35..=37 => (Framing::Chunks, Some(bytes(&dice.word("chunks")))),
        _ => (Framing::Length, None),
    }
}

fn body(dice: &mut Dice) -> Vec<u8> {
    match dice.below(16) {
        0 | 1 => Vec::new(),
        2 => b"<b>html</b>".to_vec(),
        3 => "\u{e9}t\u{e9} \u{442}".as_bytes().to_vec(),
        4 => b"<!--#echo var=\"uri\" -->".to_vec(),
        5 => b"0123456789".repeat(30),
        6 => b"0123456789".repeat(600),
        7 => b"0123456789".repeat(dice.below(20_000)),
        _ => b"ok".to_vec(),
    }
}

fn answer(dice: &mut Dice) -> Answer {
    let (mut framing, chunks) = framing(dice);
    let is_plain = chunks.is_none() && [Framing::Length, Framing::Chunked].contains(&framing);
    let odd_line = dice.one_in(14).then(|| bytes(&dice.word("odd_lines")));
    let odd_status = dice.one_in(8).then(|| bytes(&dice.word("odd_statuses")));
    let fields = fields(dice);
    let mut body = chunks.unwrap_or_else(|| body(dice));
    let only = dice.one_in(30).then(|| dice.below(120));
    let interim = if dice.one_in(20) { bytes(&dice.word("interim")) } else { Vec::new() };
    // Who takes it for something else waits for the end of the connection.
    let is_odd = odd_line.is_some() || odd_status.is_some() || only.is_some() || !interim.is_empty();
    let end = match dice.below(20) {
        0 => End::Reset,
        1..=9 if is_plain && !is_odd => End::Keep,
        _ => End::Close,
    };
    if framing == Framing::Length && end == End::Close && dice.one_in(20) {
        // More than was said.
        body.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        framing = Framing::Other(-38);
    }
    let is_empty = body.is_empty();
    Answer {
        status: dice.word("statuses"),
        odd_line,
        odd_status,
        interim,
        fields,
        framing,
        body,
        insists: !is_empty && end == End::Close && dice.one_in(6),
        cuts: if dice.one_in(3) { vec![1 + dice.below(150), 100 + dice.below(300)] } else { Vec::new() },
        only,
        end,
        records: records(dice),
    }
}

fn records(dice: &mut Dice) -> Records {
    let size = dice.pick(&["60000", "60000", "8000", "50", "20"]);
    let odd = dice.one_in(40).then(|| {
        bytes(dice.pick(&[
            "\\x01\\x0b\\x00\\x01\\x00\\x00\\x00\\x00",
            "\\x02\\x06\\x00\\x01\\x00\\x00\\x00\\x00",
            "\\x01\\x06\\x00\\x02\\x00\\x01\\x00\\x00x",
            "\\x01\\x06\\x00\\x01",
            "\\x01\\x07\\x00\\x01\\x00\\x00\\x00\\x00",
            "garbage garbage garbage",
        ]))
    });
    Records {
        stderr: dice.one_in(8).then(|| {
            let message = dice.pick(&["PHP Fatal: x", "warn\n", "a\nb\n", "", "PHP message: \\x01"]);
            (message.as_bytes().to_vec(), dice.one_in(2))
        }),
        // nginx counts what records add to a head as a part of it.
        padding: if dice.one_in(3) { dice.below(8) as u8 } else { 0 },
        size: size.parse().unwrap_or(1),
        ended: if dice.one_in(25) { None } else { Some((u8::from(dice.one_in(9)), u8::from(dice.one_in(30)))) },
        odd,
    }
}

/// `newer`: for nginx from 1.29 on.
pub fn made(seed: u64, words: &Rc<Words>, newer: bool) -> Made {
    let mut dice = Dice::new(seed, words);
    let conf = configuration(&mut dice, newer);
    let asks = (0..24)
        .map(|number| {
            let asked = request(&mut dice, number);
            (asked, (0..1 + dice.below(3)).map(|_| answer(&mut dice)).collect())
        })
        .collect();
    Made { conf, asks }
}
