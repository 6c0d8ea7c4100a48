//! Values with variables: `/files/$remote_user/$1`. Parsed once while loading, expanded per request by
//! `exchange::variables`. This file knows only the names of variables.

use crate::util::checkpoint;
use std::collections::{BTreeSet, HashMap};

/// A parsed argument. Without variables it is one literal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    /// In order; empty for an empty value.
    pub parts: Box<[Part]>,
}

/// A piece of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text.
    Literal(Box<[u8]>),
    /// A variable.
    Var(Var),
    /// `$1` … `$9`: of the regex that matched last.
    Capture(u8),
}

/// A variable as evaluated for a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Var {
    /// One that has a fixed name.
    Builtin(Builtin),
    /// `$arg_name`, lower-cased.
    Arg(Box<[u8]>),
    /// `$http_name`: the request header `name`, `_` for `-`.
    Http(Box<[u8]>),
    /// `$cookie_name`.
    Cookie(Box<[u8]>),
    /// `$sent_http_name`.
    SentHttp(Box<[u8]>),
    /// `$sent_trailer_name`.
    SentTrailer(Box<[u8]>),
    /// `$upload_field_name`.
    UploadField(Box<[u8]>),
    /// `$proxy_protocol_tlv_name`.
    ProxyProtocolTlv(Box<[u8]>),
    /// `$upstream_http_name`: of the last upstream's response.
    UpstreamHttp(Box<[u8]>),
    /// `$upstream_cookie_name`.
    UpstreamCookie(Box<[u8]>),
    /// `$upstream_trailer_name`.
    UpstreamTrailer(Box<[u8]>),
    /// Never has a value.
    Absent,
    /// Defined by the configuration (`set`, `map`, `geo`, a named capture…): an index into [`Variables`].
    User(u32),
}

/// What `set` and similar directives assign to.
#[derive(Debug, Clone, Copy)]
pub enum SetTarget {
    /// A variable of the configuration.
    User(u32),
    /// `$args`.
    Args,
    /// `$limit_rate`.
    LimitRate,
}

macro_rules! builtins {
    ($($variant:ident $name:literal),+ $(,)?) => {
        /// webserv's built-in variables, with nginx's name for each in [`Builtin::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Builtin { $($variant),+ }

        impl Builtin {
            /// In the order of the table.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$variant),+];

            /// Without its `$`.
            pub fn name(self) -> &'static str {
                match self { $(Builtin::$variant => $name),+ }
            }

            /// None: no variable of that name is built in.
            pub fn of(name: &str) -> Option<Builtin> {
                match name { $($name => Some(Builtin::$variant),)+ _ => None }
            }
        }
    };
}

