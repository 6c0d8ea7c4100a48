//! What a server of the upstream would be asked, for `webserv diff`: nothing is sent.

use super::state::UpstreamRequest;
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::Exchange;
use crate::services::Services;

/// The header fields or parameters of the request, `NAME: VALUE` each; none for a program, which has them in its
/// environment, and where the request cannot be made.
pub fn fields(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services) -> Vec<Vec<u8>> {
    // The parameters of all gateways are the same, and SCGI's are the plainest to read.
    if matches!(request.protocol, Protocol::FastCgi | Protocol::Uwsgi) {
        request.protocol = Protocol::Scgi;
    }
    let target = request.target.clone();
    request.out.clear();
    if request.compose(ex, cx, &target).is_err() {
        return Vec::new();
    }
    match request.protocol {
        Protocol::Http1 => {
            let end = memchr::memmem::find(&request.out, b"\r\n\r\n").unwrap_or(request.out.len());
            let head = request.out.get(..end).unwrap_or_default();
            head.split(|byte| *byte == b'\n').skip(1).map(|line| line.trim_ascii().to_vec()).collect()
        }
        Protocol::Scgi => {
            let from = memchr::memchr(b':', &request.out).map_or(0, |colon| colon + 1);
            let words: Vec<&[u8]> = request.out.get(from..).unwrap_or_default().split(|byte| *byte == 0).collect();
            words.chunks_exact(2).map(|pair| [pair[0], b": ", pair[1]].concat()).collect()
        }
        _ => Vec::new(),
    }
}
