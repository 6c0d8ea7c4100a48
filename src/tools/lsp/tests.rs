//! Sessions with an editor: messages in, responses out.

use super::text::context_at;
use super::*;
use crate::config::context::Contexts;

const TEXT: &str = "upstream back { server 127.0.0.1:1; }\nmap $uri $kind { default 1; }\nserver {\n    listen 127.0.0.1:80;\n    \
                    # ü 🦀\n    location / {\n        proxy_pass http://back;\n        add_header X $kind;\n        autoindex onn;\n    }\n}\n";

/// The responses to `requests`, in a session that begins with opening a document.
fn session(text: &str, requests: &[(&str, Value)]) -> Vec<Value> {
    let open = json!({"textDocument": {"uri": "file:///tmp/x.conf", "text": text}});
    let mut messages = vec![json!({"id": 1, "method": "initialize", "params": {}})];
    messages.push(json!({"method": "textDocument/didOpen", "params": open}));
    for (at, (method, position)) in requests.iter().enumerate() {
        let params = json!({"textDocument": {"uri": "file:///tmp/x.conf"}, "position": position});
        messages.push(json!({"id": at + 2, "method": method, "params": params}));
    }
    messages.push(json!({"method": "exit"}));
    let input: Vec<u8> = messages
        .iter()
        .flat_map(|message| format!("Content-Length: {}\r\n\r\n{message}", message.to_string().len()).into_bytes())
        .collect();
    let mut output = Vec::new();
    serve(&mut &input[..], &mut output).expect("nothing breaks");
    let mut rest = &output[..];
    std::iter::from_fn(|| receive(&mut rest).expect("messages")).collect()
}

#[test]
fn a_document_is_judged_as_it_is_opened() {
    let answers = session(TEXT, &[]);
    assert_eq!(answers[0]["result"]["capabilities"]["hoverProvider"], true);
    let published = &answers[1]["params"]["diagnostics"];
    let first = &published[0];
    assert_eq!((&first["severity"], &first["range"]["start"]["line"]), (&json!(1), &json!(8)), "{published}");
    assert!(first["message"].as_str().is_some_and(|text| text.contains("autoindex")), "{published}");
    let fine = session("server { listen 127.0.0.1:80; }\n", &[]);
    assert_eq!(fine[1]["params"]["diagnostics"], json!([]));
}

#[test]
fn a_file_that_others_include_is_not_blamed_for_what_is_around_it() {
    for text in
        ["upstream back { server 127.0.0.1:1; }\n", "location /x { return 200 $made_elsewhere; }\n", "gzip on;\n"]
    {
        assert_eq!(session(text, &[])[1]["params"]["diagnostics"], json!([]), "{text}");
    }
    let wrong = &session("gzip onn;\n", &[])[1]["params"]["diagnostics"];
    assert!(wrong[0]["message"].as_str().is_some_and(|text| text.contains("onn")), "{wrong}");
    assert_eq!(wrong[0].get("code"), None);
}

#[test]
fn names_that_a_file_of_servers_lacks_are_hints() {
    let text = "server { listen 127.0.0.1:443 ssl; location / { limit_req zone=nope; return 200 $typo; } }\n";
    let found = &session(text, &[])[1]["params"]["diagnostics"];
    for part in ["no \"ssl_certificate\" is defined", "zone \"nope\"", "unknown \"typo\" variable"] {
        let is_it = |d: &&Value| d["message"].as_str().is_some_and(|text| text.contains(part));
        let one = found.as_array().expect("a list").iter().find(is_it).unwrap_or_else(|| panic!("{part}: {found}"));
        assert_eq!(one["severity"], 3, "{one}");
        assert!(one["message"].as_str().is_some_and(|text| text.ends_with("unless another file defines it")), "{one}");
    }
    for (name, text) in [
        ("a location beside a server", "server { listen 127.0.0.1:80; }\nlocation / { }\n"),
        ("a whole configuration", "events { }\nhttp { server { listen 127.0.0.1:80; return 200 $typo; } }\n"),
        ("a value", "log_format a escape=jsn x;\nserver { listen 127.0.0.1:80; }\n"),
    ] {
        let found = &session(text, &[])[1]["params"]["diagnostics"];
        assert_eq!(found[0]["severity"], 1, "{name}: {found}");
    }
}

