//! The resolved configuration: what a request is answered by. Immutable once made; held by `Rc` from every
//! exchange that started under it, so a reload changes nothing for them. No parsing here; methods only answer questions about the data.
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
use super::settings::proxy_pass::{Pass, Protocol};
use super::settings::upload::Store;
use super::settings::upstream::Upstream;
use super::template::{Template, Variables};
use super::tls_material::{ServerTls, UpstreamTls};
use super::value::Size;
use crate::http::header::UnusualNames;
use crate::http::method::{Method, MethodSet};
use crate::sys::socket::Addr;
use crate::util::hash::FastMap;
use std::path::PathBuf;
use std::rc::Rc;

#[derive(Debug)]
pub struct Config {
    pub process: Process,
    pub endpoints: Vec<Endpoint>,
    /// What is really bound: endpoints of one port behind a wildcard share its socket, as in nginx.
    pub sockets: Vec<ListenSocket>,
    pub servers: Vec<Server>,
    pub locations: Vec<Location>,
    /// Header fields with an unusual name that some server keeps.
    pub unusual_names: UnusualNames,
    /// The highest max_headers of all servers, where they differ: which one holds is known only once a request has named its host.
    pub max_headers: Option<u64>,
    pub variables: Variables,
    /// Directories that some upload_store names: their files were uploaded by clients.
    pub stores: Vec<Box<[u8]>>,
    /// Directories where clients write by the URIs of files.
    pub write_areas: Vec<WriteArea>,
    pub tables: Tables,
    pub acme: super::acme::Acme,
    /// `upstream` blocks, and the hosts that a proxy_pass names. Shared: who counts its failures holds it too.
    pub upstreams: Vec<Rc<Upstream>>,
    /// Every file that some access_log or error_log writes, each once. Empty: named, but used by no level.
    pub log_files: Vec<PathBuf>,
    /// Directories that deleted files are moved to.
    pub trashes: Vec<Box<[u8]>>,
    /// Directories whose content is never served: trashes that are not shown, and those of unfinished uploads.
    pub hidden_places: Vec<Box<[u8]>>,
}

impl Config {
    pub fn server(&self, id: ServerId) -> &Server {
        &self.servers[id.at()]
    }

    /// Bytes of small files that may be kept in memory.
    pub fn static_cache_size(&self) -> u64 {
        self.of_http(|settings| settings.files.cache_size)
    }

    /// Bytes of listings that may be kept.
    pub fn listing_cache_size(&self) -> u64 {
        self.of_http(|settings| settings.listing.cache_size)
    }

    /// Bytes of the response cache.
    pub fn repeat_cache_size(&self) -> u64 {
        self.of_http(|settings| settings.files.repeat_cache_size)
    }

    /// A setting of the http level, which every server shares. 0 where there is none.
    fn of_http(&self, size: impl Fn(&Settings) -> Size) -> u64 {
        self.servers.first().map_or(0, |server| size(&self.location(server.root).settings).0)
    }

    /// Handshakes are made, with clients or with upstreams.
    pub fn speaks_tls(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.ssl)
            || self.locations.iter().any(|location| location.upstream_tls.is_some())
    }

    /// client_header_timeout of an endpoint's default server: what a connection has for its handshake and first request.
    pub fn header_timeout(&self, id: EndpointId) -> u64 {
        let server = self.server(self.endpoints[id.at()].default);
        self.location(server.root).settings.client.header_timeout.0
    }

    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.at()]
    }
}

/// What variables and limits of the configuration are looked up in.
#[derive(Debug, Default)]
pub struct Tables {
    pub maps: Vec<MapTable>,
    pub geos: Vec<GeoTable>,
    pub splits: Vec<SplitTable>,
    pub zones: Vec<Zone>,
    pub charsets: Vec<CharsetMap>,
    /// Every charset that a directive names: those that an upstream's X-Accel-Charset may choose from.
    pub charset_names: Vec<Box<[u8]>>,
}

impl Tables {
    /// A zone by its name, which reloads keep.
    pub fn zone(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| *zone.name == *name)
    }
}

/// An address that `listen` names, and the servers behind it.
#[derive(Debug)]
pub struct Endpoint {
    pub addr: Addr,
    pub default: ServerId,
    pub names: Names,
    pub options: ListenOptions,
    /// Connections begin with a PROXY header: one `listen` with `proxy_protocol` is enough (nginx).
    pub proxy_protocol: bool,
    /// Connections are TLS: one `listen` with `ssl` is enough (nginx).
    pub ssl: bool,
    /// Some `listen` of it says `http2`: all its servers speak it (nginx).
    pub http2: bool,
    /// The first `listen` that named it.
    pub span: Span,
}

impl Endpoint {
    /// It has more servers than its default.
    pub fn has_several(&self) -> bool {
        let names = &self.names;
        let named = names.exact.values().chain(names.suffixes.values()).chain(names.prefixes.values());
        named.chain(names.regexes.iter().map(|(_, id)| id)).any(|id| *id != self.default)
    }

