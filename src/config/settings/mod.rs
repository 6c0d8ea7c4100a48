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
    pub files: Rc<Files>,
    pub client: Rc<ClientSettings>,
    pub body: Rc<BodySettings>,
    pub output: Rc<Output>,
    pub errors: Rc<Errors>,
    pub logs: Rc<Logging>,
    pub access: Rc<Access>,
    pub auth: Rc<Auth>,
    pub limits: Rc<LimitSettings>,
    pub referers: Rc<Referers>,
    pub charset: Rc<Charset>,
    pub gzip: Rc<Gzip>,
    pub http2: Rc<Http2>,
    pub dav: Rc<Dav>,
    pub listing: Rc<Listing>,
    pub upload: Rc<UploadSettings>,
    pub proxy: Rc<ProxySettings>,
    pub fastcgi: Rc<ProxySettings>,
    pub scgi: Rc<ProxySettings>,
    pub uwsgi: Rc<ProxySettings>,
    pub tunnel: Rc<ProxySettings>,
    pub names: Rc<NameLookup>,
    pub cgi: Rc<Cgi>,
    pub cgi_upstream: Rc<ProxySettings>,
    pub realip: Rc<RealIp>,
    pub ssi: Rc<Ssi>,
    pub ssl: Rc<Ssl>,
    pub proxy_ssl: Rc<ProxySsl>,
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
    pub name: &'static str,
    /// Name and arguments.
    pub text: Box<str>,
    /// `FILE:LINE`.
    pub place: Box<str>,
}
