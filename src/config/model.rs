//! The resolved configuration, by which requests are answered. Immutable; each exchange holds the `Rc` it began with,
//! so a reload does not affect it. No parsing here; methods only answer questions about the data.
//!
//! Settings are inherited by sharing: a level that changes nothing of a group points to its parent's group.

pub use super::ids::{EndpointId, LocationId, LogFileId, ServerId, UpstreamId};
pub use super::settings::listen::ListenOptions;
pub use super::settings::logs::{ErrorLog, Level, LineFormat, LogTarget};
pub use super::settings::process::Process;
pub use super::settings::{Line, Settings};
pub use super::template::SetTarget;

use super::ast::Span;
use super::pattern::Pattern;
use super::pattern_set::PatternSet;
use super::script::Script;
use super::settings::cgi::Interpreter;
use super::settings::charset::CharsetMap;
use super::settings::geo::GeoTable;
use super::settings::limits::Zone;
use super::settings::map::{MapTable, SplitTable};
use super::settings::proxy_pass::{Pass, Protocol, To};
use super::settings::upload::Store;
use super::settings::upstream::Upstream;
use super::template::{Template, Variables};
use super::tls_material::{ServerTls, UpstreamTls};
use super::value::Size;
use crate::http::header::UnusualNames;
use crate::http::method::{Method, MethodSet};
use crate::sys::socket::Addr;
use crate::tls::verify::Trust;
use crate::util::hash::FastMap;
use std::path::PathBuf;
use std::rc::Rc;

/// A configuration without errors.
#[derive(Debug)]
pub struct Config {
    /// The main and events contexts.
    pub process: Process,
    /// By [`EndpointId`].
    pub endpoints: Vec<Endpoint>,
    /// The sockets to bind: addresses covered by a wildcard of the same port share its socket, as in nginx.
    pub sockets: Vec<ListenSocket>,
    /// By [`ServerId`], in the order of the file.
    pub servers: Vec<Server>,
    /// By [`LocationId`].
    pub locations: Vec<Location>,
    /// Which header fields with unusual names some server accepts.
    pub unusual_names: UnusualNames,
    /// The highest max_headers of all servers if they differ: which one applies is known only once the Host is parsed.
    pub max_headers: Option<u64>,
    /// Variables that the configuration uses or defines.
    pub variables: Variables,
    /// Directories named by some upload_store: clients uploaded the files in them.
    pub stores: Vec<Box<[u8]>>,
    /// The directories of `stores`, the trashes, the states of unfinished uploads, and where request bodies are kept:
    /// no program in them is run. An empty entry stands for the whole file system.
    pub client_files: Vec<Box<[u8]>>,
    /// Directories where clients write files by URI.
    pub write_areas: Vec<WriteArea>,
    /// The tables behind variables and limits.
    pub tables: Tables,
    /// Authorities and certificates of ACME.
    pub acme: super::acme::Acme,
    /// `upstream` blocks, and hosts named by proxy_pass. Shared with the balancer, which counts their failures.
    pub upstreams: Vec<Rc<Upstream>>,
    /// Every file that some access_log or error_log writes, without duplicates. An empty path: named, but used by no
    /// level.
    pub log_files: Vec<PathBuf>,
    /// Directories that deleted files are moved to.
    pub trashes: Vec<Box<[u8]>>,
    /// Directories whose contents are not served below a root that contains them: trashes that are not shown, the state
    /// of unfinished uploads, and the server's own keys.
    pub hidden_dirs: Vec<Box<[u8]>>,
}

impl AsRef<[Rc<Upstream>]> for Config {
    fn as_ref(&self) -> &[Rc<Upstream>] {
        &self.upstreams
    }
}

