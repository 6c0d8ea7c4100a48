//! The nginx formats against bytes that nginx 1.31 sent for the same entries.

use super::*;

fn rendered(listing: &Listing<'_>, entries: &[Entry<'_>]) -> String {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|a, b| listing.compare(a, b));
    let mut out = Vec::new();
    listing.head(&mut out);
    for (index, entry) in sorted.iter().enumerate() {
        listing.entry(index, entry, &mut out);
    }
    listing.tail(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn at_root(view: &View) -> Listing<'_> {
    view.of(b"/", Totals::default())
}

const TIME: i64 = 951_827_696; // 29 February 2000, 12:34:56

fn file(name: &str, size: u64) -> Entry<'_> {
    Entry { name: name.as_bytes(), kind: Kind::File, size, mtime: TIME }
}

fn dir(name: &str) -> Entry<'_> {
    Entry { name: name.as_bytes(), kind: Kind::Dir, size: 4096, mtime: TIME }
}

#[test]
fn html_is_nginxs() {
    let entries = [file("a.txt", 5), dir("z"), Entry { kind: Kind::Other, ..file("fifo", 0) }, file("B", 5 << 40)];
    let view = View { exact_size: true, ..View::default() };
    let listing = view.of(b"/<d>&\"/", Totals::default());
    let column = " ".repeat(44);
    assert_eq!(
        rendered(&listing, &entries),
        format!(
            "<html>\r\n<head><title>Index of /&lt;d&gt;&amp;&quot;/</title></head>\r\n<body>\r\n\
             <h1>Index of /&lt;d&gt;&amp;&quot;/</h1><hr><pre><a href=\"../\">../</a>\r\n\
             <a href=\"z/\">z/</a>    {column} 29-Feb-2000 12:34                   -\r\n\
             <a href=\"B\">B</a>     {column} 29-Feb-2000 12:34       5497558138880\r\n\
             <a href=\"a.txt\">a.txt</a> {column} 29-Feb-2000 12:34                   5\r\n\
             <a href=\"fifo\">fifo</a>  {column} 29-Feb-2000 12:34                   0\r\n\
             </pre><hr></body>\r\n</html>\r\n"
        )
    );
}

#[test]
fn html_names_fill_fifty_columns() {
    let (x48, x49, x50, x51) = ("x".repeat(48), "x".repeat(49), "x".repeat(50), "x".repeat(51));
    let (e50, e51) = ("é".repeat(50), "é".repeat(51));
    let (of_three, of_four) = ("€".repeat(51), "😀".repeat(51));
    let angle51 = "<".repeat(51);
    type Case<'a> = (&'a str, bool, Entry<'a>, String);
    let table: &[Case<'_>] = &[
        ("49 leave one", false, file(&x49, 0), format!(">{x49}</a>  29")),
        ("50 fill it", false, file(&x50, 0), format!(">{x50}</a> 29")),
        ("51 are cut", false, file(&x51, 0), format!(">{}..&gt;</a> 29", "x".repeat(47))),
        ("a directory's slash counts", false, dir(&x48), format!(">{x48}/</a>  29")),
        ("49 and a slash", false, dir(&x49), format!(">{x49}/</a> 29")),
        ("no room for the slash", false, dir(&x50), format!(">{x50}</a> 29")),
        ("an entity is one column", false, file(&angle51, 0), format!(">{}..&gt;</a> 29", "&lt;".repeat(47))),
        ("bytes count without a charset", false, file(&e50, 0), format!(">{}\u{fffd}..&gt;</a> 29", "é".repeat(23))),
        ("characters count in utf-8", true, file(&e50, 0), format!(">{e50}</a> 29")),
        ("51 characters are cut", true, file(&e51, 0), format!(">{}..&gt;</a> 29", "é".repeat(47))),
        ("of three bytes each", true, file(&of_three, 0), format!(">{}..&gt;</a> 29", "€".repeat(47))),
        ("of four bytes each", true, file(&of_four, 0), format!(">{}..&gt;</a> 29", "😀".repeat(47))),
    ];
    for (name, utf8, entry, expected) in table {
        let view = View { exact_size: true, utf8: *utf8, ..View::default() };
        let page = rendered(&at_root(&view), &[*entry]);
        assert!(page.contains(expected), "{name}: {page}");
    }
}

#[test]
fn html_bytes_that_are_not_utf8_count_as_bytes() {
    let name = [&b"\xff"[..], &[b'q'; 60]].concat();
    let entry = Entry { name: &name, kind: Kind::File, size: 0, mtime: TIME };
    let page = rendered(&at_root(&View { utf8: true, ..View::default() }), &[entry]);
    assert!(page.contains(&format!(">\u{fffd}{}..&gt;</a>", "q".repeat(46))), "{page}");
}

