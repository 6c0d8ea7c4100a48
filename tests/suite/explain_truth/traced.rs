//! Each refused request of configurations and requests drawn by chance is traced to the lines that decided, by its id
//! in the access log. `TRACES=n` traces that many, as `TRACES=10000`; without it a few.

use super::draw::{Rng, configuration, question};
use super::{drawn, live, live_http2};
use crate::harness::{binary, skip_on_nginx};
use std::path::Path;
use std::process::Command;

/// Traced without `TRACES`: each starts a process.
const FEW: usize = 10;

const FORMAT: &str = "log_format traced '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
    \"$http_referer\" \"$http_user_agent\" id=$request_id host=\"$http_host\"';\naccess_log logs/access.log traced;";

/// What `explain --log` lacks of a line, or None: the status, and a line of the configuration.
fn untraced(dir: &Path, line: &str) -> Option<String> {
    let status = line.split("\" ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let id = line.split("id=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let mut command = Command::new(binary());
    command.args(["explain", "--log", "logs/access.log", "conf/test.conf", id]).current_dir(dir).env_remove("NGINX");
    let out = command.output().expect("the binary runs");
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    let is_said = |subject: &str| {
        let rest = |line: &str| line.strip_prefix(subject).is_some_and(|rest| rest.trim_start().starts_with(status));
        text.lines().any(rest)
    };
    let is_traced = out.status.success() && (is_said("answer") || is_said("logged")) && text.contains("test.conf:");
    (!is_traced).then(|| format!("{line}\n{text}"))
}

#[test]
fn each_refused_request_drawn_by_chance_is_traced_to_its_line() {
    if skip_on_nginx("explain") {
        return;
    }
    let wanted = std::env::var("TRACES").ok().and_then(|text| text.parse::<usize>().ok());
    let (mut traced, mut missed) = (0, Vec::new());
    for seed in 1001.. {
        let mut rng = Rng((seed * 0x9E37_79B9) | 1);
        (0..8).for_each(|_| {
            rng.next();
        });
        let mut server = drawn(&configuration(&mut rng).replace("access_log off;", FORMAT));
        for at in 0..wanted.map_or(30, |_| 200) {
            let question = question(&mut rng);
            let is_http2 = at % 3 == 2 && !question.fields.iter().any(|field| field.starts_with("Expect"));
            let _ = if is_http2 { live_http2(&server, &question) } else { live(server.client(), &question) };
        }
        server.stop();
        let log = String::from_utf8_lossy(&server.read("logs/access.log")).into_owned();
        let is_refused = |line: &&str| line.split("\" ").nth(1).is_some_and(|rest| rest.starts_with(['4', '5']));
        for line in log.lines().filter(is_refused).take(wanted.unwrap_or(FEW).saturating_sub(traced)) {
            traced += 1;
            missed.extend(untraced(&server.path(""), line).map(|text| format!("seed {seed}: {text}")));
        }
        if traced >= wanted.unwrap_or(FEW) {
            break;
        }
    }
    assert!(missed.is_empty(), "{} of {traced}:\n{}", missed.len(), missed.join("\n"));
}