builtins! {
    Args "args", QueryString "query_string", IsArgs "is_args", Uri "uri", DocumentUri "document_uri",
    RequestUri "request_uri", Request "request", RequestMethod "request_method",
    RequestFilename "request_filename", DocumentRoot "document_root", RealpathRoot "realpath_root",
    Host "host", Hostname "hostname", ServerName "server_name", ServerAddr "server_addr",
    ServerPort "server_port", ServerProtocol "server_protocol", Scheme "scheme", Https "https",
    RemoteAddr "remote_addr", BinaryRemoteAddr "binary_remote_addr", RemotePort "remote_port",
    RemoteUser "remote_user", ContentLength "content_length", ContentType "content_type",
    RequestBody "request_body", RequestBodyFile "request_body_file", RequestLength "request_length",
    RequestTime "request_time", RequestId "request_id", RequestCompletion "request_completion",
    RequestPort "request_port", IsRequestPort "is_request_port", Status "status",
    BodyBytesSent "body_bytes_sent", BytesSent "bytes_sent", Connection "connection",
    ConnectionRequests "connection_requests", ConnectionTime "connection_time",
    ConnectionsActive "connections_active", ConnectionsReading "connections_reading",
    ConnectionsWriting "connections_writing", ConnectionsWaiting "connections_waiting",
    LimitRate "limit_rate", Msec "msec", TimeIso8601 "time_iso8601", TimeLocal "time_local",
    Pid "pid", Pipe "pipe", Draining "draining", NginxVersion "nginx_version", InvalidReferer "invalid_referer",
    SecureLink "secure_link", SecureLinkExpires "secure_link_expires",
    GzipRatio "gzip_ratio", LimitConnStatus "limit_conn_status", LimitReqStatus "limit_req_status",
    ProxyHost "proxy_host", ProxyPort "proxy_port", ProxyAddXForwardedFor "proxy_add_x_forwarded_for",
    ProxyInternalBodyLength "proxy_internal_body_length", ProxyInternalChunked "proxy_internal_chunked",
    UpstreamAddr "upstream_addr", UpstreamStatus "upstream_status", UpstreamCacheStatus "upstream_cache_status",
    UpstreamResponseTime "upstream_response_time", UpstreamConnectTime "upstream_connect_time",
    UpstreamHeaderTime "upstream_header_time", UpstreamResponseLength "upstream_response_length",
    UpstreamBytesSent "upstream_bytes_sent", UpstreamBytesReceived "upstream_bytes_received",
    TcpinfoRtt "tcpinfo_rtt", TcpinfoRttvar "tcpinfo_rttvar", TcpinfoSndCwnd "tcpinfo_snd_cwnd",
    TcpinfoRcvSpace "tcpinfo_rcv_space", UploadFileName "upload_file_name", UploadFileExt "upload_file_ext",
    UploadFileSize "upload_file_size", UploadFilePath "upload_file_path", UploadFiles "upload_files",
    UploadStatus "upload_status", DateLocal "date_local", DateGmt "date_gmt", FastcgiScriptName "fastcgi_script_name",
    FastcgiPathInfo "fastcgi_path_info",
    ProxyProtocolAddr "proxy_protocol_addr", ProxyProtocolPort "proxy_protocol_port",
    ProxyProtocolServerAddr "proxy_protocol_server_addr", ProxyProtocolServerPort "proxy_protocol_server_port",
    Http2 "http2", RealipRemoteAddr "realip_remote_addr", RealipRemotePort "realip_remote_port",
    AcmeCertificate "acme_certificate", AcmeCertificateKey "acme_certificate_key",
    SslAlpnProtocol "ssl_alpn_protocol", SslCipher "ssl_cipher", SslCiphers "ssl_ciphers",
    SslClientCert "ssl_client_cert", SslClientEscapedCert "ssl_client_escaped_cert",
    SslClientFingerprint "ssl_client_fingerprint", SslClientIDn "ssl_client_i_dn",
    SslClientIDnLegacy "ssl_client_i_dn_legacy", SslClientRawCert "ssl_client_raw_cert",
    SslClientSDn "ssl_client_s_dn", SslClientSDnLegacy "ssl_client_s_dn_legacy",
    SslClientSerial "ssl_client_serial", SslClientVEnd "ssl_client_v_end",
    SslClientVRemain "ssl_client_v_remain", SslClientVStart "ssl_client_v_start",
    SslClientVerify "ssl_client_verify", SslCurve "ssl_curve", SslCurves "ssl_curves", SslEarlyData "ssl_early_data",
    SslProtocol "ssl_protocol", SslServerName "ssl_server_name", SslSessionId "ssl_session_id",
    SslSessionReused "ssl_session_reused", SslSigalgs "ssl_sigalgs",
}

/// nginx's variables without a value here, since their protocol or feature is missing. Accepted because log formats and
/// maps use them.
const ABSENT: &[&str] = &[
    "http3",
    "ssl_client_sigalg",
    "ssl_ech_outer_server_name",
    "ssl_ech_status",
    "ssl_sigalg",
    "upstream_cache_etag",
    "upstream_cache_last_modified",
];

fn is_absent(name: &str) -> bool {
    ABSENT.contains(&name)
}