#[test]
fn html_sizes_are_rounded_half_up() {
    let table: &[(u64, &str)] = &[
        (0, "      0"),
        (9999, "   9999"),
        (10_000, "    10K"),
        (10_239, "    10K"),
        (10_752, "    11K"),
        (1_048_575, "  1024K"),
        (1_048_576, "     1M"),
        (1_572_863, "     1M"),
        (1_572_864, "     2M"),
        (1_073_741_823, "  1024M"),
        (1_610_612_736, "     2G"),
        (5 << 40, "  5120G"),
    ];
    for (size, expected) in table {
        let page = rendered(&at_root(&View::default()), &[file("a", *size)]);
        assert!(page.contains(&format!("12:34 {expected}\r\n")), "{size}: {page}");
    }
}

#[test]
fn html_local_times_are_moved_by_the_offset() {
    let view = View { utc_offset: 20_700, ..View::default() };
    assert!(rendered(&at_root(&view), &[file("a", 0)]).contains(" 29-Feb-2000 18:19 "));
}

#[test]
fn json_jsonp_and_xml_are_nginxs() {
    let entries = [file("a\"\\\n<&>", 5), dir("é"), Entry { kind: Kind::Other, ..file("fifo", 0) }];
    let list = "[\r\n{ \"name\":\"é\", \"type\":\"directory\", \"mtime\":\"Tue, 29 Feb 2000 12:34:56 GMT\" },\r\n\
                { \"name\":\"a\\\"\\\\\\n<&>\", \"type\":\"file\", \"mtime\":\"Tue, 29 Feb 2000 12:34:56 GMT\", \"size\":5 },\r\n\
                { \"name\":\"fifo\", \"type\":\"other\", \"mtime\":\"Tue, 29 Feb 2000 12:34:56 GMT\" }\r\n]";
    let xml = "<?xml version=\"1.0\"?>\r\n<list>\r\n\
               <directory mtime=\"2000-02-29T12:34:56Z\">é</directory>\r\n\
               <file mtime=\"2000-02-29T12:34:56Z\" size=\"5\">a&quot;\\\n&lt;&amp;&gt;</file>\r\n\
               <other mtime=\"2000-02-29T12:34:56Z\">fifo</other>\r\n</list>\r\n";
    let table: &[(Format, String, &str)] = &[
        (Format::Json, list.to_owned(), "[\r\n]"),
        (Format::Jsonp, format!("/* callback */\r\ncb({list});"), "/* callback */\r\ncb([\r\n]);"),
        (Format::Xml, xml.to_owned(), "<?xml version=\"1.0\"?>\r\n<list>\r\n</list>\r\n"),
    ];
    for (format, full, empty) in table {
        let view = View { format: *format, callback: b"cb".to_vec(), ..View::default() };
        let listing = at_root(&view);
        assert_eq!(rendered(&listing, &entries), *full, "{format:?}");
        assert_eq!(rendered(&listing, &[]), *empty, "{format:?} of nothing");
    }
}

#[test]
fn a_name_that_xml_cannot_say_leaves_the_listing_well_formed() {
    let listed = |name: &[u8]| {
        let view = View { format: Format::Xml, ..View::default() };
        rendered(&at_root(&view), &[Entry { name, ..file("", 5) }])
    };
    let table: [(&[u8], &str); 4] = [
        (b"lat\xe9n<", " href=\"lat%E9n%3C\">lat\u{FFFD}n&lt;</file>"),
        ("\u{FFFE}".as_bytes(), " href=\"%EF%BF%BE\">\u{FFFD}</file>"),
        (b"\x01", " href=\"%01\">\u{FFFD}</file>"),
        ("\u{E9}\n".as_bytes(), " size=\"5\">\u{E9}\n</file>"),
    ];
    for (name, end) in table {
        assert!(listed(name).contains(end), "{}", listed(name));
    }
}

#[test]
fn no_bytes_break_any_format() {
    let every: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    for format in [Format::Html, Format::Json, Format::Jsonp, Format::Xml, Format::Page] {
        for start in 0..every.len() {
            let view = View { format, utf8: true, utc_offset: -43_200, ..View::default() };
            let listing = view.of(&every, Totals::default());
            let mut out = Vec::new();
            let entry = Entry { name: &every[start..], kind: Kind::File, size: u64::MAX, mtime: i64::MIN };
            listing.head(&mut out);
            listing.entry(start, &entry, &mut out);
            listing.tail(&mut out);
            assert!(!out.is_empty());
        }
    }
}
