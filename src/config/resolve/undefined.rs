//! Variables and zones that are used but never defined, found once everything is read. Positions are searched in the
//! tree only if something is missing, so that a correct configuration does not store them.

use crate::config::ast::{Directive, Span, Word};
use crate::config::build::Build;
use crate::config::context::Contexts;
use crate::config::error::{Diagnostic, Diagnostics};
use crate::config::registry::Definition;
use crate::config::row::Effect;
use crate::config::suggest::is_one_slip;
use crate::config::template::{Builtin, Variables, module_of};
use crate::config::{registry, suggest};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use std::collections::{HashMap, HashSet};

/// Variables of other servers, and their equivalents here.
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
    ("path_info", "fastcgi_path_info"),
    ("method", "request_method"),
    ("url", "request_uri"),
    ("url_path", "uri"),
    ("request_path", "uri"),
    ("request_url", "request_uri"),
    ("query_args", "args"),
    ("request_args", "args"),
    ("params", "args"),
    ("request_host", "host"),
    ("fqdn", "host"),
    ("request_scheme", "scheme"),
    ("proto", "scheme"),
    ("source_ip", "remote_addr"),
    ("src_ip", "remote_addr"),
    ("peer_addr", "remote_addr"),
    ("client_port", "remote_port"),
    ("response_code", "status"),
    ("response_status", "status"),
    ("timestamp", "time_iso8601"),
    ("duration", "request_time"),
    ("latency", "request_time"),
    ("elapsed", "request_time"),
    ("uuid", "request_id"),
    ("trace_id", "request_id"),
    ("unique_id", "request_id"),
    ("language", "http_accept_language"),
    ("path", "uri"),
    ("query", "args"),
    ("querystring", "query_string"),
    ("port", "server_port"),
    ("protocol", "server_protocol"),
    ("http_protocol", "server_protocol"),
    ("domain", "host"),
    ("server_host", "host"),
    ("server_ip", "server_addr"),
    ("local_ip", "server_addr"),
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
    ("ssl_client_dn", "ssl_client_s_dn"),
    ("ssl_client_cn", "ssl_client_s_dn"),
    ("ssl_client_subject", "ssl_client_s_dn"),
    ("ssl_client_issuer", "ssl_client_i_dn"),
    ("ssl_client_verified", "ssl_client_verify"),
    ("ssl_version", "ssl_protocol"),
    ("tls_version", "ssl_protocol"),
    ("sni", "ssl_server_name"),
    ("upload_filename", "upload_file_name"),
    ("upload_size", "upload_file_size"),
];

/// The name in `zone=NAME`.
fn name_in(word: &Word) -> Span {
    let from = word.bytes().strip_prefix(b"zone=").map_or(0, |name| word.len() - name.len());
    word.part(from, word.len())
}

