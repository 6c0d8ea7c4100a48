//! Every directive of stock nginx by name, implemented here or not: what `ignored`, `ignored_upstream`, `refused`
//! and `elsewhere` hold together. The tables of implemented directives are asked first.

use super::{elsewhere, ignored, ignored_upstream, refused};
use crate::config::ast::Word;
use crate::config::context::{Class, Contexts, Known};

const TABLES: [&[Known]; 4] = [ignored::ROWS, ignored_upstream::ROWS, refused::ROWS, elsewhere::ROWS];

/// The rows of a name: several where several of nginx's modules have it in different places.
pub fn find(name: &str) -> impl Iterator<Item = &'static Known> {
    TABLES.into_iter().flat_map(move |rows| {
        let from = rows.partition_point(|row| row.name < name);
        rows.get(from..).unwrap_or_default().iter().take_while(move |row| row.name == name)
    })
}

/// The row that holds in one of `contexts`; else any, for "is not allowed here".
pub fn find_in(name: &str, contexts: Contexts) -> Option<&'static Known> {
    find(name).find(|row| row.contexts.intersects(contexts)).or_else(|| find(name).next())
}

/// Every name, for "did you mean".
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().flatten().map(|row| row.name)
}

impl Known {
    /// Whether these arguments ask for nothing: `ssi off` is harmless where `ssi on` must be refused.
    pub fn asks_for_nothing(&self, args: &[Word]) -> bool {
        self.class == Class::Ignored || matches!(args, [word] if word.bytes().eq_ignore_ascii_case(b"off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_complete() {
        for rows in TABLES {
            assert!(rows.is_sorted_by_key(|row| row.name));
        }
        for row in TABLES.into_iter().flatten() {
            assert!(find(row.name).any(|found| found.module == row.module), "{}", row.name);
            assert!(!row.contexts.is_empty() && !row.why.is_empty() && row.module.starts_with("ngx_"));
            let same = |other: &&Known| other.contexts == row.contexts && other.module == row.module;
            assert_eq!(find(row.name).filter(same).count(), 1, "{} twice", row.name);
        }
    }

    #[test]
    fn names_have_the_class_of_the_design() {
        for (name, class) in [
            ("fastcgi_buffers", Class::Ignored),
            ("types_hash_max_size", Class::Ignored),
            ("ssl_dhparam", Class::Ignored),
            ("proxy_temp_path", Class::Ignored),
            ("resolver", Class::Ignored),
            ("fastcgi_pass", Class::Refused),
            ("ssl_ocsp", Class::Refused),
            ("http3", Class::Refused),
            ("perl", Class::Refused),
            ("image_filter", Class::Refused),
            ("secure_link", Class::Refused),
            ("auth_request", Class::Refused),
            ("sub_filter", Class::Refused),
            ("add_before_body", Class::Refused),
            ("stream", Class::Refused),
            ("ssl_preread", Class::Refused),
        ] {
            assert_eq!(find(name).next().map(|row| row.class), Some(class), "{name}");
        }
        assert_eq!(find("rot").count(), 0);
    }

    #[test]
    fn one_name_in_two_places_has_two_rows() {
        assert_eq!(
            find_in("keepalive_timeout", Contexts::UPSTREAM).map(|row| row.module),
            Some("ngx_http_upstream_keepalive_module")
        );
        assert_eq!(find_in("keepalive_timeout", Contexts::SERVER).map(|row| row.module), Some("ngx_http_core_module"));
        assert!(find_in("listen", Contexts::MAIL).is_some_and(|row| row.contexts == Contexts::MAIL));
    }
}
