//! `webserv directives NAME`: one entry of the manual, or suggestions.

use super::variables;
use crate::config::template::Builtin;
use crate::config::{registry, suggest};

/// The manual entry of a directive.
///
/// # Errors
/// The message if there is no such directive: the nearest name, or names that contain the word.
pub fn entry(name: &str) -> Result<String, String> {
    if name.starts_with('$') {
        return variables::describe(name).ok_or_else(|| no_variable(name));
    }
    let manual = registry::reference(registry::Markup::Text);
    let name = &*name.to_ascii_lowercase();
    if ["variable", "variables"].contains(&name) {
        return Ok(variables_page());
    }
    if let Some(entry) = manual.split("\n\n").find(|entry| entry.lines().next() == Some(name)) {
        return Ok(format!("{entry}\n"));
    }
    // Ignored and refused directives have one line.
    let prefix = format!("    {name} (");
    if let Some(line) = manual.lines().find(|line| line.starts_with(&prefix)) {
        // The lists are in this order.
        let is_refused =
            manual.split_once("\nRefused with a reason\n").is_some_and(|(_, refused)| refused.contains(line));
        let class = if is_refused { "refused" } else { "ignored" };
        return Ok(format!("{}\n    class: {class}\n", line.trim_start()));
    }
    let names: Vec<&str> = manual.lines().filter(|line| !line.starts_with(' ') && !line.contains(' ')).collect();
    let near = names.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    // A short word is similar to anything.
    let hint = match near.filter(|(distance, _)| *distance <= 3 && distance * 2 < name.len()) {
        Some((_, known)) => format!("; did you mean \"{known}\"?"),
        None => with(name, &names),
    };
    Err(format!("no directive is called \"{name}\"{hint}"))
}

/// The names of all variables.
fn variables_page() -> String {
    let mut names: Vec<String> = Builtin::ALL.iter().map(|variable| format!("${}\n", variable.name())).collect();
    names.sort_unstable();
    format!("{}\nwebserv directives '$NAME' says what one is.\n", names.concat())
}

fn no_variable(name: &str) -> String {
    let bare = name.trim_start_matches('$');
    let near = suggest::nearest(bare, Builtin::ALL.iter().map(|builtin| builtin.name()));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean \"${near}\"?"));
    format!("no built-in variable is called \"{name}\"{hint}")
}

/// Names that contain the word.
fn with(word: &str, names: &[&str]) -> String {
    let found: Vec<&str> = names.iter().copied().filter(|known| word.len() > 2 && known.contains(word)).collect();
    if found.is_empty() {
        "; `webserv directives` prints them all".to_owned()
    } else {
        format!("; with it in their names: {}", found.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn a_directive_has_its_entry_and_a_typo_its_suggestion() {
        assert!(entry("autoindex").is_ok_and(|text| text.starts_with("autoindex\n    syntax: autoindex on | off;\n")));
        assert!(entry("autoindx").is_err_and(|why| why.ends_with("did you mean \"autoindex\"?")));
        assert!(entry("worker_processes").is_ok_and(|text| text.ends_with("\n    class: ignored\n")));
        assert!(entry("mail").is_ok_and(|text| text.ends_with("\n    class: refused\n")));
        assert!(entry("uplod").is_err_and(|why| !why.contains("allow")));
        assert!(
            entry("quota").is_err_and(|why| why.contains("with it in their names: ") && why.contains("upload_quota"))
        );
        assert!(entry("$hots").is_err_and(|why| why.ends_with("did you mean \"$host\"?")));
        assert!(entry("AutoIndex").is_ok_and(|text| text.starts_with("autoindex\n")));
        assert!(entry("variables").is_ok_and(|text| text.contains("$uri\n") && text.contains("'$NAME'")));
        assert!(entry("$uri").is_ok_and(|text| text.starts_with("$uri\n    The path")));
        assert!(entry("nothing_like_it_at_all").is_err_and(|why| !why.contains("mean")));
    }
}
