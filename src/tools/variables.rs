//! What each built-in variable holds, in a sentence: for editors, and for `webserv directives '$NAME'`.

use crate::config::template::Builtin;
#[cfg(test)]
use crate::config::template::Variables;

/// The name of a variable, with its `$`, and what it holds; None: it is no built-in one, nor one of a family.
pub fn describe(name: &str) -> Option<String> {
    let name = name.trim_start_matches('$').trim_matches(['{', '}']).to_ascii_lowercase();
    if let Some(builtin) = Builtin::of(&name) {
        return Some(format!("${name}\n    {}\n", meaning(builtin)?));
    }
    let (prefix, what) =
        FAMILIES.iter().find(|(prefix, _)| name.strip_prefix(*prefix).is_some_and(|rest| !rest.is_empty()))?;
    let rest = name.strip_prefix(*prefix).unwrap_or_default();
    let named =
        if prefix.contains("http_") || prefix.contains("trailer_") { rest.replace('_', "-") } else { rest.to_owned() };
    Some(format!("${name}\n    {} \"{named}\".\n", what))
}

/// The sentence of a built-in variable.
pub fn meaning(builtin: Builtin) -> Option<&'static str> {
    MEANINGS.iter().find(|(name, _)| *name == builtin.name()).map(|(_, meaning)| *meaning)
}

/// The families of variables, and what their names continue.
const FAMILIES: [(&str, &str); 10] = [
    ("arg_", "The argument of the query with the name"),
    ("http_", "The header of the request with the name"),
    ("cookie_", "The cookie of the request with the name"),
    ("sent_http_", "The header of the response with the name"),
    ("sent_trailer_", "The trailer of the response with the name"),
    ("proxy_protocol_tlv_", "The value in the header of the PROXY protocol with the name"),
    ("upload_field_", "The field of an uploaded form with the name"),
    ("upstream_http_", "The header of the last upstream's response with the name"),
    ("upstream_cookie_", "The cookie that the last upstream's response sets with the name"),
    ("upstream_trailer_", "The trailer of the last upstream's response with the name"),
];

