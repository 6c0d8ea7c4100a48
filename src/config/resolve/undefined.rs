//! What is used and never defined, once all is read: variables and zones. Places are looked for in the tree only when
//! something is missing, so that a right configuration keeps none of them.

use crate::config::ast::{Directive, Span, Word};
use crate::config::build::Build;
use crate::config::error::Diagnostic;
use crate::config::suggest;
use crate::config::template::{Variables, module_of};

/// What others call a variable, and its name here.
const FOREIGN: &[(&str, &str)] = &[
    ("client_ip", "remote_addr"),
    ("client_addr", "remote_addr"),
    ("ip", "remote_addr"),
    ("remote_ip", "remote_addr"),
    ("real_ip", "remote_addr"),
    ("remote_host", "remote_addr"),
    ("x_forwarded_for", "http_x_forwarded_for"),
    ("x_real_ip", "http_x_real_ip"),
    ("user_agent", "http_user_agent"),
    ("useragent", "http_user_agent"),
    ("referer", "http_referer"),
    ("referrer", "http_referer"),
    ("http_referrer", "http_referer"),
    ("origin", "http_origin"),
    ("accept", "http_accept"),
    ("authorization", "http_authorization"),
    ("upgrade", "http_upgrade"),
    ("cookie", "http_cookie"),
    ("cookies", "http_cookie"),
    ("method", "request_method"),
    ("url", "request_uri"),
    ("path", "uri"),
    ("query", "args"),
    ("querystring", "query_string"),
    ("port", "server_port"),
    ("protocol", "server_protocol"),
    ("http_protocol", "server_protocol"),
    ("domain", "host"),
    ("server_host", "host"),
    ("http_hostname", "http_host"),
    ("script_filename", "request_filename"),
    ("filename", "request_filename"),
    ("file", "request_filename"),
    ("root", "document_root"),
    ("time", "time_local"),
    ("date", "time_local"),
    ("response_time", "request_time"),
    ("user", "remote_user"),
    ("username", "remote_user"),
    ("bytes", "body_bytes_sent"),
    ("status_code", "status"),
];

impl Build {
    /// One error for each name, at its first use.
    pub(super) fn undefined_variables(&mut self, tree: &[Directive]) {
        let names: Vec<String> = self.variables.undefined().map(str::to_owned).collect();
        for name in names {
            if tree.iter().any(|d| defines(d, &name)) {
                // What defines it is wrong itself, and was reported.
                continue;
            }
            let mut uses = Vec::new();
            self.uses(tree, &name, &mut uses);
            let first = uses.first().copied();
            let mut diagnostic = Diagnostic::emerg(first, format!("unknown \"{name}\" variable"));
            if let Some(help) = self.meant(&name, first) {
                diagnostic = diagnostic.help(help);
            }
            for other in uses.iter().skip(1).take(3) {
                diagnostic = diagnostic.note(*other, "used as well");
            }
            self.diagnostics.push(diagnostic);
        }
    }

    /// The places of `$name` and `${name}`.
    fn uses(&self, level: &[Directive], name: &str, found: &mut Vec<Span>) {
        for d in level {
            for word in d.words() {
                found.extend(self.use_in(word, name));
            }
            self.uses(d.block.as_deref().unwrap_or_default(), name, found);
        }
    }

    fn use_in(&self, word: &Word, name: &str) -> Option<Span> {
        let raw = self.sources.slice(word.span);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        memchr::memchr_iter(b'$', raw).find_map(|at| {
            let rest = raw.get(at + 1..)?;
            let braced = rest.first() == Some(&b'{');
            let text = rest.get(usize::from(braced)..)?;
            let length = text.iter().take_while(|byte| is_name(byte)).count();
            let same = text.get(..length)?.eq_ignore_ascii_case(name.as_bytes());
            same.then(|| word.span.part(at, at + 1 + length + 2 * usize::from(braced)))
        })
    }

    fn meant(&self, name: &str, at: Option<Span>) -> Option<String> {
        if let Some(module) = module_of(name) {
            return Some(format!("it belongs to {module}, which is not built in"));
        }
        let defined = |name: &str| self.variables.is_defined(name);
        // `$http-user-agent`: the name ended at the dash.
        if let Some(span) = at {
            let after = self.sources.bytes(span.file).get(span.end as usize..).unwrap_or_default();
            let run =
                after.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
            if after.starts_with(b"-") && run > 1 {
                let tail = String::from_utf8_lossy(after.get(..run).unwrap_or_default()).replace('-', "_");
                let whole = format!("{name}{tail}").to_ascii_lowercase();
                if defined(&whole) {
                    return Some(format!("`-` ends a variable's name; did you mean ${whole}?"));
                }
            }
        }
        if let Some((_, meant)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
            return Some(format!("did you mean ${meant}?"));
        }
        if let Some(near) = suggest::nearest(name, self.variables.names()) {
            return Some(format!("did you mean ${near}?"));
        }
        let split = name.match_indices('_').map(|(at, _)| name.split_at(at + 1));
        let mut near = split.filter_map(|(head, tail)| {
            Some((suggest::nearest(head, Variables::PREFIXES.iter().map(|(prefix, _)| *prefix))?, tail))
        });
        if let Some((prefix, tail)) = near.next().filter(|(_, tail)| !tail.is_empty()) {
            return Some(format!("did you mean ${prefix}{tail}?"));
        }
        Some("define it by `set`, `map` or a named group of a regex; request headers are $http_NAME, arguments $arg_NAME".into())
    }

    pub(super) fn undefined_zones(&mut self, tree: &[Directive]) {
        let names: Vec<&str> = self.tables.zones.iter().filter(|z| z.defined.is_some()).map(|z| &*z.name).collect();
        for zone in self.tables.zones.iter().filter(|zone| zone.defined.is_none()) {
            if tree.iter().any(|d| defines_zone(d, &zone.name)) {
                continue;
            }
            let text = format!("zero size shared memory zone \"{}\"", zone.name);
            let help = suggest::did_you_mean(&zone.name, names.iter().copied()).unwrap_or_else(|| match &names[..] {
                [] => "define it by limit_req_zone, limit_conn_zone or dav_ext_lock_zone in http".into(),
                names => format!("zones defined in http: {}", names.join(", ")),
            });
            self.diagnostics.push(Diagnostic::emerg(zone.word.span, text).help(help));
        }
    }
}

/// Whether a directive, or one inside it, was meant to define the variable.
fn defines(d: &Directive, name: &str) -> bool {
    let at = match d.name.bytes() {
        b"set" => d.args.first(),
        b"map" | b"split_clients" => d.args.get(1),
        b"geo" => d.args.last(),
        _ => None,
    };
    let same =
        |word: &Word| word.bytes().strip_prefix(b"$").is_some_and(|bytes| bytes.eq_ignore_ascii_case(name.as_bytes()));
    at.is_some_and(same) || d.block.iter().flatten().any(|d| defines(d, name))
}

fn defines_zone(d: &Directive, name: &str) -> bool {
    let zone = |word: &Word| word.str().strip_prefix("zone=").is_some_and(|rest| rest.split(':').next() == Some(name));
    (matches!(d.name.bytes(), b"limit_req_zone" | b"limit_conn_zone" | b"dav_ext_lock_zone") && d.args.iter().any(zone))
        || d.block.iter().flatten().any(|d| defines_zone(d, name))
}
