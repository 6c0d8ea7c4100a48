//! Access: methods and addresses.

use crate::config::addr::Cidr;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, Section, row};
use crate::config::settings::access::{Rule, Who};
use crate::config::suggest;
use crate::http::method::{Method, MethodSet};
use std::rc::Rc;

const WHERE: Contexts = Contexts::HSL.or(Contexts::LIMIT_EXCEPT);

pub const ROWS: &[Row] = &[
    row("allowed_methods", Contexts::HSL, Args::ONE_OR_MORE, "GET HEAD", Effect::Once(allowed_methods), "Methods a location answers; others get 405 with Allow. GET includes HEAD; OPTIONS is always answered. Naming POST, PUT or DELETE turns on uploads and deletes there.").ours().also(&["allow_methods"]),
    row("limit_except", Contexts::LOCATION, Args::ONE_OR_MORE.block(), "", Effect::Section(Section::LimitExcept), "The access rules inside hold for all methods but the named ones (GET includes HEAD). Who is refused gets 403."),
    row("allow", WHERE, Args::TAKE1, "", Effect::Many(|s, b, d| rule(s, b, d, true)), "Lets an address, a network, unix: or all in; the first rule that matches decides."),
    row("deny", WHERE, Args::TAKE1, "", Effect::Many(|s, b, d| rule(s, b, d, false)), "Refuses an address, a network, unix: or all with 403; the first rule that matches decides."),
];

fn allowed_methods(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mut set = MethodSet::EMPTY;
    for word in &d.args {
        match Method::parse(word.bytes()) {
            Method::Unknown | Method::Connect | Method::Trace => {
                let upper = word.str().to_ascii_uppercase();
                let fault = Fault::new(word.span, format!("invalid method \"{}\"", word.str()));
                return Err(if Method::parse(upper.as_bytes()) != Method::Unknown {
                    fault.help(format!("methods are upper case: {upper}"))
                } else {
                    fault.help("GET, HEAD, POST, PUT, DELETE, OPTIONS and the WebDAV methods are known")
                });
            }
            Method::Get => set = set.with(Method::Get).with(Method::Head),
            method => set = set.with(method),
        }
    }
    Rc::make_mut(&mut s.settings.access).allowed = Some(set);
    Ok(())
}

/// The methods listed in `limit_except`, to which its block does not apply. Case does not matter (nginx).
pub fn excepted(d: &Directive) -> Result<MethodSet, Fault> {
    let mut set = MethodSet::EMPTY;
    for word in &d.args {
        match Method::parse(&word.bytes().to_ascii_uppercase()) {
            Method::Unknown | Method::Connect | Method::Trace => {
                const METHODS: [&str; 12] = [
                    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "MKCOL", "COPY", "MOVE", "PROPFIND",
                    "LOCK",
                ];
                let fault = Fault::new(word.span, format!("invalid method \"{}\"", word.str()));
                return Err(fault.help(suggest::one_of(&word.str(), &METHODS)));
            }
            Method::Get => set = set.with(Method::Get).with(Method::Head),
            method => set = set.with(method),
        }
    }
    Ok(set)
}

fn rule(s: &mut Scope, b: &mut Build, d: &Directive, allow: bool) -> Outcome {
    let word = &d.args[0];
    let who = match word.bytes() {
        b"all" => Who::All,
        b"unix:" => Who::Unix,
        text => {
            let (net, low_bits) = Cidr::parse(text).map_err(|e| {
                let fault = Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
                Fault { help: e.help, ..fault }
            })?;
            if low_bits {
                b.low_bits(word, &net);
            }
            Who::Net(net)
        }
    };
    let fresh = s.first_of(&["allow", "deny"]);
    let access = Rc::make_mut(&mut s.settings.access);
    if fresh {
        access.rules = Rc::default();
    }
    Rc::make_mut(&mut access.rules).push(Rule { allow, who, span: d.span });
    Ok(())
}
