//! Compares with PCRE2: plain patterns must find the same match and groups in the linear-time engine; all others are
//! matched by PCRE2 itself.

use super::super::pattern_set::{MatchMode, PatternSet, first};
use super::*;
use crate::util::seed::Seed;

fn pattern(source: &str, case: Case) -> Pattern {
    Pattern::new(source.as_bytes(), case, &mut Variables::default()).unwrap_or_else(|why| panic!("{source}: {why}"))
}

fn matches(source: &str, subject: &[u8]) -> bool {
    pattern(source, Case::Sensitive).is_match(subject).expect("within the limit")
}

#[test]
fn look_around_back_references_and_named_groups_work_beside_plain_patterns() {
    let mut vars = Variables::default();
    for (name, source, case, subject, expected) in [
        ("linear", r"\.php$", Case::Sensitive, "/a.php", Some(0)),
        ("case is kept", r"\.php$", Case::Sensitive, "/a.PHP", None),
        ("case is ignored", r"\.php$", Case::Insensitive, "/a.PHP", Some(0)),
        ("look-ahead", r"^/(?!api)(\w+)", Case::Sensitive, "/web", Some(1)),
        ("look-ahead refuses", r"^/(?!api)(\w+)", Case::Sensitive, "/api", None),
        ("back-reference", r"(a)\1", Case::Insensitive, "xAa", Some(1)),
        ("named", r"^/(?<user>\w+)/", Case::Sensitive, "/bob/x", Some(1)),
        ("named, for PCRE2", r"^/(?'guest'\w++)/", Case::Sensitive, "/bob/x", Some(1)),
    ] {
        let pattern = Pattern::new(source.as_bytes(), case, &mut vars).expect(name);
        let found = pattern.find(subject.as_bytes()).expect(name);
        assert_eq!(found.is_some(), expected.is_some(), "{name}");
        if let (Some(found), Some(group)) = (found, expected) {
            assert!(found.groups[group].is_some(), "{name}");
        }
    }
    assert_eq!(vars.undefined().count(), 0);
}

/// Regression cases: earlier engines rejected each of these or gave it another meaning.
#[test]
fn a_pattern_means_what_pcre2_says() {
    for (name, source, yes, no) in [
        ("an ampersand twice in a class", "^[<>&&]+$", &[&b"<&>"[..]][..], &[&b"a"[..]][..]),
        ("a tilde twice in a class", "^[a~~b]+$", &[b"a~b"], &[b"c"]),
        ("an open bracket in a class", "^[[a]b]$", &[b"[b]", b"ab]"], &[b"a", b"b"]),
        ("an open bracket and a parenthesis", "^/[[(]x", &[b"/[x", b"/(x"], &[b"/ax"]),
        ("an escaped less-than is itself", r"(\<|%3C).*script.*(\>|%3E)", &[b"<script>"], &[b"q=description"]),
        ("horizontal space", r"^a\hb$", &[b"a b", b"a\tb"], &[b"ahb", b"a\nb"]),
        ("vertical space", r"^a\vb$", &[b"a\nb", b"a\x0bb"], &[b"avb"]),
        ("a byte in braces", r"^\x{e4}$", &[b"\xe4"], &["ä".as_bytes()]),
        ("possessive", "^a++a", &[], &[b"aaa"]),
        (
            "the end is before a last line break too",
            r"^/x\.php$",
            &[b"/x.php", b"/x.php\n"],
            &[b"/x.php\n\n", b"/x.php\na"],
        ),
        ("and not after an absolute end", r"^/x\.php\z", &[b"/x.php"], &[b"/x.php\n"]),
        ("quoted", r"^\Qa.b\E$", &[b"a.b"], &[b"axb"]),
        ("a Unicode property", r"^\p{Lu}", &[b"A"], &[b"a"]),
        ("a branch reset", "^(?|(a)|(b))$", &[b"a", b"b"], &[b"c"]),
        ("any line break", r"^a\Rb$", &[b"a\r\nb", b"a\nb"], &[b"ab"]),
        ("recursion", r"^(\((?1)*\))$", &[b"(()())"], &[b"(()"]),
        (
            "bytes that are not UTF-8 beside a look-ahead",
            "^/secret(?!/public)",
            &[b"/secret?\xff"],
            &[b"/secret/public"],
        ),
        ("a dot is one byte", "^.$", &[b"a", b"\xe4"], &["ä".as_bytes(), b"\n"]),
        ("digits are ASCII", r"^\d$", &[b"7"], &["\u{663}".as_bytes()]),
        ("a class closed at once", "^[]a]+$", &[b"]a"], &[b"b"]),
        ("a brace that is no quantifier", "^a{x}$", &[b"a{x}"], &[b"a"]),
        ("a word of non-ASCII", "^é+$", &["é".as_bytes()], &["éé".as_bytes()]),
        ("a dash after a class", r"^[\w.-]+$", &[b"a-b.c"], &[b"a,b"]),
        ("a dash after a range", "^[a-c-e]+$", &[b"-", b"e"], &[b"d"]),
        ("an empty pattern", "", &[b"", b"x"], &[]),
    ] {
        yes.iter().for_each(|subject| assert!(matches(source, subject), "{name}: {subject:?} does not match"));
        no.iter().for_each(|subject| assert!(!matches(source, subject), "{name}: {subject:?} matches"));
    }
    let folded = pattern("^k(?=x)", Case::Insensitive);
    assert_eq!(folded.is_match(b"Kx"), Ok(true));
    assert_eq!(folded.is_match("\u{212a}x".as_bytes()), Ok(false), "case folding beyond ASCII under a look-ahead");
}

