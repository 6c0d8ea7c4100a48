//! HTTPS as libraries of other languages speak it: a page, an upload, a resumed session. Skipped, loudly, where a
//! language is not installed.

use crate::harness::{Server, http};
use crate::tls::{certificate, tool};

const GO: &str = r#"package main

import ("crypto/tls"; "crypto/x509"; "fmt"; "io"; "net/http"; "os"; "strings")

func main() {
    pem, _ := os.ReadFile(os.Args[2])
    pool := x509.NewCertPool()
    pool.AppendCertsFromPEM(pem)
    cache := tls.NewLRUClientSessionCache(8)
    for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
        for i := 0; i < 2; i++ {
            config := &tls.Config{RootCAs: pool, MinVersion: version, MaxVersion: version, ClientSessionCache: cache}
            transport := &http.Transport{TLSClientConfig: config}
            client := &http.Client{Transport: transport}
            page, err := client.Get(os.Args[1] + "/page")
            if err != nil { panic(err) }
            body, _ := io.ReadAll(page.Body)
            put, _ := http.NewRequest("PUT", os.Args[1]+"/up/go", strings.NewReader(strings.Repeat("x", 1000000)))
            stored, err := client.Do(put)
            if err != nil { panic(err) }
            io.ReadAll(stored.Body)
            fmt.Println(page.StatusCode, string(body), page.TLS.DidResume, stored.StatusCode/100)
            transport.CloseIdleConnections()
        }
    }
}
"#;

const JAVA: &str = r#"import java.io.*; import java.net.*; import java.net.http.*; import java.security.*;
import java.security.cert.*; import javax.net.ssl.*;

class Main {
    public static void main(String[] args) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        var factory = CertificateFactory.getInstance("X.509");
        store.setCertificateEntry("ca", factory.generateCertificate(new FileInputStream(args[1])));
        var trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            var parameters = new SSLParameters();
            parameters.setProtocols(new String[] {version});
            var client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters).build();
            var page = client.send(HttpRequest.newBuilder(URI.create(args[0] + "/page")).build(),
                HttpResponse.BodyHandlers.ofString());
            var body = HttpRequest.BodyPublishers.ofByteArray(new byte[1000000]);
            var stored = client.send(HttpRequest.newBuilder(URI.create(args[0] + "/up/java")).PUT(body).build(),
                HttpResponse.BodyHandlers.ofString());
            System.out.println(page.statusCode() + " " + page.body() + " " + page.sslSession().get().getProtocol() + " "
                + stored.statusCode() / 100);
        }
    }
}
"#;

const NODE: &str = r#"const https = require("https"), fs = require("fs");
const [base, ca] = process.argv.slice(2);
const ask = (agent, method, path, headers, body) => new Promise((done, fail) => {
    const request = https.request(base + path, { agent, method, headers, family: 4 }, (answer) => {
        const resumed = answer.socket.isSessionReused();
        let text = "";
        answer.on("data", (data) => { text += data; });
        answer.on("end", () => done([answer.statusCode, text, resumed, answer.headers.location]));
    });
    request.on("error", fail);
    request.end(body);
});
(async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
        const agent = new https.Agent({ ca: fs.readFileSync(ca), minVersion: version, maxVersion: version });
        const [page, again] = [await ask(agent, "GET", "/page"), await ask(agent, "GET", "/page")];
        const part = await ask(agent, "GET", "/page", { Range: "bytes=1-2" });
        const [moved] = [await ask(agent, "GET", "/up")];
        const stored = await ask(agent, "PUT", "/up/node", {}, Buffer.alloc(1000000, "x"));
        console.log(version, page[0], page[1], page[2], again[2], part[0], part[1], moved[0], moved[3] === base + "/up/",
            Math.floor(stored[0] / 100));
    }
})();
"#;

/// A server, and what a program prints that is run with its URL and the certificate to trust. None: it is not
/// installed.
fn run(program: &[&str], file: &str, source: &str) -> Option<(Server, String)> {
    let setup = http(
        "server {
             listen 127.0.0.1:%%PORT%% ssl;
             server_name localhost;
             root %%DIR%%/html;
             ssl_certificate localhost.crt;
             ssl_certificate_key localhost.key;
             location /up/ { dav_methods PUT; client_max_body_size 0; }
         }",
    );
    // A look at the version alone is cheap.
    tool(program[0], &["version"], b"").filter(|_| certificate(setup.dir(), "localhost", "ec"))?;
    let server = setup.mkdir("html/up").file("html/page", "page").file(file, source).start();
    let path = |path: &str| server.path(path).to_string_lossy().into_owned();
    let (url, ca, file) = (format!("https://localhost:{}", server.port()), path("conf/localhost.crt"), path(file));
    let args: Vec<&str> = program[1..].iter().copied().chain([&file[..], &url, &ca]).collect();
    let output = tool(program[0], &args, b"")?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    Some((server, shown))
}

#[test]
fn go_reads_writes_and_resumes() {
    let Some((server, shown)) = run(&["go", "run"], "html/main.go", GO) else { return };
    let first_and_again = "200 page false 2\n200 page true 2\n";
    assert_eq!(shown, first_and_again.repeat(2));
    assert_eq!(server.read("html/up/go").len(), 1_000_000);
}

#[test]
fn java_reads_and_writes_over_both_protocols() {
    let Some((server, shown)) = run(&["java"], "html/Main.java", JAVA) else { return };
    assert_eq!(shown, "200 page TLSv1.2 2\n200 page TLSv1.3 2\n");
    assert_eq!(server.read("html/up/java").len(), 1_000_000);
}

#[test]
fn node_reads_writes_and_resumes() {
    let Some((server, shown)) = run(&["node"], "html/main.js", NODE) else { return };
    let want = |version| format!("{version} 200 page false true 206 ag 301 true 2\n");
    assert_eq!(shown, want("TLSv1.2") + &want("TLSv1.3"));
    assert_eq!(server.read("html/up/node").len(), 1_000_000);
}
