//! The configuration as plain data: one file per subject, with defaults (nginx's unless the directive's row says
//! otherwise). Knows no directive and parses nothing; `directives` fills it, requests read it.
//!
//! Settings are inherited by sharing: a level that does not change a group points to its parent's group.

pub mod access;
pub mod acme;
pub mod auth;
pub mod body;
pub mod cgi;
pub mod charset;
pub mod client;
pub mod dav;
pub mod errors;
pub mod files;
pub mod gateway;
pub mod geo;
pub mod gzip;
pub mod headers;
pub mod http2;
pub mod limits;
pub mod list;
pub mod listen;
pub mod listing;
pub mod logs;
pub mod map;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod proxy_pass;
pub mod proxy_ssl;
pub mod realip;
pub mod referer;
pub mod resolver;
pub mod ssi;
pub mod ssl;
pub mod syslog;
pub mod upload;
pub mod upload_resumable;
pub mod upstream;

use self::access::Access;
use self::auth::Auth;
use self::body::BodySettings;
use self::cgi::Cgi;
use self::charset::Charset;
use self::client::ClientSettings;
use self::dav::Dav;
use self::errors::Errors;
use self::files::Files;
use self::gzip::Gzip;
use self::headers::Output;
use self::http2::Http2;
use self::limits::LimitSettings;
use self::listing::Listing;
use self::logs::Logging;
use self::proxy::ProxySettings;
use self::proxy_pass::Protocol;
use self::proxy_ssl::ProxySsl;
use self::realip::RealIp;
use self::referer::Referers;
use self::resolver::NameLookup;
use self::ssi::Ssi;
use self::ssl::Ssl;
use self::upload::UploadSettings;
use std::rc::Rc;

/// All inherited settings, by subject. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which file a URI maps to.
    pub files: Rc<Files>,
    /// Limits for clients.
    pub client: Rc<ClientSettings>,
    /// Where bodies are buffered.
    pub body: Rc<BodySettings>,
    /// Header fields of responses.
    pub output: Rc<Output>,
    /// error_page.
    pub errors: Rc<Errors>,
    /// Logs.
    pub logs: Rc<Logging>,
    /// allow, deny, methods.
    pub access: Rc<Access>,
    /// Passwords and subrequests.
    pub auth: Rc<Auth>,
    /// Rates and numbers of requests.
    pub limits: Rc<LimitSettings>,
    /// valid_referers.
    pub referers: Rc<Referers>,
    /// The charset of responses.
    pub charset: Rc<Charset>,
    /// Compression.
    pub gzip: Rc<Gzip>,
    /// HTTP/2.
    pub http2: Rc<Http2>,
    /// WebDAV.
    pub dav: Rc<Dav>,
    /// Listings.
    pub listing: Rc<Listing>,
    /// Uploads and deletes.
    pub upload: Rc<UploadSettings>,
    /// proxy_pass.
    pub proxy: Rc<ProxySettings>,
    /// fastcgi_pass.
    pub fastcgi: Rc<ProxySettings>,
    /// scgi_pass.
    pub scgi: Rc<ProxySettings>,
    /// uwsgi_pass.
    pub uwsgi: Rc<ProxySettings>,
    /// tunnel_pass.
    pub tunnel: Rc<ProxySettings>,
    /// resolver.
    pub names: Rc<NameLookup>,
    /// CGI programs.
    pub cgi: Rc<Cgi>,
    /// What CGI has in common with proxying.
    pub cgi_upstream: Rc<ProxySettings>,
    /// Trusted proxies.
    pub realip: Rc<RealIp>,
    /// SSI.
    pub ssi: Rc<Ssi>,
    /// TLS of servers.
    pub ssl: Rc<Ssl>,
    /// TLS to upstreams of proxy_pass.
    pub proxy_ssl: Rc<ProxySsl>,
    /// TLS to upstreams of uwsgi_pass.
    pub uwsgi_ssl: Rc<ProxySsl>,
    /// Directives that limit what clients may write, to name in the error response.
    pub limiting: Rc<Vec<Line>>,
}

impl Settings {
    /// The settings of the directives for an upstream protocol.
    pub fn upstream(&self, protocol: Protocol) -> &Rc<ProxySettings> {
        match protocol {
            Protocol::Http1 => &self.proxy,
            Protocol::FastCgi => &self.fastcgi,
            Protocol::Scgi => &self.scgi,
            Protocol::Uwsgi => &self.uwsgi,
            Protocol::Cgi => &self.cgi_upstream,
            Protocol::Tunnel => &self.tunnel,
        }
    }
}

/// A directive as written, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name of the directive.
    pub name: &'static str,
    /// Name and arguments.
    pub text: Box<str>,
    /// `FILE:LINE`.
    pub place: Box<str>,
}