#[test]
fn a_step_limit_is_an_error_and_never_no_match() {
    let pattern = pattern("(?!zz)^(?:[a-z]+&?)+=1$", Case::Sensitive);
    let subject = [&[b'a'; 40][..], b"1=1"].concat();
    let failed = pattern.is_match(&subject).expect_err("the limit was not reached");
    assert!(failed.to_string().starts_with("pcre2_match() failed: -47 on \"aaaa"), "{failed}");
    assert!(failed.to_string().ends_with("using \"(?!zz)^(?:[a-z]+&?)+=1$\""), "{failed}");
    assert!(pattern.find(&subject).is_err());
}

/// It looked at each of 400 states for each byte: a second for 200 KB.
#[test]
fn a_plain_pattern_of_many_states_is_given_up_in_a_long_subject() {
    let pattern = pattern("a.{0,200}(b.{0,200})[cd]", Case::Sensitive);
    // In another combination of states at nearly every byte.
    let hostile = Seed::new(1).text(b"ab", 8_000);
    assert!(pattern.is_match(&hostile).is_err());
    assert_eq!(pattern.wary.get().and_then(Option::as_ref).expect("it is built").is_match(&hostile).found, None);
    assert!(pattern.find(&hostile).is_err());
    // Other long subjects are decided, with the same groups.
    let mut long = vec![b'.'; 8_000];
    assert_eq!(pattern.is_match(&long), Ok(false));
    assert!(pattern.find(&long).expect("within the limits").is_none());
    long.extend(b"axbyc");
    assert_eq!(pattern.is_match(&long), Ok(true));
    let found = pattern.find(&long).expect("within the limits").expect("it matches");
    assert_eq!(found.groups[..2], [Some((8_000, 8_005)), Some((8_002, 8_004))]);
    assert!(pattern.find(&hostile[..300]).expect("within the limits").is_none());
}

#[test]
fn a_bad_pattern_is_refused_in_nginxs_words() {
    for (source, expected) in [
        ("(", "pcre2_compile() failed: missing closing parenthesis in \"(\""),
        ("a)b", "pcre2_compile() failed: unmatched closing parenthesis in \"a)b\" at \")b\""),
        ("[z-a]x", "pcre2_compile() failed: range out of order in character class in \"[z-a]x\" at \"a]x\""),
        ("*a", "pcre2_compile() failed: quantifier does not follow a repeatable item in \"*a\""),
    ] {
        let why = Pattern::new(source.as_bytes(), Case::Sensitive, &mut Variables::default()).expect_err(source);
        assert!(why.to_string().starts_with(expected), "{why}");
    }
}

