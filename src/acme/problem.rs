//! Why a request or an order failed: the authority's problem documents (RFC 7807) and other errors. The kind of failure
//! decides when to retry.

use super::wire::Response;
use crate::http::date;
use serde_json::Value;

/// Decides how soon to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The authority could not be reached or had an internal error, or no process made the key: this counts against no
    /// rate limit.
    Unreachable,
    /// The authority refused; each attempt may count against a rate limit.
    Refused,
    /// Permanent until the administrator acts.
    Settings,
}

/// An order that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeFailure {
    /// Whose fault it is, which decides when it is tried again.
    pub kind: Kind,
    /// For the log: the authority's own words where it gave any.
    pub text: String,
    /// Seconds to wait, as requested by the authority.
    pub wait: Option<u64>,
}

impl AcmeFailure {
    /// Without a time to wait.
    pub fn new(kind: Kind, text: impl Into<String>) -> AcmeFailure {
        AcmeFailure { kind, text: text.into(), wait: None }
    }

    /// A response that makes no sense.
    pub fn invalid_response(what: &str) -> AcmeFailure {
        AcmeFailure::new(Kind::Refused, format!("the authority's answer cannot be understood: {what}"))
    }
}

/// A problem document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The error type, without `urn:ietf:params:acme:error:`.
    pub kind: String,
    /// A sentence for people.
    pub detail: String,
}

impl Problem {
    /// Parses a JSON object, including its subproblems.
    pub fn of(value: &Value) -> Problem {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text(value, "type");
        let kind = kind.rsplit(':').next().unwrap_or_default().to_owned();
        let mut detail = text(value, "detail");
        for part in value.get("subproblems").and_then(Value::as_array).into_iter().flatten() {
            let name = part.get("identifier").map(|name| text(name, "value")).unwrap_or_default();
            detail.push_str(&format!("; {name}: {}", text(part, "detail")));
        }
        Problem { kind, detail }
    }

    /// From the body of an error response; empty if that is no problem document.
    pub fn of_response(response: &Response) -> Problem {
        let value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Problem::of(&value)
    }

    fn sentence(&self, what: &str) -> String {
        match (self.kind.is_empty(), self.detail.is_empty()) {
            (true, true) => what.to_owned(),
            (true, false) => format!("{what}: {}", self.detail),
            (false, true) => format!("{what}: {}", self.kind),
            (false, false) => format!("{what}: {} ({})", self.detail, self.kind),
        }
    }

    /// Converts it to a failure of `what`.
    pub fn failure(&self, what: &str) -> AcmeFailure {
        const SETTINGS: [&str; 7] = [
            "userActionRequired",
            "externalAccountRequired",
            "rejectedIdentifier",
            "unsupportedIdentifier",
            "unsupportedContact",
            "invalidContact",
            "invalidProfile",
        ];
        let kind = if SETTINGS.contains(&self.kind.as_str()) { Kind::Settings } else { Kind::Refused };
        AcmeFailure::new(kind, self.sentence(what))
    }
}

/// Converts an error response to a failure.
pub fn refused(response: &Response, what: &str, now: i64) -> AcmeFailure {
    let problem = Problem::of_response(response);
    let mut failure = problem.failure(&format!("{what} failed with status {}", response.status));
    if response.status >= 500 && problem.kind != "serverInternal" || response.status == 503 {
        failure.kind = Kind::Unreachable;
    }
    failure.wait = retry_after(response, now);
    if problem.kind == "rateLimited" && failure.wait.is_none() {
        failure.wait = Some(3600);
    }
    failure
}

/// `Retry-After` in seconds, from either of its forms (seconds or a date).
pub fn retry_after(response: &Response, now: i64) -> Option<u64> {
    let value = response.field("retry-after")?;
    let by_date = || date::parse(value.as_bytes()).map(|at| u64::try_from(at - now).unwrap_or(0));
    value.parse().ok().or_else(by_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str, fields: &[(&str, &str)]) -> Response {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, fields, body: body.as_bytes().to_vec(), keep_alive: true }
    }

    #[test]
    fn a_problem_says_what_is_wrong_and_when_to_come_back() {
        let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
        let failure = refused(&response(429, body, &[("retry-after", "120")]), "newOrder", 0);
        assert_eq!(failure.text, "newOrder failed with status 429: too many (rateLimited)");
        assert_eq!((failure.kind, failure.wait), (Kind::Refused, Some(120)));
        assert_eq!(refused(&response(429, body, &[]), "newOrder", 0).wait, Some(3600));
        let by_date = response(429, body, &[("retry-after", "Thu, 01 Jan 1970 00:02:00 GMT")]);
        assert_eq!(refused(&by_date, "x", 60).wait, Some(60));
        let body = r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"no","subproblems":[{"identifier":{"value":"a.test"},"detail":"bad"}]}"#;
        let failure = refused(&response(403, body, &[]), "newOrder", 0);
        assert_eq!(failure.kind, Kind::Settings);
        assert!(failure.text.contains("no; a.test: bad (rejectedIdentifier)"), "{}", failure.text);
        assert_eq!(refused(&response(502, "<html>", &[]), "directory", 0).kind, Kind::Unreachable);
    }
}
