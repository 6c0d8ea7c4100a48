//! `webserv directives NAME`: one entry of the manual, or the nearest name.

use crate::config::registry;

/// The entry of a directive.
///
/// # Errors
/// What to print where there is no such directive, with the nearest name if one is near.
pub fn entry(name: &str) -> Result<String, String> {
    let manual = registry::reference(false);
    if let Some(entry) = manual.split("\n\n").find(|entry| entry.lines().next() == Some(name)) {
        return Ok(format!("{entry}\n"));
    }
    // What is accepted and ignored, or refused, has one line.
    let prefix = format!("    {name} (");
    if let Some(line) = manual.lines().find(|line| line.starts_with(&prefix)) {
        return Ok(format!("{}\n", line.trim_start()));
    }
    let names = manual.lines().filter(|line| !line.starts_with(' ') && !line.contains(' '));
    let near = names.map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    let hint = near
        .filter(|(distance, _)| *distance <= 3)
        .map_or(String::new(), |(_, known)| format!("; did you mean \"{known}\"?"));
    Err(format!("no directive is called \"{name}\"{hint}"))
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn a_directive_has_its_entry_and_a_typo_its_suggestion() {
        assert!(entry("autoindex").is_ok_and(|text| text.starts_with("autoindex\n    takes: ")));
        assert!(entry("autoindx").is_err_and(|why| why.ends_with("did you mean \"autoindex\"?")));
        assert!(entry("worker_processes").is_ok());
        assert!(entry("nothing_like_it_at_all").is_err_and(|why| !why.contains("mean")));
    }
}