impl Build {
    /// Reports one error per name, at its first use.
    pub(super) fn undefined_variables(&mut self, tree: &[Directive]) {
        let names: Vec<String> = self.variables.undefined().map(str::to_owned).collect();
        for name in names {
            // Beyond the limit, errors are only counted, so do not search the tree.
            if self.diagnostics.errors() >= Diagnostics::LIMIT {
                self.diagnostics.push(Diagnostic::emerg(None, format!("unknown \"{name}\" variable")));
                continue;
            }
            if tree.iter().any(|d| defines(d, &name)) {
                // Its definition is wrong, which was reported.
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

    /// The positions of `$name` and `${name}`.
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

    /// Suggests what was meant by an undefined variable; `at`: its position.
    fn meant(&self, name: &str, at: Option<Span>) -> Option<String> {
        if let Some(module) = module_of(name) {
            return Some(format!("it belongs to {module}, which is not built in"));
        }
        let dashed = at.and_then(|span| self.ended_at_a_dash(name, span));
        // A name that the configuration defines is nearer than one of another server.
        let is_own = |own: &str| Builtin::of(own).is_none() && module_of(own).is_none();
        let slip = || self.variables.names().find(|own| is_one_slip(own, name) && is_own(own));
        let slip = if dashed.is_none() { slip() } else { None };
        if let Some(own) = slip {
            return Some(format!("did you mean ${own}?"));
        }
        if let Some(meant) = dashed.or_else(|| elsewhere(name)) {
            return Some(meant);
        }
        let is_shouted = at.is_some_and(|span| {
            let written = self.sources.slice(span);
            written.iter().any(u8::is_ascii_uppercase) && !written.iter().any(u8::is_ascii_lowercase)
        });
        let near = suggest::nearest(name, self.variables.names());
        // `$BACKEND_HOST` is too far from `$host`.
        if let Some(near) = near.filter(|near| !is_shouted || near.len() * 3 >= name.len() * 2) {
            return Some(format!("did you mean ${near}?"));
        }
        if let Some(member) = at.filter(|_| name.starts_with('_')).and_then(|span| self.member_of_php(name, span)) {
            return Some(format!("PHP's {member}"));
        }
        if name.starts_with('_') {
            return Some(
                "a variable of PHP: here they are $request_method, $args, $arg_NAME, $http_NAME, $cookie_NAME".into(),
            );
        }
        if let Some((first, second)) = self.joined(name) {
            return Some(format!("two variables next to each other: ${first}${second}"));
        }
        if let Some(near) = self.nearly(name).filter(|_| !is_shouted) {
            return Some(format!("did you mean ${near}?"));
        }
        if is_shouted {
            return Some(
                "variables of the environment are not filled in: write the value, or have envsubst make the file"
                    .into(),
            );
        }
        Some("define it by `set`, `map` or a named group of a regex; request headers are $http_NAME, arguments $arg_NAME".into())
    }

    /// PHP's `$_SERVER[REQUEST_URI]`, `$_GET['id']`.
    fn member_of_php(&self, name: &str, span: Span) -> Option<String> {
        let after = self.sources.bytes(span.file).get(span.end as usize..)?.strip_prefix(b"[")?;
        let key = after.get(..memchr::memchr(b']', after.get(..80).unwrap_or(after))?)?;
        let key = String::from_utf8_lossy(key).trim_matches(['\'', '"', '\\']).to_ascii_lowercase();
        let shown = format!("${}[{}]", name.to_ascii_uppercase(), key.to_ascii_uppercase());
        let meant = match name {
            "_get" | "_request" => format!("arg_{key}"),
            "_cookie" => format!("cookie_{key}"),
            "_server" if self.variables.is_defined(&key) => key,
            "_server" => foreign(&key)?.to_owned(),
            _ => return None,
        };
        Some(format!("{shown} is ${meant} here"))
    }

    /// `$http-user-agent`.
    fn ended_at_a_dash(&self, name: &str, span: Span) -> Option<String> {
        let after = self.sources.bytes(span.file).get(span.end as usize..).unwrap_or_default();
        let run = after.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
        if !after.starts_with(b"-") || run <= 1 {
            return None;
        }
        let tail = String::from_utf8_lossy(after.get(..run).unwrap_or_default()).replace('-', "_");
        let whole = format!("{name}{tail}").to_ascii_lowercase();
        let header = format!("http_{whole}");
        // Header variables have `_`; `$php_version-fpm` is another variable followed by text.
        let meant = match self.variables.is_defined(&whole) {
            true => &*whole,
            false => foreign(&whole).or((!name.contains('_')).then_some(&*header))?,
        };
        Some(format!("`-` ends a variable's name; did you mean ${meant}?"))
    }

    /// `$document_root_fastcgi_script_name`: `_` in place of the second `$`.
    fn joined<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        let halves = name.match_indices('_').map(|(at, _)| (&name[..at], name[at..].trim_start_matches('_')));
        halves.into_iter().find(|(first, second)| self.variables.is_defined(first) && self.variables.is_defined(second))
    }

    /// A short name with one letter too many or too few, or with the wrong prefix.
    fn nearly(&self, name: &str) -> Option<String> {
        let short = |known: &&str| known.len() > 2 && name.len() > 1 && is_one_slip(known, name);
        if let Some(near) = self.variables.names().find(|known| short(known)) {
            return Some(near.to_owned());
        }
        if let Some((_, meant)) = FOREIGN.iter().find(|(foreign, _)| short(foreign) && name.len() > 3) {
            return Some((*meant).to_owned());
        }
        let split = name.match_indices('_').map(|(at, _)| name.split_at(at + 1));
        let mut near = split.filter_map(|(head, tail)| {
            Some((suggest::nearest(head, Variables::PREFIXES.iter().map(|(prefix, _)| *prefix))?, tail))
        });
        let (prefix, tail) = near.next().filter(|(_, tail)| !tail.is_empty())?;
        Some(format!("{prefix}{tail}"))
    }

    /// Reports zones of proxy_cache and the like that no cache_path defines, in nginx's words.
    pub(super) fn undefined_caches(&mut self) {
        let caches = std::mem::take(&mut self.caches);
        for (module, zone, span) in &caches.used {
            checkpoint::pass();
            let named = |found: &&(Box<str>, Box<str>)| found.1 == *zone;
            let fault = match caches.defined.iter().find(named) {
                Some((of, _)) if of == module => continue,
                Some(_) => format!("the shared memory zone \"{zone}\" is already declared for a different use"),
                None => format!("\"{module}_cache\" zone \"{zone}\" is unknown"),
            };
            let names = caches.defined.iter().filter(|(of, _)| of == module).map(|(_, name)| &**name);
            let help = suggest::did_you_mean(zone, names).unwrap_or_else(|| {
                format!("define it in http: {module}_cache_path /path keys_zone={zone}:10m; (nothing is cached here)")
            });
            self.diagnostics.push(Diagnostic::emerg(*span, fault).help(help));
        }
    }

    /// Reports pools of `aio threads=` that no thread_pool defines.
    pub(super) fn undefined_thread_pools(&mut self) {
        let pools = std::mem::take(&mut self.thread_pools);
        for (name, span) in pools.used.iter().filter(|(name, _)| &**name != "default" && !pools.defined.contains(name))
        {
            let help = suggest::did_you_mean(name, pools.defined.iter().map(|name| &**name))
                .unwrap_or_else(|| format!("define it outside all blocks: thread_pool {name} threads=32;"));
            self.diagnostics.push(Diagnostic::emerg(*span, format!("unknown thread pool \"{name}\"")).help(help));
        }
    }

    /// Upstream zones: at least one line of each must give its size, and all sizes must be equal.
    pub(super) fn undefined_group_zones(&mut self) {
        let zones = std::mem::take(&mut self.group_zones);
        let mut sizes: FastMap<&str, u64> = FastMap::default();
        sizes.reserve(zones.len());
        let mut faults = Vec::new();
        for zone in &zones {
            checkpoint::pass();
            let Some(size) = zone.size else { continue };
            let known = *sizes.entry(&*zone.name).or_insert(size);
            if known != size {
                let text = format!(
                    "the size {size} of shared memory zone \"{}\" conflicts with already declared size {known}",
                    zone.name
                );
                faults.push(Diagnostic::emerg(zone.span, text));
            }
        }
        let passing = zones.iter().inspect(|_| checkpoint::pass());
        for zone in passing.filter(|zone| !sizes.contains_key(&*zone.name)) {
            let text = format!("zero size shared memory zone \"{}\"", zone.name);
            faults.push(Diagnostic::emerg(zone.span, text).help(format!("zone {} 64k;", zone.name)));
        }
        faults.into_iter().for_each(|fault| self.diagnostics.push(fault));
        drop(sizes);
        zones.into_iter().for_each(|_| checkpoint::pass());
    }

    /// Reports zones of limit_req, limit_conn and dav_ext_lock that are not defined, in nginx's words.
    pub(super) fn undefined_zones(&mut self, tree: &[Directive]) {
        if self.tables.zones.iter().all(|zone| zone.defined.is_some()) {
            return;
        }
        let mut written = ZonesWritten::default();
        written.read(tree);
        let names: Vec<&str> = self.tables.zones.iter().filter(|z| z.defined.is_some()).map(|z| &*z.name).collect();
        for zone in self.tables.zones.iter().filter(|zone| zone.defined.is_none()) {
            checkpoint::pass();
            if written.has_nameless || written.defined.contains(&*zone.name) {
                continue;
            }
            let text = format!("zero size shared memory zone \"{}\"", zone.name);
            // Beyond the limit, errors are only counted, so do not compare names.
            if self.diagnostics.errors() >= Diagnostics::LIMIT {
                self.diagnostics.push(Diagnostic::emerg(name_in(&zone.word), text));
                continue;
            }
            let bare = zone.name.strip_prefix("zone=").filter(|bare| names.contains(bare));
            let bare = bare.map(|bare| format!("the name alone: limit_conn {bare} 10;"));
            let near = bare.or_else(|| suggest::did_you_mean(&zone.name, names.iter().copied()));
            let help = near.unwrap_or_else(|| match &names[..] {
                [] => format!("define it in http: {}", definition(written.user(zone.word.span), &zone.name)),
                [one] => format!("the zone that http defines is \"{one}\""),
                names => format!("zones defined in http: {}", names.join(", ")),
            });
            self.diagnostics.push(Diagnostic::emerg(name_in(&zone.word), text).help(help));
        }
    }
}

/// An example definition of a zone for a directive.
fn definition(user: &str, zone: &str) -> String {
    match user {
        "limit_conn" => format!("limit_conn_zone $binary_remote_addr zone={zone}:10m;"),
        "dav_ext_lock" => format!("dav_ext_lock_zone zone={zone}:10m;"),
        _ => format!("limit_req_zone $binary_remote_addr zone={zone}:10m rate=10r/s;"),
    }
}

/// What a configuration with undefined zones contains about zones, collected in one walk: there may be as many
/// undefined zones as locations.
#[derive(Default)]
struct ZonesWritten {
    /// Zones that a directive was meant to define, even if it is wrong.
    defined: HashSet<String>,
    /// Whether a directive defines a zone whose name cannot be parsed: it could be any.
    has_nameless: bool,
    /// The directives that use a zone, by the spans of their arguments.
    users: HashMap<Span, &'static str>,
}

impl ZonesWritten {
    fn read(&mut self, level: &[Directive]) {
        for d in level {
            checkpoint::pass();
            if let Some(user) = ["limit_req", "limit_conn", "dav_ext_lock"].into_iter().find(|name| d.name.is(name)) {
                self.users.extend(d.args.iter().map(|word| (word.span, user)));
            }
            if defines_zone(d) {
                self.has_nameless |= !is_zone_word(d);
                let name = |word: &Word| Some(word.str().strip_prefix("zone=")?.split(':').next()?.to_owned());
                self.defined.extend(d.args.iter().filter_map(name));
            }
            self.read(d.block.as_deref().unwrap_or_default());
        }
    }

    /// The directive that uses a zone in the word at `span`.
    fn user(&self, span: Span) -> &'static str {
        self.users.get(&span).copied().unwrap_or("limit_req")
    }
}

/// Whether a directive, or one inside it, was meant to define the variable.
fn defines(d: &Directive, name: &str) -> bool {
    // Assignments in other syntaxes: `ROOT=/srv;`, `export ROOT=/srv;`, `$root = /srv;`.
    let key = |word: &Word| {
        let text = word.str();
        let key = text.split('=').next().unwrap_or_default().trim_start_matches('$').to_owned();
        (text.contains('=') || text.starts_with('$')) && key.eq_ignore_ascii_case(name)
    };
    let assigns = matches!(d.name.bytes(), b"export" | b"var" | b"let" | b"const" | b"local");
    if key(&d.name) || assigns && d.args.first().is_some_and(|word| key(word) || word.is(name)) {
        return true;
    }
    // The name may be misspelled: `mapp $uri $x { … }`.
    let known = d.name.str();
    let near = match registry::find(&known, Contexts::ANY) {
        Some(_) => &*known,
        None => registry::nearest(&known, Contexts::HTTP.or(Contexts::SERVER)).unwrap_or_default(),
    };
    // The missing word may be this variable.
    if matches!(near, "map" | "split_clients") && d.args.len() == 1 {
        return true;
    }
    let at = match near.as_bytes() {
        b"set" => d.args.first(),
        b"map" | b"split_clients" => d.args.get(1),
        b"geo" => d.args.last(),
        _ => None,
    };
    let same = |word: &Word| word.str().trim_start_matches('$').eq_ignore_ascii_case(name);
    // Lines of a table are data, and may be many.
    let is_table = match registry::find(near, Contexts::ANY) {
        Some(Definition::Row(row)) => row.args.is_block() && matches!(row.effect, Effect::Once(_) | Effect::Many(_)),
        _ => false,
    };
    at.is_some_and(same) || !is_table && d.block.iter().flatten().any(|d| defines(d, name))
}

fn is_zone_word(d: &Directive) -> bool {
    d.args.iter().any(|word| word.bytes().starts_with(b"zone="))
}

/// Whether a directive was meant to define a zone.
fn defines_zone(d: &Directive) -> bool {
    // The name may be misspelled: `limit-req-zone`.
    let known = d.name.str();
    let near = match registry::find(&known, Contexts::ANY) {
        Some(_) => &*known,
        None if is_zone_word(d) => registry::nearest(&known, Contexts::HTTP).unwrap_or_default(),
        None => "",
    };
    matches!(near, "limit_req_zone" | "limit_conn_zone" | "dav_ext_lock_zone")
}

/// The equivalent of a variable from another server or of outdated usage.
fn foreign(name: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, meant)| *meant)
}

