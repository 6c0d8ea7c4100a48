//! Addresses in directives: what `listen` takes, upstream addresses, and networks for `allow`, `deny` and `geo`.
//!
//! Pure with one exception: a host *name* in `listen` is resolved when the configuration is loaded, as in nginx.

use super::lookup;
use super::value::ValueError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The longest path a unix socket can be bound to: `sun_path` minus its NUL.
pub const UNIX_PATH_MAX: usize = 107;

/// The address of a `listen` directive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddr {
    /// IPv4 or IPv6: each address with each port is a socket.
    Inet {
        /// Several if a name resolves to several.
        ips: Vec<IpAddr>,
        /// One port, or a range `8000-8010`.
        ports: RangeInclusive<u16>,
    },
    /// `unix:PATH`, without the prefix.
    Unix(PathBuf),
}

impl ListenAddr {
    /// Parses `80`, `*:80`, `127.0.0.1`, `127.0.0.1:8000-8010`, `[::1]:80`, `unix:/run/x`, `localhost:80`. The port
    /// defaults to `default_port`. Errors are nginx's complete messages.
    pub fn parse(text: &[u8], default_port: u16) -> Result<ListenAddr, ValueError> {
        ListenAddr::parse_with(text, default_port, &resolve).map_err(|mut error| {
            let text = String::from_utf8_lossy(text);
            error.message = format!("{} in \"{text}\" of the \"listen\" directive", error.message);
            error
        })
    }

    /// As [`ListenAddr::parse`], without resolving names. `None`: a name, or not an address.
    pub fn parse_literal(text: &[u8], default_port: u16) -> Option<ListenAddr> {
        ListenAddr::parse_with(text, default_port, &|_| Err(ValueError::new("host not found"))).ok()
    }

    fn parse_with(text: &[u8], default_port: u16, lookup: Lookup) -> Result<ListenAddr, ValueError> {
        if let Some(path) = unix_path(text)? {
            return Ok(ListenAddr::Unix(path));
        }
        let text = std::str::from_utf8(text).map_err(|_| ValueError::new("invalid host"))?;
        if let Some(scheme) = ["http://", "https://"].iter().find(|scheme| text.starts_with(**scheme)) {
            let error = ValueError::new("invalid host");
            let address = text.trim_start_matches(scheme).split('/').next().unwrap_or_default();
            return Err(error.help(format!("an address and a port, without `{scheme}`: listen {address};")));
        }
        // Only a port or a port range.
        if let Some(ports) = only_ports(text)? {
            return Ok(ListenAddr::Inet { ips: vec![Ipv4Addr::UNSPECIFIED.into()], ports });
        }
        if text.contains(['/', '?']) {
            return Err(ValueError::new("invalid host").help("an address has no path"));
        }
        let (host, port) = split_host(text)?;
        let ports = port.map_or(Ok(default_port..=default_port), port_range)?;
        let ips = match host {
            Host::V6(ip) => vec![ip.into()],
            Host::Name("*") => vec![Ipv4Addr::UNSPECIFIED.into()],
            Host::Name("") => return Err(ValueError::new("no host")),
            Host::Name(name) => match name.parse::<Ipv4Addr>() {
                Ok(ip) => vec![ip.into()],
                Err(_) => lookup(name)?,
            },
        };
        Ok(ListenAddr::Inet { ips, ports })
    }

    /// Whether both include at least one identical socket address.
    pub fn meets(&self, other: &ListenAddr) -> bool {
        match (self, other) {
            (ListenAddr::Unix(path), ListenAddr::Unix(other)) => path == other,
            (ListenAddr::Inet { ips, ports }, ListenAddr::Inet { ips: other_ips, ports: other_ports }) => {
                let is_apart = ports.end() < other_ports.start() || other_ports.end() < ports.start();
                !is_apart && ips.iter().any(|ip| other_ips.contains(ip))
            }
            _ => false,
        }
    }

    /// Every socket address to bind; none for a unix socket.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        match self {
            ListenAddr::Unix(_) => Vec::new(),
            ListenAddr::Inet { ips, ports } => {
                ports.clone().flat_map(|port| ips.iter().map(move |ip| SocketAddr::new(*ip, port))).collect()
            }
        }
    }

    /// The path of a Unix socket; None for IP.
    pub fn unix_path(&self) -> Option<&Path> {
        match self {
            ListenAddr::Unix(path) => Some(path),
            ListenAddr::Inet { .. } => None,
        }
    }
}

