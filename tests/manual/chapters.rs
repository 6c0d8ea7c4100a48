//! What is made of the handbook's chapters, `www/handbook/*.html`, which are written by hand: Markdown for readers of
//! the repository, what the search box finds, and the links from each to the others. Knows the elements that the
//! chapters use, and fails on others.

use std::fmt::Write;

/// Chapters that are written by hand, in the order of the handbook: file, name in the links, Markdown. The first is its
/// index.
pub const CHAPTERS: [(&str, &str, &str); 8] = [
    ("index", "First steps", "docs/first-steps.md"),
    ("uploads", "Uploads", "docs/uploads.md"),
    ("sites", "Sites and locations", "docs/sites.md"),
    ("applications", "Applications", "docs/applications.md"),
    ("https", "HTTPS", "docs/https.md"),
    ("service", "As a service", "docs/service.md"),
    ("fleet", "More than one", "docs/fleet.md"),
    ("details", "Directives in detail", "docs/details.md"),
];

/// Pages that are made by the server or of the code.
const OTHERS: [(&str, &str); 2] = [("directives", "Directives"), ("examples/", "Examples")];

/// The links of a page to all of them, and the search box, which the page of directives answers.
pub fn nav(current: &str) -> String {
    let mut out = String::from("<nav aria-label=\"Chapters\">\n");
    for (name, title) in CHAPTERS.map(|(name, title, _)| (name, title)).into_iter().chain(OTHERS) {
        let mark = if name == current { " aria-current=\"page\"" } else { "" };
        let path = if name == "index" { "" } else { name };
        let _ = writeln!(out, "  <a href=\"/{path}\"{mark}>{title}</a>");
    }
    out + "  <form role=\"search\" action=\"/directives\"><input type=\"search\" name=\"q\" aria-label=\"Search the handbook\" \
           placeholder=\"Search\"></form>\n</nav>\n"
}

/// A page that is written by hand, with the links that it should have.
pub fn with_nav(name: &str, page: &str) -> String {
    let (head, rest) = page.split_once("<nav").expect("a nav");
    let (_, rest) = rest.split_once("</nav>\n").expect("its end");
    format!("{head}{}{rest}", nav(name))
}

/// The sections of a chapter, for the search: where each is, its heading, and its text, both as HTML without elements.
pub fn sections(name: &str, page: &str) -> Vec<(String, String, String)> {
    let path = if name == "index" { "" } else { name };
    let section = |text: &str| {
        let (heading, rest) = text.split_once("</h").expect("a heading");
        let (attributes, heading) = heading.split_once('>').expect("its tag");
        let anchor = attributes.split('"').nth(1).map_or(String::new(), |id| format!("#{id}"));
        (format!("/{path}{anchor}"), without_elements(heading), without_elements(&rest[2..]))
    };
    let main = main_part(page).trim_start();
    main.strip_prefix("<h1").expect("a heading").split("<h2").map(section).collect()
}

fn without_elements(html: &str) -> String {
    let text: Vec<String> = html.split('<').enumerate().map(|(at, part)| text_behind_tag(at, part)).collect();
    text.concat().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without its tag; cells and items are words of their own.
fn text_behind_tag(at: usize, part: &str) -> String {
    let Some((tag, text)) = part.split_once('>').filter(|_| at > 0) else { return part.to_owned() };
    if ["td", "th", "tr", "li"].iter().any(|word| tag.starts_with(word)) { format!(" {text}") } else { text.to_owned() }
}

fn main_part(page: &str) -> &str {
    page.split_once("<main>").and_then(|(_, rest)| rest.split_once("</main>")).expect("a main part").0
}

/// A chapter as Markdown. `name`: the file of its source.
pub fn markdown(name: &str, page: &str) -> String {
    let mut out = format!("<!-- Generated from www/handbook/{name}.html by `make docs`. -->\n\n");
    let mut rest = main_part(page).trim_start();
    while !rest.is_empty() {
        let (tag, inside, after) = element(rest);
        match tag.split(' ').next().unwrap_or_default() {
            "h1" => writeln!(out, "# {}\n", inline(inside)),
            "h2" => writeln!(out, "## {}\n", inline(inside)),
            "p" => writeln!(out, "{}\n", inline(inside)),
            "pre" => {
                let language = if tag.contains("console") { "sh" } else { "nginx" };
                writeln!(out, "```{language}\n{}\n```\n", entities(inside))
            }
            "table" => writeln!(out, "{}", table(inside)),
            "ul" => inside
                .split("<li>")
                .skip(1)
                .try_for_each(|item| writeln!(out, "- {}", inline(item)))
                .and_then(|()| writeln!(out)),
            other => panic!("{name}: no Markdown for <{other}>"),
        }
        .expect("text takes text");
        rest = after.trim_start();
    }
    format!("{}\n", out.trim_end())
}

/// The element that a text begins with: its tag with attributes, what is in it, and what follows.
fn element(text: &str) -> (&str, &str, &str) {
    let (tag, rest) = text.strip_prefix('<').and_then(|text| text.split_once('>')).expect("an element");
    let end = format!("</{}>", tag.split(' ').next().unwrap_or_default());
    let (inside, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{tag} is not closed"));
    (tag, inside, after)
}

/// Rows and cells end where the next begins.
fn table(rows: &str) -> String {
    let mut out = String::new();
    for (at, row) in rows.split("<tr>").skip(1).enumerate() {
        let cells: Vec<&str> = row.split("<t").skip(1).filter_map(|cell| Some(cell.split_once('>')?.1)).collect();
        let cells: Vec<String> = cells.into_iter().map(|cell| inline(cell).replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
        if at == 0 {
            let _ = writeln!(out, "|{}", "---|".repeat(cells.len()));
        }
    }
    out
}

/// Text with its code, emphasis and links, in one line.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tagged)) = rest.split_once('<') {
        out += &entities(before);
        let whole = &rest[before.len()..];
        let (tag, inside, after) = element(whole);
        match tag.split(' ').next().unwrap_or_default() {
            "code" => out += &format!("`{}`", entities(inside)),
            "i" => out += &format!("*{}*", entities(inside)),
            "a" => {
                let link = tagged.split('"').nth(1).unwrap_or_default();
                let chapter = CHAPTERS.iter().find(|(name, ..)| link.strip_prefix('/') == Some(name));
                let file = chapter.and_then(|(.., path)| path.strip_prefix("docs/"));
                out += &format!("[{}]({})", inline(inside), file.unwrap_or_else(|| panic!("no chapter {link}")));
            }
            other => panic!("no Markdown for <{other}> in a line"),
        }
        rest = after;
    }
    out += &entities(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
