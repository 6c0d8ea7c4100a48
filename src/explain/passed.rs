//! The request that an upstream would get, and what is added to its response. `webserv diff` compares these, since the
//! response itself is unknown.

use super::follow::Supposed;
use super::render::Explanation;
use crate::exchange::filters::headers;
use crate::exchange::handlers::upstream::{UpstreamRequest, asked};
use crate::exchange::{Exchange, Printable};
use crate::http::status::Status;
use crate::services::Services;

/// Adds the lines `asked` (the fields of the upstream request) and `body` (what replaces its body), then `added`,
/// `hidden`, `passed`, `redirects` and `cookies`: how the response differs from the upstream's.
pub fn lines(
    request: &mut UpstreamRequest,
    ex: &mut Exchange,
    cx: &mut Services,
    supposed: Option<Supposed>,
    explanation: &mut Explanation,
) {
    let shown = |subject: &'static str, lines: Vec<Vec<u8>>, explanation: &mut Explanation| {
        for (at, line) in lines.iter().enumerate() {
            explanation.line(if at == 0 { subject } else { "" }, &Printable(line).to_string());
        }
    };
    shown("asked", asked::fields(request, ex, cx), explanation);
    ex.response.status = match supposed {
        Some(Supposed::Answer(status) | Supposed::Fault(status)) => status,
        None => Status::OK,
    };
    // Nothing is kept of it for a later request.
    let _ = headers::apply(ex, cx);
    let added = ex.response.fields.iter().map(|(name, value)| [name, b": ", value].concat()).collect();
    shown("added", added, explanation);
    let [hidden, passed] = asked::hidden_and_passed(request, ex);
    shown("hidden", hidden.into_iter().collect(), explanation);
    shown("passed", passed.into_iter().collect(), explanation);
    let [redirects, cookies] = asked::rewritten(ex, cx);
    shown("redirects", redirects, explanation);
    shown("cookies", cookies, explanation);
    shown("body", asked::body(ex, cx).into_iter().collect(), explanation);
}
