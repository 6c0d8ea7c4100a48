//! Server side includes: what commands make of a page, and what a page may include.

use crate::harness::{BOTH, Runs, Table, http, noise, ours, server, skip_on_nginx};
use crate::upstream::Upstream;

const ERROR: &str = "[an error occurred while processing the directive]";

/// A page, what is asked for, and what comes of it; `{E}` is the error text.
type Row<'a> = (Runs, &'a str, &'a str, &'a str, &'a str);

fn check(title: &'static str, block: &str, rows: &[Row<'_>]) {
    let mut setup = server(block)
        .file("html/inc.html", "[inc]")
        .file("html/dir/page.html", "<!--#echo var=\"uri\" --> <!--#include virtual=\"more.html\" -->")
        .file("html/dir/more.html", "<!--#echo var=\"document_uri\" encoding=\"none\" -->?<!--#echo var=\"args\" -->")
        .file("html/empty.html", "")
        .file("html/text.txt", "<!--#echo var=\"uri\" -->")
        .file("html/again.html", "x<!--#include virtual=\"/again.html\" -->");
    for (at, (_, _, page, _, _)) in rows.iter().enumerate() {
        setup = setup.file(&format!("html/p{at}.html"), page);
    }
    let s = setup.start();
    let mut table = Table::new(title);
    for (at, (runs, name, _, args, expected)) in rows.iter().enumerate() {
        table.row(*runs, name, || {
            let r = s.get(&format!("/p{at}.html{args}"));
            r.is(200).lacks("Content-Length").lacks("Last-Modified").lacks("ETag").lacks("Accept-Ranges");
            r.body_is(expected.replace("{E}", ERROR));
        });
    }
}

#[test]
fn commands() {
    check(
        "SSI commands",
        "ssi on; set $of_config \"set <here>\"; location /silent { ssi_silent_errors on; }",
        &[
            (BOTH, "text is left alone", "a<!-- b --><b>&</b><!--c", "", "a<!-- b --><b>&</b><!--c"),
            (BOTH, "echo of a variable of nginx", "<!--#echo var=\"arg_x\" -->", "?x=1", "1"),
            (BOTH, "echo in any case", "<!--#echo var=\"ARG_X\" -->", "?x=1", "1"),
            (BOTH, "echo of one that is not there", "<!--#echo var=\"arg_x\" -->", "", "(none)"),
            (BOTH, "echo of an unknown one", "<!--#echo var=\"unheard_of\" -->", "", "(none)"),
            (BOTH, "echo with a default", "<!--#echo var=\"arg_x\" default=\"d\" -->", "", "d"),
            (BOTH, "echo with an empty default", "<!--#echo var=\"arg_x\" default=\"\" -->.", "", "."),
            (BOTH, "echo of an empty value", "<!--#echo var=\"arg_x\" default=\"d\" -->.", "?x=", "."),
            (BOTH, "echo escapes for HTML", "<!--#echo var=\"of_config\" -->", "", "set &lt;here&gt;"),
            (BOTH, "echo, url", "<!--#echo var=\"of_config\" encoding=\"url\" -->", "", "set%20%3Chere%3E"),
            (
                BOTH,
                "an encoding stays",
                "<!--#echo var=\"of_config\" encoding=\"none\" --><!--#echo var=\"of_config\" -->",
                "",
                "set <here>set <here>",
            ),
            (BOTH, "set", "<!--#set var=\"a\" value=\"1\" --><!--#echo var=\"a\" -->", "", "1"),
            (BOTH, "set ignores case", "<!--#set var=\"Ab\" value=\"1\" --><!--#echo var=\"aB\" -->", "", "1"),
            (
                BOTH,
                "set of variables",
                "<!--#set var=\"a\" value=\"$arg_x-${arg_x}y\\$z\" --><!--#echo var=\"a\" -->",
                "?x=1",
                "1-1y$z",
            ),
            (
                BOTH,
                "set twice",
                "<!--#set var=\"a\" value=\"1\" --><!--#set var=\"a\" value=\"2\" --><!--#echo var=\"a\" -->",
                "",
                "2",
            ),
            (BOTH, "set without a closing brace", "<!--#set var=\"a\" value=\"${x\" -->.", "", "{E}."),
            (BOTH, "set of a lone dollar", "<!--#set var=\"a\" value=\"$\" -->.", "", "{E}."),
            (
                BOTH,
                "a page's variable hides nginx's",
                "<!--#set var=\"uri\" value=\"mine\" --><!--#echo var=\"uri\" -->",
                "",
                "mine",
            ),
            (BOTH, "errmsg", "<!--#config errmsg=\"oh\" --><!--#nothing -->.", "", "oh."),
            (
                BOTH,
                "timefmt",
                "<!--#config timefmt=\"%%-%Y\" --><!--#if expr=\"$date_gmt = /^%-[0-9]{4}\\$/\" -->ok<!--#endif -->",
                "",
                "ok",
            ),
            (BOTH, "an unknown command", "a<!--#nothing -->b", "", "a{E}b"),
            (BOTH, "a wrong command", "a<!--#echo var=x -->b", "", "a{E}b"),
            (BOTH, "a missing parameter", "a<!--#echo -->b", "", "a{E}b"),
            (BOTH, "an unknown parameter", "a<!--#echo var=\"a\" foo=\"b\" -->b", "", "a{E}b"),
            (BOTH, "a parameter twice", "a<!--#echo var=\"a\" var=\"b\" -->b", "", "a{E}b"),
            (BOTH, "blanks", "<!--#\n\techo   var = 'arg_x'-->.", "?x=1", "1."),
            (BOTH, "a command that never ends", "a<!--#echo var=\"x\"", "", "a"),
            (ours("nginx forgets the last bytes"), "an end that might have become a command", "a<!-", "", "a<!-"),
        ],
    );
}

