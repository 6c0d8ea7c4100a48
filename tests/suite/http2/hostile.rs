//! PyPI's `h2` as a client that keeps the rules for a while and then breaks one after another, on hundreds of
//! connections: it sends what it likes, and what the server sends is judged by the package and by `hyperframe` and
//! `hpack`. Skipped, loudly, where the packages are missing.

use super::gone::{STATUS, under_way};
use super::{connect, site};
use crate::harness::eventually;
use crate::uploads::clients::scripted;

/// Connections of the client.
const CONNECTIONS: u32 = 400;

#[test]
fn a_hostile_client_of_the_h2_package_gets_nothing_but_proper_frames() {
    let s = site(&format!("{STATUS} location /up/ {{ upload_store %%DIR%%/store; allowed_methods GET PUT POST; }}"));
    assert_eq!(connect(&s).get("/small").status, 200);
    let (host, port) = (s.address(0).ip().to_string(), s.port().to_string());
    let Some(child) = scripted("http2_hostile.py", &[&host, &port, "1", &CONNECTIONS.to_string()]) else { return };
    let out = child.wait_with_output().expect("it ends");
    let (said, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{errors}");
    let count = |end: &str| {
        let found = said.split_whitespace().find_map(|part| part.strip_prefix(end)?.strip_prefix('='));
        found.map_or(0, |count| count.parse::<u32>().expect("a number"))
    };
    let all = ["closed", "goaway", "legal", "lives"].map(count);
    assert_eq!(all.iter().sum::<u32>(), CONNECTIONS, "{said}");
    assert!(all.iter().all(|count| *count > 0), "each kind of end: {said}");
    // Nothing of it is left.
    let mut c = connect(&s);
    assert_eq!((c.get("/small").status, c.get("/large").body.len()), (200, 3_000_000));
    eventually("no request is under way", || under_way(&s) == 0);
}