/// Members of families that are separate variables in nginx and may not be redefined.
const FIXED: &[&str] = &[
    "http_cookie",
    "http_host",
    "http_referer",
    "http_user_agent",
    "http_via",
    "http_x_forwarded_for",
    "sent_http_cache_control",
    "sent_http_connection",
    "sent_http_content_length",
    "sent_http_content_type",
    "sent_http_keep_alive",
    "sent_http_last_modified",
    "sent_http_link",
    "sent_http_location",
    "sent_http_transfer_encoding",
];

/// Whether assigning to a variable changes the request or response itself: `$args`, `$limit_rate`.
fn is_stored_in_place(name: &str) -> bool {
    matches!(name, "args" | "limit_rate")
}

/// Whether the configuration may not define it (not NGX_HTTP_VAR_CHANGEABLE in nginx).
fn is_fixed(name: &str) -> bool {
    let may_change = is_stored_in_place(name)
        || matches!(name, "invalid_referer" | "proxy_host" | "proxy_port")
        || name.starts_with("ssl_");
    !may_change && (Builtin::of(name).is_some() || is_absent(name)) || FIXED.contains(&name)
}

/// The nginx module of a variable that webserv lacks.
pub fn module_of(name: &str) -> Option<&'static str> {
    let by_prefix = [("geoip_", "ngx_http_geoip_module"), ("jwt_", "ngx_http_auth_jwt_module")];
    Some(match name {
        "msie" | "modern_browser" | "ancient_browser" => "ngx_http_browser_module",
        "slice_range" => "ngx_http_slice_module",
        "uid_got" | "uid_set" | "uid_reset" => "ngx_http_userid_module",
        "date_local" | "date_gmt" => "ngx_http_ssi_module",
        _ => return by_prefix.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, module)| *module),
    })
}

/// Where a user-defined variable gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Used, but not defined yet; an error if still so at the end of loading.
    Undefined,
    /// `set`: the value assigned last in this request; otherwise empty, with a warning.
    Stored,
    /// A named capture: the value captured last in this request.
    Captured,
    /// The index of a `map`.
    Map(u32),
    /// The index of a `geo`.
    Geo(u32),
    /// The index of a `split_clients`.
    Split(u32),
}

/// User-defined variables; their order is the index in an exchange's table.
#[derive(Debug, Default)]
pub struct Variables {
    /// Names without `$`, and where the values come from.
    pub defined: Vec<(Box<str>, Source)>,
    /// Whether `$server_addr` is used: for a wildcard listener it takes a getsockname() on the connection.
    pub server_addr: bool,
    /// Whether `$request_id` is used: then error lines contain it too, to correlate logs.
    pub request_id: bool,
    /// Whether lists of what TLS clients offer are used: they are kept only then.
    pub ssl_lists: bool,
    /// Predefined variables, families such as `$http_name` included, that the configuration redefines, with their
    /// index.
    redefined: Vec<(Var, u32)>,
    /// Those that auth_request_set defines: where it has not run, they are absent, without a warning (nginx).
    pub answered: BTreeSet<u32>,
    /// Those that named captures give values too, whatever else defines them.
    captured: BTreeSet<u32>,
    index: HashMap<Box<str>, u32>,
    /// Microseconds spent on engines of patterns that were built while loading.
    pub built: u32,
}

type Make = fn(Box<[u8]>) -> Var;

impl Variables {
    /// The prefixes of variable families.
    pub const PREFIXES: &[(&str, Make)] = &[
        ("arg_", Var::Arg),
        ("http_", Var::Http),
        ("cookie_", Var::Cookie),
        ("sent_http_", Var::SentHttp),
        ("sent_trailer_", Var::SentTrailer),
        ("proxy_protocol_tlv_", Var::ProxyProtocolTlv),
        ("upload_field_", Var::UploadField),
        ("upstream_http_", Var::UpstreamHttp),
        ("upstream_cookie_", Var::UpstreamCookie),
        ("upstream_trailer_", Var::UpstreamTrailer),
    ];