/// The address of a server in `upstream` or of `proxy_pass http://…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerAddr {
    /// All addresses of the host, as the system's resolver gave them when the configuration was loaded.
    Inet(Vec<SocketAddr>),
    /// `unix:PATH`, without the prefix.
    Unix(PathBuf),
}

impl PeerAddr {
    /// Parses `127.0.0.1:8080`, `[::1]`, `unix:/run/x`, `name:80`. Errors lack the "in upstream …" that nginx appends.
    pub fn parse(text: &[u8], default_port: u16) -> Result<PeerAddr, ValueError> {
        if let Some(path) = unix_path(text)? {
            return Ok(PeerAddr::Unix(path));
        }
        let text = std::str::from_utf8(text).map_err(|_| ValueError::new("invalid host"))?;
        let (host, port) = split_host(text)?;
        let port = port.map_or(Ok(default_port), one_port)?;
        let ips = match host {
            Host::V6(ip) => vec![ip.into()],
            Host::Name("") => return Err(ValueError::new("no host")),
            Host::Name(name) => match name.parse::<Ipv4Addr>() {
                Ok(ip) => vec![ip.into()],
                Err(_) => resolve(name)?,
            },
        };
        Ok(PeerAddr::Inet(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()))
    }
}

type Lookup<'a> = &'a dyn Fn(&str) -> Result<Vec<IpAddr>, ValueError>;

fn resolve(name: &str) -> Result<Vec<IpAddr>, ValueError> {
    let ips = lookup::addresses(name);
    if ips.is_empty() { Err(ValueError::new("host not found")) } else { Ok(ips) }
}

fn unix_path(text: &[u8]) -> Result<Option<PathBuf>, ValueError> {
    use std::os::unix::ffi::OsStrExt;
    if !text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"unix:")) {
        return Ok(None);
    }
    let path = text.get(5..).unwrap_or_default();
    match path {
        [] => Err(ValueError::new("no path in the unix domain socket")),
        path if path.len() > UNIX_PATH_MAX => Err(ValueError::new("too long path in the unix domain socket")),
        path if path.contains(&0) => Err(ValueError::new("invalid path in the unix domain socket")),
        path => Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))),
    }
}

enum Host<'a> {
    V6(Ipv6Addr),
    Name(&'a str),
}

/// Splits text into the host and what follows its colon.
fn split_host(text: &str) -> Result<(Host<'_>, Option<&str>), ValueError> {
    let Some(inside) = text.strip_prefix('[') else {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        if port.is_some_and(|port| port.contains(':')) && text.parse::<Ipv6Addr>().is_ok() {
            return Err(invalid_port().help(format!("an IPv6 address is written in brackets: [{text}]")));
        }
        return Ok((Host::Name(name), port));
    };
    let (ip, rest) = inside.split_once(']').ok_or_else(|| ValueError::new("invalid host").help("`]` is missing"))?;
    let port = match rest {
        "" => None,
        rest => Some(rest.strip_prefix(':').ok_or_else(|| ValueError::new("invalid host"))?),
    };
    if ip.is_empty() {
        return Err(ValueError::new("no host"));
    }
    let ip = ip.parse().map_err(|_| ValueError::new("invalid IPv6 address"))?;
    Ok((Host::V6(ip), port))
}

fn invalid_port() -> ValueError {
    ValueError::new("invalid port")
}

fn one_port(text: &str) -> Result<u16, ValueError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.trim_start_matches('0').parse().ok() } else { None };
    port.ok_or_else(|| invalid_port().help("a port is a number from 1 to 65535"))
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, ValueError> {
    let Some((first, last)) = text.split_once('-') else {
        let port = one_port(text)?;
        return Ok(port..=port);
    };
    let (last, first) = (one_port(last)?, one_port(first)?);
    if first > last {
        return Err(ValueError::new("invalid port range").help(format!("write {last}-{first}")));
    }
    Ok(first..=last)
}

/// `None` if the text is not numeric, and so may be a host.
fn only_ports(text: &str) -> Result<Option<RangeInclusive<u16>>, ValueError> {
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let all = match text.split_once('-') {
        Some((first, last)) => numeric(first) && numeric(last),
        None => numeric(text),
    };
    if all { port_range(text).map(Some) } else { Ok(None) }
}

