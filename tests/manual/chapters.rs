//! The handbook's chapters as Markdown, for readers of the repository: `www/handbook/*.html` is what is written, these pages
//! are made of it. Knows the elements that the chapters use, and fails on others.

use std::fmt::Write;

/// Chapters that are written by hand, in the order of the handbook; the first page is its index.
pub const CHAPTERS: [(&str, &str); 5] = [
    ("index", "docs/first-steps.md"),
    ("uploads", "docs/uploads.md"),
    ("sites", "docs/sites.md"),
    ("https", "docs/https.md"),
    ("service", "docs/service.md"),
];

/// A chapter as Markdown. `name`: the file of its source.
pub fn markdown(name: &str, page: &str) -> String {
    let main = page.split_once("<main>").and_then(|(_, rest)| rest.split_once("</main>")).expect("a main part").0;
    let mut out = format!("<!-- Generated from www/handbook/{name}.html by `make docs`. -->\n\n");
    let mut rest = main.trim_start();
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
                let chapter = CHAPTERS.iter().find(|(name, _)| link.strip_prefix('/') == Some(name));
                let file = chapter.and_then(|(_, path)| path.strip_prefix("docs/"));
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
