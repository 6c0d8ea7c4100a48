//! The bytes of a response head, in nginx's order.

use super::length;
use crate::config::directives::output::Tokens;
use crate::exchange::Exchange;
use crate::exchange::response::Body;
use crate::http::status::Status;
use crate::services::Services;
use crate::util::decimal;
use std::io::Write;

/// The Server header with and without the version.
const SERVER: [&[u8]; 2] =
    [concat!("Server: webserv/", env!("CARGO_PKG_VERSION"), "\r\nDate: ").as_bytes(), b"Server: webserv\r\nDate: "];

pub fn write(ex: &mut Exchange, cx: &mut Services) {
    let config = ex.config.clone();
    let settings = &config.location(ex.route.location).settings;
    let length = length(&ex.response.body);
    let location = ex.response.location.take().map(|target| absolute(ex, target));
    let status = ex.response.status.on_the_wire();
    let keep_alive = ex.out.keep_alive;
    let response = &mut ex.response;
    let out = ex.out.text();
    match (status.line(), &response.reason) {
        (_, Some(reason)) => {
            let _ = write!(out, "HTTP/1.1 {:03} ", status.0);
            out.extend_from_slice(reason);
            out.extend_from_slice(b"\r\n");
        }
        (Some(line), None) => out.extend_from_slice(line),
        (None, None) => {
            let _ = write!(out, "HTTP/1.1 {:03} {}\r\n", status.0, status.reason());
        }
    }
    match &response.server {
        Some(server) => {
            out.extend_from_slice(b"Server: ");
            out.extend_from_slice(server);
            out.extend_from_slice(b"\r\nDate: ");
        }
        None => out.extend_from_slice(SERVER[usize::from(settings.output.server_tokens == Tokens::Off)]),
    }
    out.extend_from_slice(response.date.as_deref().unwrap_or(&cx.now.http));
    out.extend_from_slice(b"\r\n");
    let has_body = !status.has_no_content();
    if has_body || status == Status::NOT_MODIFIED {
        if !response.content_type.as_bytes().is_empty() && status != Status::NOT_MODIFIED {
            out.extend_from_slice(b"Content-Type: ");
            out.extend_from_slice(response.content_type.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        // The whole of a file that is not from the future: both lines were made with it.
        let whole = match &response.body {
            Body::File(file)
                if !response.chunked
                    && has_body
                    && file.stat.mtime.0 <= cx.now.unix
                    && response.last_modified.is_some_and(|(at, _)| at == file.stat.mtime.0) =>
            {
                Some(file)
            }
            _ => None,
        };
        if let Some(file) = whole {
            response.announced = length;
            let usual = keep_alive
                && response.ranges
                && status == Status::OK
                && response.etag.as_ref() == Some(&file.etag)
                && response.lines.is_empty()
                && location.is_none()
                && !response.upgrade
                && settings.client.keepalive_header.is_none();
            if usual {
                return out.extend_from_slice(file.end_of_head());
            }
            out.extend_from_slice(file.lines());
        } else {
            if response.chunked {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            } else if let Some(length) = length
                && has_body
            {
                response.announced = Some(length);
                out.extend_from_slice(b"Content-Length: ");
                decimal::push(length, 0, out);
                out.extend_from_slice(b"\r\n");
            }
            if let Some((at, text)) = &response.last_modified {
                // Never later than Date (RFC 9110 §8.8.2.1).
                let text = if *at > cx.now.unix { &cx.now.http } else { text };
                out.extend_from_slice(b"Last-Modified: ");
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if let Some(location) = location {
        out.extend_from_slice(b"Location: ");
        out.extend(location.iter().map(|b| if *b < b' ' || *b == 0x7f { b' ' } else { *b }));
        out.extend_from_slice(b"\r\n");
        // For $sent_http_location.
        response.location = Some(location);
    }
    if response.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    } else {
        out.extend_from_slice(if keep_alive { b"Connection: keep-alive\r\n" } else { b"Connection: close\r\n" });
    }
    if keep_alive && let Some(seconds) = settings.client.keepalive_header {
        let _ = write!(out, "Keep-Alive: timeout={seconds}\r\n");
    }
    if let Some(tag) = &response.etag {
        out.extend_from_slice(b"ETag: ");
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&response.lines);
    if response.ranges && status == Status::OK {
        out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// A Location that is a path gets scheme, host and port, by absolute_redirect and its friends.
pub fn absolute(ex: &Exchange, target: Vec<u8>) -> Vec<u8> {
    let output = &ex.here().settings.output;
    if !target.starts_with(b"/") || target.starts_with(b"//") || !output.absolute_redirect {
        return target;
    }
    let port = ex.config.endpoints[ex.client.endpoint.at()].addr.port();
    let name: &[u8] =
        if output.server_name_in_redirect || ex.route.host.is_empty() { &ex.server().name } else { &ex.route.host };
    let mut url = format!("{}://", ex.client.scheme()).into_bytes();
    if name.is_empty() {
        // Nobody named the host: a relative Location is the only right one.
        return target;
    }
    url.extend_from_slice(name);
    if let Some(port) = port.filter(|p| *p != ex.client.default_port() && output.port_in_redirect) {
        let _ = write!(url, ":{port}");
    }
    url.extend_from_slice(&target);
    url
}
