//! auth_basic, satisfy and auth_delay: who may come in by a password, and how that goes with addresses.

use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::Outcome;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::auth::Satisfy;
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
        "Whether all of allow/deny and auth_basic must let a client in, or any of them.",
    ),
    row(
        "auth_delay",
        Contexts::HSL,
        Args::TAKE1,
        "0s",
        Effect::Time(|s| &mut Rc::make_mut(&mut s.auth).delay),
        "Holds 401 answers back for so long, against guessing.",
    ),
];

fn realm(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let realm = b.template(d, 0)?;
    Rc::make_mut(&mut s.settings.auth).realm = (realm.constant() != Some(b"off")).then_some(realm);
    Ok(())
}

fn file(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    Rc::make_mut(&mut s.settings.auth).file = Some(b.template(d, 0)?);
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