/// A network: `10.0.0.0/8`, `fe80::/10`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cidr {
    /// Without its host bits.
    pub ip: IpAddr,
    /// Bits of the network: at most 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// Also returns whether bits beyond the prefix were set, which nginx warns about: `low address bits of 10.0.0.1/8
    /// are meaningless`.
    pub fn parse(text: &[u8]) -> Result<(Cidr, bool), ValueError> {
        let error = || ValueError::new(format!("invalid parameter \"{}\"", String::from_utf8_lossy(text)));
        let written = std::str::from_utf8(text).map_err(|_| error())?;
        let (ip, prefix) = match written.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (written, None),
        };
        let ip: IpAddr =
            lenient_ip(ip).map_err(|_| error().help("an address or a network: 192.168.1.0/24, fe80::/10"))?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max,
            Some(prefix) if !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                let value = prefix.parse().ok().filter(|value| *value <= max);
                value.ok_or_else(|| error().help(format!("the prefix of this address is 0 to {max} bits long")))?
            }
            Some(mask) => {
                let help = match mask.parse().ok().filter(|_| ip.is_ipv4()).and_then(mask_length) {
                    Some(bits) => format!("write the mask as a number of bits: /{bits}, not /{mask}"),
                    None => format!("the prefix of this address is a number of bits, 0 to {max}"),
                };
                return Err(error().help(help));
            }
        };
        let network = Cidr { ip: masked(ip, prefix), prefix };
        Ok((network, network.ip != ip))
    }

    /// Whether the network contains this address. Address families never match each other; the caller unmaps
    /// `::ffff:a.b.c.d`.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && masked(ip, self.prefix) == self.ip
    }
}

/// The prefix length of a netmask (255.255.255.0) or of a router's wildcard mask (0.0.0.255).
fn mask_length(mask: Ipv4Addr) -> Option<u32> {
    let bits = mask.to_bits();
    // 0.0.0.0 is ambiguous: all addresses, or one.
    let mut masks = [bits, !bits].into_iter().filter(|_| bits > 0);
    masks.find(|bits| bits.leading_ones() + bits.trailing_zeros() == 32).map(u32::leading_ones)
}

