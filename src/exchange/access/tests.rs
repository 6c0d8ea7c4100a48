//! Who may do what: the phases of access over a configuration, without a connection.

use super::*;
use crate::exchange::auth_check::AuthCheck;
use crate::exchange::flow::Phase;
use crate::exchange::locate;
use crate::exchange::log_facts::LimitOutcome;
use crate::exchange::testing::{INSIDE, KEY, OUTSIDE, Site};
use crate::http::proxy_protocol::{self, ProxyHeaderProgress};
use crate::http::signed_link::sign;
use crate::route::{NoTrace, location};
use crate::sys::socket::Peer;
use std::rc::Rc;

/// The password of `u` is `p`.
const RIGHT: &str = "Authorization: Basic dTpw";
const WRONG: &str = "Authorization: Basic dTpx";
const UNKNOWN: &str = "Authorization: Basic djpw";

fn check_at(site: &mut Site, line: &str, fields: &[&str], client: &str) -> Flow {
    let mut ex = site.at(line, fields, client);
    check(&mut ex, &mut site.cx)
}

fn status(status: u16) -> Flow {
    Flow::Status(Status(status))
}

#[test]
fn all_rules_of_a_location_must_allow_or_any() {
    let rules = "allow 10.0.0.0/8; deny all;";
    let password = "auth_basic r; auth_basic_user_file USERS;";
    let mut site = Site::new(
        "",
        &format!(
            "location /free/ {{ }}
             location /addr/ {{ {rules} }}
             location /deny/ {{ deny 10.0.0.0/8; }}
             location /pass/ {{ {password} }}
             location /all/ {{ {rules} {password} }}
             location /any/ {{ satisfy any; {rules} {password} }}
             location /anyone/ {{ satisfy any; }}
             location /anyaddr/ {{ satisfy any; {rules} }}
             location /anydeny/ {{ satisfy any; deny 10.0.0.0/8; {password} }}
             location /anyallow/ {{ satisfy any; allow 10.0.0.0/8; }}
             location /off/ {{ auth_basic off; auth_basic_user_file USERS; }}
             location /nofile/ {{ auth_basic r; auth_basic_user_file /none/users; }}
             location /dir/ {{ auth_basic r; auth_basic_user_file /; }}
             location /asks/ {{ auth_request /who; }}
             location /denyasks/ {{ {rules} auth_request /who; }}
             location /anyasks/ {{ satisfy any; {rules} {password} auth_request /who; }}
             location /onlyasks/ {{ satisfy any; auth_request /who; }}"
        ),
    );
    let asks = || Flow::Subrequest(b"/who"[..].into());
    for (uri, client, fields, expected) in [
        ("/free/", OUTSIDE, &[][..], Flow::Next),
        ("/addr/", INSIDE, &[], Flow::Next),
        ("/addr/", OUTSIDE, &[], status(403)),
        ("/addr/", "::ffff:10.9.9.9", &[], Flow::Next),
        ("/addr/", "2001:db8::1", &[], status(403)),
        ("/deny/", INSIDE, &[], status(403)),
        ("/deny/", OUTSIDE, &[], Flow::Next),
        ("/pass/", OUTSIDE, &[], status(401)),
        ("/pass/", OUTSIDE, &[RIGHT], Flow::Next),
        ("/pass/", OUTSIDE, &[WRONG], status(401)),
        ("/pass/", OUTSIDE, &[UNKNOWN], status(401)),
        ("/all/", INSIDE, &[RIGHT], Flow::Next),
        ("/all/", INSIDE, &[], status(401)),
        ("/all/", OUTSIDE, &[RIGHT], status(403)),
        ("/all/", OUTSIDE, &[], status(403)),
        ("/any/", INSIDE, &[], Flow::Next),
        ("/any/", INSIDE, &[WRONG], Flow::Next),
        ("/any/", OUTSIDE, &[RIGHT], Flow::Next),
        ("/any/", OUTSIDE, &[], status(401)),
        ("/any/", OUTSIDE, &[WRONG], status(401)),
        ("/anyone/", OUTSIDE, &[], Flow::Next),
        ("/anyaddr/", OUTSIDE, &[], status(403)),
        ("/anyaddr/", INSIDE, &[], Flow::Next),
        ("/anydeny/", INSIDE, &[], status(401)),
        ("/anydeny/", INSIDE, &[RIGHT], Flow::Next),
        ("/anydeny/", OUTSIDE, &[], status(401)),
        ("/anyallow/", OUTSIDE, &[], Flow::Next),
        ("/off/", OUTSIDE, &[], Flow::Next),
        ("/nofile/", OUTSIDE, &[], status(401)),
        ("/nofile/", OUTSIDE, &[RIGHT], status(403)),
        ("/dir/", OUTSIDE, &[RIGHT], status(500)),
        ("/asks/", OUTSIDE, &[], asks()),
        ("/denyasks/", OUTSIDE, &[], status(403)),
        ("/denyasks/", INSIDE, &[], asks()),
        ("/anyasks/", INSIDE, &[], Flow::Next),
        ("/anyasks/", OUTSIDE, &[RIGHT], Flow::Next),
        ("/anyasks/", OUTSIDE, &[], asks()),
        ("/onlyasks/", OUTSIDE, &[], asks()),
    ] {
        assert_eq!(check_at(&mut site, &format!("GET {uri}"), fields, client), expected, "{uri} {client} {fields:?}");
    }
}

