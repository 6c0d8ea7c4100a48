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
        "Lines of name:password[:comment], from the directory of the main configuration file unless absolute. Passwords: crypt (DES, $1$, $5$, $6$), yescrypt ($y$), $apr1$, bcrypt ($2a$, $2b$, $2y$), {SHA}, {SSHA}, {PLAIN}. Changes count at once. Slow hashes are computed one at a time by a process of their own, so that no other client waits for a login; of one client at most 16 wait (then 429), of all together 256 (then 503). Verdicts are remembered; a hash that would take seconds (bcrypt beyond cost 16, a million rounds, 64 MiB) matches nothing.",
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
        "A file of keys (16 characters at least, one a line; the first is the newest, all count): a request needs a link that was signed with one of them, by webserv sign or by another program. A link is its arguments: link-place (a URI path; one that ends in a slash stands for all below), link-expires (Unix time), link-methods (GET means HEAD too; POST and PUT mean the requests of their resumable uploads too), link-size (MIN-MAX bytes of each uploaded file), link-types (media types, image/* too) and link-sig, which is HMAC-SHA-256 in base64url without padding over the lines webserv-link-1, place, expires, methods, size, types (as decoded; an absent one is an empty line; no newline at the end). An upload that began before the link expired may be finished. With satisfy any a link lets in without a password. A link that is right makes upload_cross_site unnecessary. Without one, or with a wrong one, the answer is 403, after its time 410. The file is read with the configuration.",
    )
    .ours(),
    row(
        "secure_link",
        Contexts::HSL,
        Args::TAKE1,
        "",
        Effect::Once(secure_link),
        "The MD5 of a link in base64url, and after a comma the Unix time when it ends, as nginx has it: `$arg_md5,$arg_expires`. $secure_link is 1 where the MD5 is that of secure_link_md5, 0 where its time is over, and empty else; $secure_link_expires is the time. What follows from them, an `if` says. For new sites signed_link is better: it checks by itself, and its code is no MD5.",
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
        "A URI of the same server that decides about each request, after allow/deny and auth_basic: it is asked by GET, with the request's header lines and without its body. 2xx lets the request in; 401 and 403 are the client's answer, WWW-Authenticate included; any other status makes it 500. A POST to a `proxy_pass` there is announced no body, whatever the header lines say. It is asked once for a request, also where that concerns other paths (an archive, a COPY of a folder, a form's file in a folder): one whose location has another auth_request is left out, and if the answer may depend on the URI, all are: see auth_request_below. off asks nothing.",
    ),
    row(
        "auth_request_below",
        Contexts::HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.auth).request_below),
        "What an answer of auth_request means for other paths that a request concerns. The answer may hold for the request's URI alone, if the location that was asked uses $request_uri or $request (as in X-Original-URI), or a variable that was set before. off: such an answer allows the request's URI, for a POST, PUT or PATCH that uploads also the names in that URI's own folder, and for a form of the listing's page what it renames and deletes there. Other paths are refused (403): an archive and a search, the content of a folder that is copied, moved or deleted, Destination, and files of a form or of tus in folders of their own. on: an answer that allows the request allows these too. Answers that do not depend on the URI always do. Paths are not asked about one by one: that would cost a request for each.",
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
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}
