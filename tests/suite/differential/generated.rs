//! Configurations made from a seed, and requests to them: webserv and nginx beside each other.
//!
//! Every difference must be of a kind that README's table of differences has a row of ([`KINDS`]). `SEED=n` makes other
//! configurations, `CONFIGURATIONS=n` more of them; `LOGS=1` compares what the access logs say, too.

use super::cases::{Asked, Case};
use super::dice::{Dice, Words, block_lines, line, number, takes};
use super::kinds::{KINDS, is_refused};
use super::{apart, ask, facts, setup};
use crate::harness::{Server, binary, skip_on_nginx};
use crate::real_confs::oracle;
use std::io::Write;
use std::rc::Rc;

/// Tables that the words use, in `http`.
const TABLES: &str = "map $arg_a $m { default 0; 1 2; ~^x(.*) $1; }
    geo $g { default w; }
    map $http_host $h { hostnames; default dd; *.a.test sub; .second.test sec; a.* ax; }
    map $sent_http_content_type $x { default off; text/html 1h; ~text/ max; application/json epoch; }
    split_clients \"$arg_a$uri\" $s { 30% one; 20.5% two; * \"rest$arg_a\"; }
    charset_map koi8-r utf-8 { C1 D0B0; C2 D0B1; }
    map $m $nested { 0 zero; default \"n$m\"; }
    map $uri $seg { ~^/(?<first>[^/]+)/ $first; ~\\.(txt)$ $1; default none; }
    map $sent_http_content_type $vol { volatile; default \"v\"; ~text 5m; }
    geo $arg_a $ranged { ranges; default out; 1.0.0.0-1.255.255.255 one; 127.0.0.1-127.0.0.1 local; }
    geo $through { proxy 127.0.0.1; default none; 1.2.3.0/24 net; 5.6.7.8 host; 10.0.0.0/8 ten; 2001:db8::/32 six; }
    upstream ups { server 127.0.0.1:%%PORT1%%; }
    upstream two { server 127.0.0.1:1 max_fails=0; server 127.0.0.1:%%PORT1%% backup; }\n";
const UPSTREAM: &str = "server { listen 127.0.0.1:%%PORT1%%; default_type text/plain; add_header X-U \"$http_x_a\";
    location / { return 200 \"up $request_method $request_uri $http_range $content_length $http_host $http_x_q\\n\"; }
    location ~ /redir { return 302 http://127.0.0.1:%%PORT1%%/up/there; } location ~ /err { return 503 uperr; }
    location ~ /accel { add_header X-Accel-Redirect /b.html; return 200 x; } location ~ /nc { return 204; }
    location ~ /cook { add_header Set-Cookie \"a=b; path=/x; domain=h.test\"; add_header Cache-Control no-cache; return 200 c; }
    location ~ /rel { return 301 /x/rel?$args; } location ~ /sch { return 307 //h.test/; }
    location ~ /auth { add_header WWW-Authenticate \"Basic realm=up\" always; return 401 no; }
    location ~ /named { add_header X-Accel-Redirect @fallback; return 200 x; }
    location ~ /limited { add_header X-Accel-Limit-Rate 100k; add_header X-Accel-Charset koi8-r; return 200 lim; }
    location ~ /kinds { default_type $arg_a; return 200 \"<i>kind</i>\"; }
    location ~ /file { root %%DIR%%/html; rewrite ^ /big.txt break; }
    location ~ /gone { return 444; } location ~ /moved { add_header Refresh \"1; url=/x\"; return 410 moved; } }";

fn location(dice: &mut Dice, nested: bool) -> (String, String) {
    let name = &*dice.word(if nested { "nested" } else { "locations" });
    let (count, more) = (dice.below(4), dice.below(2));
    let mut body = Vec::new();
    block_lines(dice, count, "anywhere", &mut body);
    block_lines(dice, more, "in_locations", &mut body);
    for _ in 0..dice.pick(&["", "", "", "1", "1", "22", "333"]).len() {
        body.push(line(dice, "script"));
    }
    if dice.one_in(6) {
        let then = line(dice, "in_if");
        body.push(format!("if ({}) {{ {then} }}", dice.word("conditions")));
    }
    if dice.one_in(5) {
        block_lines(dice, 1, "proxy", &mut body);
    }
    if !nested && !name.starts_with('=') && dice.one_in(5) {
        body.push(location(dice, true).1);
    }
    (name.trim_start_matches("^~ ").to_owned(), format!("location {name} {{ {} }}\n", body.join(" ")))
}

fn server(dice: &mut Dice, name: &str) -> String {
    let (count, more) = (dice.below(4), dice.below(2));
    let mut block = Vec::new();
    block_lines(dice, count, "anywhere", &mut block);
    block_lines(dice, more, "in_servers", &mut block);
    let mut text = block.join(" ");
    if dice.one_in(5) {
        text.push_str(&line(dice, "script").replace("add_header X-I \"$1\"", "set $g \"$1\""));
    }
    let mut names: Vec<String> = Vec::new();
    for _ in 0..1 + dice.below(5) {
        let (name, location) = location(dice, false);
        if !names.contains(&name) {
            names.push(name);
            text.push_str(&location);
        }
    }
    let (fallback, second) = (dice.word("named"), dice.word("named"));
    let default = if name == "second.test" && dice.one_in(6) { " default_server" } else { "" };
    format!(
        "server {{ listen 127.0.0.1:%%PORT%%{default}; server_name {name}; root %%DIR%%/html;\n{text}\n\
         location @fallback {{ {fallback} }}\nlocation @second {{ {second} }} }}\n"
    )
}

/// A request and the end of its connection, or one before it that leaves the connection open.
fn request(dice: &mut Dice) -> Asked {
    let mut shown = String::new();
    let method = dice.word("methods");
    if method == "GET" && dice.one_in(8) {
        let target = dice.word("targets");
        let body = dice.pick(&["", "", "Content-Length: 3\r\n\r\nabc"]);
        let method = if body.is_empty() { "GET" } else { "POST" };
        shown = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{body}", dice.word("hosts"));
        shown.push_str(if body.is_empty() { "\r\n" } else { "" });
    }
    let target = format!("{}{}", dice.word("targets"), dice.word("queries"));
    let version = dice.pick(&["1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.0"]);
    let close = if version == "1.0" { "" } else { "Connection: close\r\n" };
    let mut head = format!("{method} {target} HTTP/{version}\r\nHost: {}\r\n{close}", dice.word("hosts"));
    let field = dice.word("fields");
    // What depends on the file in place is evaluated by one of the two only, and both would go on with other files.
    let writes = method == "PUT" && field.starts_with("If-");
    if !field.is_empty() && !writes {
        head.push_str(&format!("{field}\r\n"));
    }
    if ["COPY", "MOVE"].contains(&&*method) {
        head.push_str(&format!("Destination: {}\r\n", dice.word("destinations")));
    }
    if ["POST", "PUT"].contains(&&*method) {
        head.push_str(&if version == "1.1" { dice.word("bodies") } else { "Content-Length: 4\r\n\r\n1234".to_owned() });
        head.push_str(if dice.one_in(9) { "" } else { "\r\n" });
    } else {
        head.push_str("\r\n");
    }
    shown.push_str(&head);
    Asked { shown: shown.clone(), bytes: shown.into_bytes(), question: None, differs: None }
}

fn case(seed: u64, words: &Rc<Words>) -> Case {
    let mut dice = Dice::new(seed, words);
    let mut outer = Vec::new();
    block_lines(&mut dice, 2, "anywhere", &mut outer);
    let outer = outer.join("\n").replace("@fallback", "/b.html");
    let mut conf = format!("{TABLES}{outer}\n");
    let name = dice.word("server_names");
    conf.push_str(&server(&mut dice, &name));
    conf.push_str(&server(&mut dice, "second.test"));
    conf.push_str(UPSTREAM);
    let files = [
        ("html/index.html", "<p>index</p>"),
        ("html/a.txt", "alpha beta gamma"),
        ("html/b.html", "<b>b</b>"),
        ("html/s.js", "var s;"),
        ("html/dir/index.html", "dirindex"),
        ("html/dir/x.txt", "x"),
        ("html/empty.txt", ""),
        ("html/dir/sub/y.html", "y"),
        ("html/no/z.txt", "z"),
        ("html/err.html", "ERR"),
        ("html/sp ace.txt", "sp"),
        ("html/ssi.html", "<!--#echo var=\"uri\" -->"),
        ("other/a.txt", "other"),
        ("other/dir/x.txt", "ox"),
        ("html/docs/index.html", "docs"),
        ("html/docs/guide/a.html", "guide a"),
        ("html/docs/guide/index.html", "guide"),
        ("html/up/keep.txt", "keep"),
        ("html/gz.txt", "plain"),
        ("html/gz.txt.gz", "compressed before"),
        ("html/koi.txt", "koi"),
        ("users", "bob:{PLAIN}pw\n"),
        (
            "html/inc.shtml",
            "<!--#set var=\"v\" value=\"$arg_a\" --><!--#if expr=\"$v = 1\" -->one<!--#elif expr=\"$v = /x(?<k>.)/\" -->x<!--#echo var=\"k\" --><!--#else -->else<!--#endif -->[<!--#include virtual=\"/dir/x.txt?b=$v\" -->]",
        ),
        (
            "html/inc2.shtml",
            "<!--#config errmsg=\"oops\" timefmt=\"%Y\" --><!--#include virtual=\"/missing\" stub=\"s\" --><!--#block name=\"s\" -->stub<!--#endblock --><!--#echo var=\"nope\" default=\"d<f\" encoding=\"entity\" --><!--#include file=\"a.txt\" --><!--#fsize file=\"a.txt\" --><!--#echo var=\"date_gmt\" -->",
        ),
        (
            "html/inc3.shtml",
            "a<!--#include virtual=\"/auth\" set=\"q\" --><!--#echo var=\"q\" encoding=\"none\" -->b<!--#include virtual=\"/redir\" --><!--#include virtual=\"/b.html\" wait=\"yes\" -->c",
        ),
        ("html/noext", "none"),
        ("html/list/b/x", "x"),
        ("html/list/a&b.txt", "amp"),
        ("html/list/\u{e9}<.html", "accent"),
        ("html/list/A long name that is cut by listings because it is long.txt", "long"),
        ("html/big.txt", "0123456789012345678901234567890123456789012345678901234567890123456789"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).to_vec();
    let asks = (0..40).map(|_| request(&mut dice)).collect();
    Case { name: format!("configuration {seed}"), files, conf, asks, ..Case::default() }
}

/// The answers of a connection without those at its beginning that are the same.
fn from_the_first_difference<'a>(got: &'a str, wanted: &'a str) -> (&'a str, &'a str) {
    let mut at = 0;
    for (next, _) in got.match_indices("\nHTTP/1.") {
        if got.get(..next + 1) == wanted.get(..next + 1) && wanted[next + 1..].starts_with("HTTP/1.") {
            at = next + 1;
        }
    }
    (&got[at..], &wanted[at..])
}

/// Nothing but the clock went on between the answers (`expires @15h`).
fn is_a_tick(got: &str, wanted: &str) -> bool {
    let age = |line: &str| line.strip_prefix("Cache-Control: max-age=")?.parse::<i64>().ok();
    let same = |(one, other): (&str, &str)| match (age(one), age(other)) {
        (Some(one), Some(other)) => (one - other).abs() < 60,
        _ => one == other,
    };
    got.lines().count() == wanted.lines().count() && got.lines().zip(wanted.lines()).all(same)
}

/// The last request of a connection: only what stands before it lets the connection go on, unless it is refused.
fn last_request(shown: &str) -> &str {
    if is_refused(shown) {
        return shown;
    }
    let end = "\r\n\r\n";
    let open = shown.find(end).filter(|at| !shown[..*at].contains("Connection: close") && shown.contains("HTTP/1.1"));
    let rest = open.map_or(shown, |at| shown[at + end.len()..].trim_start_matches("abc"));
    if rest.contains(" HTTP/1.") { rest } else { shown }
}

/// What nginx says where a variable got longer while a text was put together.
const NO_SPACE: &str = "no buffer space in script copy";

/// The access logs of both, without requests that were answered otherwise.
fn logged((ours, theirs): (Server, Server), apart_at: &[String]) -> (String, String) {
    let lines = |mut server: Server| {
        // A connection that lingers is logged when it ends.
        ask(&server, b"GET /a-last-one HTTP/1.0\r\n\r\n");
        server.stop();
        let log = facts::access_log(&server, true);
        let told = ["400", "408", "412", "499", "501"].map(|status| format!("\" {status} "));
        let is_apart = |line: &str| apart_at.iter().chain(&told).any(|text| line.contains(text.as_str()));
        let lines = log.lines().filter(|line| !is_apart(line));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    (lines(ours), lines(theirs))
}

#[test]
fn every_kind_of_difference_has_its_row() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    for (row, _) in KINDS {
        assert!(readme.contains(row), "README's table has no row {row}");
    }
}

#[test]
fn generated_configurations_are_answered_alike() {
    if skip_on_nginx("both servers are started here") {
        return;
    }
    let Some(nginx) = oracle() else {
        let _ = writeln!(std::io::stderr(), "skipped: no nginx to compare with (WEBSERV_ORACLE)");
        return;
    };
    let (first, count) = (number("SEED", 1) * 10_000, number("CONFIGURATIONS", 20));
    let words = Rc::new(Words::read("generated.words"));
    let (mut different, mut asked) = (Vec::<(u64, String)>::new(), 0);
    let mut refused = 0;
    for seed in first..first + count {
        let case = case(seed, &words);
        let (ours, theirs) = (setup(&case), setup(&case));
        match (takes(&ours, binary()), takes(&theirs, &nginx)) {
            (Ok(()), Ok(())) => {}
            (Err(_), Err(_)) => {
                refused += 1;
                continue;
            }
            (got, wanted) => {
                let verdicts = format!("webserv: {got:?}\nnginx: {wanted:?}");
                different.push((seed, format!("=== {}\n{}\n{verdicts}", case.name, case.conf)));
                continue;
            }
        }
        let (ours, theirs) = (ours.start(), theirs.start_on(&nginx));
        let mut apart_at = Vec::new();
        for one in &case.asks {
            asked += 1;
            let alerts = theirs.error_log().matches(NO_SPACE).count();
            let (got, wanted) = (ask(&ours, &one.bytes), ask(&theirs, &one.bytes));
            let (got, wanted) = from_the_first_difference(&got, &wanted);
            if got == wanted || is_a_tick(got, wanted) || theirs.error_log().matches(NO_SPACE).count() > alerts {
                continue;
            }
            let request = last_request(&one.shown);
            // An empty one would be a part of each line of the logs.
            apart_at.extend(request.lines().find(|line| !line.is_empty()).map(str::to_owned));
            if !KINDS.iter().any(|(_, is)| is(request, got, wanted)) {
                let conf = if different.iter().any(|(seen, _)| *seen == seed) { "" } else { &*case.conf };
                let text = format!("=== {}\n{conf}\n{}\n{}", case.name, one.shown, apart(got, wanted));
                different.push((seed, text));
            }
            // Their files are not the same any more.
            if ["PUT ", "DELETE ", "MKCOL ", "COPY ", "MOVE "].iter().any(|method| request.starts_with(method)) {
                break;
            }
        }
        let (got, wanted) = logged((ours, theirs), &apart_at);
        if got != wanted && std::env::var_os("LOGS").is_some() {
            different.push((seed, format!("=== {} log\n{}\n{}", case.name, case.conf, apart(&got, &wanted))));
        }
    }
    println!("{asked} answers to {count} configurations, of which {refused} are refused by both");
    let texts: Vec<String> = different.into_iter().map(|(_, text)| text).collect();
    assert!(texts.is_empty(), "{} of {asked} differ:\n{}", texts.len(), texts.join("\n"));
}
