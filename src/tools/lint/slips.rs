//! Lines whose signs were meant otherwise: a dash in a variable's name, two ports in one address, a header over lines.

use super::rule::{Finding, Place, Rule};
use crate::config::template::Builtin;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W020",
        title: "a dash that ends a variable's name",
        page: "Names of variables have letters, digits and `_`: `$request-id` is $request, then the text \"-id\". Write \
               `$request_id`, or `${request}-id` where the text is meant.",
        check: dashed,
    },
    Rule {
        code: "W021",
        title: "an address that is a number",
        page: "`listen 8080:80` is port 80 of the address 0.0.31.144, which the number 8080 stands for. A server listens on \
               its own port alone; that one port leads to another is a matter of containers (`-p 8080:80`).",
        check: two_ports,
    },
];

fn dashed(place: &Place, found: &mut Vec<Finding>) {
    for word in &place.d.args {
        let text = word.str();
        for (at, _) in text.match_indices('$') {
            let rest = text.get(at + 1..).unwrap_or_default();
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
            let written = rest.get(..end).unwrap_or_default().trim_end_matches('-');
            let joined = written.replace('-', "_");
            let is_name = |name: &str| Builtin::of(name).is_some();
            let first = written.split('-').next().unwrap_or_default();
            if written.contains('-') && is_name(&joined) && is_name(first) {
                found.push(Finding::new(
                    word.part(at, at + 1 + written.len()),
                    format!("`-` ends the name: this is ${first}, then \"{}\"", &written[first.len()..]),
                    format!("did you mean ${joined}?"),
                ));
            }
        }
    }
}

fn two_ports(place: &Place, found: &mut Vec<Finding>) {
    let Some(word) = place.d.args.first().filter(|_| place.is("listen")) else { return };
    let text = word.str();
    let Some((host, port)) = text.split_once(':') else { return };
    if let (Ok(number), Ok(_)) = (host.parse::<u32>(), port.parse::<u16>()) {
        let address = std::net::Ipv4Addr::from(number);
        found.push(Finding::new(
            word.span,
            format!("\"{text}\" is port {port} of the address {address}"),
            format!("one port is enough: listen {host}; (or listen {port};)"),
        ));
    }
}
