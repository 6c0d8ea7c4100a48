//! Explains a logged status that differs from the explanation's: by something that the log line lacks (the body, the
//! time, other headers), or by an error log message.

use super::outcome;

/// Statuses, a reason that a log line does not show, and the directives that may decide it, the likeliest first.
type Reason = (&'static [u16], &'static str, &'static [&'static str]);

/// For responses that this server generates.
const OWN: &[Reason] = &[
    (&[400], "the request breaks the protocol, or its body is invalid: the error log says why", &[]),
    (&[401], "no name and password, or wrong ones", &["auth_basic", "auth_request"]),
    (
        &[403],
        "the client, its page, its password or the file's rights forbid it",
        &["deny", "auth_request", "auth_basic_user_file", "upload_cross_site", "disable_symlinks", "signed_link"],
    ),
    (&[404], "nothing of that name was there", &["root", "alias", "upload_store"]),
    (&[405, 501], "the method is not one of those that are answered", &["allowed_methods", "dav_methods"]),
    (&[408], "the client was too slow", &["client_body_timeout", "client_header_timeout"]),
    (&[409], "a file of that name is there, or no directory for it", &["upload_on_duplicate", "dav_methods"]),
    (&[304, 412], "a condition among the request's headers, which the line does not have", &[]),
    (&[413], "the body is larger than is allowed", &["client_max_body_size", "upload_max_file_size"]),
    (&[414, 431, 494], "the head is larger than is allowed", &["large_client_header_buffers"]),
    (&[206, 416], "the Range header, which the line does not have", &[]),
    (&[417], "the Expect header, which the line does not have", &[]),
    (&[421], "the name of the request is not the one that its connection was made for", &[]),
    (&[423], "a lock, whose token the request does not have", &["dav_ext_lock"]),
    (&[424], "a part of it failed", &["dav_methods"]),
    (&[429, 503], "a limit was reached, or the server drains", &["limit_req", "limit_conn", "drain_delay"]),
    (&[495, 496], "the client's certificate is missing or not valid", &["ssl_verify_client"]),
    (&[497], "plain HTTP where TLS is spoken", &[]),
    (&[499], "the client left before the answer", &[]),
    (&[500], "an error of the server: see the error log", &["auth_request", "auth_basic_user_file"]),
    (&[505], "the version of HTTP is not spoken here", &[]),
    (&[507], "the disk is full, or a quota is", &["upload_min_free", "upload_quota"]),
];

const PASSES: [&str; 6] = ["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass", "cgi_pass", "auth_request"];

/// For requests that went to an upstream; other statuses are the upstream's own.
const PASSED: &[Reason] = &[
    (&[400], "the body is invalid, or it is the upstream's own", &PASSES),
    (&[408], "the client was too slow with its body, or it is the upstream's own", &["client_body_timeout"]),
    (&[413], "the body is larger than is allowed", &["client_max_body_size"]),
    (&[499], "the client left before the answer", &[]),
    (&[502], "the upstream does not answer, or not by the protocol", &PASSES),
    (
        &[504],
        "the upstream is too slow",
        &["proxy_read_timeout", "fastcgi_read_timeout", "scgi_read_timeout", "uwsgi_read_timeout", "cgi_timeout"],
    ),
];