#[test]
fn who_passed_by_a_password_is_known_for_that_location_only() {
    let mut site = Site::new(
        "",
        "location /pass/ { auth_basic 'a \"b\"'; auth_basic_user_file USERS; }
         location /any/ { satisfy any; allow all; auth_basic r; auth_basic_user_file USERS; }",
    );
    for (uri, fields, expected) in [("/pass/", RIGHT, true), ("/pass/", WRONG, false), ("/any/", RIGHT, false)] {
        let mut ex = site.at(&format!("GET {uri}"), &[fields], OUTSIDE);
        // As an internal redirect leaves it.
        ex.route.authenticated = true;
        check(&mut ex, &mut site.cx);
        assert_eq!(ex.route.authenticated, expected, "{uri} {fields}");
    }
    let challenge = |site: &mut Site, line: &str, name: &str| {
        let mut ex = site.at(line, &[], OUTSIDE);
        let flow = check(&mut ex, &mut site.cx);
        let named = |(field, _): &(&[u8], &[u8])| field.eq_ignore_ascii_case(name.as_bytes());
        let value = ex.response.fields.iter().find(named).map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        (flow, value.unwrap_or_default())
    };
    let expected = (status(401), r#"Basic realm="a \"b\"""#.to_owned());
    assert_eq!(challenge(&mut site, "GET /pass/", "www-authenticate"), expected);
}

#[test]
fn a_wrong_password_is_answered_late_and_nothing_else() {
    let site = |delay: &str| {
        let password = "auth_basic r; auth_basic_user_file USERS;";
        Site::new("", &format!("location / {{ {delay} {password} }} location /no/ {{ {delay} deny all; }}"))
    };
    let mut none = site("auth_delay 0;");
    assert_eq!(check_at(&mut none, "GET /", &[], OUTSIDE), status(401));
    let mut some = site("auth_delay 1500ms;");
    let until = some.cx.now.ms + 1500;
    assert_eq!(check_at(&mut some, "GET /", &[], OUTSIDE), Flow::Delay { until, then: Then::Status(Status(401)) });
    assert_eq!(check_at(&mut some, "GET /", &[RIGHT], OUTSIDE), Flow::Next);
    assert_eq!(check_at(&mut some, "GET /no/", &[], OUTSIDE), status(403));
}

#[test]
fn a_method_that_is_restricted_has_the_rules_of_its_block() {
    let mut site = Site::new("", "location / { allowed_methods GET POST DELETE; limit_except GET { deny all; } }");
    for (method, expected) in
        [("GET", Flow::Next), ("HEAD", Flow::Next), ("POST", status(403)), ("DELETE", status(403))]
    {
        let mut ex = site.at(&format!("{method} /"), &[], OUTSIDE);
        let before = ex.route.location;
        allow_deny::enter_limit_except(&mut ex, &mut site.cx);
        assert_eq!(ex.route.location != before, expected != Flow::Next, "{method}");
        assert_eq!(check(&mut ex, &mut site.cx), expected, "{method}");
    }
}

#[test]
fn a_signed_link_lets_in_for_its_place_its_time_and_its_methods() {
    let mut site = Site::new(
        "",
        "location /up/ { allowed_methods GET POST PUT OPTIONS; signed_link KEYS; }
         location /any/ { satisfy any; signed_link KEYS; deny all; }
         location /asks/ { satisfy any; signed_link KEYS; auth_request /who; }",
    );
    let now = u64::try_from(site.cx.now.unix).expect("after 1970");
    let link = |key: &[u8], place: &str, expires: String, methods: &str| {
        let text = |text: &str| text.as_bytes().to_vec();
        String::from_utf8(sign(key, &[text(place), text(&expires), text(methods), text(""), text("")])).expect("text")
    };
    let right = link(KEY, "/up/", (now + 60).to_string(), "GET,POST");
    for (name, line, args, expected) in [
        ("none", "GET /up/a", String::new(), 403),
        ("the right one", "GET /up/a", right.clone(), 200),
        ("its other method", "POST /up/", right.clone(), 200),
        ("another method", "PUT /up/a", right.clone(), 403),
        ("a preflight has none", "OPTIONS /up/a", String::new(), 200),
        ("another key", "GET /up/a", link(b"another key of thirty-two bytes!!", "/up/", String::new(), "GET"), 403),
        ("another place", "GET /up/a", link(KEY, "/up/b", String::new(), "GET"), 403),
        ("exactly this place", "GET /up/b", link(KEY, "/up/b", String::new(), "GET"), 200),
        ("for ever", "GET /up/a", link(KEY, "/up/", String::new(), "GET"), 200),
        ("over", "GET /up/a", link(KEY, "/up/", (now - 1).to_string(), "GET"), 410),
        ("over now", "GET /up/a", link(KEY, "/up/", now.to_string(), "GET"), 410),
        ("PUT by one for POST", "PUT /up/a", link(KEY, "/up/", String::new(), "POST"), 403),
        ("GET by one for POST", "GET /up/a", link(KEY, "/up/", String::new(), "POST"), 403),
        ("of an upload that is not known", "HEAD /up/?webserv-upload=0", link(KEY, "/up/", String::new(), "PUT"), 403),
        ("the last second", "GET /up/a", link(KEY, "/up/", (now + 1).to_string(), "GET"), 200),
        ("any: none", "GET /any/a", String::new(), 403),
        ("any: right", "GET /any/a", link(KEY, "/any/", String::new(), "GET"), 200),
        ("asks: right", "GET /asks/a", link(KEY, "/asks/", String::new(), "GET"), 200),
    ] {
        let between = if line.contains('?') { '&' } else { '?' };
        let mut ex = site.at(&format!("{line}{between}{args}"), &[], OUTSIDE);
        let flow = check(&mut ex, &mut site.cx);
        let came = match flow {
            Flow::Next => 200,
            Flow::Respond => ex.response.status.0,
            Flow::Status(status) => status.0,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(came, expected, "{name}");
        assert_eq!(ex.route.link.is_some(), expected == 200 && !args.is_empty(), "{name}");
    }
    let flow = check_at(&mut site, "GET /asks/a", &[], OUTSIDE);
    assert_eq!(flow, Flow::Subrequest(b"/who"[..].into()), "the other rule is asked");
}

#[test]
fn what_auth_requests_answer_means() {
    let mut site = Site::new("", "location / { auth_request /who; }");
    for (refused, verdict, expected) in [
        (None, Some(200), Flow::Next),
        (None, Some(204), Flow::Next),
        (None, Some(299), Flow::Next),
        (None, Some(300), status(500)),
        (None, Some(199), status(500)),
        (None, Some(401), status(401)),
        (None, Some(403), status(403)),
        (None, Some(404), status(500)),
        (None, None, status(500)),
        (Some(401), Some(200), Flow::Next),
        (Some(401), Some(403), status(401)),
        (Some(401), Some(401), status(401)),
        (Some(403), Some(401), status(401)),
        (Some(403), Some(403), status(403)),
        (Some(403), Some(500), status(500)),
    ] {
        let mut ex = site.at("GET /", &[], OUTSIDE);
        assert!(auth_request::is_set(&ex));
        ex.response.line(b"WWW-Authenticate", b"Basic");
        let (refused, verdict) = (refused.map(Status), verdict.map(Status));
        ex.nesting.auth_request = Some(Box::new(AuthCheck { refused, verdict }));
        assert_eq!(check(&mut ex, &mut site.cx), expected, "{refused:?} {verdict:?}");
        assert!(ex.nesting.auth_request.is_none(), "it is judged once");
        let is_challenged = ex.response.fields.iter().next().is_some();
        assert_eq!(is_challenged, !(expected == Flow::Next && refused.is_some()), "{refused:?} {verdict:?}");
    }
}

#[test]
fn auth_requests_answer_is_taken_over() {
    for (answered, expected, challenged) in [(401, status(401), 2), (403, status(403), 0), (200, Flow::Next, 0)] {
        let mut site = Site::new("", "location / { auth_request /who; auth_request_set $user $arg_u; }");
        let mut ex = site.at("GET /", &[], OUTSIDE);
        assert_eq!(check(&mut ex, &mut site.cx), Flow::Subrequest(b"/who"[..].into()));
        let challenges = vec![b"Basic".to_vec(), b"Bearer".to_vec()];
        let answer =
            auth_request::SubrequestVerdict { status: Status(answered), challenges, values: vec![b"me".to_vec()] };
        auth_request::take(&mut ex, &mut site.cx, answer);
        assert_eq!(ex.response.fields.iter().count(), challenged, "{answered}");
        assert_eq!(check(&mut ex, &mut site.cx), expected, "{answered}");
    }
}

#[test]
fn who_may_come_to_one_place_may_not_for_that_to_another() {
    let password = "auth_basic r; auth_basic_user_file USERS;";
    let mut site = Site::new(
        "",
        &format!(
            "location /free/ {{ }}
             location /in/ {{ allow 10.0.0.0/8; deny all; }}
             location /pass/ {{ {password} }}
             location /same/ {{ {password} }}
             location /realm/ {{ auth_basic other; auth_basic_user_file USERS; }}
             location /link/ {{ signed_link KEYS; }}
             location /asks/ {{ auth_request /who; }}
             location /asksanother/ {{ auth_request /whom; }}
             location /anypass/ {{ satisfy any; deny all; {password} }}
             location /anyaddr/ {{ satisfy any; allow 10.0.0.0/8; deny all; {password} }}
             location /anyone/ {{ satisfy any; }}
             location /anyask/ {{ satisfy any; auth_request /who; allow 10.0.0.0/8; }}"
        ),
    );
    for (from, to, client, expected) in [
        ("/free/", "/free/", OUTSIDE, true),
        ("/free/", "/in/", OUTSIDE, false),
        ("/free/", "/in/", INSIDE, true),
        ("/free/", "/pass/", INSIDE, false),
        ("/pass/", "/same/", OUTSIDE, true),
        ("/pass/", "/realm/", OUTSIDE, false),
        ("/pass/", "/free/", OUTSIDE, true),
        ("/free/", "/link/", INSIDE, false),
        ("/free/", "/asks/", INSIDE, false),
        ("/asks/", "/asks/", OUTSIDE, true),
        ("/asks/", "/asksanother/", OUTSIDE, false),
        ("/pass/", "/anypass/", OUTSIDE, true),
        ("/free/", "/anypass/", OUTSIDE, false),
        ("/free/", "/anyaddr/", INSIDE, true),
        ("/free/", "/anyaddr/", OUTSIDE, false),
        ("/free/", "/anyone/", OUTSIDE, true),
        // By its address alone it came in, and the URI was not asked.
        ("/anyask/", "/asks/", INSIDE, false),
        ("/anyask/", "/asks/", OUTSIDE, true),
    ] {
        let mut ex = site.at(&format!("GET {from}"), &[RIGHT], client);
        if let Flow::Status(refused) = check(&mut ex, &mut site.cx) {
            panic!("{from}: {refused:?}");
        }
        let shown = other_path::Shown::of(&mut ex, &mut site.cx);
        let found = location::find(&ex.config, ex.route.server, to.as_bytes(), &mut NoTrace).expect("it is found");
        locate::enter(&mut ex, found);
        assert_eq!(shown.suffices(&mut ex, &mut site.cx, true), expected, "{from} {to} {client}");
    }
}

#[test]
fn requests_above_their_rate_wait_and_above_the_burst_are_refused() {
    let zones = "limit_req_zone $binary_remote_addr zone=r:1m rate=2r/s; limit_req_zone $arg_k zone=k:1m rate=1r/s;";
    let mut site = Site::new(
        zones,
        "location /burst/ { limit_req zone=r burst=2; limit_req_status 429; }
         location /now/ { limit_req zone=k burst=1 nodelay; }
         location /some/ { limit_req zone=k burst=2 delay=1; }
         location /dry/ { limit_req zone=k; limit_req_dry_run on; }
         location /dry_wait/ { limit_req zone=k burst=9; limit_req_dry_run on; }
         location /free/ { }",
    );
    let now = site.cx.now.ms;
    let later = |ms: u64| Flow::Delay { until: now + ms, then: Then::Phase(Phase::Limits) };
    let long = format!("GET /now/?k={}", "k".repeat(3000));
    for (line, expected, verdict) in [
        ("GET /free/", Flow::Next, None),
        ("GET /burst/", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /burst/", later(500), Some(LimitOutcome::Delayed)),
        ("GET /burst/", later(1000), Some(LimitOutcome::Delayed)),
        ("GET /burst/", status(429), Some(LimitOutcome::Rejected)),
        ("GET /now/?k=a", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /now/?k=a", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /now/?k=a", status(503), Some(LimitOutcome::Rejected)),
        ("GET /now/?k=b", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /now/", Flow::Next, None),
        (&long, Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /some/?k=c", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /some/?k=c", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /some/?k=c", later(1000), Some(LimitOutcome::Delayed)),
        ("GET /some/?k=c", status(503), Some(LimitOutcome::Rejected)),
        ("GET /dry/?k=d", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /dry/?k=d", Flow::Next, Some(LimitOutcome::RejectedDryRun)),
        ("GET /dry_wait/?k=e", Flow::Next, Some(LimitOutcome::Passed)),
        ("GET /dry_wait/?k=e", Flow::Next, Some(LimitOutcome::DelayedDryRun)),
    ] {
        let mut ex = site.at(line, &[], OUTSIDE);
        assert_eq!(limits::check(&mut ex, &mut site.cx), expected, "{line:.40}");
        assert_eq!(ex.log.limit_req, verdict, "{line:.40}");
        // It is counted once, whatever leads it here again.
        if expected == later(500) {
            assert_eq!(limits::check(&mut ex, &mut site.cx), Flow::Next, "its time has come");
        }
    }
}

#[test]
fn of_several_rates_the_longest_wait_holds_in_any_order() {
    let zones = "limit_req_zone $binary_remote_addr zone=a:1m rate=2r/s; limit_req_zone $uri zone=b:1m rate=1r/s;";
    let mut site = Site::new(
        zones,
        "location /ab { limit_req zone=a burst=9; limit_req zone=b burst=9; }
         location /ba { limit_req zone=b burst=9; limit_req zone=a burst=9; }",
    );
    for (line, client) in [("GET /ab", INSIDE), ("GET /ba", OUTSIDE)] {
        let mut ask = || limits::check(&mut site.at(line, &[], client), &mut site.cx);
        assert_eq!(ask(), Flow::Next, "{line}");
        let flow = ask();
        let until = site.cx.now.ms + 1000;
        assert_eq!(flow, Flow::Delay { until, then: Then::Phase(Phase::Limits) }, "{line}");
    }
}

#[test]
fn a_key_of_the_greatest_length_is_counted_and_a_longer_one_is_not() {
    let mut site = Site::new(
        "limit_conn_zone $arg_k zone=c:1m; client_header_buffer_size 128k;",
        "location / { limit_conn c 1; }",
    );
    for (length, expected) in [(0, None), (1, Some(2)), (254, Some(2)), (255, Some(2)), (256, None)] {
        let line = format!("GET /?k={}", "k".repeat(length));
        let flows: Vec<Flow> = (0..2)
            .map(|_| {
                let mut ex = site.at(&line, &[], OUTSIDE);
                limits::check(&mut ex, &mut site.cx)
            })
            .collect();
        let refused = flows.iter().position(|flow| *flow == status(503)).map(|at| at + 1);
        assert_eq!(refused, expected, "{length}");
    }
}

#[test]
fn connections_above_their_limit_are_refused_until_one_is_over() {
    let zones = "limit_conn_zone $binary_remote_addr zone=c:1m; limit_conn_zone $server_name zone=s:1m;";
    let mut site = Site::new(
        zones,
        "location / { limit_conn c 2; limit_conn_status 429; }
         location /both/ { limit_conn s 9; limit_conn c 1; }
         location /dry/ { limit_conn c 1; limit_conn_dry_run on; }",
    );
    let enter = |site: &mut Site, line: &str, client: &str, expected: Flow, verdict: LimitOutcome| {
        let mut ex = site.at(line, &[], client);
        assert_eq!(limits::check(&mut ex, &mut site.cx), expected, "{line} {client}");
        assert_eq!(ex.log.limit_conn, Some(verdict), "{line} {client}");
        ex
    };
    let mut first = enter(&mut site, "GET /", OUTSIDE, Flow::Next, LimitOutcome::Passed);
    let second = enter(&mut site, "GET /", OUTSIDE, Flow::Next, LimitOutcome::Passed);
    let third = enter(&mut site, "GET /", OUTSIDE, status(429), LimitOutcome::Rejected);
    assert!(second.progress.limit_slots.len() == 1 && third.progress.limit_slots.is_empty());
    enter(&mut site, "GET /", INSIDE, Flow::Next, LimitOutcome::Passed);
    let both = enter(&mut site, "GET /both/", OUTSIDE, status(503), LimitOutcome::Rejected);
    assert!(both.progress.limit_slots.is_empty(), "what it had of the other zone is given back");
    enter(&mut site, "GET /dry/", OUTSIDE, Flow::Next, LimitOutcome::RejectedDryRun);
    assert_eq!(limits::check(&mut first, &mut site.cx), Flow::Next, "it is counted once");
    assert_eq!(first.progress.limit_slots.len(), 1);
    first.release_limit_slots(&mut site.cx);
    enter(&mut site, "GET /", OUTSIDE, Flow::Next, LimitOutcome::Passed);
}

#[test]
fn a_trusted_proxy_names_the_client() {
    let mut site = Site::new(
        "",
        "location /xff/ { set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; }
         location /real/ { set_real_ip_from 10.0.0.0/8; }
         location /own/ { set_real_ip_from 10.0.0.0/8; real_ip_header X-Client; }
         location /all/ { set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on; }
         location /none/ { }",
    );
    const XFF: &str = "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.5.5.5";
    for (uri, fields, client, expected) in [
        ("/xff/", &[XFF][..], INSIDE, "10.5.5.5"),
        ("/all/", &[XFF], INSIDE, "2.2.2.2"),
        ("/all/", &[XFF], OUTSIDE, OUTSIDE),
        ("/xff/", &["X-Real-IP: 3.3.3.3"], INSIDE, INSIDE),
        ("/real/", &["X-Real-IP: 3.3.3.3"], INSIDE, "3.3.3.3"),
        ("/real/", &["x-real-ip: 3.3.3.3", "X-Real-IP: 4.4.4.4"], INSIDE, "3.3.3.3"),
        ("/xff/", &["X-Forwarded-For: 3.3.3.3", "X-Forwarded-For: 4.4.4.4"], INSIDE, "4.4.4.4"),
        ("/own/", &["X-Client: 3.3.3.3"], INSIDE, "3.3.3.3"),
        ("/own/", &["X-Real-IP: 3.3.3.3"], INSIDE, INSIDE),
        ("/none/", &["X-Real-IP: 3.3.3.3"], INSIDE, INSIDE),
    ] {
        let mut ex = site.at(&format!("GET {uri}"), fields, client);
        let is_believed = uri != "/none/" && client == INSIDE;
        assert_eq!(real_ip::is_believed(&ex), is_believed, "{uri} {client}");
        real_ip::apply(&mut ex);
        assert_eq!(ex.client.peer.to_string(), expected, "{uri} {fields:?}");
        assert_eq!(ex.client.socket_peer.is_some(), expected != client, "{uri} {fields:?}");
        assert_eq!(real_ip::is_believed(&ex), is_believed, "by the connection's own address");
        let before = ex.client.peer;
        if ex.client.socket_peer.is_some() {
            // Another proxy behind the first is not asked again.
            ex.client.peer = Peer::new(INSIDE.parse().expect("an address"), 9);
            real_ip::apply(&mut ex);
            assert_eq!(ex.client.peer.to_string(), INSIDE, "{uri} {fields:?}");
            ex.client.peer = before;
        }
        ex.route.uri = b"/real/".to_vec();
        real_ip::apply(&mut ex);
        assert_eq!(ex.client.peer, before, "once a request");
    }
}

#[test]
fn a_trusted_balancers_header_names_the_client() {
    let mut site = Site::new("", "location / { set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol; }");
    for (text, client, expected) in [
        ("PROXY TCP4 3.3.3.3 10.0.0.9 1000 80\r\n", INSIDE, "3.3.3.3"),
        ("PROXY TCP4 3.3.3.3 10.0.0.9 1000 80\r\n", OUTSIDE, OUTSIDE),
        ("PROXY UNKNOWN\r\n", INSIDE, INSIDE),
    ] {
        let Ok(ProxyHeaderProgress::Complete(_, header)) = proxy_protocol::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        let mut ex = site.at("GET /", &["X-Real-IP: 4.4.4.4"], client);
        ex.client.proxy_header = Some(Rc::new(header));
        real_ip::apply(&mut ex);
        assert_eq!(ex.client.peer.to_string(), expected, "{text} {client}");
        assert_eq!(ex.client.socket_peer.is_some(), expected != client, "{text} {client}");
    }
}
