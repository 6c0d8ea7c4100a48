//! auth_basic, auth_request, satisfy and auth_delay: access by password or subrequest, and combined with addresses.

use super::rewrite;
use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::certificates;
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::auth::{RequestSet, Satisfy};
use crate::config::suggest;
use crate::config::template::SetTarget;
use crate::http::signed_link;
use crate::io::open;
use crate::sys::Errno;
use std::rc::Rc;

const WHERE: Contexts = Contexts::HSL.or(Contexts::LIMIT_EXCEPT);

pub const ROWS: &[Row] = &[
    row(
        "auth_basic",
        WHERE,
        Args::TAKE1,
        "off",
        Effect::Once(realm),
        "Asks for a user name and password (Basic authentication, RFC 7617) for the named realm; variables allowed, off asks for none.",
    ),
    row(
        "auth_basic_user_file",
        WHERE,
        Args::TAKE1,
        "",
        Effect::Once(file),
        "File with lines name:password[:comment]; a relative path starts at the directory of the main configuration \
         file. Hashes: crypt (DES, $1$, $5$, $6$), yescrypt, $apr1$, bcrypt, {SHA}, {SSHA}, {PLAIN}. Changes take \
         effect at once. Slow hashes are computed one at a time; 429 if one client waits for too many, 503 if all \
         do.",
    ),
    row(
        "satisfy",
        Contexts::HSL,
        Args::TAKE1,
        "all",
        Effect::Once(satisfy),
        "Whether all of allow/deny, auth_basic and auth_request must let a client in, or any of them.",
    ),
    row(
        "auth_delay",
        Contexts::HSL,
        Args::TAKE1,
        "0s",
        Effect::Time(|s| &mut Rc::make_mut(&mut s.auth).delay),
        "Holds 401 answers back for so long, against guessing.",
    ),
    row(
        "signed_link",
        Contexts::HSL,
        Args::TAKE1,
        "off",
        Effect::Once(signed_link),
        "File with keys, one per line, at least 16 characters each: requests need a link signed with one of them, as \
         `webserv sign` makes it; others get 403, or 410 once it has expired. A link names a path, an expiry, and \
         optionally methods, a size and media types. With `satisfy any` it replaces a password. Read with the \
         configuration.",
    )
    .ours(),
    row(
        "secure_link",
        Contexts::HSL,
        Args::TAKE1,
        "",
        Effect::Once(secure_link),
        "The MD5 in base64url and, after a comma, the Unix time of expiry, as in nginx: `$arg_md5,$arg_expires`. \
         $secure_link is 1 if the MD5 equals that of secure_link_md5, 0 if the link has expired, otherwise empty; an \
         `if` must act on it. For new sites prefer signed_link, which checks by itself and does not use MD5.",
    ),
    row(
        "secure_link_md5",
        Contexts::HSL,
        Args::TAKE1,
        "",
        Effect::Once(secure_link_md5),
        "What a link's MD5 is made of, with a secret in it: `$secure_link_expires$uri$remote_addr secret`.",
    ),
    row(
        "secure_link_secret",
        Contexts::HSL,
        Args::TAKE1,
        "",
        Effect::Once(secure_link_secret),
        "nginx's first kind of secure links: of `/prefix/MD5/link`, where MD5 (32 hexadecimal digits) is that of the link followed by this word, $secure_link is the link, else empty. It takes the place of secure_link and secure_link_md5 of the levels outside.",
    ),
    row(
        "auth_request",
        Contexts::HSL,
        Args::TAKE1,
        "off",
        Effect::Once(request),
        "URI of the same server that decides about each request, after allow/deny and auth_basic: it gets a GET with \
         the request's header fields and no body. 2xx admits the request; 401 and 403 become the answer, with \
         WWW-Authenticate; any other status causes a 500. off disables it. For other paths of a request see \
         auth_request_below.",
    ),
    row(
        "auth_request_below",
        Contexts::HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.auth).request_below),
        "Whether an answer of auth_request that may depend on the URI ($request_uri) also holds for other paths that \
         the request concerns: entries of an archive, search or copied folder, a Destination. off: these are refused \
         (403), except names in the request's own folder for uploads and forms. on: they are allowed with the \
         request.",
    )
    .ours(),
    row(
        "auth_request_set",
        Contexts::HSL,
        Args::TAKE2,
        "",
        Effect::Many(request_set),
        "Gives a variable a value once auth_request's URI has answered, made of that answer's variables: auth_request_set $user $upstream_http_x_user. Lines of a level replace all that were inherited.",
    ),
];