    /// The servers behind it in the order of the configuration, each once.
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

#[derive(Debug)]
pub struct ListenSocket {
    pub addr: Addr,
    /// Who answers on this socket when no more special address matches.
    pub endpoint: EndpointId,
    /// Special addresses of the same port that have no socket of their own: found by the local address.
    pub special: Vec<(std::net::IpAddr, EndpointId)>,
}

/// The server names of one endpoint, ready for look-up. Keys are lower case.
#[derive(Debug, Default)]
pub struct Names {
    pub exact: FastMap<Box<[u8]>, ServerId>,
    /// `*.example.com` and `.example.com`, as `.example.com`.
    pub suffixes: FastMap<Box<[u8]>, ServerId>,
    /// `www.example.*`, as `www.example.`.
    pub prefixes: FastMap<Box<[u8]>, ServerId>,
    pub regexes: Vec<(Rc<Pattern>, ServerId)>,
    /// Over `regexes`.
    pub set: Option<PatternSet>,
}

#[derive(Debug)]
pub struct Server {
    /// `$server_name`: the first name of the block.
    pub name: Box<[u8]>,
    /// The server level as a location: its settings and its rewrite script.
    pub root: LocationId,
    pub tree: LocationTree,
    pub named: FastMap<Box<[u8]>, LocationId>,
    /// Some location of it is proxied: unknown methods may be for the upstream.
    pub proxied: bool,
    /// Some location of it makes tunnels of CONNECT.
    pub connects: bool,
    /// The certificate of ACME that it asks for.
    pub acme: Option<super::acme::CertificateId>,
    /// What its handshakes are made with, where it names certificates.
    pub tls: Option<Rc<ServerTls>>,
    /// `host:port` style endpoints it listens on.
    pub span: Span,
}

impl Location {
    /// Its requests are passed on, and those without its final slash are sent to it.
    pub fn is_proxied(&self) -> bool {
        self.content == Content::Proxy && self.pass.as_ref().is_some_and(|pass| pass.protocol != Protocol::Tunnel)
    }

    /// Clients may store files in it: an upload_store, or the directory of a URI by POST and PUT. A location that
    /// something else than files answers stores none by its URI.
    pub fn stores(&self) -> bool {
        match self.settings.upload.store {
            Store::Path(_) => true,
            Store::Off => false,
            Store::Uri => self.takes(&[Method::Post, Method::Put]),
        }
    }

    /// Clients may put files where its URIs say.
    pub fn writes(&self) -> bool {
        self.takes(&[Method::Put, Method::Copy, Method::Move])
            || self.settings.upload.store == Store::Uri && self.takes(&[Method::Post])
    }

    fn takes(&self, methods: &[Method]) -> bool {
        let allowed = self.settings.access.allowed.unwrap_or(self.settings.dav.methods);
        self.content == Content::Files && methods.iter().any(|method| allowed.contains(*method))
    }
}

/// A directory where clients may write files by their URIs, as far as the locations of these URIs let them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteArea {
    pub server: ServerId,
    /// Clean; of one with variables, what stands before them.
    pub directory: Box<[u8]>,
    /// The URI that the directory stands for, without a slash at its end. None: variables or captures decide.
    pub uri: Option<Box<[u8]>>,
}

/// The locations of one level, ready for look-up.
#[derive(Debug, Default)]
pub struct LocationTree {
    pub exact: FastMap<Box<[u8]>, LocationId>,
    /// Sorted by bytes. `parent` is the longest other entry that is a prefix of this one: the longest prefix of a
    /// URI lies on the parent chain of the last entry not greater than the URI.
    pub prefixes: Vec<PrefixEntry>,
    pub regexes: Vec<(Pattern, LocationId)>,
    /// Over `regexes`.
    pub set: Option<Box<PatternSet>>,
}

#[derive(Debug)]
pub struct PrefixEntry {
    pub prefix: Box<[u8]>,
    pub location: LocationId,
    pub parent: Option<u32>,
}

/// A place in the configuration that can answer requests: a `location`, the level of a `server`, an `if` block
/// or a `limit_except` block.
#[derive(Debug)]
pub struct Location {
    pub kind: LocationKind,
    pub name: Box<[u8]>,
    pub server: ServerId,
    pub settings: Settings,
    pub tree: Option<Box<LocationTree>>,
    pub script: Script,
    pub internal: bool,
    pub try_files: Option<Box<TryFiles>>,
    pub limit_except: Option<(MethodSet, LocationId)>,
    pub content: Content,
    /// Where [`Content::Proxy`] goes.
    pub pass: Option<Rc<Pass>>,
    /// Who runs the files of [`Content::Cgi`].
    pub interpreter: Interpreter,
    /// The TLS configuration of connections to it.
    pub upstream_tls: Option<Rc<UpstreamTls>>,
    /// Nothing between routing and content: no script, no access rule, no try_files. The hot path's shortcut.
    pub plain: bool,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationKind {
    Server,
    Exact,
    Prefix,
    /// `^~`: no regex is tried when it is the longest.
    PrefixFinal,
    Regex,
    Named,
    If,
    LimitExcept,
}

/// What answers requests of a location when nothing before it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Content {
    /// Files: index, static file, listing, upload, delete, by method and path.
    #[default]
    Files,
    EmptyGif,
    StubStatus,
    /// health.
    Health,
    /// api, with the place of its path in [`Process::status_paths`].
    Api(u16),
    /// prometheus.
    Prometheus,
    /// proxy_pass, fastcgi_pass, scgi_pass, uwsgi_pass.
    Proxy,
    /// cgi_pass.
    Cgi,
}

#[derive(Debug)]
pub struct TryFiles {
    pub candidates: Vec<Candidate>,
    pub fallback: Fallback,
}

#[derive(Debug)]
pub struct Candidate {
    pub path: Template,
    /// It ended in `/`: a directory is looked for.
    pub directory: bool,
}

#[derive(Debug)]
pub enum Fallback {
    Code(u16),
    /// An internal redirect: a URI, or `@name`.
    Uri(Template),
}