/// `$htp_host`, `$coookie_sid`: a family of variables, misspelled.
fn misspelled_family(name: &str) -> Option<(&'static str, &str)> {
    const FAMILIES: [&str; 4] = ["sent_http_", "upstream_http_", "http_", "cookie_"];
    FAMILIES.into_iter().find_map(|family| {
        let parts = family.matches('_').count();
        let (end, _) = name.match_indices('_').nth(parts - 1)?;
        let (head, tail) = name.split_at_checked(end + 1)?;
        (!tail.is_empty() && is_one_slip(head, family)).then_some((family, tail))
    })
}

/// Suggestions for well-known foreign names.
fn elsewhere(name: &str) -> Option<String> {
    if let Some(meant) = foreign(name) {
        return Some(format!("did you mean ${meant}?"));
    }
    if let Some(tail) = name.strip_prefix("header_").or_else(|| name.strip_prefix("request_header_")) {
        return Some(format!("request headers are $http_NAME: did you mean $http_{tail}?"));
    }
    // Non-standard headers: `$x_forwarded_proto`.
    if name.starts_with("x_") && name.len() > 3 {
        return Some(format!("request headers are $http_NAME: did you mean $http_{name}?"));
    }
    if name == "connection_upgrade" {
        return Some(
            "define it in http: map $http_upgrade $connection_upgrade { default upgrade; \"\" close; }".into(),
        );
    }
    // `$args_id`, `$cookies_sid`.
    let families = [("args_", "arg_"), ("argument_", "arg_"), ("cookies_", "cookie_")];
    let known = families.iter().find_map(|(from, to)| Some((*to, name.strip_prefix(from)?)));
    let (family, tail) = known.or_else(|| misspelled_family(name))?;
    Some(format!("did you mean ${family}{tail}?"))
}
