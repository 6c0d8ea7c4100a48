//! auth_request: another URI of the server decides. A subrequest fetches it, as one fetches what a page includes
//! ([`crate::exchange::filters::ssi::include`]): by GET, without the client's body. Only the head of its response
//! matters.
//!
//! 2xx allows the request; 401 and 403 are passed on, a challenge with them; any other status becomes 500.

use crate::config::model::Level;
use crate::exchange::auth_check::AuthCheck;
use crate::exchange::flow::Flow;
use crate::exchange::rewrite::script;
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;

/// What the request needs of the subrequest's response.
pub struct SubrequestVerdict {
    /// Of the subrequest's response.
    pub(super) status: Status,
    /// Values of its WWW-Authenticate fields, passed on with a 401.
    pub(super) challenges: Vec<Vec<u8>>,
    /// Values for auth_request_set, in the order of its lines.
    pub(super) values: Vec<Vec<u8>>,
}

/// Whether auth_request is in force for the request's location.
pub fn is_set(ex: &Exchange) -> bool {
    ex.location().settings.auth.request.is_some()
}

/// Starts the subrequest. `refused`: with `satisfy any`, the status to send if the subrequest refuses as well.
pub fn start(ex: &mut Exchange, refused: Option<Status>) -> Flow {
    let Some(uri) = ex.location().settings.auth.request.clone() else { return Flow::Next };
    ex.nesting.auth_request = Some(Box::new(AuthCheck { refused, verdict: None }));
    Flow::Subrequest(uri[..].into())
}

/// The subrequest has been answered; `ex` is still the subrequest's exchange.
pub fn answer(ex: &mut Exchange, cx: &mut Services) -> SubrequestVerdict {
    const CHALLENGE: &[u8] = b"www-authenticate";
    let named = |(name, value): (&[u8], &[u8])| name.eq_ignore_ascii_case(CHALLENGE).then(|| value.to_vec());
    let fields = [&ex.response.fields, &ex.route.kept.fields];
    let mut challenges: Vec<Vec<u8>> = fields.into_iter().flat_map(|fields| fields.iter().filter_map(named)).collect();
    // Also where proxy_hide_header keeps it from clients (nginx).
    if challenges.is_empty()
        && let Some(record) = &ex.log.upstream
    {
        challenges = record.fields().filter_map(|(_, name, value)| named((name, value))).collect();
    }
    let location = match &ex.nesting.subrequest {
        Some(sub) => sub.parent.route.location,
        None => ex.route.location,
    };
    let sets = ex.config.location(location).settings.auth.request_set.clone();
    let values = sets.iter().map(|set| variables::text(&set.value, ex, cx)).collect();
    SubrequestVerdict { status: ex.response.status, challenges, values }
}

/// `ex` is the client's own request again: takes over the subrequest's response.
pub fn take(ex: &mut Exchange, cx: &mut Services, answer: SubrequestVerdict) {
    let sets = ex.location().settings.auth.request_set.clone();
    for (set, value) in sets.iter().zip(answer.values) {
        script::assign(ex, cx, set.slot, &value);
    }
    if answer.status == Status::UNAUTHORIZED {
        for value in &answer.challenges {
            ex.response.line(b"WWW-Authenticate", value);
        }
    }
    if let Some(asked) = &mut ex.nesting.auth_request {
        asked.verdict = Some(answer.status);
    }
}

/// What the subrequest's status means for the request.
pub fn apply_verdict(ex: &mut Exchange, cx: &mut Services, asked: &AuthCheck) -> Flow {
    match asked.verdict {
        Some(status) if (200..300).contains(&status.0) => {
            if asked.refused.is_some() {
                // A client that is allowed is not sent another rule's challenge.
                ex.response.fields.remove(b"www-authenticate");
            }
            Flow::Next
        }
        Some(status @ (Status::UNAUTHORIZED | Status::FORBIDDEN)) => match asked.refused {
            Some(Status::UNAUTHORIZED) => Flow::Status(Status::UNAUTHORIZED),
            _ => Flow::Status(status),
        },
        verdict => {
            let status = verdict.map_or(0, |status| status.0);
            ex.report(
                cx,
                Level::Error,
                format_args!("auth request unexpected status: {status} while sending to client"),
            );
            Flow::Status(Status::INTERNAL_SERVER_ERROR)
        }
    }
}