impl Config {
    /// `id` must be one of this configuration.
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.at()]
    }

    /// Whether there is an upstream of that name, which is as `$proxy_host` has it: with a port other than 80.
    pub fn names_upstream(&self, name: &str) -> bool {
        let is_port = |rest: &str, port: u16| rest.strip_prefix(':').is_some_and(|text| text.parse() == Ok(port));
        self.upstreams.iter().any(|upstream| match (name.strip_prefix(&*upstream.name), upstream.port) {
            (Some(rest), Some(port)) => is_port(rest, port),
            (Some(rest), None) => rest.is_empty(),
            (None, _) => false,
        })
    }

    /// Bytes of small files that may be cached.
    pub fn static_cache_size(&self) -> u64 {
        self.of_http(|settings| settings.files.cache_size)
    }

    /// Bytes of rendered listings that may be cached.
    pub fn listing_cache_size(&self) -> u64 {
        self.of_http(|settings| settings.listing.cache_size)
    }

    /// Bytes of the response cache.
    pub fn repeat_cache_size(&self) -> u64 {
        self.of_http(|settings| settings.files.repeat_cache_size)
    }

    /// A setting of the http level, which every server shares; 0 without a server.
    fn of_http(&self, size: impl Fn(&Settings) -> Size) -> u64 {
        self.servers.first().map_or(0, |server| size(&self.location(server.root).settings).0)
    }

    /// Whether there are TLS handshakes, with clients or upstreams.
    pub fn speaks_tls(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.ssl.is_some())
            || self.locations.iter().any(|location| location.upstream_tls.is_some())
    }

    /// client_header_timeout of an endpoint's default server: it applies until a connection's handshake and first
    /// request head are complete.
    pub fn header_timeout(&self, id: EndpointId) -> u64 {
        let server = self.server(self.endpoints[id.at()].default);
        self.location(server.root).settings.client.header_timeout.0
    }

    /// `id` must be one of this configuration.
    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.at()]
    }
}

/// The tables behind variables and limits.
#[derive(Debug, Default)]
pub struct Tables {
    /// `map` blocks, by the index in [`Source::Map`](super::template::Source).
    pub maps: Vec<MapTable>,
    /// `geo` blocks.
    pub geos: Vec<GeoTable>,
    /// `split_clients` blocks.
    pub splits: Vec<SplitTable>,
    /// Zones of limit_req, limit_conn and WebDAV locks.
    pub zones: Vec<Zone>,
    /// Each direction of each `charset_map`.
    pub charsets: Vec<CharsetMap>,
    /// Every charset that a directive names; an upstream's X-Accel-Charset may select one of these.
    pub charset_names: Vec<Box<[u8]>>,
}

impl Tables {
    /// The zone of limit_req or limit_conn that goes on with these counters ([`Zone::counters`]).
    pub fn zone_of(&self, counters: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| *zone.counters == *counters)
    }
}

/// An address of `listen`, and the servers on it.
#[derive(Debug)]
pub struct Endpoint {
    /// The address that clients connect to.
    pub addr: Addr,
    /// `default_server`, or the first server on the address.
    pub default: ServerId,
    /// Which server has which name.
    pub names: Names,
    /// Socket options of whichever `listen` has some.
    pub options: ListenOptions,
    /// Whether connections begin with a PROXY header; one `listen` with `proxy_protocol` suffices (nginx).
    pub proxy_protocol: bool,
    /// The word `ssl` of the first `listen` that has it: connections are TLS then, one `listen` suffices (nginx).
    pub ssl: Option<Span>,
    /// Whether some `listen` has `http2`: then all its servers speak HTTP/2 (nginx).
    pub http2: bool,
    /// The first `listen` of the address.
    pub span: Span,
}

impl Endpoint {
    /// Whether it has servers other than the default.
    pub fn has_several(&self) -> bool {
        let names = &self.names;
        let named = names.exact.values().chain(names.suffixes.values()).chain(names.prefixes.values());
        named.chain(names.regexes.iter().map(|(_, id)| id)).any(|id| *id != self.default)
    }

    /// The servers on it, in the order of the configuration, without duplicates.
    pub fn servers(&self) -> Vec<ServerId> {
        let names = &self.names;
        let named = names.exact.values().chain(names.suffixes.values()).chain(names.prefixes.values());
        let mut servers: Vec<ServerId> = named.copied().chain(names.regexes.iter().map(|(_, id)| *id)).collect();
        servers.push(self.default);
        servers.sort_unstable_by_key(|id| id.0);
        servers.dedup();
        servers
    }
}

/// A socket to be bound.
#[derive(Debug)]
pub struct ListenSocket {
    /// The address to bind.
    pub addr: Addr,
    /// The endpoint for local addresses that are not in `special`.
    pub endpoint: EndpointId,
    /// Addresses of the same port without a socket of their own: selected by the local address of a connection.
    pub special: Vec<(std::net::IpAddr, EndpointId)>,
}