    /// All known names, except members of families.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let made = self.defined.iter().filter(|(_, source)| *source != Source::Undefined).map(|(name, _)| &**name);
        made.chain(Builtin::ALL.iter().map(|builtin| builtin.name())).chain(ABSENT.iter().copied())
    }

    /// Predefined, or defined so far: further down it may still be.
    pub fn is_defined(&self, name: &str) -> bool {
        let made = self.index.get(name).and_then(|at| self.defined.get(*at as usize));
        Variables::predefined(name).is_some() || made.is_some_and(|(_, source)| *source != Source::Undefined)
    }

    /// The index of `name`, which is added as [`Source::Undefined`] on first use: nginx allows using a variable above
    /// its definition.
    pub fn refer(&mut self, name: &str) -> u32 {
        let name = &*name.to_ascii_lowercase();
        if let Some(&at) = self.index.get(name) {
            return at;
        }
        let at = self.defined.len() as u32;
        self.defined.push((name.into(), Source::Undefined));
        self.index.insert(name.into(), at);
        at
    }

    /// Whether nothing has defined `name` so far.
    pub fn is_undefined(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let at = self.index.get(&*name).and_then(|at| self.defined.get(*at as usize));
        at.is_none_or(|(_, source)| *source == Source::Undefined)
    }

    /// Defines `name`. A later definition of another kind replaces an earlier one, as in nginx.
    pub fn define(&mut self, name: &str, source: Source) -> Result<u32, String> {
        let name = &*name.to_ascii_lowercase();
        if is_fixed(name) {
            return Err(format!("the duplicate \"{name}\" variable"));
        }
        let at = self.refer(name);
        if source == Source::Captured {
            self.captured.insert(at);
        }
        let known = &mut self.defined[at as usize].1;
        // `set` does not replace the definition by a map or another block, but overrides its value where it runs
        // (nginx).
        if source != Source::Stored || *known == Source::Undefined {
            *known = source;
        }
        if let Some(var) = Variables::predefined(name)
            && !is_stored_in_place(name)
            && self.redefinition(&var).is_none()
        {
            self.redefined.push((var, at));
        }
        Ok(at)
    }

    /// The index of a predefined variable that `set`, `map` or a capture redefines: this applies everywhere (nginx).
    pub fn redefinition(&self, var: &Var) -> Option<u32> {
        match var {
            Var::User(_) => None,
            var => self.redefined.iter().find(|(known, _)| known == var).map(|(_, at)| *at),
        }
    }

    /// Whether a named capture gives it a value.
    pub fn is_captured(&self, at: u32) -> bool {
        self.captured.contains(&at)
    }

    /// Names that were used and never defined.
    pub fn undefined(&self) -> impl Iterator<Item = &str> {
        self.defined.iter().filter(|(_, s)| *s == Source::Undefined).map(|(n, _)| &**n)
    }

    /// The variable for `$name`. Names are case-insensitive (nginx).
    pub fn find(&mut self, name: &str) -> Var {
        let name = &*name.to_ascii_lowercase();
        self.server_addr |= name == Builtin::ServerAddr.name();
        self.request_id |= name == Builtin::RequestId.name();
        self.ssl_lists |= matches!(name, "ssl_ciphers" | "ssl_curves" | "ssl_sigalgs");
        Variables::predefined(name).unwrap_or_else(|| Var::User(self.refer(name)))
    }

    /// Pages may name any variable (SSI).
    pub fn are_named_by_pages(&mut self) {
        (self.server_addr, self.ssl_lists) = (true, true);
    }

    /// CGI programs get those of RFC 3875 without their being named.
    pub fn are_passed_to_programs(&mut self) {
        self.server_addr = true;
    }

    /// The variable for a name in a page (SSI), in lower case, without adding it.
    pub fn known(&self, name: &str) -> Option<Var> {
        Variables::predefined(name).or_else(|| self.index.get(name).copied().map(Var::User))
    }

    fn predefined(name: &str) -> Option<Var> {
        if let Some(known) = Builtin::of(name) {
            return Some(Var::Builtin(known));
        }
        if is_absent(name) {
            return Some(Var::Absent);
        }
        for (prefix, make) in Variables::PREFIXES {
            if let Some(rest) = name.strip_prefix(prefix) {
                return Some(make(rest.as_bytes().into()));
            }
        }
        None
    }
}