#[test]
fn conditions() {
    let page = |expr: &str| format!("<!--#if expr=\"{expr}\" -->yes<!--#else -->no<!--#endif -->");
    let table = [
        ("$arg_a", "?a=1", "yes"),
        ("$arg_a", "?a=0", "yes"),
        ("$arg_a", "?a=", "no"),
        ("$arg_a", "", "no"),
        ("$arg_a = x", "?a=x", "yes"),
        ("$arg_a=x", "?a=x", "yes"),
        ("$arg_a != x", "?a=x", "no"),
        ("$arg_a != x", "?a=y", "yes"),
        ("$ARG_A = x", "?a=x", "yes"),
        ("$arg_a = X", "?a=x", "no"),
        ("$arg_a = $arg_b", "?a=1&b=1", "yes"),
        ("$arg_a = /^x+\\$/", "?a=xx", "yes"),
        ("$arg_a = /^x+\\$/", "?a=xy", "no"),
        ("$arg_a != /^x+\\$/", "?a=xy", "yes"),
        ("$arg_a = /$arg_b/", "?a=abc&b=b", "yes"),
        ("$arg_a = \\/x", "?a=/x", "yes"),
        ("$arg_a = x y", "?a=x", "no"),
    ];
    let pages: Vec<String> = table.iter().map(|(expr, _, _)| page(expr)).collect();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for ((expr, args, expected), page) in table.iter().zip(&pages) {
        rows.push((BOTH, expr, page, args, expected));
    }
    let chain = "<!--#if expr=\"$arg_a = 1\" -->one<!--#elif expr=\"$arg_a = 2\" -->two<!--#elif expr=\"$arg_a\" -->some<!--#else -->none<!--#endif -->.";
    rows.push((BOTH, "if", chain, "?a=1", "one."));
    rows.push((BOTH, "elif", chain, "?a=2", "two."));
    rows.push((BOTH, "the second elif", chain, "?a=3", "some."));
    rows.push((BOTH, "else", chain, "", "none."));
    rows.push((BOTH, "groups", "<!--#if expr=\"$arg_a = /(.)(.)/\" --><!--#echo var=\"2\" --><!--#set var=\"v\" value=\"$1$0\" --><!--#echo var=\"v\" --><!--#endif -->", "?a=xyz", "yxxy"));
    rows.push((
        BOTH,
        "named groups",
        "<!--#if expr=\"$arg_a = /(?P<n>y.)/\" --><!--#echo var=\"n\" --><!--#endif -->",
        "?a=xyz",
        "yz",
    ));
    rows.push((BOTH, "commands of a branch not taken", "<!--#if expr=\"$arg_a\" --><!--#set var=\"v\" value=\"1\" --><!--#nothing --><!--#endif --><!--#echo var=\"v\" -->", "", "(none)"));
    rows.push((BOTH, "else without if", "a<!--#else -->b", "", "a{E}b"));
    rows.push((BOTH, "endif without if", "a<!--#endif -->b", "", "a{E}b"));
    rows.push((BOTH, "if within if", "<!--#if expr=\"a\" -->x<!--#if expr=\"b\" -->y<!--#endif -->z", "", "x{E}yz"));
    rows.push((BOTH, "a wrong regex", "<!--#if expr=\"$arg_a = /(/\" -->x<!--#endif -->", "?a=1", "{E}x{E}"));
    rows.push((BOTH, "no operator", "<!--#if expr=\"$arg_a ~ x\" -->x", "?a=1", "{E}x"));
    check("SSI conditions", "ssi on;", &rows);
}

