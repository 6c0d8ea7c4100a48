//! Finds the upstream result that explains a logged status. The upstream is not contacted: of the possible results, the
//! first that leads to the logged response is assumed.

use super::follow::Supposed;
use super::{log_line, outcome};
use crate::http::status::Status;

/// Statuses that often have an error_page here.
const PAGED: [u16; 14] = [404, 500, 403, 401, 503, 502, 504, 400, 405, 410, 413, 429, 301, 302];

/// The results to try: those that the logs suggest, then others, the likeliest first in each. `fault` is from the error
/// log; it may concern a peer tried before the one that answered, so `$upstream_status` takes precedence.
fn all(line: &str, status: u16, fault: Option<&str>) -> [Vec<Supposed>; 2] {
    let own = |status| Supposed::Fault(Status(status));
    let answer = |status| Supposed::Answer(Status(status));
    let known = log_line::upstream_status(line).map(|known| match fault.is_some() && matches!(known, 502 | 504) {
        true => [own(known), answer(known)],
        false => [answer(known), own(known)],
    });
    let fault = fault.map(|fault| own(if fault.contains("timed out") { 504 } else { 502 }));
    let logged = known.into_iter().flatten().chain(fault).collect();
    let faults = [502, 504].map(own);
    let first = if matches!(status, 502 | 504) { vec![own(status), answer(status)] } else { vec![answer(status)] };
    [logged, first.into_iter().chain(faults).chain(PAGED.map(answer)).collect()]
}

/// The first result that leads to the logged status, with its explanation. `explain` explains the request for one
/// assumed result.
pub fn find(
    line: &str,
    status: u16,
    fault: Option<&str>,
    explain: impl Fn(Supposed) -> Option<String>,
) -> Option<(Supposed, String)> {
    let length = log_line::sent(line).filter(|sent| *sent > 0).map(|sent| sent.to_string());
    all(line, status, fault).iter().find_map(|all| first(all, length.as_ref(), status, &explain))
}

fn first(
    all: &[Supposed],
    length: Option<&String>,
    status: u16,
    explain: impl Fn(Supposed) -> Option<String>,
) -> Option<(Supposed, String)> {
    let mut found = None;
    for supposed in all.iter().copied() {
        let Some(text) = explain(supposed) else { continue };
        let fits = match is_passed(&text) {
            true => supposed == Supposed::Answer(Status(status)),
            false => answer(&text).starts_with(&status.to_string()),
        };
        // If several results lead to the status, prefer one whose page has the logged length.
        let is_exact = |length: &String| text.lines().any(|line| outcome::length(line) == Some(length));
        match length.is_some_and(is_exact) {
            true if fits => return Some((supposed, text)),
            _ if fits && found.is_none() => found = Some((supposed, text)),
            _ => {}
        }
    }
    found
}

/// The response according to an explanation.
pub fn answer(text: &str) -> &str {
    text.lines().rev().find_map(|line| line.strip_prefix("answer     ")).unwrap_or_default()
}

/// Whether the response comes from an upstream.
pub fn is_passed(text: &str) -> bool {
    answer(text).starts_with("is the upstream's")
}

/// The upstream request: the URL of the first handler that passes it on; for CGI only the directive.
pub fn passed_to(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("handler ") && line.contains("_pass")).map(outcome::bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_length_that_was_sent_tells_a_fault_from_an_answer() {
        let explain = |supposed| {
            Some(match supposed {
                Supposed::Fault(Status(502)) => "answer     404 Not Found\n           Content-Length: 153\n".to_owned(),
                Supposed::Fault(_) => "answer     504 Gateway Timeout\n".to_owned(),
                Supposed::Answer(_) => "answer     is the upstream's, which is not contacted to find out\n".to_owned(),
            })
        };
        let line = |sent| format!("::1 - - [t] \"GET / HTTP/1.1\" 404 {sent} \"-\" \"-\"");
        for (line, fault, expected) in [
            (line(153), None, Supposed::Fault(Status(502))),
            (line(2), None, Supposed::Answer(Status(404))),
            (line(2), Some("connect() failed while connecting to upstream"), Supposed::Fault(Status(502))),
            ("upstream_status=502".to_owned(), None, Supposed::Fault(Status(502))),
            // The first peer failed, the second answered.
            (
                "\"upstream_status\":\"502, 404\"".to_owned(),
                Some("connect() failed while connecting to upstream"),
                Supposed::Answer(Status(404)),
            ),
        ] {
            let found = find(&line, 404, fault, explain).map(|(supposed, _)| supposed);
            assert_eq!(found, Some(expected), "{line} {fault:?}");
        }
    }
}
