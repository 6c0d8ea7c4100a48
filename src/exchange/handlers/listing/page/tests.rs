//! The page's rendering, and the hashes in its policy.

use super::super::{Entry, Kind, Listing, Sort, Totals, View};
use super::*;

fn rendered(write: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("the page is UTF-8 whatever the names are")
}

fn view() -> View {
    View { format: super::super::Format::Page, ..View::default() }
}

fn listing(view: &View) -> Listing<'_> {
    view.of(b"/files/", Totals::default())
}

#[test]
fn a_row_links_to_exactly_its_entry() {
    let time = "<td><time datetime=2001-09-09T01:46:40Z>2001-09-09 01:46</time>";
    let table: &[(&str, &[u8], Kind, u64, &str)] = &[
        (
            "a file",
            b"a.txt",
            Kind::File,
            1536,
            "<tr><th scope=row><a href=\"a.txt\"><bdi>a.txt</bdi></a><td title=\"1,536 bytes\">1.5 KiB",
        ),
        ("a folder", b"sub", Kind::Dir, 4096, "<tr class=d><th scope=row><a href=\"sub/\"><bdi>sub</bdi>/</a><td>"),
        ("neither", b"pipe", Kind::Other, 0, "<tr><th scope=row><a href=\"pipe\"><bdi>pipe</bdi></a><td>"),
        (
            "markup",
            b"<i>\"&'",
            Kind::Other,
            0,
            "<tr><th scope=row><a href=\"%3Ci%3E%22%26%27\"><bdi>&lt;i&gt;&quot;&amp;'</bdi></a><td>",
        ),
        (
            "a scheme",
            b"javascript:x",
            Kind::Other,
            0,
            "<tr><th scope=row><a href=\"javascript%3Ax\"><bdi>javascript:x</bdi></a><td>",
        ),
        (
            "not UTF-8",
            b"\xff\n",
            Kind::Other,
            0,
            "<tr><th scope=row><a href=\"%FF%0A\"><bdi>\u{fffd}\u{240a}</bdi></a><td>",
        ),
    ];
    for (name, bytes, kind, size, expected) in table {
        let row = Entry { name: bytes, kind: *kind, size: *size, mtime: 1_000_000_000 };
        assert_eq!(rendered(|out| entry(&listing(&view()), 0, &row, out)), format!("{expected}{time}\n"), "{name}");
    }
}

/// Browsers lay out the blocks in sight only, and need one height for all that are full.
#[test]
fn rows_come_in_blocks_as_large_as_the_style_says() {
    let row = Entry { name: b"a", kind: Kind::Dir, size: 0, mtime: 0 };
    let view = view();
    let listing = view.of(b"/", Totals { dirs: 100, files: 50, bytes: 0 });
    let before = |at| rendered(|out| entry(&listing, at, &row, out)).split("<tr").next().map(str::to_owned);
    for (at, expected) in [(0, ""), (1, ""), (64, "<tbody class=block>\n"), (65, ""), (128, "<tbody>\n"), (149, "")] {
        assert_eq!(before(at).as_deref(), Some(expected), "{at}");
    }
    assert_eq!(STYLE.matches(&format!("var(--rows, {BLOCK})")).count(), 2);
}

#[test]
fn actions_stand_only_where_they_are_allowed() {
    let row = Entry { name: b"a b", kind: Kind::Dir, size: 0, mtime: 0 };
    for (can_upload, can_delete) in [(false, false), (true, false), (false, true), (true, true)] {
        let view = View { can_upload, can_delete, ..view() };
        let listing = listing(&view);
        let page = rendered(|out| {
            head(&listing, out);
            entry(&listing, 0, &row, out);
            tail(&listing, out);
        });
        let case = format!("upload {can_upload}, delete {can_delete}");
        assert_eq!(
            page.contains("<form id=up method=post enctype=multipart/form-data action=\"./\">"),
            can_upload,
            "{case}"
        );
        assert_eq!(page.contains("href=\"?delete=a%20b/\" aria-label=\"Delete a b\""), can_delete, "{case}");
        assert_eq!(page.contains("<dialog id=ask"), can_delete, "{case}");
        assert_eq!(page.contains(&rendered(|out| lean(UPLOAD_SCRIPT, out))), can_upload || can_delete, "{case}");
        let limit = if can_upload || can_delete { 35 } else { 15 };
        assert!(page.len() < limit * 1024, "{case}: {} bytes", page.len());
        let questions = if can_delete { 2 } else { 0 };
        assert_eq!(page.matches(" data-").count(), 1 + questions, "{case}: the key of the filter, and questions");
        for forbidden in [" style=", " onclick=", "http:", "https:", "src="] {
            assert!(
                !page.replace(&rendered(|out| lean(STYLE, out)), "").replace("xmlns='http:", "").contains(forbidden),
                "{case}: {forbidden}"
            );
        }
    }
}

