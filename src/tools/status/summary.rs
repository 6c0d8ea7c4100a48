//! `webserv status` for people: how the server is doing, in at most ten lines. What is zero and means nothing then
//! (uploads of a site that has none) is left out.

use super::numbers;

/// Days before its end from which a certificate is worth a word of its own.
const SHOWN_WITHIN: u64 = 21;
const DAY: u64 = 24 * 60 * 60;

struct Tree<'a>(Vec<(Vec<&'a str>, &'a str)>);

impl<'a> Tree<'a> {
    fn text(&self, path: &[&str]) -> &'a str {
        self.0.iter().find(|(of, _)| of == path).map_or("", |(_, value)| *value)
    }

    fn number(&self, path: &[&str]) -> u64 {
        self.text(path).parse().unwrap_or(0)
    }

    /// The names below a path, each once.
    fn names(&self, path: &[&str]) -> Vec<&'a str> {
        let mut names: Vec<&str> = self
            .0
            .iter()
            .filter(|(of, _)| of.starts_with(path))
            .filter_map(|(of, _)| of.get(path.len()).copied())
            .collect();
        names.dedup();
        names
    }
}

/// The lines. Expects the JSON of our own `api`.
pub fn of(json: &str) -> String {
    let tree = Tree(numbers(json));
    let rows = [
        ("webserv", program(&tree)),
        ("connections", connections(&tree)),
        ("requests", requests(&tree)),
        ("responses", responses(&tree)),
        ("data", data(&tree)),
        ("uploads", uploads(&tree)),
        ("limits", limits(&tree)),
        ("upstreams", upstreams(&tree)),
        ("certificates", certificates(&tree)),
        ("stalls", stalls(&tree)),
    ];
    rows.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name:12}  {text}\n")).collect()
}

fn program(tree: &Tree) -> String {
    let get = |name| tree.text(&["webserv", name]);
    let up = duration(tree.number(&["webserv", "uptime"]));
    let mut text = format!("{}, process {}, {} for {up}", get("version"), get("pid"), get("state"));
    if get("load_time") != get("start_time") {
        text += &format!(" (configuration loaded {})", get("load_time"));
    }
    text
}

fn connections(tree: &Tree) -> String {
    let get = |name| tree.number(&["connections", name]);
    let mut text = format!("{} active, {} idle; {} so far", get("active"), get("idle"), grouped(get("accepted")));
    if get("dropped") > 0 {
        text += &format!(", {} dropped", grouped(get("dropped")));
    }
    text
}

fn requests(tree: &Tree) -> String {
    let (total, now) = (tree.number(&["http", "requests", "total"]), tree.number(&["http", "requests", "processing"]));
    let times = |name| tree.number(&["http", "times", "request_time", name]);
    let mut text = format!("{now} in progress; {} so far", grouped(total));
    if let Some(tenths) = (10 * total).checked_div(tree.number(&["webserv", "uptime"])) {
        text += &format!(", {}.{} a second", grouped(tenths / 10), tenths % 10);
    }
    if let Some(mean) = times("sum_ms").checked_div(times("count")) {
        text += &format!(", {mean} ms each");
    }
    text
}

fn responses(tree: &Tree) -> String {
    let get = |class| tree.number(&["http", "responses", class]);
    let seen = ["2xx", "3xx", "4xx", "5xx"].into_iter().filter(|class| get(class) > 0 || *class == "5xx");
    let mut parts: Vec<String> = seen.map(|class| format!("{} {class}", grouped(get(class)))).collect();
    if get("none") > 0 {
        parts.push(format!("{} to clients that had left", grouped(get("none"))));
    }
    parts.join(", ")
}

fn data(tree: &Tree) -> String {
    let get = |name| size(tree.number(&["http", "data", name]));
    format!("{} received, {} sent", get("received"), get("sent"))
}

fn uploads(tree: &Tree) -> String {
    let get = |name| tree.number(&["uploads", name]);
    if get("begun") + get("stored") + get("refused") == 0 {
        return String::new();
    }
    let (stored, refused) = (grouped(get("files")), grouped(get("refused")));
    format!("{stored} stored ({}), {refused} refused", size(get("bytes")))
}

fn limits(tree: &Tree) -> String {
    let rows = [
        ("limit_req_delayed", "delayed by limit_req"),
        ("limit_req_rejected", "rejected by limit_req"),
        ("limit_conn_rejected", "rejected by limit_conn"),
    ];
    let get = |name| tree.number(&["http", "limits", name]);
    let seen = rows.iter().filter(|(name, _)| get(name) > 0);
    seen.map(|(name, text)| format!("{} {text}", grouped(get(name)))).collect::<Vec<_>>().join(", ")
}

/// Groups where all is well are counted; others are named.
fn upstreams(tree: &Tree) -> String {
    let base = ["http", "upstreams"];
    let names = tree.names(&base);
    let (mut well, mut parts) = (0, Vec::new());
    for name in &names {
        let servers = tree.names(&[base[0], base[1], name, "peers"]);
        let state = |server| tree.text(&[base[0], base[1], name, "peers", server, "state"]);
        let absent: Vec<String> = servers
            .iter()
            .filter(|server| state(server) != "up")
            .map(|server| format!("{server} is {}", state(server)))
            .collect();
        match absent.is_empty() {
            true => well += 1,
            false => parts.push(format!("{name}: {}", absent.join(", "))),
        }
    }
    if well > 0 {
        parts.push(format!("{well} of {} groups with all servers up", names.len()));
    }
    parts.join("; ")
}

