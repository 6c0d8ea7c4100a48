//! Certificates and keys as `-t` judges them: pairs that cannot serve are errors, those that will not do for long or
//! for every name are warned of.

use crate::harness::http;
use crate::tls::{certificate, openssl};

#[test]
fn wrong_pairs_are_errors_of_the_configuration_with_file_and_reason() {
    let table = [
        (
            "another key",
            "ssl_certificate a.crt; ssl_certificate_key b.key;",
            "b.key\": the key does not match the certificate",
        ),
        ("no key", "ssl_certificate a.crt;", "no \"ssl_certificate_key\" is defined for certificate \"a.crt\""),
        ("no certificate", "", "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive"),
        (
            "a missing file",
            "ssl_certificate a.crt; ssl_certificate_key none.key;",
            "none.key\": (2: No such file or directory)",
        ),
        ("a key for a certificate", "ssl_certificate a.key; ssl_certificate_key a.key;", "no certificate in the file"),
        ("expired", "ssl_certificate old.crt; ssl_certificate_key old.key;", "help: a new one is needed"),
        (
            "an encrypted key",
            "ssl_certificate a.crt; ssl_certificate_key locked.key;",
            "no ssl_password_file names its password",
        ),
        (
            "a wrong password",
            "ssl_certificate a.crt; ssl_certificate_key locked.key; ssl_password_file wrong;",
            "wrong password",
        ),
        ("only old protocols", "ssl_protocols TLSv1 TLSv1.1;", "only protocols that are not spoken"),
        ("no suite", "ssl_ciphers RC4;", "no cipher match"),
        (
            "no authority to trust",
            "ssl_certificate a.crt; ssl_certificate_key a.key; ssl_verify_client on;",
            "no ssl_client_certificate",
        ),
        (
            "no authority to trust, by a certificate of ours",
            "ssl_certificate auto; ssl_verify_client on;",
            "no ssl_client_certificate",
        ),
    ];
    for (name, lines, want) in table {
        let setup = http(&format!("server {{ listen 127.0.0.1:%%PORT%% ssl; {lines} }}")).file("conf/wrong", "x\n");
        let dir = setup.dir().to_owned();
        if !certificate(&dir, "a", "ec") || !certificate(&dir, "b", "ec") {
            return;
        }
        let path = |end: &str| dir.join("conf").join(end).to_string_lossy().into_owned();
        openssl(&[
            "pkcs8",
            "-topk8",
            "-v2",
            "aes-128-cbc",
            "-passout",
            "pass:y",
            "-in",
            &path("a.key"),
            "-out",
            &path("locked.key"),
        ]);
        let (days, old, key) = ("-1", path("old.crt"), path("old.key"));
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=old",
            "-keyout",
            &key,
            "-out",
            &path("old.csr"),
        ]);
        openssl(&["x509", "-req", "-in", &path("old.csr"), "-signkey", &key, "-days", days, "-out", &old]);
        let output = setup.run(&["-t", "-p", "%%DIR%%", "-c", "conf/test.conf"]);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && shown.contains(want), "{name}: {shown}");
    }
}

#[test]
fn dates_and_names_are_warned_of() {
    let setup = http(
        "server { listen 127.0.0.1:%%PORT%% ssl; server_name a.test b.test; ssl_certificate a.test.crt; ssl_certificate_key a.test.key; }",
    );
    std::fs::create_dir_all(setup.dir().join("conf")).expect("a directory");
    let path = |end: &str| setup.dir().join("conf").join(end).to_string_lossy().into_owned();
    let (certificate, key) = (path("a.test.crt"), path("a.test.key"));
    let args = ["req", "-x509", "-nodes", "-days", "5", "-subj", "/CN=a.test", "-newkey", "ec", "-pkeyopt"];
    let more = ["ec_paramgen_curve:prime256v1", "-out", &certificate, "-keyout", &key];
    if !openssl(&[&args[..], &more].concat()) {
        return;
    }
    let output = setup.run(&["-t", "-p", "%%DIR%%", "-c", "conf/test.conf"]);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}");
    assert!(
        shown.contains("expires soon") && shown.contains("no certificate of the server is for its name \"b.test\""),
        "{shown}"
    );
    assert!(!shown.contains("its name \"a.test\""), "{shown}");
}