#[test]
fn includes() {
    let up = Upstream::echo();
    let bad = Upstream::always("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad");
    let block = format!(
        "ssi on;
         location /ret {{ return 200 \"$uri $args $request_method $request_uri\"; }}
         location /miss {{ return 404; }}
         location /own404 {{ error_page 404 /inc.html; }}
         location /go {{ return 302 /inc.html; }}
         location /internal {{ internal; return 200 secret; }}
         location /locked {{ deny all; }}
         location /up/ {{ proxy_pass http://{0}/; proxy_pass_request_headers off; }}
         location /gone {{ proxy_pass http://{1}; }}
         location /bad {{ proxy_pass http://{2}; }}
         location /rw/ {{ rewrite ^/rw/(.*)$ /$1 last; }}
         location /off/ {{ ssi off; alias %%DIR%%/html/; }}
         location /headers {{ add_header X-Sub 1; return 200 h; }}
         location /limit {{ return 200 0123456789; }}",
        up.address,
        Upstream::nowhere(),
        bad.address
    );
    let block_of = |inner: &str| format!("<!--#block name=\"b\" -->{inner}<!--#endblock -->");
    let stub_used = format!("{}<!--#include virtual=\"/gone\" stub=\"b\" -->.", block_of("s<!--#echo var=\"uri\" -->"));
    let stub_of_error = format!("{}<!--#include virtual=\"/bad\" stub=\"b\" -->.", block_of("s"));
    let stub_unused = format!("{}<!--#include virtual=\"/inc.html\" stub=\"b\" -->.", block_of("s"));
    let hidden = format!("a{}b", block_of("hidden<!--#nothing -->"));
    let page404 = "404 Not Found";
    check(
        "SSI includes",
        &block,
        &[
            (BOTH, "virtual", "a<!--#include virtual=\"/inc.html\" -->b", "", "a[inc]b"),
            (BOTH, "file", "a<!--#include file=\"inc.html\" -->b", "", "a[inc]b"),
            (
                BOTH,
                "two",
                "<!--#include virtual=\"/inc.html\" --><!--#include virtual=\"/inc.html\" -->",
                "",
                "[inc][inc]",
            ),
            (BOTH, "waiting", "<!--#include virtual=\"/inc.html\" wait=\"yes\" -->.", "", "[inc]."),
            (
                BOTH,
                "pages within pages",
                "<!--#include virtual=\"/dir/page.html?q=1\" -->",
                "?z=1",
                "/dir/page.html /dir/more.html?(none)",
            ),
            (BOTH, "a request of its own", "<!--#include virtual=\"/ret?a=b\" -->", "?z", "/ret a=b GET /p5.html?z"),
            (BOTH, "escapes", "<!--#include virtual=\"/%69nc.html\" -->", "", "[inc]"),
            (BOTH, "variables", "<!--#include virtual=\"/$arg_f\" -->", "?f=inc.html", "[inc]"),
            (BOTH, "an internal location", "<!--#include virtual=\"/internal\" -->", "", "secret"),
            (BOTH, "a location that is closed", "<!--#include virtual=\"/locked/../inc.html\" -->.", "", "{E}."),
            (BOTH, "an error's page", "<!--#include virtual=\"/own404\" -->", "", "[inc]"),
            (BOTH, "rewritten", "<!--#include virtual=\"/rw/inc.html\" -->", "", "[inc]"),
            (
                BOTH,
                "an upstream",
                "<!--#include virtual=\"/up/x?y=z\" -->",
                "",
                &format!("GET /x?y=z HTTP/1.1\nHost: {}\n\n", up.address),
            ),
            (
                BOTH,
                "no commands where there are none",
                "<!--#include virtual=\"/off/dir/more.html\" -->",
                "",
                "<!--#echo var=\"document_uri\" encoding=\"none\" -->?<!--#echo var=\"args\" -->",
            ),
            (
                BOTH,
                "into a variable",
                "<!--#include virtual=\"/inc.html\" set=\"v\" -->.<!--#echo var=\"v\" -->",
                "",
                ".[inc]",
            ),
            (
                BOTH,
                "an error into a variable",
                "<!--#include virtual=\"/miss\" set=\"v\" -->.<!--#echo var=\"v\" -->",
                "",
                ".",
            ),
            (
                BOTH,
                "what a page sets is the whole's",
                "<!--#set var=\"uri\" value=\"u\" --><!--#include virtual=\"/dir/more.html\" --><!--#echo var=\"uri\" -->",
                "",
                "/dir/more.html?(none)u",
            ),
            (BOTH, "a stub for an error", &stub_used, "", "s/gone."),
            (BOTH, "an upstream's error is content, and has no stub", &stub_of_error, "", "bad."),
            (BOTH, "a stub that is not used", &stub_unused, "", "[inc]."),
            (BOTH, "a stub that is not there", "<!--#include virtual=\"/inc.html\" stub=\"none\" -->.", "", "{E}."),
            (BOTH, "a block shows nothing by itself", &hidden, "", "ab"),
            (BOTH, "neither", "<!--#include -->.", "", "{E}."),
            (BOTH, "both", "<!--#include virtual=\"/a\" file=\"b\" -->.", "", "{E}."),
            (BOTH, "set and stub", "<!--#include virtual=\"/a\" set=\"v\" stub=\"s\" -->.", "", "{E}."),
            (BOTH, "a file cannot be waited for", "<!--#include file=\"inc.html\" wait=\"yes\" -->.", "", "{E}."),
            (BOTH, "wait for what", "<!--#include virtual=\"/inc.html\" wait=\"maybe\" -->.", "", "{E}."),
            (BOTH, "a way out", "<!--#include virtual=\"../../x\" -->.", "", "{E}."),
            (BOTH, "a way out, escaped", "<!--#include virtual=\"/dir/%2e%2e/inc.html\" -->.", "", "{E}."),
            (BOTH, "another type", "<!--#include virtual=\"/text.txt\" -->", "", "<!--#echo var=\"uri\" -->"),
            (BOTH, "headers of an include are dropped", "<!--#include virtual=\"/headers\" -->", "", "h"),
        ],
    );
    let mut table = Table::new("SSI includes of errors");
    let s = server(&block)
        .file("html/t-missing.html", "a<!--#include virtual=\"/nothing\" -->b")
        .file("html/t-go.html", "a<!--#include virtual=\"/go\" -->b")
        .file("html/t-locked.html", "a<!--#include virtual=\"/locked/x.html\" -->b")
        .file("html/locked/x.html", "let in")
        .file("html/t-gone.html", "a<!--#include virtual=\"/gone\" -->b")
        .file("html/again.html", "x<!--#include virtual=\"/again.html\" -->")
        .start();
    table.row(BOTH, "what is missing says so in the page", || {
        let r = s.get("/t-missing.html");
        r.is(200);
        assert!(r.text().starts_with('a') && r.text().contains(page404) && r.text().ends_with('b'), "{}", r.show());
    });
    table.row(BOTH, "a redirect is its page", || {
        let r = s.get("/t-go.html");
        r.is(200).lacks("Location");
        assert!(r.text().contains("302 Found"), "{}", r.show());
    });
    table.row(BOTH, "an include is let in where a client is not", || {
        s.get("/t-locked.html").is(200).body_is("alet inb");
        s.get("/locked/x.html").is(403);
    });
    table.row(BOTH, "an upstream that is down", || {
        let r = s.get("/t-gone.html");
        assert!(r.text().contains("502 Bad Gateway") && r.text().ends_with('b'), "{}", r.show());
    });
    table.row(BOTH, "a page that includes itself ends", || {
        let r = s.get("/again.html");
        r.is(200);
        assert!(r.text().ends_with(ERROR) && r.text().starts_with(&"x".repeat(51)), "{}", r.show());
        let log = s.await_file("logs/error.log", |text| text.contains("cycle"));
        assert!(log.contains("subrequests cycle while processing \"/again.html\""));
    });
}

#[test]
fn pages_and_their_heads() {
    let made = "x<!--#include virtual=\"/f.txt\"-->y";
    let up = Upstream::always(format!(
        "HTTP/1.1 200 OK
Content-Type: text/html
Content-Length: {}
Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT
\
         ETag: \"e\"
Accept-Ranges: bytes

{made}",
        made.len()
    ));
    let big = "0123456789abcdef".repeat(40_000);
    let page = format!("{big}<!--#include virtual=\"/big.txt\" -->{big}");
    let s = http(&format!(
        "log_format short \"$uri $status\";
         server {{ access_log logs/access.log short; listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; ssi on;
            location /keep/ {{ ssi_last_modified on; alias %%DIR%%/html/; }}
            location /types/ {{ ssi_types text/plain; alias %%DIR%%/html/; types {{ text/plain txt; text/html html; }} }}
            location /silent/ {{ ssi_silent_errors on; alias %%DIR%%/html/; }}
            location /gz/ {{ gzip on; alias %%DIR%%/html/; }}
            location /logged/ {{ log_subrequest on; alias %%DIR%%/html/; }}
            location /charset/ {{ charset utf-8; alias %%DIR%%/html/; }}
            location = /404.html {{ }}
            location /err/ {{ error_page 404 /404.html; }}
            location /up {{ proxy_pass http://{0}; }}
            location /short {{ ssi_value_length 5; alias %%DIR%%/html/; }}
            location /slow {{ proxy_pass http://{0}; proxy_buffering off; }}
            if ($arg_plain) {{ set $limit_rate 0; }} }}",
        up.address
    ))
    .file("html/f.txt", "[f]")
    .file("html/p.html", "<!--#include virtual=\"f.txt\" -->.<!--#nothing -->")
    .file("html/t.txt", "<!--#echo var=\"arg_x\" -->")
    .file("html/404.html", "<!--#echo var=\"uri\" -->")
    .file("html/l.html", "<!--#include virtual=\"/logged/f.txt\" -->")
    .file("html/empty.html", "")
    .file("html/big.html", &page)
    .file("html/big.txt", noise(300_000))
    .start();
    let mut table = Table::new("SSI pages");
    table.row(BOTH, "chunks on HTTP/1.1, the connection is kept", || {
        let mut client = s.client();
        for _ in 0..3 {
            let r = client.request(b"GET /p.html HTTP/1.1\r\nHost: a\r\n\r\n");
            r.is(200).has("Transfer-Encoding", "chunked").body_is(format!("[f].{ERROR}"));
        }
    });
    table.row(BOTH, "pipelined", || {
        let mut client = s.client();
        client.send(b"GET /p.html HTTP/1.1\r\nHost: a\r\n\r\nGET /f.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /p.html HTTP/1.1\r\nHost: a\r\n\r\n");
        for expected in [format!("[f].{ERROR}"), "[f]".into(), format!("[f].{ERROR}")] {
            client.response().is(200).body_is(expected);
        }
    });
    table.row(BOTH, "the end of the connection on HTTP/1.0", || {
        let r = s.send(b"GET /p.html HTTP/1.0\r\n\r\n");
        r.is(200).lacks("Transfer-Encoding").body_is(format!("[f].{ERROR}"));
    });
    table.row(BOTH, "HEAD", || {
        let r = s.method("HEAD", "/p.html", "", b"");
        r.is(200).lacks("Content-Length").lacks("Transfer-Encoding").lacks("Last-Modified");
    });
    table.row(BOTH, "a page without a byte is a file", || {
        s.get("/empty.html").is(200).has("Content-Length", "0");
    });
    table.row(BOTH, "other types are files", || {
        let r = s.get("/f.txt");
        r.is(200).has("Content-Length", "3");
        assert!(r.header("ETag").is_some());
    });
    table.row(BOTH, "ssi_types", || {
        s.get("/types/t.txt?x=1").is(200).body_is("1");
    });
    table.row(BOTH, "ssi_last_modified", || {
        let r = s.get("/keep/p.html");
        assert!(r.header("Last-Modified").is_some() && r.header("ETag").expect("a tag").starts_with("W/"));
    });
    table.row(BOTH, "ssi_silent_errors", || {
        s.get("/silent/p.html").is(200).body_is("[f].");
    });
    table.row(BOTH, "an error's page is a page", || {
        s.get("/err/x").is(404).body_is("/404.html");
    });
    table.row(BOTH, "charset", || {
        s.get("/charset/p.html").has("Content-Type", "text/html; charset=utf-8");
    });
    table.row(BOTH, "a range is of no page", || {
        s.get_with("/p.html", "Range: bytes=0-1\r\n").is(200);
    });
    table.row(BOTH, "an upstream's page", || {
        let r = s.get("/up");
        r.is(200).lacks("Last-Modified").lacks("ETag").lacks("Accept-Ranges").lacks("Content-Length").body_is("x[f]y");
        s.get("/slow").is(200).body_is("x[f]y");
    });
    let whole = [big.as_bytes(), &s.read("html/big.txt"), big.as_bytes()].concat();
    table.row(BOTH, "a large page with a large file", || {
        assert!(s.get("/big.html").is(200).body == whole);
    });
    table.row(BOTH, "gzip of the whole", || {
        let r = s.get_with("/gz/big.html", "Accept-Encoding: gzip\r\n");
        r.is(200).has("Content-Encoding", "gzip");
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&r.body[..]), &mut back).expect("gzip");
        assert!(back == whole, "{} of {} bytes", back.len(), whole.len());
    });
    table.row(BOTH, "log_subrequest", || {
        s.get("/logged/l.html").is(200).body_is("[f]");
        s.get("/p.html").is(200);
        s.get("/empty.html").is(200);
        let log = s.await_file("logs/access.log", |text| text.ends_with("/empty.html 200\n"));
        assert!(log.ends_with("/logged/f.txt 200\n/logged/l.html 200\n/p.html 200\n/empty.html 200\n"), "{log}");
    });
}

#[test]
fn a_client_that_leaves_an_include_is_logged_once() {
    if skip_on_nginx("it would log its own way") {
        return;
    }
    let up = Upstream::start(|peer| {
        peer.head();
        // Nothing is answered until the server has gone.
        peer.some();
    });
    let s = server(&format!("ssi on; location /up {{ proxy_pass http://{}; }}", up.address))
        .file("html/p.html", "before<!--#include virtual=\"/up\" -->after")
        .start();
    let mut client = s.client();
    client.send(b"GET /p.html HTTP/1.1\r\nHost: localhost\r\n\r\n");
    drop(client);
    let log = s.await_file("logs/access.log", |text| text.contains("/p.html"));
    assert_eq!(log.lines().count(), 1, "{log}");
    s.get("/p.html.none").is(404);
}