fn signed_link(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let keys = match d.args[0].bytes() {
        b"off" => Vec::new(),
        path => {
            let path = b.full_path(path);
            let text = certificates::read(&path).map_err(|why| {
                let text = format!("open() \"{}\" failed {why}", path.display());
                let fault = Fault::new(d.args[0].span, text);
                if why == Errno::EACCES.to_string() {
                    return fault.help(open::unreadable(&path));
                }
                fault.help(format!("it holds the keys of signed links; a relative path is taken from the prefix: openssl rand -hex 32 > \"{}\"", path.display()))
            })?;
            signed_link::keys_of(&text).map_err(|why| invalid(d, 0).help(why))?
        }
    };
    Rc::make_mut(&mut s.settings.auth).link_keys = keys.into();
    Ok(())
}

/// Refuses to mix the two kinds of secure links at one level (nginx).
fn unmixed(s: &Scope, d: &Directive, others: &[&str]) -> Outcome {
    match s.has_seen(others) {
        true => Err(Fault::new(
            d.name.span,
            "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"",
        )),
        false => Ok(()),
    }
}

fn secure_link(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    unmixed(s, d, &["secure_link_secret"])?;
    let link = b.template(d, 0)?;
    let auth = Rc::make_mut(&mut s.settings.auth);
    (auth.secure_link, auth.secure_link_secret) = (Some(link), None);
    Ok(())
}

fn secure_link_md5(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    unmixed(s, d, &["secure_link_secret"])?;
    let signed = b.template(d, 0)?;
    let auth = Rc::make_mut(&mut s.settings.auth);
    (auth.secure_link_md5, auth.secure_link_secret) = (Some(signed), None);
    Ok(())
}

fn secure_link_secret(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    unmixed(s, d, &["secure_link", "secure_link_md5"])?;
    let auth = Rc::make_mut(&mut s.settings.auth);
    (auth.secure_link, auth.secure_link_md5) = (None, None);
    auth.secure_link_secret = Some(d.args[0].bytes().into());
    Ok(())
}

fn realm(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let realm = b.template(d, 0)?;
    Rc::make_mut(&mut s.settings.auth).realm = (realm.constant() != Some(b"off")).then_some(realm);
    Ok(())
}

fn file(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    Rc::make_mut(&mut s.settings.auth).file = Some(b.template(d, 0)?);
    Ok(())
}

fn request(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    Rc::make_mut(&mut s.settings.auth).request = (!word.is("off")).then(|| word.bytes().into());
    Ok(())
}

fn request_set(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let is_new = b.variables.is_undefined(d.args[0].bytes().strip_prefix(b"$").unwrap_or_default());
    let set = RequestSet { slot: rewrite::target(b, d)?, value: b.template(d, 1)? };
    if let (true, SetTarget::User(at)) = (is_new, &set.slot) {
        b.variables.answered.insert(*at);
    }
    Rc::make_mut(&mut s.settings.auth).request_set.add(s.first, set);
    Ok(())
}

fn satisfy(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    Rc::make_mut(&mut s.settings.auth).satisfy = match &d.args[0].lower()[..] {
        b"all" => Satisfy::All,
        b"any" => Satisfy::Any,
        _ => return Err(invalid(d, 0).help(suggest::one_of(&d.args[0].str(), &["all", "any"]))),
    };
    Ok(())
}