#[test]
fn the_form_says_what_the_script_may_do() {
    for (can_replace, resumable, takes_any_name) in [(true, false, false), (false, true, false), (true, true, true)] {
        let view = View { can_upload: true, can_replace, resumable, takes_any_name, ..view() };
        let page = rendered(|out| head(&listing(&view), out));
        let form = page.lines().find(|line| line.starts_with("<form")).expect("the form");
        assert_eq!((form.contains(" data-replace"), form.contains(" data-resumable")), (can_replace, resumable));
        assert_eq!(form.contains(" data-dots"), takes_any_name, "names that begin with a dot");
    }
}

#[test]
fn breadcrumbs_lead_up_by_relative_links() {
    let table: &[(&str, &str, &[&str])] = &[
        ("the root", "/", &["<a href=\"./\" aria-current=page aria-label=\"Top folder\">/</a>"]),
        (
            "two down",
            "/a/<b>/",
            &[
                "<a href=\"../../\" aria-label=\"Top folder\">/</a>",
                "<a href=\"../\"><bdi>a</bdi></a>",
                "<a href=\"./\" aria-current=page><bdi>&lt;b&gt;</bdi></a>",
            ],
        ),
        (
            "an empty part is a step",
            "/a//b/",
            &[
                "<a href=\"../../../\" aria-label=\"Top folder\">/</a>",
                "<a href=\"../../\"><bdi>a</bdi></a>",
                "<a href=\"./\" aria-current=page><bdi>b</bdi></a>",
            ],
        ),
    ];
    for (name, path, links) in table {
        let nav = rendered(|out| breadcrumbs(path.as_bytes(), &Language::En.words(), out));
        let found: Vec<_> = nav.lines().filter_map(|line| line.strip_prefix("<li>")).collect();
        assert_eq!(found, *links, "{name}");
    }
}

#[test]
fn a_columns_head_turns_the_order_round() {
    let table: &[(&str, Key, &str)] = &[
        ("", Key::Name, "<th scope=col aria-sort=ascending><a rel=nofollow href=\"?sort=name&amp;order=desc\">N</a>"),
        (
            "order=desc",
            Key::Name,
            "<th scope=col aria-sort=descending><a rel=nofollow href=\"?sort=name&amp;order=asc\">N</a>",
        ),
        ("sort=size", Key::Name, "<th scope=col><a rel=nofollow href=\"?sort=name&amp;order=asc\">N</a>"),
        ("", Key::Size, "<th scope=col><a rel=nofollow href=\"?sort=size&amp;order=desc\">N</a>"),
    ];
    for (query, key, expected) in table {
        let view = View { sort: Sort::from_query(query.as_bytes()), ..view() };
        let word = if *key == Key::Name { "name" } else { "size" };
        assert_eq!(rendered(|out| column(&listing(&view), *key, word, "N", out)), *expected, "{query}");
    }
}

#[test]
fn sizes_are_short_and_rounded() {
    let table: &[(u64, &str)] = &[
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10_188, "9.9 KiB"),
        (10_189, "10 KiB"),
        (1_048_063, "1023 KiB"),
        (1_048_064, "1.0 MiB"),
        (104_857_600, "100 MiB"),
        (u64::MAX, "16 EiB"),
    ];
    for (bytes, expected) in table {
        assert_eq!(rendered(|out| human(*bytes, Language::En, out)), *expected, "{bytes}");
    }
}