impl Template {
    /// A template without variables.
    pub fn literal(text: &[u8]) -> Template {
        match text {
            [] => Template::default(),
            _ => Template { parts: Box::new([Part::Literal(text.into())]) },
        }
    }

    /// Parses the variables in `text`: `$name`, `${name}`, `$1`. As in nginx, a `$` before anything else is an error
    /// ("invalid variable name").
    pub fn parse(text: &[u8], vars: &mut Variables) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            if byte != b'$' {
                let rest = text.get(at..).unwrap_or_default();
                let length = memchr::memchr(b'$', rest).unwrap_or(rest.len());
                literal.extend_from_slice(&rest[..length]);
                at += length;
                continue;
            }
            at += 1;
            if let Some(digit @ b'1'..=b'9') = text.get(at).copied() {
                flush(&mut literal, &mut parts);
                parts.push(Part::Capture(digit - b'0'));
                at += 1;
                continue;
            }
            let braced = text.get(at) == Some(&b'{');
            at += usize::from(braced);
            let rest = text.get(at..).unwrap_or_default();
            let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            if braced && rest.get(len) != Some(&b'}') {
                return Err(format!(
                    "the closing bracket in \"{}\" variable is missing",
                    String::from_utf8_lossy(&rest[..len])
                ));
            }
            if len == 0 {
                return Err("invalid variable name".into());
            }
            checkpoint::pass();
            flush(&mut literal, &mut parts);
            let name = std::str::from_utf8(&rest[..len]).expect("letters, digits and _ are ASCII");
            // "${1}" is a capture too.
            match name.as_bytes() {
                [digit @ b'1'..=b'9'] => parts.push(Part::Capture(digit - b'0')),
                _ => parts.push(Part::Var(vars.find(name))),
            }
            at += len + usize::from(braced);
        }
        flush(&mut literal, &mut parts);
        Ok(Template { parts: parts.into() })
    }

    /// The text, if the template has no variables.
    pub fn constant(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// It is empty for every request.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// As a path: the directory in which all its values lie, as far as it is spelled out. Itself if it is constant,
    /// otherwise the text before the last slash ahead of its first variable. None: there is no such slash.
    pub fn directory(&self) -> Option<&[u8]> {
        match (self.constant(), self.parts.first()) {
            (Some(path), _) => Some(path),
            (None, Some(Part::Literal(text))) => text.get(..memchr::memrchr(b'/', text)?),
            _ => None,
        }
    }
}

fn flush(literal: &mut Vec<u8>, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
}

/// The help for assigning to a built-in variable.
pub fn not_yours(name: &str) -> String {
    format!("${name} is built in and cannot be set: take another name, as in $my_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let mut vars = Variables::default();
        match Template::parse(text.as_bytes(), &mut vars) {
            Err(why) => format!("error: {why}"),
            Ok(template) => template
                .parts
                .iter()
                .map(|part| match part {
                    Part::Literal(l) => format!("'{}'", String::from_utf8_lossy(l)),
                    Part::Capture(n) => format!("<{n}>"),
                    Part::Var(v) => format!("{v:?}").replace("Builtin(", "(").chars().take(40).collect(),
                })
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn variables_are_found_where_nginx_finds_them() {
        for (name, text, expected) in [
            ("plain text is one literal", "/a/b", "'/a/b'"),
            ("nothing", "", ""),
            ("a name ends at the first other byte", "$uri/x", "(Uri) '/x'"),
            ("braces end a name early", "${uri}x", "(Uri) 'x'"),
            ("captures are one digit", "$12", "<1> '2'"),
            ("braced captures", "a${1}b", "'a' <1> 'b'"),
            ("an unknown name is referred to", "$foo", "User(0)"),
            ("a lone dollar", "a$", "error: invalid variable name"),
            ("an open bracket", "${uri", "error: the closing bracket in \"uri\" variable is missing"),
        ] {
            assert_eq!(show(text), expected, "{name}");
        }
    }
}
