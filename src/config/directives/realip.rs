//! Which proxies are trusted to report the client's address: set_real_ip_from, real_ip_header, real_ip_recursive.

use crate::config::addr::{Cidr, PeerAddr};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::access::{Rule, Who};
use crate::config::settings::realip::Source;
use std::rc::Rc;

pub const ROWS: &[Row] = &[
    row(
        "set_real_ip_from",
        Contexts::HSL,
        Args::TAKE1,
        "",
        Effect::Many(from),
        "A trusted proxy: an address, a network, a name (resolved when the configuration is read) or unix:. allow, \
         deny, limits, logs and $remote_addr use the client address that it sends; $realip_remote_addr is the \
         connection's own. Redirects follow its X-Forwarded-Proto and -Port, or Forwarded. It must set or remove \
         these fields.",
    ),
    row(
        "real_ip_header",
        Contexts::HSL,
        Args::TAKE1,
        "X-Real-IP",
        Effect::Once(header),
        "The header that has the client's address: X-Real-IP, X-Forwarded-For or another; proxy_protocol takes it from the PROXY header of `listen … proxy_protocol`.",
    ),
    row(
        "real_ip_recursive",
        Contexts::HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.realip).recursive),
        "off: the last address of the header counts; on: the last that is not itself believed.",
    ),
];

fn from(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let new: Vec<Who> = match word.bytes() {
        b"unix:" => vec![Who::Unix],
        // Text that is not an address is resolved as a host name.
        text => match Cidr::parse(text).map_err(|e| (e, PeerAddr::parse(text, 1))) {
            Ok((net, low_bits)) => {
                if low_bits {
                    b.low_bits(word, &net);
                }
                vec![Who::Net(net)]
            }
            Err((_, Ok(PeerAddr::Inet(addrs)))) if !text.contains(&b':') => addrs
                .iter()
                .map(|addr| Who::Net(Cidr { ip: addr.ip(), prefix: if addr.is_ipv4() { 32 } else { 128 } }))
                .collect(),
            Err((e, _)) => {
                let text = word.str();
                let message = match e.message.starts_with("invalid parameter") && !text.contains(['/', ':']) {
                    true => format!("host not found in set_real_ip_from \"{text}\""),
                    false => format!("invalid parameter \"{text}\""),
                };
                return Err(Fault { help: e.help, ..Fault::new(word.span, message) });
            }
        },
    };
    let first = s.first;
    let realip = Rc::make_mut(&mut s.settings.realip);
    if first {
        realip.from = Rc::default();
    }
    let from = Rc::make_mut(&mut realip.from);
    new.into_iter().for_each(|who| from.push(Rule { allow: true, who, span: d.span }));
    Ok(())
}

fn header(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let name = word.bytes().to_ascii_lowercase();
    Rc::make_mut(&mut s.settings.realip).header = match &name[..] {
        b"x-real-ip" => Source::XRealIp,
        b"x-forwarded-for" => Source::XForwardedFor,
        b"proxy_protocol" => Source::ProxyProtocol,
        _ => Source::Field(name.into()),
    };
    Ok(())
}
