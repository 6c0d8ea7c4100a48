//! Rewrites and conditions that are asked together do what they do one after the other. Scripts drawn by chance stand
//! twice in each configuration: once as they are, and once with each condition and pattern written so that it is in no
//! list; both have to answer every request alike. Where there is an nginx to compare with, it has to answer so too.

use crate::client::Response;
use crate::harness::{Server, Setup, http, on_nginx, server};
use std::fmt::Write;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn of<'a>(&mut self, set: &[&'a str]) -> &'a str {
        set[self.below(set.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const MAPS: &str = r#"
    map $1 $cap_v { volatile; x yes; default no; }
    map $1 $cap { x yes; a yes; default no; }
    map $arg_q $plain { default none; a one; b two; "" no; }
    map $arg_q $kept_re { default ""; ~^(a)(.*) "k$1"; "~(?<part>b+)" $part; ~x x; }
    map $uri $vol_re { volatile; default u; "~^/(?<lang>de|en)/" l; ~^/(.) $1; }
    map $lang $of_lang { default no; de d; en e; }
    map $a $vol_a { volatile; default n; x y; "" e; }
    map $of_lang $of_of_lang { volatile; default x; d a; }
    map $uri $u0 { default ""; /a 1; /b/a 1; /X 1; }
    map $uri $u1 { default 0; /b 1; /ab/x 1; }
    map $uri $u2 { /a/b 1; /x 1; "" 1; }
    map $uri $u3 { default ""; /none 1; /de/a $1; }
    map $uri $u4 { default ""; /ZZ 1; /x/q 0; /y 1; }
    map $uri $u5 { default 1; /q 0; }
    map $arg_q $q0 { default ""; a 1; b 1; }
    map $arg_q $q1 { default 0; DE 1; x 1; }
    map $arg_q $q2 { default ""; "" 1; yes 1; }
    map $arg_q $q3 { default ""; abx 1; no $lang; }
"#;

/// Maps that conditions ask for, whether they give anything.
const ASKED: [&str; 10] = ["$u0", "$u1", "$u2", "$u3", "$u4", "$u5", "$q0", "$q1", "$q2", "$q3"];

const SUBJECTS: [&str; 18] = [
    "$uri",
    "$args",
    "$arg_q",
    "$arg_r",
    "$http_x",
    "$cookie_c",
    "$a",
    "$b",
    "$lang",
    "$part",
    "$cap_v",
    "$cap",
    "$plain",
    "$kept_re",
    "$vol_re",
    "$of_lang",
    "$vol_a",
    "$of_of_lang",
];

const TEXTS: [&str; 18] =
    ["", "a", "b", "x", "yes", "no", "de", "en", "one", "none", "k", "l", "d", "ax", "fr", "mm", "ox", "zz"];

/// At the end, those that next to nothing is.
const RARE_TEXTS: usize = 7;

const RARE_PATTERNS: [&str; 8] = ["^fr", "mm(.)", "(?<part>oxen)", "^/zz.$", "nn", "^yes$", "^de$", "^l$"];

/// Negated, they leave captures where they do nothing.
const NAMED: [&str; 4] = ["(?<lang>de|en)", "(?<part>x.?)", "^/?(?<lang>de|en)", "(?<part>[ab]+)"];

/// What evaluating others may change, and what evaluating them changes.
const CHANGING: [&str; 8] = ["$lang", "$part", "$cap_v", "$vol_re", "$kept_re", "$of_lang", "$uri", "$of_of_lang"];

/// No condition but `=` is asked of more than a pattern: these and their ends are enough to match often.
const PATTERNS: [&str; 24] = [
    "^a",
    "^/a",
    "b$",
    "(a)(b)?",
    "(?<lang>de|en)",
    "(?<part>x.)",
    "^/(de|en)/",
    "^$",
    "x",
    "yes",
    "^none",
    "no$",
    "^(.)(.)",
    "one|two",
    "^/x/(.*)$",
    "(?=b)b",
    "k",
    "^l$",
    "^/(?<part>[ab]+)/?",
    "(e)",
    "n(o)",
    "^(?!.*x)(.)",
    "d|e",
    "q=(.)",
];

const REWRITES: [(&str, &str); 16] = [
    ("^/a/(.*)$", "/b/$1"),
    ("^/(?<lang>de|en)/(.*)$", "/$2"),
    ("^/b/(.)(.*)$", "/$2$1/x"),
    ("(x)$", "/y$1?q=$1"),
    ("^/none", "/bad"),
    ("^/(.*)zz", "/q/$1?"),
    ("/b$", "/$a/b"),
    ("^/q/(.*)$", "/$1?r=b"),
    ("y", "/en/$1"),
    ("^/(?<part>[^/]+)/(?<a2>.*)$", "/$a2/$part"),
    ("^(?!/)", "/never"),
    ("ab", "/de/$lang"),
    ("^/([ab])$", "/x/$1"),
    ("^/missing/", "/bad?"),
    ("bad", "/$part$1"),
    ("^", "/$2"),
];

/// One script, as it is and so that no list has its ops. A text behind a variable is in no list, nor is a pattern that
/// only PCRE2 matches and that has no text it cannot match without.
#[derive(Default)]
struct Script {
    listed: String,
    alone: String,
}

impl Script {
    fn both(&mut self, text: &str) {
        self.listed += text;
        self.alone += text;
    }

    fn pattern(&mut self, pattern: &str) {
        write!(self.listed, "\"{pattern}\"").expect("a String takes all");
        write!(self.alone, "\"(?:{pattern}|(?!))\"").expect("a String takes all");
    }

    fn rewrite(&mut self, rng: &mut Rng) {
        let (pattern, target) = REWRITES[rng.below(REWRITES.len())];
        self.both("rewrite ");
        self.pattern(pattern);
        let flag = if rng.chance(85) { "" } else { rng.of(&["last", "break", "redirect", "permanent"]) };
        self.both(&format!(" \"{target}\" {flag};"));
    }

    fn condition(&mut self, rng: &mut Rng, subjects: &[&str], number: usize) {
        let subject = rng.of(subjects);
        // Most do nothing, but for what an evaluation leaves behind.
        let rare = rng.chance(60);
        let patterns: &[&str] = if rare { &RARE_PATTERNS } else { &PATTERNS };
        let texts = if rare { TEXTS.len() - RARE_TEXTS..TEXTS.len() } else { 0..TEXTS.len() };
        match rng.below(30) {
            0 => self.both(&format!("if ({subject})")),
            24..30 => {
                let (map, text) = (rng.of(&ASKED), rng.of(&["", "1", "0", "a"]));
                let not = rng.of(&["=", "!="]);
                // `if ($map)` is in a list like these.
                let number =
                    TEXTS.iter().position(|other| *other == text).unwrap_or(TEXTS.len() + usize::from(text == "0"));
                write!(self.listed, "if ({map} {not} \"{text}\")").expect("a String takes all");
                write!(self.alone, "if ({map} {not} $text_{number})").expect("a String takes all");
            }
            1 => self.both(&format!("if ({} $document_root$uri)", rng.of(&["-f", "-d", "!-e"]))),
            2 | 20 => {
                let text = rng.below(TEXTS.len());
                write!(self.listed, "if ({subject} != \"{}\")", TEXTS[text]).expect("a String takes all");
                write!(self.alone, "if ({subject} != $text_{text})").expect("a String takes all");
            }
            3 => self.both(&format!("if ({subject} = {})", rng.of(&SUBJECTS))),
            4 | 5 | 21..24 => {
                self.both(&format!("if ({subject} {} ", rng.of(&["!~", "!~*"])));
                let patterns: &[&str] = if rng.chance(20) { &NAMED } else { &PATTERNS };
                self.pattern(rng.of(patterns));
                self.both(")");
            }
            6..11 => {
                let text = texts.start + rng.below(texts.len());
                write!(self.listed, "if ({subject} = \"{}\")", TEXTS[text]).expect("a String takes all");
                write!(self.alone, "if ({subject} = $text_{text})").expect("a String takes all");
            }
            _ => {
                self.both(&format!("if ({subject} {} ", rng.of(&["~", "~", "~*"])));
                self.pattern(rng.of(patterns));
                self.both(")");
            }
        }
        self.both(&format!(" {{ set $seen \"$seen {number}:$1\";"));
        match rng.below(24) {
            0 => self.both(" break;"),
            1 => self.both(&format!(" return 403 \"{number} $1 $2 $lang $part $seen\";")),
            2..5 => self.rewrite(rng),
            5..11 => self.set(rng),
            11..13 => self.run_of_sets(rng),
            _ => {}
        }
        self.both(" }");
    }

    fn set(&mut self, rng: &mut Rng) {
        let name = rng.of(&["$a", "$b", "$a", "$b", "$lang", "$part", "$args", "$arg_q", "$plain", "$u0", "$q1"]);
        let value = rng.of(&["$1", "$2", "x", "", "a", "$uri", "$part", "$lang", "de", "$kept_re", "q=$1", "$vol_re"]);
        self.both(&format!("set {name} \"{value}\";"));
    }

    /// Lines that give fixed values are done at once; a map's value is no fixed one.
    fn run_of_sets(&mut self, rng: &mut Rng) {
        for _ in 0..4 + rng.below(4) {
            let name = rng.of(&["$a", "$b", "$lang", "$part", "$arg_q", "$plain", "$set"]);
            let text = rng.below(TEXTS.len());
            write!(self.listed, " set {name} \"{}\";", TEXTS[text]).expect("a String takes all");
            write!(self.alone, " set {name} $text_{text};").expect("a String takes all");
        }
    }

    fn draw(rng: &mut Rng) -> Script {
        let mut script = Script::default();
        let of: &[&str] = if rng.chance(50) { &SUBJECTS } else { &CHANGING };
        let few: Vec<&str> = (0..1 + rng.below(5)).map(|_| rng.of(of)).collect();
        let (length, sets) = (4 + rng.below(60), if rng.chance(50) { 0 } else { rng.below(15) });
        let rewrites = if rng.chance(50) { 0 } else { rng.below(60) };
        for number in 0..length {
            script.both("\n        ");
            if rng.chance(sets) {
                match rng.below(4) {
                    0 => script.run_of_sets(rng),
                    _ => script.set(rng),
                }
            } else if rng.chance(rewrites) {
                script.rewrite(rng);
            } else {
                script.condition(rng, &few, number);
            }
        }
        if rng.chance(80) {
            script.both("\n        return 200 \"$uri $args $1 $2 $seen\";");
        }
        script
    }
}

/// The servers `listed-N` and `alone-N` of that number of scripts.
fn configuration(rng: &mut Rng, scripts: usize) -> String {
    let mut text = MAPS.to_owned();
    for (number, value) in TEXTS.iter().chain(&["1", "0"]).enumerate() {
        writeln!(text, "    map \"\" $text_{number} {{ default \"{value}\"; }}").expect("a String takes all");
    }
    let state = "$uri $args $1 $2 $a $b $lang $part $seen";
    for number in 0..scripts {
        let script = Script::draw(rng);
        let of_server = rng.chance(30);
        for (name, ops) in [("listed", script.listed), ("alone", script.alone)] {
            let ops = format!("set $seen \"\"; set $a \"\"; set $b \"\";{ops}");
            let ops = if of_server { ops } else { format!("location / {{ {ops} }}") };
            writeln!(
                text,
                "server {{ listen 127.0.0.1:%%PORT%%; server_name {name}-{number}; root %%DIR%%/html;
    add_header X-State \"{state}\" always;\n    {ops}\n}}"
            )
            .expect("a String takes all");
        }
    }
    text
}

fn request(rng: &mut Rng) -> String {
    let segments = ["a", "b", "x", "de", "en", "ab", "zz", "none", "x%20y", "q", "y"];
    let mut target = String::new();
    for _ in 0..1 + rng.below(3) {
        target = target + "/" + rng.of(&segments);
    }
    let value = |rng: &mut Rng| rng.of(&["a", "b", "x", "de", "yes", "abx", "no", "", "bb"]);
    let mut sign = "?";
    for name in ["q", "r"] {
        if rng.chance(60) {
            target = format!("{target}{sign}{name}={}", value(rng));
            sign = "&";
        }
    }
    let fields = format!("X: {}\r\nCookie: c={}\r\n", value(rng), value(rng));
    format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{fields}")
}

/// What a client sees of it, but for pages that each server words in its own way.
fn seen(answer: &Response, name: &str) -> String {
    let location = answer.header("location").unwrap_or_default().replace(name, "");
    let location = location.split_once("//").map_or("", |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    // nginx leaves it.
    let location = location.replace("%20", " ");
    let text = answer.text();
    let body = if text.starts_with('<') { "" } else { &text };
    format!("{} [{location}] {:?}\n{body}", answer.status, answer.header("x-state"))
}

fn ask(s: &Server, name: &str, request: &str) -> String {
    seen(&s.send(format!("{request}Host: {name}\r\n\r\n")), name)
}

fn setup(configuration: &str) -> Setup {
    http(configuration)
        .file("html/x", "the file x\n")
        .file("html/b/x", "the file b/x\n")
        .allow_log("cycle")
        .allow_log("zero length")
}

#[test]
fn scripts_drawn_by_chance_do_in_lists_what_they_do_one_by_one() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let seed = number("SEED", 1);
    let (scripts, requests) = (number("SCRIPTS", 120) as usize, 25);
    let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let configuration = configuration(&mut rng, scripts);
    let s = setup(&configuration).start();
    let oracle = std::env::var_os("WEBSERV_ORACLE").filter(|_| !on_nginx());
    let theirs = oracle.map(|nginx| setup(&configuration).start_on(nginx.as_ref()));
    let mut different = String::new();
    for script in 0..scripts {
        let (listed, alone) = (format!("listed-{script}"), format!("alone-{script}"));
        for _ in 0..requests {
            let request = request(&mut rng);
            let (one, other) = (ask(&s, &listed, &request), ask(&s, &alone, &request));
            let theirs = theirs.as_ref().map(|theirs| ask(theirs, &listed, &request));
            if one != other || theirs.as_ref().is_some_and(|theirs| *theirs != one) {
                writeln!(
                    different,
                    "=== {script}: {request}\n--- in lists\n{one}\n--- alone\n{other}\n--- nginx\n{theirs:?}"
                )
                .expect("a String takes all");
            }
        }
    }
    let named: Vec<&str> = different.lines().filter_map(|line| line.strip_prefix("=== ")?.split(':').next()).collect();
    let shown = |script: &str| {
        let at = configuration.find(&format!("server_name listed-{script};")).unwrap_or_default();
        let rest = &configuration[at..];
        rest[..rest.find("\nserver ").unwrap_or(rest.len())].to_owned()
    };
    let first = named.first().map(|script| shown(script)).unwrap_or_default();
    assert!(different.is_empty(), "seed {seed}: {} requests\n{first}\n{different}", named.len());
}

#[test]
fn a_condition_that_is_another_when_it_is_evaluated_again_ends() {
    let s = http(
        "map $1 $v { volatile; x yes; default no; }
         server { listen 127.0.0.1:%%PORT%%;
            location ~ ^/(x) {
                if ($v ~ ^aaa) { return 200 aaa; } if ($v ~ ^yes) { return 200 yes; }
                if ($v ~ ^b) { return 200 b; } if ($v ~ ^c) { return 200 c; }
                return 200 \"none $v\";
            }
         }",
    )
    .start();
    s.get("/x").body_is("none no");
}

#[test]
fn a_condition_that_one_before_it_made_true_is_not_passed() {
    let s = server(
        "if ($lang = de) { return 200 first; }
         if ($uri !~ ^/(?<lang>de|en)/) { return 404; }
         if ($lang = fr) { return 200 fr; } if ($lang = en) { return 200 en; } if ($lang = de) { return 403; }
         return 200 in;",
    )
    .start();
    s.get("/de/").is(403);
    s.get("/en/").body_is("en");
    s.get("/fr/").is(404);
    // The map's captures stay, though it gives nothing.
    let s = http(
        "map $uri $m { default \"\"; \"~^/(?<who>[^/]+)/\" 0; }
         server { listen 127.0.0.1:%%PORT%%;
            if ($who = a) { return 200 first; } if ($who = b) { return 200 first; }
            if ($m) { return 200 m; }
            if ($who = c) { return 200 c; } if ($who = a) { return 403; }
            return 200 in;
         }",
    )
    .start();
    s.get("/a/").is(403);
    s.get("/c/").body_is("c");
    s.get("/d/").body_is("in");
}

#[test]
fn captures_of_a_map_outlive_rewrites_that_did_not_match() {
    let s = http(
        "map $uri $mapped { default \"\"; ~^/(a)/ x; }
         server { listen 127.0.0.1:%%PORT%%;
            rewrite ^/n1/(.*) /bad last; rewrite ^/n2/(.*) /bad last; rewrite ^/n3/(.*) /bad last; rewrite ^/n4/(.*) /bad last;
            if ($mapped = u) { return 200 u; } if ($mapped = v) { return 200 v; }
            if ($mapped = w) { return 200 w; } if ($mapped = x) { return 200 \"[$1]\"; }
            return 200 none;
         }",
    )
    .start();
    s.get("/a/").body_is("[a]");
    s.get("/b/").body_is("none");
}

#[test]
fn conditions_behind_eight_subjects_without_a_text_are_asked_too() {
    let mut block = String::new();
    for subject in 1..9 {
        for pattern in ["^.$", "^..$", "^[ab]+$", "^[cd]*.[ef]$", "^.{9}$"] {
            writeln!(block, "if ($arg_a{subject} ~ \"{pattern}\") {{ set $seen \"${{seen}}{subject}\"; }}")
                .expect("a String takes all");
        }
    }
    for text in ["one", "two", "three", "four"] {
        writeln!(block, "if ($arg_b ~ {text}) {{ set $seen \"${{seen}}-{text}\"; }}").expect("a String takes all");
    }
    let s = server(&format!("set $seen \"\"; {block} return 200 $seen;")).start();
    s.get("/?a3=b&b=one").body_is("33-one");
    s.get("/?b=threefour&a8=cf").body_is("88-three-four");
}

#[test]
fn negated_conditions_that_do_nothing_leave_the_captures_of_the_last() {
    let not =
        |n: usize| format!("if ($uri !~ ^/(.)(k|o{n})) {{ return 403 {n}; }} if ($uri != /1k{n}) {{ set $n {n}; }}\n");
    let conditions: String = (0..12).map(not).collect();
    let s = server(&format!(
        "set $n 0; rewrite ^/x /y break;
         {conditions} if ($uri !~ ^/.(k)) {{ return 403 last; }} return 200 \"$1 $2 $n\";"
    ))
    .start();
    s.get("/1k").body_is("k  11");
    s.get("/1k11").body_is("k  10");
    s.get("/2o3").is(403).body_is("0");
    s.get("/none").is(403).body_is("0");
}

#[test]
fn a_map_that_a_condition_has_asked_for_keeps_its_value_when_the_uri_changes() {
    let each = |what: &dyn Fn(usize) -> String| (0..8).map(what).collect::<String>();
    let maps = each(&|n| format!("map $uri $m{n} {{ /Hit{n} {n}; /zero{n} 0; default \"\"; }}\n"));
    let ask = |as_what: &'static str| {
        each(&move |n| {
            let condition = match n % 4 {
                0 => format!("$m{n}"),
                1 => format!("$m{n} = {n}"),
                2 => format!("$m{n} != \"\""),
                _ => format!("$m{n}"),
            };
            format!("if ({condition}) {{ set $seen \"${{seen}}{as_what}{n}\"; }}\n")
        })
    };
    let server = format!(
        "listen 127.0.0.1:%%PORT%%; set $seen \"\"; {} rewrite ^/go(.*)$ /hit$1; {} return 200 \"$seen [$m5$m8]\";",
        ask("a"),
        ask("b")
    );
    let s = http(&format!("{maps} map $uri $m8 {{ /hit5 late; }} server {{ {server} }}")).start();
    s.get("/hit3").body_is("a3b3 []");
    s.get("/HIT2").body_is("a2b2 []");
    s.get("/zero2").body_is("a2b2 []");
    s.get("/zero4").body_is(" []");
    // What was asked for before the rewrite is as it was.
    s.get("/go5").body_is(" [late]");
    s.get("/hit5").body_is("a5b5 [5late]");
    s.get("/none").body_is(" []");
}