const MEANINGS: &[(&str, &str)] = &[
    ("args", "The query, without its `?`. `set $args …;` changes it."),
    ("query_string", "The query, without its `?`: the same as $args."),
    ("is_args", "`?` if the request has a query, otherwise empty."),
    ("uri", "The path in its present form: decoded, normalized, and as the last rewrite or internal redirect left it."),
    ("document_uri", "The same as $uri."),
    ("request_uri", "The path and the query as the client sent them, not decoded. No rewrite changes it."),
    ("request", "The request line as the client sent it: method, URI and protocol."),
    ("request_method", "The method, in upper case, such as GET."),
    ("request_filename", "The path of the file for the request: root or alias with $uri."),
    ("document_root", "The root or alias of the location."),
    ("realpath_root", "The root or alias of the location, its symbolic links resolved."),
    (
        "host",
        "The host of the request in lower case, without its port: of the request line, of Host, or else the server's name.",
    ),
    ("hostname", "The name of this machine."),
    ("server_name", "The name of the server that took the request: the first of its `server_name`."),
    ("server_addr", "The address of this machine at which the request came."),
    ("server_port", "The port at which the request came."),
    ("server_protocol", "The protocol of the request: HTTP/1.0, HTTP/1.1 or HTTP/2.0."),
    ("scheme", "http or https."),
    ("https", "`on` over TLS, otherwise empty."),
    ("remote_addr", "The client's address; behind a proxy that set_real_ip_from trusts, what it says."),
    ("binary_remote_addr", "The client's address as 4 or 16 bytes: the usual key of limits."),
    ("remote_port", "The client's port."),
    ("remote_user", "The user's name of Basic authentication."),
    ("content_length", "The header Content-Length of the request."),
    ("content_type", "The header Content-Type of the request."),
    ("request_body", "The body of the request, where it is read into memory for an upstream."),
    ("request_body_file", "The temporary file that holds the body of the request, if there is one."),
    ("request_length", "The length of the request: its line, its headers and its body, in bytes."),
    ("request_time", "The time since the first byte of the request was read, in seconds with milliseconds."),
    ("request_id", "A random identifier of the request, 32 hexadecimal digits. Error lines name it as well."),
    ("request_completion", "`OK` if the request was answered whole, otherwise empty."),
    ("request_port", "The port in Host or in the request line; empty if none is written there."),
    ("is_request_port", "`:` if $request_port has a value, otherwise empty."),
    ("status", "The status of the response."),
    ("body_bytes_sent", "How many bytes of the response's body were sent."),
    ("bytes_sent", "How many bytes of the response were sent, its head included."),
    ("connection", "The number of the connection."),
    ("connection_requests", "How many requests came on this connection, this one included."),
    ("connection_time", "How long the connection is open, in seconds with milliseconds."),
    ("connections_active", "How many connections of clients are open."),
    ("connections_reading", "How many connections are reading a request's head."),
    ("connections_writing", "How many connections are answering a request."),
    ("connections_waiting", "How many connections wait for their next request."),
    ("limit_rate", "The limit of bytes per second for this response. `set $limit_rate …;` changes it."),
    ("msec", "The time as seconds since 1970 with milliseconds."),
    ("time_iso8601", "The local time as in 2026-11-29T14:30:00+01:00."),
    ("time_local", "The local time as in 29/Nov/2026:14:30:00 +0100."),
    ("pid", "The number of the process."),
    ("pipe", "`p` if the request was sent before the previous one was answered, otherwise `.`."),
    ("draining", "`1` while the process is ending, otherwise empty."),
    ("nginx_version", "The version of nginx whose language this is."),
    ("invalid_referer", "`1` if Referer is none of `valid_referers`, otherwise empty."),
    ("secure_link", "What secure_link found: the link, `1` if it is valid, `0` if it has expired, otherwise empty."),
    ("secure_link_expires", "The time until which a secure_link is valid."),
    ("gzip_ratio", "How many times smaller gzip made the response."),
    ("limit_conn_status", "What limit_conn did: PASSED, REJECTED or REJECTED_DRY_RUN."),
    ("limit_req_status", "What limit_req did: PASSED, DELAYED, REJECTED, or either with _DRY_RUN."),
    ("proxy_host", "The host and port of proxy_pass."),
    ("proxy_port", "The port of proxy_pass, or the scheme's."),
    ("proxy_add_x_forwarded_for", "X-Forwarded-For as the client sent it, with $remote_addr behind a comma."),
    ("proxy_internal_body_length", "The length of the body that is passed to the upstream."),
    ("proxy_internal_chunked", "`chunked` if the body is passed to the upstream in chunks."),
    ("upstream_addr", "The address of the upstream server, or of each that was tried."),
    ("upstream_status", "The status of the upstream's response, or of each."),
    ("upstream_cache_status", "Empty: responses of upstreams are not cached here."),
    ("upstream_response_time", "How long the upstream's response took, in seconds with milliseconds, or each."),
    ("upstream_connect_time", "How long the connection to the upstream took, in seconds with milliseconds, or each."),
    (
        "upstream_header_time",
        "How long the head of the upstream's response took, in seconds with milliseconds, or each.",
    ),
    ("upstream_response_length", "The length of the body of the upstream's response, or of each."),
    ("upstream_bytes_sent", "How many bytes were sent to the upstream, or to each."),
    ("upstream_bytes_received", "How many bytes came from the upstream, or from each."),
    ("tcpinfo_rtt", "The kernel's estimate of the round trip to the client, in microseconds."),
    ("tcpinfo_rttvar", "How much the round trip to the client varies, in microseconds."),
    ("tcpinfo_snd_cwnd", "The congestion window of the client's connection."),
    ("tcpinfo_rcv_space", "The receive window of the client's connection."),
    ("upload_file_name", "The name of the uploaded file."),
    ("upload_file_ext", "The extension of the uploaded file's name."),
    ("upload_file_size", "The size of the uploaded file, in bytes."),
    ("upload_file_path", "The path at which the uploaded file is stored."),
    ("upload_files", "How many files an upload stored."),
    ("upload_status", "`stored` or `refused`: what became of an upload."),
    ("date_local", "The local time, for pages with SSI commands."),
    ("date_gmt", "The time of GMT, for pages with SSI commands."),
    (
        "fastcgi_script_name",
        "The URI, with fastcgi_index if it ends with a slash; what fastcgi_split_path_info takes as the script.",
    ),
    ("fastcgi_path_info", "What fastcgi_split_path_info leaves behind the script."),
    ("proxy_protocol_addr", "The client's address in the header of the PROXY protocol."),
    ("proxy_protocol_port", "The client's port in the header of the PROXY protocol."),
    ("proxy_protocol_server_addr", "The server's address in the header of the PROXY protocol."),
    ("proxy_protocol_server_port", "The server's port in the header of the PROXY protocol."),
    ("http2", "`h2` over TLS, `h2c` without, otherwise empty: whether the request came by HTTP/2."),
    ("realip_remote_addr", "The address of the connection, before set_real_ip_from."),
    ("realip_remote_port", "The port of the connection, before set_real_ip_from."),
    ("acme_certificate", "The certificate of `acme_certificate`, for ssl_certificate."),
    ("acme_certificate_key", "The key of `acme_certificate`, for ssl_certificate_key."),
    ("ssl_alpn_protocol", "The protocol that ALPN chose: h2 or http/1.1."),
    ("ssl_cipher", "The cipher suite of the connection."),
    ("ssl_ciphers", "The cipher suites that the client offers."),
    ("ssl_client_cert", "The client's certificate as PEM, each line but the first with a tab before it."),
    ("ssl_client_escaped_cert", "The client's certificate as PEM, escaped as in a URL."),
    ("ssl_client_fingerprint", "The SHA1 of the client's certificate."),
    ("ssl_client_i_dn", "The issuer of the client's certificate (RFC 2253)."),
    ("ssl_client_i_dn_legacy", "The issuer of the client's certificate in the form with slashes."),
    ("ssl_client_raw_cert", "The client's certificate as PEM."),
    ("ssl_client_s_dn", "The subject of the client's certificate (RFC 2253)."),
    ("ssl_client_s_dn_legacy", "The subject of the client's certificate in the form with slashes."),
    ("ssl_client_serial", "The serial number of the client's certificate."),
    ("ssl_client_v_end", "When the client's certificate ends."),
    ("ssl_client_v_remain", "How many days the client's certificate is still valid."),
    ("ssl_client_v_start", "When the client's certificate begins."),
    ("ssl_client_verify", "SUCCESS, FAILED:reason, or NONE without a certificate."),
    ("ssl_curve", "The group of the key exchange."),
    ("ssl_curves", "The groups that the client offers."),
    ("ssl_early_data", "`1` if the request came as early data and the handshake is not complete, otherwise empty."),
    ("ssl_protocol", "The version of TLS: TLSv1.2 or TLSv1.3."),
    ("ssl_server_name", "The name that the client asked for by SNI."),
    ("ssl_session_id", "The identifier of the TLS session."),
    ("ssl_session_reused", "`r` if the TLS session was resumed, otherwise `.`."),
    ("ssl_sigalgs", "The signature algorithms that the client offers."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_has_its_sentence() {
        for builtin in Builtin::ALL {
            let meaning = meaning(*builtin).unwrap_or_else(|| panic!("${} has none", builtin.name()));
            assert!(meaning.ends_with('.'), "${}: {meaning}", builtin.name());
        }
        assert_eq!(MEANINGS.len(), Builtin::ALL.len(), "a sentence for a variable that is not there");
        for (prefix, _) in Variables::PREFIXES {
            assert!(FAMILIES.iter().any(|(known, _)| known == prefix), "${prefix}…");
        }
    }

    #[test]
    fn a_variable_is_described_however_it_is_written() {
        assert!(describe("$HOST").is_some_and(|text| text.starts_with("$host\n    The host of the request")));
        assert!(describe("${uri}").is_some_and(|text| text.starts_with("$uri\n")));
        assert!(describe("$http_x_real_ip").is_some_and(|text| text.contains("\"x-real-ip\"")));
        assert_eq!(describe("$http_"), None);
        assert_eq!(describe("$mine"), None);
    }
}
