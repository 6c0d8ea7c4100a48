//! What a person sees when the server has started: where to go, a line for each listener, with the sites behind it.
//!
//! Pure: text from the configuration and the addresses that are open.

use crate::config::model::{Config, Endpoint, ServerId};
use crate::config::template::Part;
use crate::sys::socket::Addr;
use std::path::Path;

/// Sites named in a line; more are counted.
const SITES: usize = 4;

/// `http://localhost:8080/ → www/main (localhost)`, one line for each open address, in the order they were opened.
///
/// Roots below `prefix` are shown relative to it.
pub fn lines<'a>(config: &Config, open: impl Iterator<Item = &'a Addr>, prefix: &Path) -> Vec<String> {
    open.map(|addr| match config.endpoints.iter().find(|endpoint| endpoint.addr == *addr) {
        Some(endpoint) => format!("{} → {}", url(endpoint), sites(config, endpoint, prefix)),
        None => addr.to_string(),
    })
    .collect()
}

/// What to type into a browser on this machine.
fn url(endpoint: &Endpoint) -> String {
    let Some(port) = endpoint.addr.port() else { return endpoint.addr.to_string() };
    let host = match endpoint.addr.ip() {
        Some(ip) if !ip.is_loopback() && !ip.is_unspecified() => {
            if ip.is_ipv6() {
                format!("[{ip}]")
            } else {
                ip.to_string()
            }
        }
        _ => "localhost".to_owned(),
    };
    match (endpoint.ssl, port) {
        (false, 80) => format!("http://{host}/"),
        (false, port) => format!("http://{host}:{port}/"),
        (true, 443) => format!("https://{host}/"),
        (true, port) => format!("https://{host}:{port}/"),
    }
}

fn sites(config: &Config, endpoint: &Endpoint, prefix: &Path) -> String {
    let servers = endpoint.servers();
    let mut shown: Vec<String> = servers.iter().take(SITES).map(|id| site(config, *id, prefix)).collect();
    if servers.len() > SITES {
        shown.push(format!("and {} more", servers.len() - SITES));
    }
    shown.join(", ")
}

/// `www/main (localhost)`; a site without a name, or without a root that is the same for all requests, shows what it has.
fn site(config: &Config, id: ServerId, prefix: &Path) -> String {
    let server = config.server(id);
    let root = match &*config.location(server.root).settings.files.root.parts {
        [Part::Literal(path)] => {
            let path = String::from_utf8_lossy(path);
            let relative = Path::new(&*path).strip_prefix(prefix).map(|below| below.to_string_lossy().into_owned());
            match relative {
                Ok(below) if below.is_empty() => ".".to_owned(),
                Ok(below) => below,
                Err(_) => path.into_owned(),
            }
        }
        _ => String::new(),
    };
    let name = String::from_utf8_lossy(&server.name);
    match (root.is_empty(), name.is_empty()) {
        (_, true) => root,
        (true, false) => name.into_owned(),
        (false, false) => format!("{root} ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;

    fn greeting(text: &str) -> Vec<String> {
        let mut loaded = load_text("test.conf", text.as_bytes(), &LoadOptions::default());
        let config =
            resolve(&mut loaded, Path::new("/site"), Form::Own, Vec::new(), None).config.expect("a configuration");
        let open: Vec<Addr> = config.endpoints.iter().map(|endpoint| endpoint.addr.clone()).collect();
        lines(&config, open.iter(), Path::new("/site"))
    }

    #[test]
    fn each_listener_has_a_line_with_its_sites() {
        let table = [
            (
                "server { listen 127.0.0.1:8080; server_name localhost; root www; }",
                "http://localhost:8080/ → www (localhost)",
            ),
            ("server { listen 80; server_name a.test; root /srv/a; }", "http://localhost/ → /srv/a (a.test)"),
            ("server { listen 192.0.2.1:81; root .; }", "http://192.0.2.1:81/ → ."),
            ("server { listen [::1]:8080; server_name b; root /b; }", "http://localhost:8080/ → /b (b)"),
            (
                "server { listen 81; server_name a; root a; } server { listen 81; server_name b; root b; }",
                "http://localhost:81/ → a (a), b (b)",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(greeting(text), [expected], "{text}");
        }
        let many: String = (0..6).map(|n| format!("server {{ listen 81; server_name n{n}; root r; }}")).collect();
        assert!(greeting(&many)[0].ends_with("r (n3), and 2 more"), "{:?}", greeting(&many));
    }
}
