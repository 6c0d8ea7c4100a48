//! Messages for common mistakes: one message per mistake, with the correction.

mod carets;
mod defaults;
mod judged;
mod mistaken_siblings;
mod mistakes;
mod refusals;
mod steps;

use crate::config::ast::FileId;
use crate::config::build::Form;
use crate::config::error::Severity;
use crate::config::load::{LoadOptions, load_text};
use crate::config::syntax;
use std::path::Path;

/// The help lines of all errors and warnings, one string per message.
fn helps(text: &str) -> Vec<String> {
    let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let resolved = super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
    let told = resolved.diagnostics.iter().filter(|d| d.severity != Severity::Notice);
    told.map(|d| d.help.iter().cloned().chain(d.label.clone()).collect::<Vec<_>>().join(" | ")).collect()
}

#[test]
fn a_mistake_is_one_message_with_what_would_be_right() {
    for (line, help) in [
        ("on autoindex;", "autoindex on;"),
        ("8080 listen;", "listen 8080;"),
        ("ssl on;", "listen 443 ssl;"),
        ("listen ::1:8080;", "listen [::1]:8080;"),
        ("listen ::;", "listen [::]:80;"),
        ("listen ::1;", "listen [::1]:80;"),
        ("listen ::1:;", "listen [::1]:80;"),
        ("listen 2001:db8::7;", "listen [2001:db8::7]:80;"),
        ("listen ssl 443;", "listen 443 ssl;"),
        ("listen *.80;", "listen *:80;"),
        ("if ($http-user-agent ~ x) { return 403; }", "$http_user_agent"),
        ("if ($uri = /x { return 403; }", "if ($uri = /x)"),
        ("if $uri = /x { return 403; }", "if ($uri = /x)"),
        ("if ($uri not /x) { return 403; }", "if ($uri != /x)"),
        ("if ($uri ~) { return 403; }", "a regex is missing"),
        ("timeout 3;", "send_timeout"),
        ("return 200 'It's up';", "\"It's up\""),
        ("return 200 \"say \"hi\" now\";", "'say \"hi\" now'"),
        ("Options -Indexes\n", "autoindex off;"),
        ("<Directory /srv>\n Require all granted\n</Directory>\n", "location … { … }"),
        ("RewriteCond %{HTTPS} off\nRewriteRule ^(.*)$ https://%{HTTP_HOST}$1 [R,L]\n", "if (CONDITION)"),
        ("root = /x;", "root /x;"),
        ("root {{ top }};", "placeholder"),
        ("root /x; // a comment\n", "`#`"),
        ("<<<<<<< a\nroot /x;\n=======\nroot /y;\n>>>>>>> b\n", "merge"),
        ("location / (\n root /x;\n)", "location / { … }"),
        ("location ~ ^/[0-9]{4}/ { root /x; }", "\"^/[0-9]{4}/\""),
        ("location ~ ^/a;b { root /x; }", "\"^/a;b\""),
        ("location ~ *.php { root /x; }", "\\.php$"),
        ("location =~ x { root /x; }", "location ~ x"),
        ("location /a /b { root /x; }", "write two"),
        ("return 301 https://{host}$uri;", "${host}"),
        ("return https://a.test 301;", "return 301 https://a.test;"),
        ("rewrite ^/a$ /b [R=301,L];", "permanent"),
        ("error_page /404.html 404;", "error_page 404 /404.html;"),
        ("client_max_body_size 0.5m;", "512k"),
        ("keepalive_timeout 1,5s;", "1500ms"),
        ("send_timeout 60 s;", "send_timeout 60s;"),
        ("expires 1 year;", "1y"),
        ("proxy_buffers 8k 16;", "proxy_buffers 16 8k;"),
        ("allow 10.0.*;", "allow 10.0.0.0/16;"),
        ("allow 10.0.0.1 10.0.0.2;", "allow 10.0.0.1; allow 10.0.0.2;"),
        ("proxy_set_header Host=$host;", "proxy_set_header Host $host;"),
        ("location / { proxy_pass 127.0.0.1:3000; }", "proxy_pass http://127.0.0.1:3000;"),
        ("location / { fastcgi_pass /run/x.sock; }", "fastcgi_pass unix:/run/x.sock;"),
        ("try_files $uri, $uri/, =404;", "try_files $uri $uri/ =404;"),
        ("root C:\\new\\site;", "/srv/new/site"),
        ("index a\nroot /x;", "missing `;` after `a`"),
        ("root /x；\nindex a;", "U+FF1B"),
        ("add_header X “a b”;", "\"a b\""),
        ("ROOT=/srv;\nroot $ROOT;", "set $root /srv;"),
        ("set x 1;\nreturn 200 $x;", "set $x"),
        ("return 200 $x-forwarded-for;", "$http_x_forwarded_for"),
        ("\"root\": \"/srv\",\n\"index\": \"a\";\n", "JSON"),
        ("error_log logs/e warning;", "\"warn\""),
        ("listen 99999;\n} server { listen 99999;", "1 to 65535"),
    ] {
        let found = helps(&format!("server {{\n{line}\n}}\n"));
        let most = if line.contains("} server {") { 2 } else { 1 };
        assert_eq!(found.len(), most, "{line}: {found:?}");
        assert!(found[0].contains(help), "{line}: {found:?}");
    }
}

