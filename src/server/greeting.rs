//! The lines printed after startup: one per listener, with its URL and sites.
//!
//! Pure: text from the configuration and the open addresses.

use crate::config::model::{Config, Endpoint, Server, ServerId};
use crate::config::script::Op;
use crate::config::settings::proxy_pass::To;
use crate::config::template::Part;
use crate::sys::socket::Addr;
use qrcodegen::{QrCode, QrCodeEcc};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

/// Maximum number of sites named per line; more are counted.
const SITES: usize = 4;

/// `http://localhost:8080/ → www/main (localhost)`, one line per open address, in the order in which they were opened.
/// IPv4 and IPv6 listeners with equal lines are merged.
///
/// Roots below `prefix` are shown relative to it. `reach`: this machine's address on the network.
pub fn lines<'a>(
    config: &Config,
    open: impl Iterator<Item = &'a Addr>,
    reach: Option<IpAddr>,
    prefix: &Path,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for addr in open {
        let line = match config.endpoints.iter().find(|endpoint| endpoint.addr == *addr) {
            Some(endpoint) => {
                let others =
                    reach.filter(|_| is_for_all(endpoint)).map(|ip| format!(", {}", address(endpoint, &host(ip))));
                let sites = sites(config, endpoint, prefix);
                let arrow = if sites.is_empty() { "" } else { " → " };
                format!("{}{}{arrow}{sites}", url(endpoint), others.unwrap_or_default())
            }
            None => addr.to_string(),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// [`own_address`], if some listener is for all addresses.
pub fn reachable_address(config: &Config) -> Option<IpAddr> {
    if config.endpoints.iter().any(is_for_all) { own_address() } else { None }
}

/// This machine's address on the network. Sends nothing.
pub fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation: the kernel selects the source address that would reach it.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// A QR code of the first open address that is reachable by phone; otherwise of the first address.
pub fn code<'a>(config: &Config, open: impl Iterator<Item = &'a Addr>, reach: Option<IpAddr>) -> Option<String> {
    let endpoints: Vec<&Endpoint> =
        open.filter_map(|addr| config.endpoints.iter().find(|endpoint| endpoint.addr == *addr)).collect();
    let wide = endpoints.iter().find(|endpoint| is_for_all(endpoint)).zip(reach);
    let text = match wide {
        Some((endpoint, ip)) => address(endpoint, &host(ip)),
        None => url(endpoints.iter().find(|endpoint| endpoint.addr.port().is_some())?),
    };
    let code = QrCode::encode_text(&text, QrCodeEcc::Low).ok()?;
    /// Quiet zone in modules, as required by the standard.
    const QUIET: i32 = 2;
    let range = -QUIET..code.size() + QUIET;
    let mut out = String::new();
    for y in range.clone().step_by(2) {
        // Dark on light, whatever the terminal's colours.
        out.push_str("\x1b[30;107m");
        for x in range.clone() {
            out.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push_str("\x1b[0m\n");
    }
    Some(out)
}

/// Whether all listeners are unreachable for others on the network.
pub fn is_for_this_machine(config: &Config) -> bool {
    config.endpoints.iter().all(|endpoint| endpoint.addr.ip().is_none_or(|ip| ip.is_loopback()))
}

fn is_for_all(endpoint: &Endpoint) -> bool {
    endpoint.addr.ip().is_some_and(|ip| ip.is_unspecified())
}

/// The URL for a browser on this machine.
fn url(endpoint: &Endpoint) -> String {
    // What localhost means; the other addresses of the loopback interface are not reached by it.
    let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    match endpoint.addr.ip().filter(|ip| !ip.is_unspecified() && !local.contains(ip)) {
        Some(ip) => address(endpoint, &host(ip)),
        None => address(endpoint, "localhost"),
    }
}

fn host(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

fn address(endpoint: &Endpoint, host: &str) -> String {
    let Some(port) = endpoint.addr.port() else { return endpoint.addr.to_string() };
    match (endpoint.ssl.is_some(), port) {
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

/// `www/main (localhost)`; a site without a root, or that does not serve files, shows its response instead.
fn site(config: &Config, id: ServerId, prefix: &Path) -> String {
    let server = config.server(id);
    let what = answer(config, server).unwrap_or_else(|| root(config, server, prefix));
    let name = String::from_utf8_lossy(&server.name);
    match (what.is_empty(), name.is_empty()) {
        (_, true) => what,
        (true, false) => name.into_owned(),
        (false, false) => format!("{what} ({name})"),
    }
}

/// `return 301 https://…`, `proxy_pass http://…`: how the server or its `location /` responds.
fn answer(config: &Config, server: &Server) -> Option<String> {
    let whole = config.location(server.root);
    let slash = server.tree.prefixes.iter().find(|entry| *entry.prefix == *b"/");
    let places = std::iter::once(whole).chain(slash.map(|entry| config.location(entry.location)));
    places.into_iter().find_map(|location| {
        if let Some(Op::Return { code, text }) = location.script.ops.first() {
            let text = text.as_ref().and_then(|text| match &*text.parts {
                [Part::Literal(first), ..] if first.starts_with(b"http") => Some(String::from_utf8_lossy(first)),
                _ => None,
            });
            return Some(format!("return {code} {}", text.unwrap_or_default()).trim_end().to_owned());
        }
        match location.pass.as_ref().map(|pass| &pass.to) {
            Some(To::Fixed { url, .. }) => Some(format!("proxy_pass {}", String::from_utf8_lossy(url))),
            _ => None,
        }
    })
}

/// The root of a server, if configured or existing.
fn root(config: &Config, server: &Server, prefix: &Path) -> String {
    let [Part::Literal(path)] = &*config.location(server.root).settings.files.root.parts else { return String::new() };
    let path = String::from_utf8_lossy(path);
    // nginx's default root: if it does not exist, the configuration is not meant to serve files.
    if Path::new(&*path) == prefix.join("html") && !Path::new(&*path).exists() {
        return String::new();
    }
    match Path::new(&*path).strip_prefix(prefix) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.to_string_lossy().into_owned(),
        Err(_) => path.into_owned(),
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
            resolve(&mut loaded, Path::new("/site"), Form::Webserv, Vec::new(), None).config.expect("a configuration");
        let open: Vec<Addr> = config.endpoints.iter().map(|endpoint| endpoint.addr.clone()).collect();
        lines(&config, open.iter(), None, Path::new("/site"))
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
            // localhost does not lead there.
            ("server { listen 127.0.0.2:8080; server_name b; root /b; }", "http://127.0.0.2:8080/ → /b (b)"),
            (
                "server { listen 81; server_name a; return 301 https://b$request_uri; }",
                "http://localhost:81/ → return 301 https://b (a)",
            ),
            (
                "server { listen 81; location / { proxy_pass http://127.0.0.1:9; } }",
                "http://localhost:81/ → proxy_pass http://127.0.0.1:9",
            ),
            ("server { listen 81; listen [::]:81; server_name a; }", "http://localhost:81/ → a"),
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
