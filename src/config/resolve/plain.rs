//! Which locations lead from routing to content at once: nothing in them rewrites, refuses or delays a request.

use crate::config::build::LocationDraft;
use crate::config::model::Settings;
use crate::config::script::Script;
use crate::config::settings::access::Access;
use crate::config::settings::auth::Auth;
use crate::config::settings::limits::LimitSettings;
use crate::config::settings::realip::RealIp;

/// Whether no phase between the search of the location and its content has anything to do. Those phases are then
/// skipped, and the response may be cached.
///
/// All fields are named here and below: one that is added does not compile until it is decided whether it lets a
/// request pass. A rule that is forgotten would be skipped without a word.
pub(super) fn is_plain(own: &LocationDraft, script: &Script, settings: &Settings) -> bool {
    let LocationDraft {
        internal,
        try_files,
        limit_except,
        // How the location is found and what answers.
        root: _,
        alias: _,
        named: _,
        regex: _,
        name_len: _,
        content: _,
        referers: _,
        zones: _,
        pass: _,
        interpreter: _,
        exact: _,
        children: _,
        name: _,
        server: _,
        depth: _,
    } = own;
    // The others are made of the ops.
    let Script { ops, spans: _, lists: _, set_runs: _ } = script;
    ops.is_empty() && try_files.is_none() && limit_except.is_none() && !internal && lets_all_in(settings)
}

/// Of all settings, those that may refuse or delay a request, or decide whose it is.
fn of_phases(settings: &Settings) -> (&Access, &Auth, &RealIp, &LimitSettings) {
    let Settings {
        access,
        auth,
        realip,
        limits,
        // Bodies: their limits are checked while the location is searched, and as they arrive.
        client: _,
        body: _,
        // Only variables are made of these.
        referers: _,
        names: _,
        // What content and filters look at; uploads and WebDAV have their rules checked by their handlers.
        files: _,
        output: _,
        errors: _,
        logs: _,
        charset: _,
        gzip: _,
        dav: _,
        listing: _,
        upload: _,
        limiting: _,
        proxy: _,
        fastcgi: _,
        scgi: _,
        uwsgi: _,
        tunnel: _,
        cgi: _,
        cgi_upstream: _,
        ssi: _,
        proxy_ssl: _,
        uwsgi_ssl: _,
        // Connections; a client's certificate is checked as its request enters.
        http2: _,
        ssl: _,
    } = settings;
    (access, auth, realip, limits)
}

/// Whether these settings neither refuse nor delay a request.
fn lets_all_in(settings: &Settings) -> bool {
    let (access, auth, realip, limits) = of_phases(settings);
    let Access { allowed, rules } = access;
    let Auth {
        realm,
        request,
        link_keys,
        // How those refuse, and what they are checked against.
        file: _,
        satisfy: _,
        delay: _,
        request_below: _,
        request_set: _,
        // $secure_link: an `if`, thus a script, acts on it.
        secure_link: _,
        secure_link_md5: _,
        secure_link_secret: _,
    } = auth;
    // Without a trusted proxy, no address is replaced.
    let RealIp { from, header: _, recursive: _ } = realip;
    let LimitSettings {
        requests,
        connections,
        // How those refuse.
        request_status: _,
        request_level: _,
        request_dry_run: _,
        connection_status: _,
        connection_level: _,
        connection_dry_run: _,
    } = limits;
    allowed.is_none()
        && rules.is_empty()
        && realm.is_none()
        && request.is_none()
        && link_keys.is_empty()
        && from.is_empty()
        && requests.is_empty()
        && connections.is_empty()
}

#[cfg(test)]
mod tests {
    use super::lets_all_in;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::settings::Settings;
    use std::path::Path;
    use std::rc::Rc;

    #[test]
    fn a_location_that_wants_a_signed_link_is_not_plain() {
        let mut settings = Settings::default();
        assert!(lets_all_in(&settings));
        Rc::make_mut(&mut settings.auth).link_keys = Rc::from([Box::from(&b"a key of a signed link"[..])]);
        assert!(!lets_all_in(&settings));
    }

    /// Whether the location with these lines is plain.
    fn is_plain(lines: &str) -> bool {
        let text = format!(
            "limit_req_zone $uri zone=r:1m rate=1r/s; limit_conn_zone $uri zone=c:1m; server {{ location / {{ {lines} }} }}"
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        let config = resolved.config.unwrap_or_else(|| panic!("{lines}: {:?}", resolved.diagnostics));
        config.locations.iter().find(|location| &*location.name == b"/").expect("it is in the text").plain
    }

    #[test]
    fn a_location_that_may_refuse_or_delay_a_request_is_not_plain() {
        for lines in [
            "allow 10.0.0.0/8;",
            "deny all;",
            "allowed_methods GET;",
            "auth_basic x; auth_basic_user_file /x;",
            "auth_request /check;",
            "set_real_ip_from 10.0.0.0/8;",
            "limit_req zone=r;",
            "limit_conn c 1;",
            "limit_except GET { deny all; }",
            "internal;",
            "try_files $uri =404;",
            "return 404;",
            "set $x 1;",
        ] {
            assert!(!is_plain(lines), "{lines}");
        }
        for lines in
            ["", "root /x;", "satisfy any;", "auth_delay 1s;", "real_ip_recursive on;", "limit_req_status 429;"]
        {
            assert!(is_plain(lines), "{lines}");
        }
    }
}