/// An address whose decimal parts may have leading zeros, as nginx reads it (never as octal).
fn lenient_ip(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    // The standard parser rejects leading zeros.
    if let Ok(ip) = text.parse() {
        return Ok(ip);
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = |part: &str| digits(part) && part.len() > 1 && part.starts_with('0');
    if !text.split('.').any(zeros) || !text.split('.').all(digits) {
        return text.parse();
    }
    let plain = |part: &str| match part.trim_start_matches('0') {
        "" => "0".to_owned(),
        rest => rest.to_owned(),
    };
    text.split('.').map(plain).collect::<Vec<_>>().join(".").parse()
}

fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

/// A numeric address, as in proxy_bind and X-Forwarded-For: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`. The
/// port defaults to 0.
pub fn literal_address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|ip| ip.contains(':'));
    let bare = unbracketed.unwrap_or(text).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    bare.or_else(|| text.parse().ok().filter(|addr: &SocketAddr| addr.port() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Result<Vec<IpAddr>, ValueError> {
        match name {
            "localhost" => Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]),
            _ => Err(ValueError::new("host not found")),
        }
    }

    #[test]
    fn listen_addresses() {
        for (text, expected) in [
            ("80", Ok("0.0.0.0:80")),
            ("*:80", Ok("0.0.0.0:80")),
            ("*", Ok("0.0.0.0:8000")),
            ("127.0.0.1", Ok("127.0.0.1:8000")),
            ("127.0.0.1:8080", Ok("127.0.0.1:8080")),
            ("8000-8002", Ok("0.0.0.0:8000 0.0.0.0:8001 0.0.0.0:8002")),
            ("127.0.0.1:1-2", Ok("127.0.0.1:1 127.0.0.1:2")),
            ("[::1]:80", Ok("[::1]:80")),
            ("[::]", Ok("[::]:8000")),
            ("[::1]:1-2", Ok("[::1]:1 [::1]:2")),
            ("localhost:80", Ok("[::1]:80 127.0.0.1:80")),
            ("65535", Ok("0.0.0.0:65535")),
            ("0", Err("invalid port")),
            ("65536", Err("invalid port")),
            ("99999999999999", Err("invalid port")),
            ("a:", Err("invalid port")),
            ("a:b", Err("invalid port")),
            ("1.2.3.4:-5", Err("invalid port")),
            ("9-8", Err("invalid port range")),
            (":80", Err("no host")),
            ("", Err("no host")),
            ("[]:80", Err("no host")),
            ("[::1", Err("invalid host")),
            ("[::1]80", Err("invalid host")),
            ("[::g]", Err("invalid IPv6 address")),
            ("http://a", Err("invalid host")),
            ("a/b", Err("invalid host")),
            ("::1", Err("invalid port")),
            ("nowhere:80", Err("host not found")),
            ("my-host", Err("host not found")),
        ] {
            let parsed = ListenAddr::parse_with(text.as_bytes(), 8000, &names);
            let sockets = parsed.as_ref().map(|addr| addr.sockets().iter().map(|s| s.to_string()).collect::<Vec<_>>());
            let sockets = sockets.map(|sockets| sockets.join(" ")).map_err(|error| error.message.clone());
            assert_eq!(sockets, expected.map(String::from).map_err(String::from), "{text}");
        }
        let error = ListenAddr::parse(b"70000", 80).expect_err("no such port");
        assert_eq!(error.message, "invalid port in \"70000\" of the \"listen\" directive");
    }

    #[test]
    fn addresses_meet_where_they_name_one_socket() {
        for (one, other, expected) in [
            ("8443", "*:8443", true),
            ("8443", "0.0.0.0:8443", true),
            ("*", "80", true),
            ("8000-8010", "*:8010", true),
            ("8000-8010", "8011", false),
            ("8443", "127.0.0.1:8443", false),
            ("8443", "[::]:8443", false),
            ("[::]:8443", "[0:0::0]:8443", true),
            ("unix:/x", "unix:/x", true),
            ("unix:/x", "unix:/y", false),
            ("unix:/x", "80", false),
        ] {
            let parse = |text: &str| ListenAddr::parse_literal(text.as_bytes(), 80).expect("an address");
            assert_eq!(parse(one).meets(&parse(other)), expected, "{one} {other}");
            assert_eq!(parse(other).meets(&parse(one)), expected, "{other} {one}");
        }
        assert_eq!(ListenAddr::parse_literal(b"localhost:80", 80), None);
    }

    #[test]
    fn unix_sockets() {
        let listen =
            |path: &str| ListenAddr::parse(format!("unix:{path}").as_bytes(), 80).map_err(|error| error.message);
        assert_eq!(listen("/run/x").map(|addr| addr.unix_path().map(Path::to_path_buf)), Ok(Some("/run/x".into())));
        assert!(listen(&"x".repeat(107)).is_ok() && listen(&"x".repeat(108)).is_err());
        assert_eq!(
            listen("").err().as_deref(),
            Some("no path in the unix domain socket in \"unix:\" of the \"listen\" directive")
        );
        assert_eq!(PeerAddr::parse(b"unix:/a", 80), Ok(PeerAddr::Unix("/a".into())));
        assert_eq!(PeerAddr::parse(b"[::1]:9", 80), Ok(PeerAddr::Inet(vec![(Ipv6Addr::LOCALHOST, 9).into()])));
        assert_eq!(PeerAddr::parse(b"127.0.0.1", 80), Ok(PeerAddr::Inet(vec![(Ipv4Addr::LOCALHOST, 80).into()])));
    }

    #[test]
    fn networks() {
        for (text, network, inside, outside) in [
            ("10.0.0.0/8", Some("10.0.0.0/8 false"), "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", Some("10.0.0.0/8 true"), "10.0.0.0", "::1"),
            ("192.168.1.7", Some("192.168.1.7/32 false"), "192.168.1.7", "192.168.1.8"),
            ("0.0.0.0/0", Some("0.0.0.0/0 false"), "255.1.1.1", "::"),
            ("fe80::/10", Some("fe80::/10 false"), "febf::1", "fec0::"),
            ("::/0", Some("::/0 false"), "ffff::", "1.2.3.4"),
            ("::1/128", Some("::1/128 false"), "::1", "::2"),
            ("010.000.0.00/008", Some("10.0.0.0/8 false"), "10.255.0.1", "11.0.0.0"),
            ("0256.0.0.1", None, "", ""),
            ("10.0.0.0/33", None, "", ""),
            ("::/129", None, "", ""),
            ("10.0.0.0/255.0.0.0", None, "", ""),
            ("10.0.0.0/", None, "", ""),
            ("10.0.0", None, "", ""),
            ("all", None, "", ""),
        ] {
            let parsed = Cidr::parse(text.as_bytes());
            let shown = parsed.as_ref().ok().map(|(cidr, low)| format!("{}/{} {low}", cidr.ip, cidr.prefix));
            assert_eq!(shown.as_deref(), network, "{text}");
            if let Ok((cidr, _)) = parsed {
                assert!(inside.parse().is_ok_and(|ip| cidr.contains(ip)), "{text}");
                assert!(outside.parse().is_ok_and(|ip| !cidr.contains(ip)), "{text}");
            }
        }
    }
}
