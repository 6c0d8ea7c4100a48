//! Paths that an application needs as the client encoded them.

use super::blocks::{authority, location};
use super::rule::{Finding, Rule, RuleContext};

pub const RULES: &[Rule] = &[Rule {
    code: "W387",
    title: "an application that needs the path as it was sent",
    page: "With a path in `proxy_pass` the request's path is decoded and encoded again: %2F in a name becomes a `/`. RabbitMQ \
           (/api/queues/%2F), CouchDB, npm registries (@scope%2Fname), GitLab's API and Matrix have such names, and Jenkins \
           complains of its proxy. Where the path is the location's own, leave it out: `proxy_pass http://127.0.0.1:8008;`.",
    about: &["proxy_pass"],
    check: decoded,
}];

/// What locations of applications are called whose paths have encoded slashes. A port says too little.
const NAMES: [(&str, &str); 8] = [
    ("_matrix", "Matrix"),
    ("rabbitmq", "RabbitMQ"),
    ("couchdb", "CouchDB"),
    ("jenkins", "Jenkins"),
    ("verdaccio", "an npm registry"),
    ("nexus", "Nexus"),
    ("artifactory", "Artifactory"),
    ("gitlab", "GitLab"),
];

fn decoded(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("proxy_pass") {
        return;
    }
    let (Some(word), Some((b"" | b"^~", name))) =
        (cx.d.args.first(), cx.blocks.last().and_then(|block| location(block)))
    else {
        return;
    };
    let (text, prefix) = (word.str(), name.str());
    let host = authority(&text);
    let Some(at) = text.find("://").map(|at| at + "://".len() + host.len()) else { return };
    let (upstream, path) = text.split_at_checked(at).unwrap_or_default();
    if path.is_empty() || path != prefix || text.contains('$') {
        return;
    }
    let by_name = NAMES.iter().find(|(name, _)| prefix.split('/').any(|part| part == *name));
    if let Some((_, application)) = by_name {
        let message = format!("{application} needs the path as it was sent: here %2F becomes a `/`");
        let help = format!("leave the path out: proxy_pass {upstream};");
        found.push(Finding::new(word.part(at, text.len()), message, help));
    }
}