#[test]
fn the_question_before_a_delete_is_a_plain_form() {
    let page = rendered(|out| confirm_delete(b"/files/", (b"a \"b\"\xff", Kind::File), false, Language::En, out));
    assert!(page.contains("<h1>Delete <bdi>a &quot;b&quot;\u{fffd}</bdi>?</h1>"));
    assert!(page.contains("<form method=post action=\"./\">"));
    assert!(page.contains("<input type=hidden name=webserv-delete value=\"a%20%22b%22%FF\">"));
}

#[test]
fn totals_are_counted_in_words() {
    let table: &[(Totals, &str)] = &[
        (Totals { dirs: 0, files: 0, bytes: 0 }, "<p id=totals>0 folders, 0 files</p>\n"),
        (Totals { dirs: 1, files: 1, bytes: 5 }, "<p id=totals>1 folder, 1 file, 5 B</p>\n"),
    ];
    for (sum, expected) in table {
        assert_eq!(rendered(|out| totals(&view().of(b"/", *sum), &Language::En.words(), out)), *expected);
    }
}

#[test]
fn numbers_are_those_of_the_language() {
    for (language, expected) in [
        (Language::En, ("1.5 KiB", "<p id=totals>0 folders, 1 file, 1.5 KiB</p>\n")),
        (Language::De, ("1,5 KiB", "<p id=totals>0 Ordner, 1 Datei, 1,5 KiB</p>\n")),
        (Language::Fr, ("1,5 KiB", "<p id=totals>0 dossier, 1 fichier, 1,5 KiB</p>\n")),
    ] {
        let view = View { language, ..view() };
        let sum = Totals { dirs: 0, files: 1, bytes: 1536 };
        let shown = rendered(|out| totals(&view.of(b"/", sum), &language.words(), out));
        assert_eq!((&*rendered(|out| human(1536, language, out)), &*shown), expected);
    }
}

#[test]
fn a_name_that_no_field_can_hold_is_typed_whole() {
    for (bytes, value) in [(&b"a&.txt"[..], "a&amp;.txt"), (b"lat\xe9n.txt", ""), (b"a\nb", "")] {
        let page = rendered(|out| ask_where(b"/", bytes, Language::En, out));
        assert!(page.contains(&format!(" autocomplete=off value=\"{value}\">")), "{page}");
    }
}

#[test]
fn without_scripts_no_key_is_promised() {
    let page = rendered(|out| head(&listing(&view()), out));
    assert!(page.contains("data-press=\"press /\"") && !page.contains("placeholder="), "{page}");
}

#[test]
fn the_policy_names_the_hashes_of_style_and_scripts() {
    for (file, source) in [("page.css", STYLE), ("page.js", SCRIPT), ("upload.js", UPLOAD_SCRIPT)] {
        let hash = format!("'sha256-{}'", base64(&sha256(rendered(|out| lean(source, out)).as_bytes())));
        assert!(PAGE_CSP.contains(&hash), "{file} changed: put {hash} into PAGE_CSP");
    }
}

#[test]
fn sha256_knows_its_test_vector() {
    assert_eq!(base64(&sha256(b"abc")), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

/// FIPS 180-4; here because only this test needs it.
fn sha256(message: &[u8]) -> [u8; 32] {
    // The fractional bits of the cube roots (K) and square roots (H) of the first primes.
    let primes: Vec<u32> = (2u32..).filter(|n| (2..*n).all(|d| n % d != 0)).take(64).collect();
    let root = |n: u32, power: u32| {
        let mut root = 0u128;
        for bit in (0..40).rev() {
            let tried: u128 = root | 1 << bit;
            if tried.pow(power) <= u128::from(n) << (32 * power) {
                root = tried;
            }
        }
        root as u32
    };
    let k: Vec<u32> = primes.iter().map(|&n| root(n, 3)).collect();
    let mut h: [u32; 8] = std::array::from_fn(|i| root(primes[i], 2));

    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ w[i - 15] >> 3;
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ w[i - 2] >> 10;
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = h;
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(majority);
        }
        for (sum, part) in h.iter_mut().zip(v) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_mut(4).zip(h) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = if i <= chunk.len() { ALPHABET[(group >> (18 - 6 * i)) as usize & 63] } else { b'=' };
            out.push(char::from(digit));
        }
    }
    out
}
