//! What a server of the upstream would be asked, for `webserv diff`: nothing is sent.

use super::state::UpstreamRequest;
use crate::exchange::Exchange;
use crate::services::Services;

/// The header fields or parameters of the request, `NAME: VALUE` each; none for a program, which has them in its
/// environment, and where the request cannot be made.
pub fn fields(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services) -> Vec<Vec<u8>> {
    request.protocol = request.protocol.plainest();
    let target = request.target.clone();
    request.out.clear();
    match request.compose(ex, cx, &target) {
        Ok(()) => request.protocol.written_fields(&request.out),
        Err(_) => Vec::new(),
    }
}
