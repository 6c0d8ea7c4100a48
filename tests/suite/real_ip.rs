//! set_real_ip_from: whose word about the client's address is taken, and what follows it.

use crate::harness::{BOTH, Table, server};

#[test]
fn the_address_of_the_client_behind_a_proxy() {
    let s = server(
        "add_header X-Who \"$remote_addr/$remote_port/$realip_remote_addr\" always;
         location /none { return 204; }
         location /real { set_real_ip_from 127.0.0.0/8; try_files /x =204; }
         location /list { set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:;
             real_ip_header X-Forwarded-For; try_files /x =204;
             location /list/deep { real_ip_recursive on; try_files /x =204; }
             location /list/own { set_real_ip_from 192.0.2.1; try_files /x =204; }
         }
         location /field { set_real_ip_from localhost; real_ip_header CF-Connecting-IP; try_files /x =204; }
         location /ssi/ { set_real_ip_from 127.0.0.1; ssi on; }
         location /who { set_real_ip_from 127.0.0.1; return 200 \"$remote_addr/$realip_remote_addr\"; }
         location /access { set_real_ip_from 127.0.0.1; deny 192.0.2.7; try_files /x =204; }",
    )
    .file("html/ssi/page.html", "<!--#include virtual=\"/who\" -->")
    .start();
    let mut table = Table::new("the client's address");
    let rows: &[(&str, &str, &str, &str)] = &[
        ("no address is trusted", "/none", "X-Real-IP: 192.0.2.7", "127.0.0.1"),
        ("a header", "/real", "X-Real-IP: 192.0.2.7", "192.0.2.7//127.0.0.1"),
        ("a port", "/real", "X-Real-IP: 192.0.2.7:99", "192.0.2.7/99/127.0.0.1"),
        ("IPv6", "/real", "X-Real-IP: 2001:db8::1", "2001:db8::1//127.0.0.1"),
        ("nonsense", "/real", "X-Real-IP: you", "127.0.0.1"),
        ("no header", "/real", "X-Forwarded-For: 192.0.2.7", "127.0.0.1"),
        ("the last of a list", "/list", "X-Forwarded-For: 192.0.2.7, 10.1.1.1", "10.1.1.1//127.0.0.1"),
        ("past proxies", "/list/deep", "X-Forwarded-For: 192.0.2.1, 192.0.2.7, 10.1.1.1", "192.0.2.7//127.0.0.1"),
        (
            "several lines",
            "/list/deep",
            "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 10.1.1.1",
            "192.0.2.7//127.0.0.1",
        ),
        ("a level of its own", "/list/own", "X-Forwarded-For: 192.0.2.7", "127.0.0.1"),
        ("another field", "/field", "CF-Connecting-IP: 192.0.2.7", "192.0.2.7//127.0.0.1"),
    ];
    for (name, target, fields, expected) in rows {
        table.row(BOTH, name, || {
            let r = s.get_with(target, &format!("{fields}\r\n"));
            r.is(204);
            let who = r.header("x-who").unwrap_or_default();
            let shown = if expected.contains('/') { who } else { who.split('/').next().unwrap_or_default() };
            assert_eq!(shown, *expected, "{who}");
        });
    }
    table.row(BOTH, "deny goes by it", || {
        s.get_with("/access", "X-Real-IP: 192.0.2.7\r\n").is(403);
        s.get("/access").is(204);
    });
    table.row(BOTH, "an include has the proxy's", || {
        s.get_with("/ssi/page.html", "X-Real-IP: 192.0.2.7\r\n").is(200).body_is("192.0.2.7/127.0.0.1");
    });
    table.row(BOTH, "the next request has its own", || {
        let mut client = s.client();
        let ask = |fields: &str| format!("GET /real HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        client.request(ask("X-Real-IP: 192.0.2.7\r\n")).has("x-who", "192.0.2.7//127.0.0.1");
        let r = client.request(ask(""));
        assert!(r.header("x-who").is_some_and(|who| who.starts_with("127.0.0.1/")), "{}", r.show());
    });
    table.row(BOTH, "the logs", || {
        s.get_with("/access", "X-Real-IP: 192.0.2.7\r\n").is(403);
        s.await_file("logs/access.log", |text| text.contains("192.0.2.7 - - ["));
        s.await_file("logs/error.log", |text| text.contains("access forbidden by rule, client: 192.0.2.7, server"));
    });
}
