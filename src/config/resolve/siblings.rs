//! Values of another directive than the one that they were given to: what to write instead. Called when a directive is
//! wrong already; nothing here is ever accepted.

use crate::config::ast::{Directive, Span, Word};
use crate::config::model::Level;
use crate::config::syntax;

/// What a value that is refused was meant for.
pub fn of_value(d: &Directive, message: &str, text: &str) -> Option<String> {
    let name = d.name.str();
    match &*name {
        "proxy_pass" => other_protocol(text),
        "dav_ext_methods" => plain_method(d, text),
        "hash" if d.args.first().is_some_and(|first| first.is("consistent")) => {
            Some(format!("the key comes first: hash {text} consistent;"))
        }
        "proxy_redirect" if matches!(text, "on" | "yes" | "true") => Some("did you mean \"default\"?".to_owned()),
        "limit_conn" | "limit_req" if message.ends_with("for a different use") => Some(other_limit(&name, text)),
        "access_log" if d.args.len() > 1 && Level::NAMES.contains(&text) && !d.args[0].is(text) => {
            Some(format!("a level belongs to the log of errors: error_log {} {text};", d.args[0].str()))
        }
        "upload_return" if text.starts_with('/') || text.starts_with("http") => {
            Some(format!("a code comes first: upload_return 303 {text};"))
        }
        _ => None,
    }
}

/// `fastcgi://127.0.0.1:9000`
fn other_protocol(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let name = match scheme {
        "fastcgi" | "fcgi" | "php" => "fastcgi_pass",
        "uwsgi" => "uwsgi_pass",
        "scgi" => "scgi_pass",
        _ => return None,
    };
    let address = rest.trim_start_matches("//").trim_end_matches('/');
    let address = match address.starts_with('/') {
        true => format!("unix:{address}"),
        false => address.to_owned(),
    };
    Some(format!("`proxy_pass` speaks HTTP; each other protocol has a directive of its own: {name} {address};"))
}

/// `dav_ext_methods PUT`
fn plain_method(d: &Directive, text: &str) -> Option<String> {
    const PLAIN: [&str; 5] = ["PUT", "DELETE", "MKCOL", "COPY", "MOVE"];
    let upper = text.to_ascii_uppercase();
    if matches!(&*upper, "GET" | "HEAD" | "POST") {
        return Some(format!("{upper} is not a WebDAV method: leave it out here; `allowed_methods` names it"));
    }
    if !PLAIN.contains(&&*upper) {
        return None;
    }
    let is_plain = |word: &&Word| PLAIN.contains(&&*word.str().to_ascii_uppercase());
    let (plain, rest): (Vec<&Word>, Vec<&Word>) = d.args.iter().partition(is_plain);
    let rest = if rest.is_empty() { String::new() } else { format!("; dav_ext_methods {}", syntax::line(rest)) };
    Some(format!("{upper} belongs to the other directive: dav_methods {}{rest};", syntax::line(plain)))
}

/// A zone that counts what the other directive limits.
fn other_limit(name: &str, zone: &str) -> String {
    let zone = zone.trim_start_matches("zone=");
    match name {
        "limit_conn" => {
            format!("it counts requests: limit_req zone={zone}; or define one of connections by limit_conn_zone")
        }
        _ => format!("it counts connections: limit_conn {zone} 10; or define one of requests by limit_req_zone"),
    }
}

/// The words of a line that are too many, and the directive that takes them, or how they are one word.
pub fn of_shape(d: &Directive) -> Option<(Span, String)> {
    let name = d.name.str();
    let is_key = |word: &&Word| word.bytes().starts_with(b"$");
    if matches!(&*name, "limit_req_zone" | "limit_conn_zone") && d.args.iter().filter(is_key).count() > 1 {
        let (keys, rest): (Vec<&Word>, Vec<&Word>) = d.args.iter().partition(is_key);
        let key: String = keys.iter().map(|key| key.str()).collect();
        return Some((
            keys.get(1)?.span,
            format!("a key of several values is one word: {name} {key} {};", syntax::line(rest)),
        ));
    }
    if let ("limit_req_zone" | "limit_conn_zone", Some(zone)) = (&*name, d.args.first())
        && zone.bytes().starts_with(b"zone=")
    {
        let help = format!("the key comes first: {name} $binary_remote_addr {};", syntax::line(&d.args));
        return Some((zone.span, help));
    }
    // nginx's form before 1.1.8: a name, a key, a size.
    if let ("limit_req_zone" | "limit_conn_zone", [zone, key, size, rest @ ..]) = (&*name, &d.args[..])
        && is_key(&key)
        && !zone.bytes().contains(&b'=')
        && size.bytes().first().is_some_and(u8::is_ascii_digit)
    {
        let (zone, key, size, rest) = (zone.str(), key.str(), size.str(), syntax::line(rest));
        let line = format!("{name} {key} zone={zone}:{size} {rest}");
        return Some((d.args_span(), format!("the key comes first, and the zone has its size: {};", line.trim_end())));
    }
    let [number, size] = &d.args[..] else { return None };
    let module = name.strip_suffix("_buffer_size")?;
    let is_number = |word: &Word| !word.is_empty() && word.bytes().iter().all(u8::is_ascii_digit);
    let takes_both = matches!(module, "proxy" | "fastcgi" | "scgi" | "uwsgi");
    (takes_both && is_number(number) && !is_number(size)).then(|| {
        let (number, size) = (number.str(), size.str());
        let help = format!(
            "a number and a size are {module}_buffers {number} {size}; this takes the size alone: {name} {size};"
        );
        (d.args_span(), help)
    })
}