/// The lookup tables of an endpoint's server names. Keys are in lower case.
#[derive(Debug, Default)]
pub struct Names {
    /// Names without a wildcard, `""` among them.
    pub exact: FastMap<Box<[u8]>, ServerId>,
    /// `*.example.com` and `.example.com`, as `.example.com`.
    pub suffixes: FastMap<Box<[u8]>, ServerId>,
    /// `www.example.*`, as `www.example.`.
    pub prefixes: FastMap<Box<[u8]>, ServerId>,
    /// In the order of the configuration.
    pub regexes: Vec<(Rc<Pattern>, ServerId)>,
    /// Over `regexes`.
    pub set: Option<PatternSet>,
}

/// A `server` block.
#[derive(Debug)]
pub struct Server {
    /// `$server_name`: the first name of the block.
    pub name: Box<[u8]>,
    /// The server level as a location: its settings and its rewrite script.
    pub root: LocationId,
    /// Its locations.
    pub tree: LocationTree,
    /// Named locations, with their `@`.
    pub named: FastMap<Box<[u8]>, LocationId>,
    /// Whether a location is proxied: unknown methods may be meant for the upstream.
    pub proxied: bool,
    /// Whether a location has tunnel_pass, for CONNECT.
    pub connects: bool,
    /// The ACME certificate that it requests.
    pub acme: Option<super::acme::CertificateId>,
    /// Its TLS settings; None if it has no certificates.
    pub tls: Option<Rc<ServerTls>>,
    /// By what it verifies clients, also if the handshake is another server's. None: it names no CAs.
    pub trust: Option<Rc<Trust>>,
    /// The `server` block.
    pub span: Span,
}

impl Location {
    /// Whether requests can start programs: by cgi_pass, or where its files may be scripts.
    pub fn runs_programs(&self) -> bool {
        self.content == ContentHandler::Cgi || !self.settings.cgi.extensions.is_empty()
    }

    /// Whether requests are proxied, and a URI without the final slash is redirected to it (by nginx's rules).
    pub fn is_proxied(&self) -> bool {
        let adds_slash = |pass: &Pass| match pass.protocol {
            Protocol::Tunnel => false,
            Protocol::Scgi | Protocol::Uwsgi => matches!(pass.to, To::Fixed { .. }),
            _ => true,
        };
        self.content == ContentHandler::Proxy && self.pass.as_deref().is_some_and(adds_slash)
    }

    /// Whether clients may store files in it: by upload_store, or by POST and PUT at the URI's path. By URI only if
    /// files are its content.
    pub fn stores(&self) -> bool {
        match self.settings.upload.store {
            Store::Path(_) => true,
            Store::Off => false,
            Store::Uri => self.takes(&[Method::Post, Method::Put]),
        }
    }

    /// The directory that its root or alias names, if the configuration spells it out: not a file's alias.
    pub fn directory(&self) -> Option<&[u8]> {
        let (files, path) = (&self.settings.files, self.settings.files.root.constant()?);
        let names_file = match files.alias {
            Some(u32::MAX) => true,
            Some(_) => self.kind == LocationKind::Exact && !path.ends_with(b"/"),
            None => false,
        };
        (!names_file && !path.is_empty()).then_some(path)
    }

    /// Whether clients may store files at paths given by its URIs.
    pub fn writes(&self) -> bool {
        self.takes(&[Method::Put, Method::Copy, Method::Move]) || self.takes_forms()
    }

    /// Whether the files of forms are stored in it, at paths given by its URIs.
    pub fn takes_forms(&self) -> bool {
        self.settings.upload.store == Store::Uri && self.takes(&[Method::Post])
    }

    /// Whether a form that was posted to another location may bring a file with a name that belongs here.
    pub fn may_get_forms(&self) -> bool {
        self.content == ContentHandler::Files && self.settings.access.allowed.is_none()
            || self.takes(&[Method::Post, Method::Put])
    }

    fn takes(&self, methods: &[Method]) -> bool {
        let allowed = self.settings.access.allowed.unwrap_or(self.settings.dav.methods);
        self.content == ContentHandler::Files && methods.iter().any(|method| allowed.contains(*method))
    }
}