#[test]
fn a_suggested_line_is_read_back_as_it_is_meant() {
    for (line, meant) in [
        (r#"return 200 {"a":"it's"};"#, &["return", "200", r#"{"a":"it's"}"#][..]),
        (r#"log_format j {"a" : "it's"};"#, &["log_format", "j", "escape=json", r#"{"a" : "it's"}"#]),
        (r#"auth_basic "a \"b\"" "/etc/x y";"#, &["auth_basic", r#"a "b""#, "auth_basic_user_file", "/etc/x y"]),
        (r#"root "/a" "b\"c";"#, &["root", r#"/a b"c"#]),
        (r#"X-Frame-Options: say "hi you" \"x\";"#, &["add_header", "X-Frame-Options", r#"say hi you "x""#, "always"]),
        (r#"root: "/srv/my www";"#, &["root", "/srv/my www"]),
        (r#"add_header X "a;b" c d always;"#, &["add_header", "X", "a;b c d", "always"]),
        (r#"add_header X default-src "self" always;"#, &["add_header", "X", "default-src 'self'", "always"]),
        (r#"try_files $uri, "/a b" =404;"#, &["try_files", "$uri", "/a b", "=404"]),
    ] {
        let found = helps(&format!("http {{\nserver {{\n{line}\n}}\n}}\n"));
        let help = found.last().and_then(|help| help.split(" | ").next()).unwrap_or_default();
        let proposed = help.split_once(": ").map_or(help, |(_, proposed)| proposed);
        let (tree, errors) = syntax::parse(FileId(0), proposed.as_bytes(), 0);
        let words: Vec<String> = tree.iter().flat_map(|d| d.words()).map(|word| word.str().into_owned()).collect();
        assert!(errors.is_empty(), "{line}: {found:?}");
        assert_eq!(words, meant, "{line}: {found:?}");
    }
}

#[test]
fn each_of_many_mistakes_is_one_message_that_says_what_to_write() {
    let mut missed = Vec::new();
    for (line, help) in mistakes::MISTAKES.iter().chain(mistaken_siblings::MISTAKES) {
        let found = helps(&format!("events {{ }}\nhttp {{\nserver {{\nlisten 8080;\n{line}\n}}\n}}\n"));
        if found.len() != 1 || !found[0].contains(help) {
            missed.push(format!("{line}: {help}: {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_mistake_beside_a_server_is_one_message_as_well() {
    for (text, help) in [
        ("map $uri $my-var { default 1; }", "\"$my_var\""),
        ("map $host $uri $n { default 1; }", "map $host$uri $n { … }"),
        ("map $uri $x {\ndefault: 0;\n}", "default 0;"),
        ("types {\ntext/css: css;\n}", "text/css css;"),
        ("limit_req_zone $host $uri zone=a:1m rate=1r/s;", "limit_req_zone $host$uri zone=a:1m rate=1r/s;"),
        ("limit_conn_zone one $host 10m;", "limit_conn_zone $host zone=one:10m;"),
        ("limit_zone one $host 10m;", "limit_conn_zone"),
        ("upstream my app { server 127.0.0.1:1; }", "upstream my_app { … }"),
        ("upstream a { server 127.0.0.1:1 weight = 3; }", "weight=3;"),
        ("dav_ext_lock_zone foo:10m;", "dav_ext_lock_zone zone=foo:10m;"),
        ("log_format json {\n\"a\": \"$uri\"\n};", "log_format json escape=json '{ \"a\": \"$uri\" }';"),
        ("acme_issuer x { contact a@b.test; }", "uri https://"),
        ("acme_issuer x { uri a.test/dir; }", "https://HOST/PATH"),
        ("upstream b-c { server 127.0.0.1:1; }\nserver { location / { fastcgi_pass b_c; } }", "\"b-c\""),
        ("limit_req_zone $uri zone=one:1m rate=1r/s;\nserver { limit_conn one 5; }", "limit_req zone=one;"),
        ("geo $x { ranges; 10.0.0.9-10.0.0.1 1; }", "10.0.0.1-10.0.0.9"),
        ("keepalive 65;", "keepalive_timeout"),
        ("keep_alive 65;", "keepalive_timeout"),
        ("cat > x <<EOF;\nserver { root /x; }\nEOF;", "a command of a shell"),
    ] {
        let found = helps(&format!("{text}\nserver {{ listen 8080; }}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(help), "{text}: {found:?}");
    }
}

#[test]
fn an_ipv6_address_that_ends_with_colons_is_a_key_without_a_warning() {
    let text = "geo $g { 2001:db8:: 1; }\nmap $server_addr $h { :: 1; fe80:: 2; }\nserver { listen 8080; }\n";
    let found = helps(text);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn each_line_of_a_table_is_judged_and_the_caret_stands_on_the_word() {
    let spans = |text: &str| -> Vec<String> {
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        let spans = resolved.diagnostics.iter().filter_map(|d| d.span);
        spans.map(|span| String::from_utf8_lossy(loaded.sources.slice(span)).into_owned()).collect()
    };
    for (text, expected) in [
        ("map $uri $x { a 1; a 2; b=3; ~( 4; c $; }", &["a", "b=3", "(", "$"][..]),
        ("geo $x { 10.0.0.0/40 1; b 1; }", &["10.0.0.0/40", "b"]),
        ("split_clients $uri $x { 50 a; 60% b; 50% c; }", &["50", "50%"]),
        ("map $uri { a 1; }", &[""]),
        ("map $uri $a $b { a 1; }", &["$b"]),
        ("server { if (!$uri) { return 403; } }", &["!$uri"]),
        ("server { if ($uri ~ \"^/[a-\") { return 403; } }", &["["]),
        ("server { limit_req zone=none; }", &["none"]),
        ("limit_req_zone $uri zone=a:1k rate=1r/s;", &["1k"]),
        ("server { server_name a\u{a0}; }", &["\u{a0}"]),
        ("server { deny from all; }", &["from"]),
        // What follows a missing brace is not a type.
        ("types {\n  a/b c;\n  server {\n    listen 8080;\n  }\n", &["{"]),
        ("server { if ($uri = /a { return 403; } }", &[""]),
        // What follows a missing brace is not a line of the table.
        ("map $uri $x {\n  a 1;\n  server {\n    listen 8080;\n  }\n", &["{"]),
    ] {
        assert_eq!(spans(&format!("events {{ }}\nhttp {{\n{text}\n}}\n")), expected, "{text}");
    }
}

#[test]
fn many_lines_that_lack_their_end_are_read_in_one_pass() {
    // One directive of forty thousand words once took minutes when split step by step, then overflowed the stack.
    let lines: String = (0..20_000).map(|n| format!("deny 10.0.{}.{}\n", n / 250, n % 250)).collect();
    let found = helps(&format!("events {{ }}\nhttp {{\nserver {{\nlisten 8080;\n{lines}root /x;\n}}\n}}\n"));
    assert!(!found.is_empty());
}

#[test]
fn a_file_that_is_no_configuration_is_not_repeated_in_a_suggestion() {
    let text = "root:*:1\n".to_owned() + &"user:secret:2\n".repeat(50);
    let helps = helps(&text);
    assert!(helps.iter().any(|help| help.ends_with("user:secret:2 …;")), "{helps:?}");
    assert!(helps.iter().all(|help| help.matches("secret").count() <= 8), "{helps:?}");
}

#[test]
fn the_words_of_a_long_line_are_judged_in_one_pass() {
    // Each word once copied the line.
    let words: String = (0..25_000).map(|n| format!(" 10.0.{}.{}", n / 250, n % 250)).collect();
    for line in [format!("deny{words};"), format!("return 200{words};"), format!("add_header X{words};")] {
        let found = helps(&format!("events {{ }}\nhttp {{\nserver {{\nlisten 8080;\n{line}\n}}\n}}\n"));
        assert_eq!(found.len(), 1, "{}", &line[..20]);
    }
}

#[test]
fn zones_that_are_not_defined_are_looked_for_in_one_walk() {
    // Each once walked the tree, twice.
    let uses =
        |n: usize| format!("location /{n} {{ limit_req zone=r{n}; }}\nlocation /c{n} {{ limit_conn c{n} 5; }}\n");
    let locations: String = (0..12_500).map(uses).collect();
    for (defines, count) in [("", 100), ("limit_req_zone $uri zoen=a:1m rate=1r/s;", 1)] {
        let text = format!("events {{ }}\nhttp {{\nserver {{\nlisten 8080;\n{locations}}}\n{defines}\n}}\n");
        let found = helps(&text);
        assert_eq!(found.len(), count, "{defines}: {:?}", found.first());
        for (at, help) in found.iter().enumerate().filter(|_| count > 1) {
            let (user, zone) = if at % 2 == 0 { ("req", 'r') } else { ("conn", 'c') };
            let wanted = format!("limit_{user}_zone $binary_remote_addr zone={zone}{}:10m", at / 2);
            assert!(help.contains(&wanted), "{wanted}: {help}");
        }
    }
}

#[test]
fn what_is_wrong_still_defines_its_name() {
    for (defines, uses) in [
        ("upstream app { sever 127.0.0.1:1; }", "location / { proxy_pass http://app; }"),
        ("upstream app { server 127.0.0.1:1 wieght=1; }", "location / { proxy_pass http://app; }"),
        ("log_format main;", "access_log /tmp/a main;"),
        ("limit_req_zone $uri zoen=a:1m rate=1r/s;", "limit_req zone=a;"),
        ("map $uri { default 1; }", "return 200 $a;"),
        ("mapp $uri $a { default 1; }", "return 200 $a;"),
    ] {
        let found = helps(&format!("events {{ }}\nhttp {{\n{defines}\nserver {{ listen 8080; {uses} }}\n}}\n"));
        assert_eq!(found.len(), 1, "{defines}: {found:?}");
    }
}

#[test]
fn after_a_brace_too_few_or_too_many_nothing_that_follows_is_reported() {
    let many =
        "http {\n  server {\n    location / {\n      root /x;\n    }\n    }\n    location /b { root /y; }\n  }\n}\n";
    let few = "http {\n  server {\n    listen 8080;\n  server {\n    listen 8081;\n  }\n}\n";
    for (name, text, line) in [("too many", many, 6), ("too few", few, 2)] {
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        let places: Vec<_> =
            resolved.diagnostics.iter().filter_map(|d| Some(loaded.sources.position(d.span?).line)).collect();
        assert_eq!(places, [line], "{name}");
    }
}

#[test]
fn a_block_whose_line_before_lacks_its_semicolon_is_read() {
    let found = helps("http {\n gzip on\n server {\n  listen 8080;\n  rot /x;\n  location / { indx a; }\n }\n}\n");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn programs_learn_at_which_address_of_a_wildcard_the_request_came() {
    let asks = |block: &str| {
        let text = format!("server {{ listen 8080; {block} }}\n");
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        resolved.config.expect("valid").variables.server_addr
    };
    assert!(!asks("location / { return 200 x; }"));
    assert!(asks("location / { return 200 $server_addr; }"));
    assert!(asks("location / { cgi_pass on; }"));
    assert!(asks("cgi_extension .sh /bin/sh;"));
}
