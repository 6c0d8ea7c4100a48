//! TLS to upstreams: certificates that requests choose.

use crate::harness::http;
use crate::tls::certificate;

#[test]
fn a_certificate_for_the_upstream_is_chosen_by_the_request() {
    // Connections are kept: one that was made with a certificate serves no request that shows another.
    let mut setup = http(
        "server { listen 127.0.0.1:%%PORT1%% ssl; ssl_certificate a.test.crt; ssl_certificate_key a.test.key; \
         ssl_verify_client optional_no_ca; add_header X-Name $ssl_client_s_dn always; return 200 $connection_requests; }\n\
         upstream kept { server 127.0.0.1:%%PORT1%%; keepalive 4; }\n\
         server { listen 127.0.0.1:%%PORT%%; proxy_ssl_certificate $arg_cert.crt; proxy_ssl_certificate_key $arg_cert.key; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass_header X-Name; proxy_ssl_password_file words;\n\
         location / { proxy_pass https://kept; }\n\
         location /none { proxy_pass https://kept; proxy_ssl_certificate $arg_cert; proxy_ssl_certificate_key $arg_cert; } }",
    );
    for name in ["a.test", "b.test"] {
        if !certificate(setup.dir(), name, "ec") {
            return;
        }
    }
    setup = setup.file("conf/words", "secret\n");
    let server = setup.start();
    for (target, name, number) in [
        ("/?cert=a.test", "CN=a.test", "1"),
        ("/?cert=b.test", "CN=b.test", "1"),
        ("/?cert=a.test", "CN=a.test", "2"),
        ("/?cert=b.test", "CN=b.test", "2"),
    ] {
        server.get(target).is(200).has("X-Name", name).body_is(number);
    }
    let plain = server.get("/none");
    assert!(plain.is(200).header("X-Name").is_none(), "no certificate is shown");
    server.get("/?cert=no.test").is(500);
    server
        .await_file("logs/error.log", |log| log.contains("cannot load certificate \"") && log.contains("no.test.crt"));
    server.get("/?cert=a.test").is(200).has("X-Name", "CN=a.test").body_is("3");
}
