//! Tables of text, tree and messages. The lexical cases were compared with nginx 1.31.5.

use super::*;
use crate::config::load::{LoadOptions, load_text};

fn parsed(text: &[u8]) -> (String, Vec<String>) {
    let loaded = load_text("x", text, &LoadOptions::default());
    let tree: Vec<String> = loaded.directives.iter().map(|directive| format!("{directive:?}")).collect();
    let errors = loaded.diagnostics.iter().map(|error| {
        let at = error.span.map(|span| loaded.sources.position(span));
        let at = at.map_or("-".to_string(), |at| format!("{}:{}", at.line, at.column));
        format!("{at} {}", error.message)
    });
    (tree.join(" "), errors.collect())
}

#[test]
fn words_are_cut_and_unescaped_as_by_nginx() {
    for (name, text, tree) in [
        ("plain words", "a b  c\t d\r\n e;", "a b c d e;"),
        ("no space before a block", "a{b;}", "a { b; }"),
        ("a brace inside a word is plain", "a b}c;", "a b}c;"),
        ("an opening brace ends a word", "a b{ }", "a b { }"),
        ("a variable keeps its braces", "a ${b}c${d};", "a ${b}c${d};"),
        ("a dollar keeps several braces", "a ${{b;", "a ${{b;"),
        ("a dollar before the space is plain", "location ~\\.php$ { }", "location ~\\.php$ { }"),
        ("regexes need no space", "location ~\\.php$ {a;}", "location ~\\.php$ { a; }"),
        ("a first entry with a colon is no JSON", r#"map a { "x:y" 1; z 2; }"#, r#"map a { "x:y" 1; z 2; }"#),
        ("nor is one whose value begins with it", r#"map a { "x" :1; }"#, r#"map a { "x" :1; }"#),
        ("quotes inside a word are plain", "a b\"c d'e;", "a b\"c d'e;"),
        ("hash inside a word is plain", "a b#c;", "a b#c;"),
        ("comments start where words do", "a #b;\n c;# d\n#e", "a c;"),
        ("a comment may end the file", "a;#", "a;"),
        ("quoted words keep everything", "a \"b ; { } # 'c'\" ';\"';", "a \"b ; { } # 'c'\" \";\\\"\";"),
        ("an empty word", "a \"\" '';", "a \"\" \"\";"),
        ("a quoted name", "'a' b;", "\"a\" b;"),
        ("known escapes are replaced", r#"a \"b\'c\\d;"#, r#"a "b'c\d;"#),
        ("escapes in quotes", r#"a "\"\'\\";"#, r#"a "\"'\\";"#),
        ("control escapes", "a \"\\t\\r\\n\";", "a \"\\t\\r\\n\";"),
        ("other escapes stay", "a \\.b\\d\\;\\{;", "a \\.b\\d\\;\\{;"),
        ("an escaped space joins", "a b\\ c;", "a b\\ c;"),
        ("an escaped newline joins", "a b\\\nc;", "a b\\\nc;"),
        ("an escaped dollar keeps no brace", "a \\${b;}", "a \\$ { b; }"),
        ("a backslash before a quote at a word's start", "a \\\"b c\\\";", "a \"b c\";"),
        ("a parenthesis may follow a quote", "if ($a = \"b\") { }", "if ($a = \"b\" ) { }"),
        ("words after a parenthesis", "a \"b\")c;", "a \"b\" )c;"),
        ("blocks follow quotes directly", "a 'b'{c;}", "a \"b\" { c; }"),
        ("a byte order mark is skipped", "\u{feff}a;", "a;"),
        ("vertical tab and form feed are plain", "a\u{b}b\u{c}c;", "a\u{b}b\u{c}c;"),
        ("NUL is plain", "a\0b;", "a\0b;"),
        ("nothing", "", ""),
        ("only blanks", " \n\t\r\n", ""),
    ] {
        assert_eq!(parsed(text.as_bytes()), (tree.to_string(), vec![]), "{name}");
    }
}

/// The grammar reads a line of plain words as one token, but not if its `;` is on a line of its own.
#[test]
fn lines_of_plain_words_are_read_as_their_words() {
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let signs = [
        "a", "b", "/", "~", "^", "(", "|", "é", "\u{1}", "#", "$", "{", "}", "\"", "'", "\\", "\t", " ", " ", "&", "*",
    ];
    for _ in 0..400 {
        let text: String = (0..1 + below(12)).map(|_| signs[below(signs.len())]).collect();
        let (lines, words) = (format!("x a;{text};y;"), format!("x a\n;{text}\n;y\n;"));
        let ((tree, errors), (other, others)) = (parsed(lines.as_bytes()), parsed(words.as_bytes()));
        let is_plain = errors.is_empty() && others.is_empty() && !text.contains(['"', '\'', '\\', '#']);
        assert!(tree == other || !is_plain, "{lines:?}: {tree} {other}");
    }
}

#[test]
fn every_mistake_is_reported_and_the_rest_is_read() {
    for (name, text, tree, errors) in [
        ("no end", "a b", "a b;", &["1:4 unexpected end of file, expecting \";\" or \"}\""][..]),
        (
            "no end before a brace",
            "a {\n b c\n}\nd;",
            "a { b c; } d;",
            &["2:5 directive \"b\" is not terminated by \";\""],
        ),
        (
            "a comma in place of the end",
            "a {\n b c,\n}\nd;",
            "a { b c; } d;",
            &["2:5 directive \"b\" is not terminated by \";\""],
        ),
        ("nothing to end", "a;; b;", "a; b;", &["1:3 unexpected \";\""]),
        ("a block without a name", "{ a; } b;", "b;", &["1:1 unexpected \"{\""]),
        ("too many braces", "a { } } b;", "a { } b;", &["1:7 unexpected \"}\""]),
        ("a bracket that closes nothing", "a {\nb c;\n)\n}\n", "a { b c; }", &["3:1 unexpected \")\""]),
        ("one behind a block", "a { b { } ) }", "a { b { } }", &["1:11 unexpected \")\""]),
        ("one in place of a brace", "a {\nb c;\n)\n", "a { b c; }", &["3:1 unexpected \")\""]),
        (
            "braces in a pattern",
            "include a{b,c}.conf; d;",
            "d;",
            &["1:10 directive \"include\" is not terminated by \";\""],
        ),
        (
            "two pairs of braces in a pattern",
            "include a{b,c}/{d,e}.conf; f;",
            "f;",
            &["1:10 directive \"include\" is not terminated by \";\""],
        ),
        (
            "braces in a pattern, a space before its end",
            "include a{b, c}.conf ; d;",
            "d;",
            &["1:10 directive \"include\" is not terminated by \";\""],
        ),
        (
            "braces in a pattern without an end, before that of the block",
            "a {\n include b{c,d}.conf\n}\ne;",
            "a { } e;",
            &["2:11 directive \"include\" is not terminated by \";\""],
        ),
        (
            "the same in one line",
            "a { include b{c,d}.conf } e;",
            "a { } e;",
            &["1:14 directive \"include\" is not terminated by \";\""],
        ),
        (
            "braces in a pattern without an end, before a line",
            "include a{b,c}.conf\nd e;",
            "d e;",
            &["1:10 directive \"include\" is not terminated by \";\""],
        ),
        (
            "braces in a pattern without an end, before a block",
            "include a{b,c}.conf\nd { e; }",
            "d { e; }",
            &["1:10 directive \"include\" is not terminated by \";\""],
        ),
        (
            "braces in a pattern without an end, at the end",
            "include a{b,c}.conf",
            "",
            &["1:10 directive \"include\" is not terminated by \";\""],
        ),
        ("too few braces", "a {\n b;\n", "a { b; }", &["1:3 unexpected end of file, expecting \"}\""]),
        (
            "the indentation tells which brace is missing",
            "a {\n  b {\n    c;\n  d { }\n}\n",
            "a { b { c; d { } } }",
            &["2:5 unexpected end of file, expecting \"}\""],
        ),
        ("something after a quote", "a \"b\"c;\nd;", "a \"bc\"; d;", &["1:6 unexpected \"c\""]),
        ("a letter of two bytes after a quote", "a \"b\"é;", "a \"bé\";", &["1:6 unexpected \"é\""]),
        ("an open quote to the end", "a;\nb \"c;\nd;", "a; b \"c\"; d;", &["2:3 missing terminating \"\"\" character"]),
        (
            "an open quote that meets the next one",
            "a \"b;\nc \"d\";\ne;",
            "a \"b\"; c \"d\"; e;",
            &["1:3 missing terminating \"\"\" character"],
        ),
        (
            "an open quote before a block",
            "a 'b {\nc;\n}",
            "a \"b\" { c; }",
            &["1:3 missing terminating \"'\" character"],
        ),
        (
            "an open quote in the last line",
            "a \"b",
            "a \"b\";",
            &["1:3 missing terminating \"\"\" character", "1:5 unexpected end of file, expecting \";\" or \"}\""],
        ),
        (
            "three mistakes in three lines",
            "a {\nb\n}\nc \"d\"e;\n}\n",
            "a { b; } c \"de\";",
            &["2:2 directive \"b\" is not terminated by \";\"", "4:6 unexpected \"e\"", "5:1 unexpected \"}\""],
        ),
    ] {
        let errors: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert_eq!(parsed(text.as_bytes()), (tree.to_string(), errors), "{name}");
    }
}

const SAMPLE: &str = "# c\nuser a;\nhttp {\n\tserver {\r\n  location ~ \"\\.(x|y)$\" { return 200 'a\n;{}'; }\n }\n \
                      if ($a = \"b\") { set $x ${y}z\\;; }\n}\n";

#[test]
fn any_prefix_and_any_damage_is_survived() {
    for end in 0..=SAMPLE.len() {
        parsed(&SAMPLE.as_bytes()[..end]);
        parsed(&SAMPLE.as_bytes()[end..]);
        for byte in b"\"';{}\\$#\xff\0\n" {
            let mut text = SAMPLE.as_bytes().to_vec();
            text.insert(end, *byte);
            parsed(&text);
        }
    }
}

#[test]
fn other_encodings_keep_their_bytes_and_places() {
    let text = b"# \xfcber\nroot /\xe4\xf6 \"\xff\"; b\n";
    let loaded = load_text("x", text, &LoadOptions::default());
    let args = &loaded.directives[0].args;
    assert_eq!((args[0].bytes(), args[1].bytes()), (&b"/\xe4\xf6"[..], &b"\xff"[..]));
    assert_eq!(loaded.sources.slice(args[1].span), b"\"\xff\"");
    let error = loaded.diagnostics.iter().next().and_then(|error| error.span).expect("`b` has no end");
    assert_eq!((loaded.sources.position(error).line, loaded.sources.position(error).column), (2, 16));
}

#[test]
fn slices_do_not_show_in_the_tree() {
    let mut text = String::new();
    for n in 0..6000 {
        text.push_str(&format!("name{n} 'quoted ; é' # comment é {n}\n  ${{x}}é;\n"));
    }
    text.push_str(&format!("long {};", "é".repeat(SLICE)));
    let (tree, errors) = parse(FileId(0), text.as_bytes(), 0);
    assert!(errors.is_empty());
    assert_eq!(tree.len(), 6001);
    for (n, directive) in tree.iter().take(6000).enumerate() {
        assert_eq!(format!("{directive:?}"), format!("name{n} \"quoted ; é\" ${{x}}é;"));
    }
    assert_eq!(tree[6000].args[0].len(), 2 * SLICE);
}

#[test]
fn a_statement_of_many_words_is_read_in_slices() {
    let names: String = (0..20_000).map(|n| format!(" 'n {n}' n{n}.test\n")).collect();
    let text = format!("server_name {names};");
    let mut builder = Builder::new(FileId(0), text.as_bytes(), 0);
    let (mut at, mut steps) = (0, 0);
    while text.len() - at > SLICE {
        let on = builder.read(&text[at..at + SLICE], at, Slice::Cut);
        assert!(on > at, "no progress at {at}");
        (at, steps) = (on, steps + 1);
    }
    assert!(steps >= text.len() / SLICE);
    let (tree, errors) = parse(FileId(0), text.as_bytes(), 0);
    assert!(errors.is_empty());
    let words: Vec<String> = (0..20_000).flat_map(|n| [format!("n {n}"), format!("n{n}.test")]).collect();
    assert!(tree[0].args.iter().map(|word| word.str()).eq(words.iter().map(String::as_str)));
}

/// Each slice was twice as long as the one before: lines of 45 MB were one step of 80 ms.
#[test]
fn many_lines_of_comments_are_left_out_in_slices_wherever_they_are() {
    let line = format!("  # {} ; {{\n\n", "x".repeat(90));
    let lines = line.repeat(10 * SLICE / line.len());
    assert_eq!(comments(&lines), lines.len());
    assert_eq!(comments(&lines[..lines.len() - 2]), lines.len() - line.len());
    for (text, expected) in [
        (format!("{lines}a b;"), "a b;"),
        (format!("a{lines}b;"), "a b;"),
        (format!("a '#\n{lines}';"), "a \"#"),
        (format!("a {{{lines}b c;{lines}}}{lines}"), "a { b c; }"),
    ] {
        let (tree, errors) = parse(FileId(0), text.as_bytes(), 0);
        let shown = tree.iter().map(|directive| format!("{directive:?}")).collect::<Vec<_>>().join(" ");
        assert!(errors.is_empty() && shown.starts_with(expected), "{expected}: {}", &shown[..shown.len().min(99)]);
    }
    assert_eq!(comments("a # b\n"), 0);
}

/// Reading it was one step of 37 ms for 8 MB.
#[test]
fn a_word_of_megabytes_is_an_error_and_a_comment_is_not() {
    let long = "x".repeat(2 * LONGEST);
    for (text, expected) in [
        (format!("a b;\nreturn 200 \"{long}\";"), "too long parameter, probably missing terminating \"\"\" character"),
        (format!("return 200 'x{long}"), "too long parameter, probably missing terminating \"'\" character"),
        (format!("return 200 {long};"), "too long parameter \"xxxxxxxxxx...\" started"),
    ] {
        let (tree, errors) = parse(FileId(0), text.as_bytes(), 0);
        let shown: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!((shown, tree.len()), (vec![expected], 0));
    }
    for text in
        [format!("# {long}\na b;"), format!("{}a b;", " ".repeat(2 * LONGEST)), format!("a {};", &long[..LONGEST / 3])]
    {
        let (tree, errors) = parse(FileId(0), text.as_bytes(), 0);
        assert!(errors.is_empty() && tree.len() == 1);
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for text in ["{", "a{", "a {b;", "}"] {
        let text = text.repeat(1_000_000);
        let (_, errors) = parse(FileId(0), text.as_bytes(), 0);
        assert!(errors.has_errors());
    }
    let nested = |depth: usize| format!("{}b;{}", "a {".repeat(depth), "}".repeat(depth));
    assert_eq!(parse(FileId(0), nested(MAX_DEPTH).as_bytes(), 0).1.errors(), 0);
    assert_eq!(parse(FileId(0), nested(MAX_DEPTH + 1).as_bytes(), 0).1.errors(), 1);
    assert_eq!(parse(FileId(0), nested(2).as_bytes(), MAX_DEPTH - 1).1.errors(), 1);
}

#[test]
fn long_lines_and_open_quotes_stay_linear() {
    for text in [
        "a".repeat(10 << 20),
        "a ".repeat(500_000),
        "\"".repeat(200_000),
        "\"\\".repeat(200_000),
        "#".repeat(500_000),
        "a\"".repeat(200_000),
        "a 'b\n".repeat(50_000),
        "a \"b;\n".repeat(50_000),
        "\0".repeat(500_000),
        "\\".repeat(500_001),
        "$".repeat(500_000),
    ] {
        parse(FileId(0), text.as_bytes(), 0);
    }
}

#[test]
fn the_command_line_takes_no_blocks() {
    for (text, tree, error) in [
        ("daemon off;", "[daemon off;]", None),
        ("daemon off", "[daemon off;]", Some("unexpected end of parameter, expecting \";\"")),
        ("events { a; } b;", "[b;]", Some("block directives are not supported in -g option")),
    ] {
        let (directives, errors) = parse_command_line(FileId(0), text.as_bytes());
        assert_eq!(format!("{directives:?}"), tree);
        assert_eq!(errors.iter().map(|error| error.message.as_str()).next(), error);
    }
}

#[test]
fn a_missing_semicolon_is_found_by_the_next_directive() {
    let known = |word: &Word| word.is("index") || word.is("server");
    for (text, split) in [
        ("root /a\n  index b;", Some(("root /a;", "index b;"))),
        ("root /a\n  server { c; }", Some(("root /a;", "server { c; }"))),
        ("root /a index b;", None),
        ("root /a\n 'index' b;", None),
        ("root /a\n b;", None),
    ] {
        let (tree, _) = parse(FileId(0), text.as_bytes(), 0);
        let halves = split_at_missing_semicolon(&tree[0], text.as_bytes(), known);
        let halves = halves.map(|(first, second)| (format!("{first:?}"), format!("{second:?}")));
        assert_eq!(halves.as_ref().map(|(a, b)| (a.as_str(), b.as_str())), split, "{text}");
    }
}

#[test]
fn a_regex_whose_brace_opens_a_block_is_said_to_need_quotes() {
    for (name, text, quoted) in [
        ("a location", "server { location ~ ^/\\d{4}/ { return 200; } }", Some("\"^/\\d{4}/\"")),
        ("a rewrite", "server { rewrite ^/(\\d{1,2})$ /x last; }", Some("\"^/(\\d{1,2})$\"")),
        ("a lost brace", "server { location / { return 200; }", None),
        ("a block with a number in it", "geo $a {1} server {", None),
    ] {
        let loaded = load_text("x", text.as_bytes(), &LoadOptions::default());
        let errors: Vec<_> = loaded.diagnostics.iter().filter(|error| error.message.contains("end of file")).collect();
        let said = errors.iter().any(|error| error.label.as_ref().is_some_and(|label| label.contains("quotes")));
        assert_eq!((errors.len(), said), (1, quoted.is_some()), "{name}");
        let help = errors[0].help.join(" ");
        assert!(quoted.is_none_or(|quoted| help.contains(quoted)), "{name}: {help}");
    }
}

#[test]
fn one_quote_that_is_never_closed_is_one_mistake() {
    for (text, place, close) in [
        ("location / { proxy_pass \"http://a:80; }\nindex b;\n", "1:25", "\"http://a:80\";"),
        ("location \"/a { root /b; }\nindex b;\n", "1:10", "\"/a\" {"),
        ("location / {\n root \"/srv;\n}\nindex b;\n", "2:7", "\"/srv\";"),
        ("location / { root '/srv; }\nadd_header X 'y';\n", "1:19", "'/srv';"),
    ] {
        let loaded = load_text(
            "x",
            format!("events {{ }}\nhttp {{ server {{\nlisten 8081;\n{text}}} }}\n").as_bytes(),
            &LoadOptions::default(),
        );
        let errors: Vec<_> = loaded.diagnostics.iter().collect();
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        let at = errors[0].span.map(|span| loaded.sources.position(span)).expect("a place");
        assert_eq!(format!("{}:{}", at.line - 3, at.column), place, "{text}");
        assert!(errors[0].message.starts_with("missing terminating"), "{text}");
        assert!(errors[0].help.iter().any(|help| help.ends_with(close)), "{text}: {:?}", errors[0].help);
    }
}

#[test]
fn a_server_in_a_server_names_the_one_that_lacks_its_brace() {
    let (_, errors) = parsed(b"http {\nserver {\nlisten 1;\nlocation / {\nroot /x;\n}\n\nserver {\nlisten 2;\n}\n}\n");
    assert_eq!(errors, ["2:8 unexpected end of file, expecting \"}\""]);
    let (_, errors) = parsed(b"http {\nserver {\nlisten 1;\nlocation / {\nroot /x;\n}\n}\nserver {\nlisten 2;\n}\n");
    assert_eq!(errors, ["1:6 unexpected end of file, expecting \"}\""]);
}

#[test]
fn a_brace_in_a_regex_that_nothing_closes_is_named_with_the_quotes_it_needs() {
    for (text, help) in [
        ("location ~ ^/a{2 { return 200; }", Some("write it in quotes: \"^/a{2\", and a repetition ends with `}`")),
        ("location ~* ^/a{2,{ return 200; }", Some("write it in quotes: \"^/a{2,\", and a repetition ends with `}`")),
        ("location ~^/a{ { return 200; }", Some("write it in quotes: \"~^/a{\"")),
        ("location ~ ^/[{]x$\n{ return 200; }", None),
        ("location ~ ^/[{]x$ { return 200; }", Some("write it in quotes: \"^/[{]x$\"")),
        ("if ($uri ~ a{2) { return 200; }", Some("write it in quotes: \"a{2\"), and a repetition ends with `}`")),
        ("rewrite ^/a{2 /b;", Some("write it in quotes: \"^/a{2\", and a repetition ends with `}`")),
        // Blocks without a blank before them.
        ("location ~ ^/a{ return 200; }", None),
        ("location ~ ^/a{if ($x) { return 200; } }", None),
        ("location ~ ^/a{types { } }", None),
        ("location /a{ location /a/b{ return 200; } }", None),
    ] {
        let loaded = load_text("x", format!("server {{ {text} }}").as_bytes(), &LoadOptions::default());
        let errors: Vec<_> = loaded.diagnostics.iter().collect();
        let helps: Vec<_> = errors.iter().flat_map(|error| &error.help).map(String::as_str).collect();
        match help {
            Some(help) => assert_eq!((errors.len(), &helps[..]), (1, &[help][..]), "{text}: {errors:?}"),
            None => assert!(!helps.iter().any(|help| help.contains("in quotes")), "{text}: {errors:?}"),
        }
    }
}