fn certificates(tree: &Tree) -> String {
    let left = |name: &str| tree.number(&["certificates", name, "seconds_left"]);
    let ends = |name: &str| match left(name) {
        0 => "has expired".to_owned(),
        seconds if seconds < 2 * DAY => format!("ends in {}", duration(seconds)),
        seconds => format!("ends in {} days", seconds / DAY),
    };
    let mut names = tree.names(&["certificates"]);
    names.sort_by_key(|name| left(name));
    let Some(first) = names.first() else { return String::new() };
    let soon: Vec<String> = names
        .iter()
        .filter(|name| left(name) / DAY < SHOWN_WITHIN)
        .map(|name| format!("{name} {}", ends(name)))
        .collect();
    match soon.is_empty() {
        true => format!("{}; the first: {first} {}", names.len(), ends(first)),
        false => format!("{}: {}", names.len(), soon.join(", ")),
    }
}

fn stalls(tree: &Tree) -> String {
    let get = |name| tree.number(&["loop", name]);
    match get("stalls") {
        0 => String::new(),
        stalls => {
            format!("{} of 50 ms and more, the longest {} ms", grouped(stalls), grouped(get("longest_turn_ms")))
        }
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let mut parts: Vec<&str> = Vec::new();
    if lead > 0 {
        parts.push(&digits[..lead]);
    }
    parts.extend((lead..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    parts.join(",")
}

/// In the largest unit that it reaches.
fn size(bytes: u64) -> String {
    let mut unit = (1, "bytes");
    for next in [(1 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB"), (1 << 40, "TiB")] {
        if bytes >= next.0 {
            unit = next;
        }
    }
    match unit {
        (1, name) => format!("{bytes} {name}"),
        (of, name) => format!("{}.{} {name}", bytes / of, bytes % of * 10 / of),
    }
}

/// The two largest units.
fn duration(seconds: u64) -> String {
    let units = [(DAY, "d"), (60 * 60, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let shown = units.iter().skip(first).take(2).map(|(unit, name)| {
        let count = rest / unit;
        rest %= unit;
        (count, name)
    });
    let shown: Vec<(u64, &&str)> = shown.collect();
    let parts = shown.iter().enumerate().filter(|(at, (count, _))| *at == 0 || *count > 0);
    parts.map(|(_, (count, name))| format!("{count} {name}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: &str = "{\n\"webserv\": {\n\"version\": \"1.2.3\",\n\"pid\": 7,\n\"start_time\": \"a\",\n\
        \"uptime\": 7322,\n\"load_time\": \"b\",\n\"state\": \"serving\"\n},\n\
        \"connections\": {\n\"accepted\": 1234567,\n\"dropped\": 0,\n\"active\": 2,\n\"idle\": 3\n},\n\
        \"http\": {\n\"requests\": {\n\"total\": 14644,\n\"processing\": 1\n},\n\
        \"responses\": {\n\"2xx\": 14600,\n\"3xx\": 0,\n\"4xx\": 44,\n\"5xx\": 0,\n\"none\": 0\n},\n\
        \"data\": {\n\"received\": 2048,\n\"sent\": 5242880\n},\n\
        \"times\": {\n\"request_time\": {\n\"count\": 10,\n\"sum_ms\": 120,\n\"buckets_ms\": {\n\"1\": 5\n}\n}\n},\n\
        \"upstreams\": {\n\"app.local\": {\n\"peers\": {\n\"127.0.0.1:1\": {\n\"state\": \"up\"\n},\n\
        \"127.0.0.1:2\": {\n\"state\": \"unavailable\"\n}\n}\n},\n\
        \"b\": {\n\"peers\": {\n\"127.0.0.1:3\": {\n\"state\": \"up\"\n}\n}\n}\n}\n},\n\
        \"uploads\": {\n\"begun\": 0,\n\"stored\": 0,\n\"refused\": 0\n},\n\
        \"certificates\": {\n\"a.test\": {\n\"seconds_left\": 8640000\n},\n\
        \"b.test\": {\n\"seconds_left\": 260000\n}\n}\n}\n";

    #[test]
    fn ten_lines_say_how_a_server_is_doing() {
        let shown = of(BUSY);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "webserv       1.2.3, process 7, serving for 2 h 2 min (configuration loaded b)",
                "connections   2 active, 3 idle; 1,234,567 so far",
                "requests      1 in progress; 14,644 so far, 2.0 a second, 12 ms each",
                "responses     14,600 2xx, 44 4xx, 0 5xx",
                "data          2.0 KiB received, 5.0 MiB sent",
                "upstreams     app.local: 127.0.0.1:2 is unavailable; 1 of 2 groups with all servers up",
                "certificates  2: b.test ends in 3 days",
            ]
        );
    }

    #[test]
    fn a_certificate_that_ends_soon_has_its_hours() {
        let left = |seconds: u64| {
            let json = format!("{{\n\"certificates\": {{\n\"a.test\": {{\n\"seconds_left\": {seconds}\n}}\n}}\n}}\n");
            of(&json).lines().find(|line| line.starts_with("certificates")).unwrap_or_default().to_owned()
        };
        assert_eq!(left(90_000), "certificates  1: a.test ends in 1 d 1 h");
        assert_eq!(left(1_800), "certificates  1: a.test ends in 30 min");
        assert_eq!(left(8_640_000), "certificates  1; the first: a.test ends in 100 days");
    }

    #[test]
    fn numbers_and_durations_are_short() {
        assert_eq!([0, 12, 123, 1234, 123_456].map(grouped), ["0", "12", "123", "1,234", "123,456"]);
        assert_eq!([0, 59, 60, 3_700, 90_000].map(duration), ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