/// The reason for a status that differs from the explanation's, or is ambiguous there. `text` is the explanation, whose
/// settings show where the deciding directive is. `message`: from the error log.
pub fn otherwise(status: u16, text: &str, message: Option<&str>) -> Option<String> {
    let answer = text.lines().find_map(|line| line.strip_prefix("answer     ")).unwrap_or_default();
    // Errors logged for a successful request do not explain its status.
    let message = message.filter(|_| status >= 400);
    // For a head that is too large, the status does not show which limit it exceeds.
    if message.is_none() && answer.starts_with(&status.to_string()) && !matches!(status, 414 | 431 | 494) {
        return None;
    }
    let (steps, settings) = text.split_once("\nsettings at ").unwrap_or((text, ""));
    let place = |name: &str| {
        let setting = |line: &&str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
        let (_, place) = settings.lines().find(setting)?.trim().rsplit_once(' ')?;
        (place != "default").then(|| place.to_owned())
    };
    let is_passed = answer.starts_with("is the upstream's") || answer.starts_with("depends on what the upstream");
    // Limits reject a request before it is proxied.
    let is_limited =
        matches!(status, 429 | 503) && ["limit_req", "limit_conn"].iter().any(|name| place(name).is_some());
    // Protocol errors are rejected before a location is selected.
    let (table, rest) = match is_passed && !is_limited && !is_early(status) {
        true => (PASSED, ("the upstream's own", &PASSES[..])),
        false => {
            (OWN, ("by what the line does not have: other headers, the body, or files that were other then", &[][..]))
        }
    };
    let doubt = if is_passed && is_early(status) && status < 494 || is_passed && status == 505 {
        ", or it is the upstream's own"
    } else {
        ""
    };
    let row = table.iter().find(|(statuses, ..)| statuses.contains(&status));
    let intercepts = ["proxy_intercept_errors", "fastcgi_intercept_errors", "scgi_intercept_errors"];
    let is_paged = is_passed && place("error_page").is_some() && intercepts.iter().any(|name| place(name).is_some());
    let (why, names) = match row {
        Some((_, why, names)) => (*why, *names),
        None if is_paged => ("the upstream's own, or that of its page here", &["error_page"][..]),
        None => rest,
    };
    // If no directive decides, name the block that handled the request.
    let block = || {
        let last = |subject: &str| {
            let line = steps.lines().rfind(|line| line.starts_with(subject))?;
            Some(outcome::placed(line)?.1.to_owned())
        };
        ["handler", "location", "server", "listener"].iter().find_map(|subject| last(subject))
    };
    let (why, doubt, names) = match message {
        Some(message) => (message, "", named_by(message).unwrap_or(names)),
        None => (why, doubt, names),
    };
    let place = names.iter().find_map(|name| place(name)).or_else(block);
    Some(format!("logged     {status}: {why}{doubt}{}\n", place.map_or(String::new(), |place| format!("  [{place}]"))))
}

/// Substrings of error log messages, and the directives they concern.
const MESSAGES: &[(&str, &[&str])] = &[
    ("access forbidden by rule", &["deny", "allow"]),
    ("limiting requests", &["limit_req"]),
    ("limiting connections", &["limit_conn"]),
    ("too large body", &["client_max_body_size", "upload_max_file_size"]),
    ("client sent too large header", &["large_client_header_buffers"]),
    ("client sent too large request", &["large_client_header_buffers"]),
    ("client sent too long", &["large_client_header_buffers"]),
    ("client sent", &[]),
    ("signed link", &["signed_link"]),
    ("basic authentication", &["auth_basic"]),
    ("password mismatch", &["auth_basic_user_file"]),
    ("was not found in", &["auth_basic_user_file"]),
    ("auth request", &["auth_request"]),
    ("SSL certificate", &["ssl_verify_client"]),
    ("symbolic links", &["disable_symlinks", "alias", "root"]),
    ("upstream", &PASSES),
    ("resolve", &PASSES),
    ("redirection cycle", &["rewrite", "try_files", "error_page"]),
    ("directory index of", &["alias", "root"]),
    ("is not found", &["alias", "root"]),
    ("open", &["alias", "root", "upload_store"]),
];

fn named_by(message: &str) -> Option<&'static [&'static str]> {
    MESSAGES.iter().find(|(text, _)| message.contains(text)).map(|(_, names)| *names)
}

/// Statuses of requests rejected before a location is selected, unless a location returns them itself.
pub fn is_early(status: u16) -> bool {
    matches!(status, 414 | 417 | 431 | 494..=497 | 505)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_the_line_does_not_explain_has_its_reason_and_its_line() {
        let text = "answer     200 OK\n\nsettings at x:3\n  root /x;   x:4\n  limit_req zone=a;    x:5\n";
        assert_eq!(otherwise(200, text, None), None);
        assert_eq!(otherwise(200, text, Some("connect() failed while connecting to upstream")), None);
        assert!(otherwise(503, text, None).is_some_and(|why| why.ends_with("  [x:5]\n")));
        assert!(otherwise(499, text, None).is_some_and(|why| why.contains("the client left")));
    }

    #[test]
    fn a_reason_has_the_block_where_no_directive_decides() {
        let text = "server     x  [f:1]\nlocation   /a for /a  [f:2]\n           /: matches  [f:3]\nanswer     is the upstream's, which is not contacted to find out\n\nsettings at f:2\n  root html;    default\n";
        let why = |status| otherwise(status, text, None).unwrap_or_default();
        assert_eq!(why(404), "logged     404: the upstream's own  [f:2]\n");
        assert!(why(503).contains("the upstream's own") && why(502).contains("does not answer"));
        // A request rejected early never reaches the upstream.
        assert!(!why(497).contains("the upstream's own") && why(497).contains("plain HTTP"));
        assert!(why(431).contains("the head is larger"), "{}", why(431));
        let limited = text.replace("  root html;", "  limit_req zone=a;   f:9\n  root html;");
        assert!(
            otherwise(503, &limited, None)
                .is_some_and(|why| why.ends_with("a limit was reached, or the server drains  [f:9]\n"))
        );
    }
}
