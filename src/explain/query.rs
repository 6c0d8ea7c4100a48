//! What `webserv explain` is asked: its command line.

use std::net::IpAddr;

/// The question.
#[derive(Clone, Debug)]
pub struct Query {
    /// `METHOD URL`.
    pub question: String,
    /// `Name: value` each.
    pub headers: Vec<String>,
    /// The client.
    pub client: IpAddr,
    /// Whether a question that is only a path goes to a TLS listener.
    pub tls: bool,
    /// Whether the request comes by HTTP/2. Of a log, it is asked by HTTP/1.1 where its listener does not speak HTTP/2.
    pub http2: bool,
    /// Whether the client presents a valid certificate, if it is asked for one.
    pub certificate: bool,
    /// The address of the listener, if it is not known from the URL.
    pub listener: Option<String>,
    /// The request line as logged, and whether the request had no Host.
    pub line: Option<(String, bool)>,
    /// The time of the request in Unix seconds. If set, its id is constant too, so that the responses of two
    /// configurations can be compared. None: now.
    pub moment: Option<i64>,
}