#[test]
fn what_differs_is_left_to_pcre2_and_what_is_common_is_not() {
    for source in [
        "^/x",
        r"\.(jpe?g|png)$",
        "^/(?:a|b)/([^/]+)/?$",
        r"^(www\.)?(?<name>.+)$",
        "(?i)abc",
        "a*?b",
        "[a-z0-9_-]{2,8}",
        r"^/\d{4}/\w+",
        "[[:alpha:]]+",
        r"\bfoo\b",
        r"a\-b\/c\%",
        r"\x41",
        "(?i:a)b",
        "(a|)b",
        r"/user/(\d+)(/.*)?$",
    ] {
        assert!(plain::read(source.as_bytes()).is_some(), "{source}");
    }
    for source in [
        "[a&&b]",
        "[a--b]",
        r"\<a",
        r"\v",
        r"\h",
        "a++",
        "a{2}{3}",
        "(a*)*",
        "(|a)+",
        "a{0}",
        r"\x{e4}",
        r"\u0041",
        "é",
        "(?m)^a$",
        "(?x) a",
        "(?U)a+",
        "a(?i)b",
        "^*",
        r"\b+",
        "[[:^alpha:]]",
        "[[:foo:]]",
        r"\pL",
        "(?=a)",
        r"(a)\1",
        "(?>a)",
        "a{,3}",
        "a{ 2 }",
        r"\Qa\E",
        "(*UTF)a",
        r"a\Z",
        r"\G",
        r"\K",
        "[[.a.]]",
        "a{1001}",
        "(?:a{900}){900}",
    ] {
        assert!(plain::read(source.as_bytes()).is_none(), "{source}");
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

fn write_pattern(random: &mut Random, depth: usize, out: &mut String) {
    const ATOMS: &[&str] = &[
        "a", "b", "c", "A", "B", "/", "-", "0", ".", "\\.", "\\/", "\\d", "\\w", "\\s", "\\D", "\\W", "\\S", "^", "$",
        "\\b", "\\B", "\\A", "\\z", "\\n", "\\x61", "\\xff", "&", "~", " ", "\\-", "]", "}", "\\t", "_", "\\<", "\\h",
        "\\v", "\\R", "\\Z", "\\N", "{", "é", "\\x{e4}", "(?i)", "\\K", "\\1", "#", "\\e", "\\ ",
    ];
    const MEMBERS: &[&str] = &[
        "a",
        "b",
        "c",
        "A-C",
        "a-c",
        "0-9",
        "-",
        "\\d",
        "\\w",
        "\\s",
        "\\W",
        "[:alpha:]",
        "[:upper:]",
        "[:digit:]",
        "[:space:]",
        "[:punct:]",
        "&",
        "&&",
        "~",
        "~~",
        "--",
        "[",
        "]",
        "^",
        "\\]",
        "\\n",
        "\\xff",
        "\\x80-\\xff",
        ".",
        "/",
        "\\-",
        "[:^lower:]",
        "\\b",
        "\\h",
        "é",
        "[:word:]",
    ];
    const QUANTIFIERS: &[&str] =
        &["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{1,}", "{0,2}?", "++", "{,2}", "{0}"];
    for _ in 0..=random.below(3) {
        match random.below(10) {
            0..5 => out.push_str(random.of(ATOMS)),
            5 | 6 => {
                out.push_str(random.of(&["[", "[^"]));
                for _ in 0..=random.below(3) {
                    out.push_str(random.of(MEMBERS));
                }
                out.push(']');
            }
            _ if depth == 0 => out.push('a'),
            kind => {
                out.push_str(random.of(&["(", "(", "(?:", "(?i:", "(?s:", "(?-i:", "(?=", "(?>"]));
                write_pattern(random, depth - 1, out);
                if kind > 7 {
                    out.push('|');
                    write_pattern(random, depth - 1, out);
                }
                out.push(')');
            }
        }
        if random.below(3) == 0 {
            out.push_str(random.of(QUANTIFIERS));
        }
    }
    if random.below(6) == 0 {
        out.push('|');
        write_pattern(random, 0, out);
    }
}

/// Whatever the linear-time engine accepts, PCRE2 must accept, and both must agree.
#[test]
fn generated_patterns_find_what_pcre2_finds() {
    const SUBJECT: &[u8] = b"aaabbcABC/.-09 _&~]\n\t\xff\xe4\xc3\xa9<h[";
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut plain, mut subjects, mut matched) = (0, 0, 0);
    for round in 0..60_000 {
        let mut source = String::new();
        write_pattern(&mut random, 2, &mut source);
        let case = if random.below(3) == 0 { Case::Insensitive } else { Case::Sensitive };
        let Some((known, ast)) = plain::read(source.as_bytes()) else { continue };
        let code = Code::new(source.as_bytes(), case == Case::Insensitive)
            .unwrap_or_else(|why| panic!("{source}: plain, but PCRE2 refuses it: {}", why.message));
        assert_eq!(known.groups + 1, code.groups(), "{source}");
        let regex = build(source.as_bytes(), case).expect("what is plain can be built");
        let choices = literals::required(&ast);
        plain += 1;
        for _ in 0..8 {
            let len = random.below(9);
            let mut subject: Vec<u8> = (0..len).map(|_| SUBJECT[random.below(SUBJECT.len())]).collect();
            if known.dollar && subject.last() == Some(&b'\n') {
                subject.push(b'x');
            }
            let (mut ours, mut theirs) = (vec![None; code.groups()], vec![None; code.groups()]);
            let found = find_linear(&regex, &subject, &mut ours);
            let Ok(expected) = code.find(&subject, &mut theirs) else { continue };
            assert_eq!(found, expected, "{round}: {source:?} {case:?} on {:?}", subject.escape_ascii().to_string());
            assert_eq!(ours, theirs, "{round}: {source:?} {case:?} on {:?}", subject.escape_ascii().to_string());
            let folded = subject.to_ascii_lowercase();
            let held =
                |choice: &literals::Choice| choice.iter().any(|text| memchr::memmem::find(&folded, text).is_some());
            assert!(!found || choices.iter().all(held), "{source:?} matches without its text: {choices:?}");
            subjects += 1;
            matched += usize::from(found);
        }
    }
    // Make sure that the comparison is not vacuous.
    assert!(
        plain > 5_000 && subjects > 40_000 && matched > 8_000,
        "{plain} patterns, {subjects} subjects, {matched} matched"
    );
}

/// Patterns of every kind, with PCRE2's among them and texts that several share.
const LISTED: &[&str] = &[
    "^/old/(.*)$",
    "^/old",
    r"\.php$",
    r"\.(jpe?g|PNG)$",
    "/a/b/",
    "^/$",
    "^$",
    r"^/\d+",
    "(?!/x)/y",
    "^/(?!old)[a-z]++/",
    "(?<=/)(?>foo|bar)",
    "^/user/(\\w+)/edit$",
    "(foo|bar)+x",
    "[^/]+z$",
    "é",
    "^/a++b",
    "(?i)/admin",
    "x.y",
    "",
    "^/Old/7$",
    "ab|cd|e",
    "[ab][cd]",
];

const PARTS_OF_SUBJECTS: &[&str] = &[
    "/", "old/", "OLD/", "a/b/", ".php", ".jpeg", ".png", "7", "x", "y", "z", "foo", "bar", "/user/", "me", "/edit",
    "é", "/a", "ab", "/Admin", "\n", "cd", "e",
];

/// A list for a round: every hundredth is long.
fn random_list(random: &mut Random, round: usize) -> Vec<(Pattern, usize)> {
    let len = if round.is_multiple_of(100) { 600 } else { 1 + random.below(12) };
    (0..len)
        .map(|at| {
            let case = if random.below(3) == 0 { Case::Insensitive } else { Case::Sensitive };
            // Long lists match late or not at all; every second one has no text that distinguishes its patterns.
            let source = match len > 100 {
                true if round.is_multiple_of(200) => format!("/p{at}/"),
                true => format!("^/?[a-z]+/+p[0-9]{{{},}}x?(/|$)", at % 7),
                false => random.of(LISTED).to_owned(),
            };
            (pattern(&source, case), at)
        })
        .collect()
}

/// The beginning of a list, for messages.
fn shown(list: &[(Pattern, usize)]) -> Vec<Cow<'_, str>> {
    list.iter().map(|(pattern, _)| pattern.source()).take(12).collect()
}