/// A directory where clients may write files by URI, unless the locations of these URIs forbid it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteArea {
    /// The server whose URIs lead there.
    pub server: ServerId,
    /// Normalized; for a path with variables, the part before them.
    pub directory: Box<[u8]>,
    /// The URI that maps to the directory, without trailing slash. None: any URI may lead there.
    pub uri: Option<Box<[u8]>>,
    /// Forms that are posted here bring files, whose names may belong to other locations.
    pub takes_forms: bool,
    /// upload_create_path: they may bring them into directories below as well.
    pub makes_directories: bool,
}

/// The lookup structure of one level's locations.
#[derive(Debug, Default)]
pub struct LocationTree {
    /// `= name`.
    pub exact: FastMap<Box<[u8]>, LocationId>,
    /// Sorted by bytes. `parent` is the longest other entry that is a prefix of this one: the longest prefix of a
    /// URI lies on the parent chain of the last entry not greater than the URI.
    pub prefixes: Vec<PrefixEntry>,
    /// In the order of the configuration.
    pub regexes: Vec<(Pattern, LocationId)>,
    /// Over `regexes`.
    pub set: Option<Box<PatternSet>>,
}

/// A prefix location; entries are sorted.
#[derive(Debug)]
pub struct PrefixEntry {
    /// The name of the location.
    pub prefix: Box<[u8]>,
    /// The location.
    pub location: LocationId,
    /// Index of the entry with the longest shorter prefix of this one.
    pub parent: Option<u32>,
}

/// Anything that can answer requests: a `location`, the level of a `server`, an `if` block or a `limit_except` block.
#[derive(Debug)]
pub struct Location {
    /// What kind of level it is.
    pub kind: LocationKind,
    /// As matched; of a regex its text.
    pub name: Box<[u8]>,
    /// The server that it is in.
    pub server: ServerId,
    /// What holds there.
    pub settings: Settings,
    /// The locations in it; None: there are none.
    pub tree: Option<Box<LocationTree>>,
    /// The rewrite directives, in order.
    pub script: Script,
    /// Only internal redirects may come here.
    pub internal: bool,
    /// try_files.
    pub try_files: Option<Box<TryFiles>>,
    /// The methods that limit_except leaves alone, and the level with its rules.
    pub limit_except: Option<(MethodSet, LocationId)>,
    /// What answers.
    pub content: ContentHandler,
    /// The target of [`ContentHandler::Proxy`].
    pub pass: Option<Rc<Pass>>,
    /// The interpreter of [`ContentHandler::Cgi`].
    pub interpreter: Interpreter,
    /// The TLS configuration of connections to it.
    pub upstream_tls: Option<Rc<UpstreamTls>>,
    /// There is no script, access rule or try_files: a fast path from routing to content.
    pub plain: bool,
    /// The directive that begins it.
    pub span: Span,
}

/// The kinds of levels that can answer requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationKind {
    /// The level of a `server`.
    Server,
    /// `= name`.
    Exact,
    /// A prefix.
    Prefix,
    /// `^~`: if it is the longest match, regexes are not tried.
    PrefixFinal,
    /// `~` or `~*`.
    Regex,
    /// `@name`.
    Named,
    /// An `if` block.
    If,
    /// A `limit_except` block.
    LimitExcept,
}

/// The content handler of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContentHandler {
    /// Files: index, static file, listing, upload, delete, by method and path.
    #[default]
    Files,
    /// empty_gif.
    EmptyGif,
    /// stub_status.
    StubStatus,
    /// health.
    Health,
    /// api, with the index of its path in [`Process::status_paths`].
    Api(u16),
    /// prometheus.
    Prometheus,
    /// proxy_pass, fastcgi_pass, scgi_pass, uwsgi_pass.
    Proxy,
    /// cgi_pass.
    Cgi,
}

/// The arguments of try_files.
#[derive(Debug)]
pub struct TryFiles {
    /// Tried in order.
    pub candidates: Vec<Candidate>,
    /// What follows if none exists.
    pub fallback: Fallback,
}

/// One path of try_files.
#[derive(Debug)]
pub struct Candidate {
    /// Without the final slash of a directory.
    pub path: Template,
    /// Whether it ended in `/`, which matches only a directory.
    pub directory: bool,
}

/// The last argument of try_files.
#[derive(Debug)]
pub enum Fallback {
    /// `=CODE`.
    Code(u16),
    /// An internal redirect: a URI, or `@name`.
    Uri(Template),
}
