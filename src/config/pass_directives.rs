//! The directives that pass requests to upstreams, by protocol.

use super::settings::proxy_pass::Protocol;

/// The directive that passes requests by it.
pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "proxy_pass",
        Protocol::FastCgi => "fastcgi_pass",
        Protocol::Scgi => "scgi_pass",
        Protocol::Uwsgi => "uwsgi_pass",
        Protocol::Cgi => "cgi_pass",
        Protocol::Tunnel => "tunnel_pass",
    }
}