/// The first match of a pass over the list is that of its patterns one after the other.
fn compare_first(set: Option<&PatternSet>, list: &[(Pattern, usize)], subject: &[u8]) {
    let one_by_one = (0..list.len()).find(|at| list[*at].0.is_match(subject) == Ok(true));
    let expected = one_by_one.map(|at| (at, list[at].0.find(subject).expect("decided")));
    let first = first(set, list, subject, &mut Effort::default()).expect("decided");
    let shown = shown(list);
    let places = (first.as_ref().map(|(at, _)| *at), expected.as_ref().map(|(at, _)| *at));
    assert_eq!(places.0, places.1, "{shown:?} {subject:?}");
    if let (Some((at, matched)), Some((_, expected))) = (first, expected) {
        let groups = |matched: Option<Matched>| matched.map(|matched| matched.groups);
        let expected = groups(expected.filter(|_| list[at].0.captures()));
        assert_eq!(groups(matched), expected, "{shown:?} {subject:?}");
    }
}

/// Compares a pass over a list with trying one pattern after the other.
#[test]
fn a_list_finds_what_its_patterns_find_one_after_the_other() {
    let mut random = Random(0x51_7CC1_B727_220A);
    let (mut found, mut none) = (0, 0);
    for round in 0..2_000 {
        let list = random_list(&mut random, round);
        let (len, shown) = (list.len(), shown(&list));
        let [set, mismatches] = [MatchMode::Match, MatchMode::Mismatch]
            .map(|wanted| PatternSet::new(list.iter().map(|(pattern, _)| pattern), wanted));
        for _ in 0..8 {
            let mut subject: String = (0..random.below(5)).map(|_| random.of(PARTS_OF_SUBJECTS)).collect();
            if len > 100 {
                subject += &format!("/P{0}/p{0}/", random.below(700));
            }
            let subject = subject.as_bytes();
            let from = random.below(len);
            compare_first(set.as_ref(), &list, subject);
            let one_by_one = |wanted| (from..len).find(|at| list[*at].0.is_match(subject) == Ok(wanted));
            let pattern = |at: usize| list.get(at).map(|(pattern, _)| pattern);
            let mut effort = Effort::default();
            if let Some(set) = &mismatches {
                let next =
                    set.candidates(subject, &mut effort).first_mismatch(from..len, subject, &mut effort, pattern);
                assert_eq!(next, Ok(one_by_one(false)), "{shown:?} from {from} {subject:?}");
            }
            if let Some(set) = &set {
                let next = set.candidates(subject, &mut effort).first(from..len, subject, &mut effort, pattern);
                let next = next.map(|hit| hit.map(|(at, _)| at));
                assert_eq!(next, Ok(one_by_one(true)), "{shown:?} from {from} {subject:?}");
                *if next == Ok(None) { &mut none } else { &mut found } += 1;
            }
        }
    }
    assert!(found > 1_000 && none > 1_000, "{found} {none}");
}

/// A body of many megabytes in $request_body was searched to its end, in one step.
#[test]
fn one_pattern_reads_so_many_bytes_and_no_more() {
    let mut vars = Variables::default();
    let long = vec![b'a'; 32 << 20];
    for (source, most) in [("b$", 8 << 20), ("(?<!x)b", 64 << 10)] {
        let pattern = Pattern::new(source.as_bytes(), Case::Sensitive, &mut vars).expect("valid");
        assert_eq!(pattern.is_match(&long[..most]), Ok(false), "{source}");
        let why = pattern.is_match(&long).expect_err("too long").to_string();
        assert!(why.contains("too long texts") && why.len() < 200, "{why}");
        pattern.find(&long).expect_err("too long");
    }
}