#[test]
fn a_file_of_locations_is_warned_of() {
    for (text, expected) in [
        ("location ~ .php$ { return 200; }\n", json!("W106")),
        ("location ~ .php$ { return 200 $made_elsewhere; }\n", json!("W106")),
        ("server { listen 127.0.0.1:80; location ~ .php$ { return 200 $typo; } }\n", json!("W106")),
        // Both may be provided around the `include`.
        ("location = /status { stub_status; }\n", Value::Null),
        ("gzip onn;\nlocation ~ .php$ { return 200; }\n", Value::Null),
    ] {
        let found = &session(text, &[])[1]["params"]["diagnostics"];
        let code = found.as_array().expect("a list").iter().find_map(|d| d.get("code").cloned());
        assert_eq!(code.unwrap_or_default(), expected, "{text}: {found}");
    }
}

#[test]
fn a_mistake_in_an_included_file_is_shown_at_its_include() {
    let dir = std::env::temp_dir().join(format!("webserv-lsp-included-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a scratch directory");
    std::fs::write(dir.join("part.conf"), "gzip onn;\n").expect("a file");
    let uri = uri_of(&dir.join("main.conf"));
    let text = "events { }\nhttp {\n    include part.conf;\n    server { listen 127.0.0.1:80; }\n}\n";
    let mut documents = Documents::default();
    documents.handle("textDocument/didOpen", &json!({"textDocument": {"uri": uri, "text": text}}));
    let found = documents.diagnostics(&uri);
    std::fs::write(dir.join("part.conf"), "return 200 $made_elsewhere;\n").expect("a file");
    let servers = uri_of(&dir.join("servers.conf"));
    let text = "server {\n    listen 127.0.0.1:80;\n    include part.conf;\n}\n";
    documents.handle("textDocument/didOpen", &json!({"textDocument": {"uri": servers, "text": text}}));
    let hints = documents.diagnostics(&servers);
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!((hints.len(), &hints[0]["severity"], &hints[0]["range"]["start"]["line"]), (1, &json!(3), &json!(2)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["range"]["start"]["line"], 2, "{found:?}");
    assert!(found[0]["message"].as_str().is_some_and(|text| text.contains("part.conf:1: ")), "{found:?}");
}

#[test]
fn names_lead_to_where_they_are_defined_and_directives_to_their_entry() {
    let at = |line: u64, character: u64| json!({"line": line, "character": character});
    let answers = session(
        TEXT,
        &[
            ("textDocument/definition", at(6, 28)),
            ("textDocument/definition", at(7, 23)),
            ("textDocument/hover", at(6, 10)),
            ("textDocument/hover", at(4, 5)),
            ("textDocument/completion", at(6, 4)),
            ("textDocument/nothing", at(0, 0)),
        ],
    );
    let results: Vec<&Value> = answers.iter().skip(2).collect();
    assert_eq!(results[0]["result"]["range"]["start"], at(0, 9), "the upstream");
    assert_eq!(results[1]["result"]["range"]["start"], at(1, 9), "the map");
    assert!(results[2]["result"]["contents"]["value"].as_str().is_some_and(|text| text.starts_with("proxy_pass\n")));
    assert_eq!(results[3]["result"], Value::Null);
    let labels: Vec<&str> =
        results[4]["result"].as_array().expect("items").iter().filter_map(|item| item["label"].as_str()).collect();
    assert!(labels.contains(&"proxy_pass") && labels.contains(&"try_files") && !labels.contains(&"listen"));
    assert_eq!(results[5]["error"]["code"], METHOD_NOT_FOUND);
}

#[test]
fn a_text_is_changed_by_its_parts_or_as_a_whole() {
    let place = |line: u64, character: u64| json!({"line": line, "character": character});
    let part = |start, end, text: &str| json!({"range": {"start": start, "end": end}, "text": text});
    for (name, changes, expected) in [
        ("a word", vec![part(place(1, 4), place(1, 5), "12")], "a 🦀 b;\nxyz 12\n"),
        ("behind a wide letter", vec![part(place(0, 5), place(0, 6), "c")], "a 🦀 c;\nxyz 9\n"),
        (
            "two, one after the other",
            vec![part(place(0, 0), place(1, 0), ""), part(place(0, 5), place(0, 5), ";")],
            "xyz 9;\n",
        ),
        ("at the end", vec![part(place(2, 0), place(2, 0), "end;")], "a 🦀 b;\nxyz 9\nend;"),
        ("outside", vec![part(place(9, 9), place(9, 9), "x")], "a 🦀 b;\nxyz 9\nx"),
        ("backwards", vec![part(place(1, 3), place(1, 0), "q")], "a 🦀 b;\nxyzq 9\n"),
        ("all", vec![json!({"text": "new;"})], "new;"),
    ] {
        let mut text = "a 🦀 b;\nxyz 9\n".to_owned();
        changes.iter().for_each(|one| text::change(&mut text, one));
        assert_eq!(text, expected, "{name}");
    }
}

#[test]
fn a_mistake_has_an_action_that_mends_it() {
    let text = "server {\n    listen 127.0.0.1:80;\n    rot /x;\n    index a\n    autoindex on;\n    return https://a.test 301;\n}\n";
    let open = json!({"textDocument": {"uri": "file:///tmp/x.conf", "text": text}});
    let mut documents = Documents::default();
    documents.handle("textDocument/didOpen", &open);
    for (line, changed) in [(2, "root"), (3, ";"), (5, "return 301 https://a.test;")] {
        let place = json!({"line": line, "character": 5});
        let params = json!({"textDocument": {"uri": "file:///tmp/x.conf"}, "range": {"start": place, "end": place}});
        let actions = documents.handle("textDocument/codeAction", &params).expect("it is served");
        let edit = &actions[0]["edit"]["changes"]["file:///tmp/x.conf"][0];
        assert_eq!(edit["newText"], changed, "{line}: {actions}");
        assert_eq!(edit["range"]["start"]["line"], line, "{actions}");
    }
}

#[test]
fn places_are_counted_as_editors_count_them() {
    let text = "a\nü🦀b c";
    for (offset, line, character) in [(0, 0, 0), (2, 1, 0), (4, 1, 1), (8, 1, 3), (9, 1, 4)] {
        assert_eq!(position_of(text.as_bytes(), offset), (line, character), "{offset}");
        assert_eq!(offset_of(text, line, character), offset, "{line}:{character}");
    }
    assert_eq!((offset_of(text, 0, 99), offset_of(text, 9, 0)), (1, text.len()));
    assert_eq!((word_at(text, 9), word_at(text, 0), word_at("", 0)), ("ü🦀b", "a", ""));
    for (text, context, is_name) in [
        ("server { ", Contexts::SERVER, true),
        ("http { server { location / { auto", Contexts::LOCATION, true),
        ("server { listen ", Contexts::SERVER, false),
        ("server { # { \n", Contexts::SERVER, true),
        ("server { return 200 \"}\"; ", Contexts::SERVER, true),
        ("upstream u { server ", Contexts::UPSTREAM, false),
        ("} } ", Contexts::MAIN.or(Contexts::HTTP), true),
    ] {
        assert_eq!(context_at(text), (context, is_name), "{text}");
    }
}

#[test]
fn the_outline_of_a_document_is_its_blocks() {
    let text = "events { }\nhttp {\n    server {\n        server_name a.test;\n        location /x { }\n    }\n}\n";
    let found = &session(text, &[("textDocument/documentSymbol", Value::Null)])[2]["result"];
    assert_eq!(found[0]["name"], "events");
    let server = &found[1]["children"][0];
    assert_eq!((&server["name"], &server["range"]["start"]["line"]), (&json!("server a.test"), &json!(2)), "{found}");
    assert_eq!(server["range"]["end"]["line"], 5);
    assert_eq!(server["children"][0]["name"], "location /x");
}

#[test]
fn broken_documents_are_answered() {
    let signs = ["", "{", "}", "\"", "'", "${", "\\", ";", "\u{0}", "🦀", "include x*[;", "location ~ ( {"];
    for (at, sign) in (0..TEXT.len()).filter(|at| TEXT.is_char_boundary(*at)).step_by(11).zip(signs.iter().cycle()) {
        for text in [format!("{}{sign}", &TEXT[..at]), format!("{}{sign}{}", &TEXT[..at], &TEXT[at..])] {
            let place = json!({"line": 6, "character": 28});
            let methods = ["completion", "hover", "definition", "documentSymbol", "formatting", "codeAction"];
            let asked: Vec<_> = methods.map(|method| format!("textDocument/{method}")).into();
            let requests: Vec<_> = asked.iter().map(|method| (&**method, place.clone())).collect();
            let answers = session(&text, &requests);
            assert_eq!(answers.len(), 2 + methods.len(), "{text}");
            assert!(answers.iter().all(|answer| answer.get("error").is_none()), "{text}");
        }
    }
}

#[test]
fn a_variable_and_a_name_of_the_configuration_are_explained_under_the_cursor() {
    let text = "upstream back { server 127.0.0.1:1; }\nmap $uri $kind { default 1; }\nlocation ~ ^/(?<who>x) { }\n\
                server {\n    return 301 https://$host${kind}/$who?$arg_id;\n    proxy_pass http://back;\n}\n";
    let at = |needle: &str, more: usize| {
        let offset = text.find(needle).expect("it is there") + more;
        let (line, character) = text::position_of(text.as_bytes(), offset);
        json!({"line": line, "character": character})
    };
    for (position, expected) in [
        (at("$host", 2), "$host\n    The host of the request"),
        (at("$host", 0), "$host\n"),
        (at("${kind}", 3), "map $uri $kind { default 1; }"),
        (at("$who?", 1), "location ~ ^/(?<who>x) { }"),
        (at("$arg_id", 6), "$arg_id\n    The argument of the query"),
        (at("return", 1), "return\n    takes"),
        (at("http://back", 9), "upstream back {"),
    ] {
        let answer = session(text, &[("textDocument/hover", position.clone())]).pop().expect("an answer");
        let shown = answer["result"]["contents"]["value"].as_str().unwrap_or_default();
        assert!(shown.starts_with(expected), "{position}: {answer}");
    }
    for (position, line) in [(at("${kind}", 3), 1), (at("$who?", 1), 2)] {
        let answer = session(text, &[("textDocument/definition", position)]).pop().expect("an answer");
        assert_eq!(answer["result"]["range"]["start"]["line"], line, "{answer}");
    }
}

#[test]
fn a_parameter_is_explained_under_the_cursor() {
    let text = "upstream b { server 127.0.0.1:1 weight=2 down; }\n\
                server {\n    listen 127.0.0.1:80 default_server;\n    location / { expires max; satisfy any; }\n}\n";
    let at = |needle: &str| {
        let (line, character) = text::position_of(text.as_bytes(), text.find(needle).expect("it is there") + 1);
        json!({"line": line, "character": character})
    };
    for (word, start, entry) in [
        ("default_server", "default_server\n    answers for names", "\nlisten\n"),
        ("weight=2", "weight=\n    how many requests", "\nserver\n"),
        ("down", "down\n    never asked", "\nserver\n"),
        ("max;", "max\n    ten years", "\nexpires\n"),
        ("any;", "any\n    one check is enough", "\nsatisfy\n"),
    ] {
        let answers = session(text, &[("textDocument/hover", at(word))]);
        let shown = answers[2]["result"]["contents"]["value"].as_str().unwrap_or_default();
        assert!(shown.starts_with(start) && shown.contains(entry), "{word}: {shown}");
    }
}
