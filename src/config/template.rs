//! Values with variables in them: `/files/$remote_user/$1`. Parsed once at load; expanded per request by
//! `exchange::variables`. This file knows the names of variables and nothing of how a request answers them.

use std::collections::HashMap;

/// A directive's argument with its variables found. A template without variables is one literal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    pub parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Literal(Box<[u8]>),
    Var(Var),
    /// `$1` … `$9`: of the regex that matched last.
    Capture(u8),
}

/// A variable as a request is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Var {
    Builtin(Builtin),
    /// `$arg_name`, lower-cased.
    Arg(Box<[u8]>),
    /// `$http_name`: the request header `name`, `_` for `-`.
    Http(Box<[u8]>),
    Cookie(Box<[u8]>),
    SentHttp(Box<[u8]>),
    SentTrailer(Box<[u8]>),
    UploadField(Box<[u8]>),
    /// `$proxy_protocol_tlv_name`.
    ProxyProtocolTlv(Box<[u8]>),
    /// `$upstream_http_name`: of the last upstream's response.
    UpstreamHttp(Box<[u8]>),
    UpstreamCookie(Box<[u8]>),
    UpstreamTrailer(Box<[u8]>),
    /// Never has a value.
    Absent,
    /// Made by the configuration (`set`, `map`, `geo`, a named capture…): an index into [`Variables`].
    User(u32),
}

/// A variable that a directive gives a value.
#[derive(Debug, Clone, Copy)]
pub enum SetTarget {
    User(u32),
    Args,
    LimitRate,
}

macro_rules! builtins {
    ($($variant:ident $name:literal),+ $(,)?) => {
        /// Variables that webserv itself defines, nginx's name for each in [`Builtin::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Builtin { $($variant),+ }

        impl Builtin {
            pub const ALL: &'static [Builtin] = &[$(Builtin::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Builtin::$variant => $name),+ }
            }

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

/// Variables of nginx that have no value here, since their protocol or feature is missing. They are accepted, since log
/// formats and maps name them.
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

/// Members of families that are variables of their own in nginx, which let no configuration define them.
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

/// A variable by which `set` changes the request or the response: `$args`, `$limit_rate`.
fn is_stored_in_place(name: &str) -> bool {
    matches!(name, "args" | "limit_rate")
}

/// No configuration may define it (nginx's variables that are not changeable).
fn is_fixed(name: &str) -> bool {
    let may_change = is_stored_in_place(name)
        || matches!(name, "invalid_referer" | "proxy_host" | "proxy_port")
        || name.starts_with("ssl_");
    !may_change && (Builtin::of(name).is_some() || is_absent(name)) || FIXED.contains(&name)
}

/// The module of nginx that makes a variable which nothing here makes.
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

/// Where a variable made by the configuration gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Used somewhere, defined nowhere yet; an error if it is still so when the file ends.
    Undefined,
    /// `set`: whatever was stored last in this request, else empty, which is warned of.
    Stored,
    /// A named capture of a regex: whatever was stored last in this request.
    Captured,
    Map(u32),
    Geo(u32),
    Split(u32),
}

/// The variables that the configuration makes. Their order is their index in an exchange's table.
#[derive(Debug, Default)]
pub struct Variables {
    pub defined: Vec<(Box<str>, Source)>,
    /// Some value has `$server_addr`, which behind a wildcard only the connection's socket knows.
    pub server_addr: bool,
    /// Some value has `$request_id`: error lines have it too, so that logs can be read together.
    pub request_id: bool,
    /// Some value has a list of what TLS clients offer: kept only then.
    pub ssl_lists: bool,
    /// Members of a family (`$http_name`, `$arg_name`…) and the like that the configuration defines itself, and their
    /// index.
    redefined: Vec<(Var, u32)>,
    index: HashMap<Box<str>, u32>,
}

type Make = fn(Box<[u8]>) -> Var;

impl Variables {
    /// What a family of variables begins with.
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

    /// Every name that has a meaning, but for those of the families.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let made = self.defined.iter().filter(|(_, source)| *source != Source::Undefined).map(|(name, _)| &**name);
        made.chain(Builtin::ALL.iter().map(|builtin| builtin.name())).chain(ABSENT.iter().copied())
    }

    pub fn is_defined(&self, name: &str) -> bool {
        let made = self.index.get(name).and_then(|at| self.defined.get(*at as usize));
        Variables::predefined(name).is_some() || made.is_some_and(|(_, source)| *source != Source::Undefined)
    }

    /// The index of `name`, made as [`Source::Undefined`] at its first use: nginx lets a variable be used above
    /// the line that defines it.
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

    /// Defines `name`. A later definition of another kind wins, as in nginx.
    pub fn define(&mut self, name: &str, source: Source) -> Result<u32, String> {
        let name = &*name.to_ascii_lowercase();
        if is_fixed(name) {
            return Err(format!("the duplicate \"{name}\" variable"));
        }
        let at = self.refer(name);
        let known = &mut self.defined[at as usize].1;
        // `set` changes what a map or another block defines, in the requests it runs in; it does not replace it (nginx).
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

    /// The index of what `set`, `map` or a capture defines although it has a meaning: wherever it stands, that counts
    /// (nginx).
    pub fn redefinition(&self, var: &Var) -> Option<u32> {
        match var {
            Var::User(_) => None,
            var => self.redefined.iter().find(|(known, _)| known == var).map(|(_, at)| *at),
        }
    }

    /// Names that were used and never defined.
    pub fn undefined(&self) -> impl Iterator<Item = &str> {
        self.defined.iter().filter(|(_, s)| *s == Source::Undefined).map(|(n, _)| &**n)
    }

    /// What `$name` means. Case does not matter (nginx).
    pub fn find(&mut self, name: &str) -> Var {
        let name = &*name.to_ascii_lowercase();
        self.server_addr |= name == Builtin::ServerAddr.name();
        self.request_id |= name == Builtin::RequestId.name();
        self.ssl_lists |= matches!(name, "ssl_ciphers" | "ssl_curves" | "ssl_sigalgs");
        Variables::predefined(name).unwrap_or_else(|| Var::User(self.refer(name)))
    }

    /// What a name means that a page uses: nothing is defined by that.
    pub fn known(&self, name: &str) -> Option<Var> {
        let name = &*name.to_ascii_lowercase();
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
    /// A template that is the same for every request.
    pub fn literal(text: &[u8]) -> Template {
        match text {
            [] => Template::default(),
            _ => Template { parts: Box::new([Part::Literal(text.into())]) },
        }
    }

    /// Finds the variables in `text`: `$name`, `${name}`, `$1`. A `$` before anything else is an error, as in
    /// nginx ("invalid variable name").
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

    /// The text, where it is the same for every request.
    pub fn constant(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

fn flush(literal: &mut Vec<u8>, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
}

/// What to do where a variable that is built in is given a value.
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
