//! What a server of the upstream would be asked, and which fields of its response would be left out, for
//! `webserv diff`: nothing is sent.

use super::settings::settings;
use super::state::UpstreamRequest;
use crate::exchange::Exchange;
use crate::http::header::HeaderId;
use crate::services::Services;
use std::collections::BTreeSet;

/// The header fields or parameters of the request, `NAME: VALUE` each; none for a program, which has them in its
/// environment, and where the request cannot be made.
pub fn fields(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services) -> Vec<Vec<u8>> {
    let protocol = request.protocol;
    request.protocol = protocol.plainest();
    let target = request.target.clone();
    request.out.clear();
    let composed = request.compose(ex, cx, &target);
    let fields = composed.map_or(Vec::new(), |()| request.protocol.written_fields(&request.out));
    request.protocol = protocol;
    fields
}

/// The names of response fields that the settings hide, and of those that they pass although the protocol hides them;
/// in whatever order they are written, and however often.
pub fn hidden_and_passed(request: &UpstreamRequest, ex: &Exchange) -> [BTreeSet<Vec<u8>>; 2] {
    let settings = settings(ex);
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    let mut hidden: BTreeSet<Vec<u8>> = settings.hide_headers.iter().map(|name| lower(name)).collect();
    let mut passed: BTreeSet<Vec<u8>> = settings.pass_headers.iter().map(|name| lower(name)).collect();
    hidden.retain(|name| !passed.contains(name));
    passed.retain(|name| request.protocol.hides(HeaderId::of(name)));
    [hidden, passed]
}
