//! Names from other servers, and what they are called here: for the help line of "unknown directive". Nothing in
//! this table is ever accepted as a directive.

use super::ast::Word;
use super::suggest;

/// What to write instead of `name`, a directive of Apache, lighttpd, Caddy, HAProxy or of a school's nginx-like
/// server; letter case does not matter. The sentence is ready for [`Diagnostic::help`](super::error::Diagnostic::help).
pub fn foreign(name: &str, args: &[Word]) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    // `Options -Indexes` turns the listing off.
    if lower == "options" && args.iter().any(|word| word.bytes().eq_ignore_ascii_case(b"-Indexes")) {
        return Some(format!("Apache's `{name} -Indexes` is `autoindex off;` here, which is the default"));
    }
    let row = FOREIGN.iter().find(|(from, _, _)| *from == lower)?;
    Some(format!("{}'s `{name}` is {} here", row.1, row.2))
}

/// The same for a name that is nearly one of the table.
pub fn nearest(name: &str) -> Option<String> {
    let near = suggest::nearest(name, FOREIGN.iter().map(|(from, _, _)| *from))?;
    let row = FOREIGN.iter().find(|(from, _, _)| *from == near)?;
    Some(format!("like {}'s `{near}`? that is {} here", row.1, row.2))
}

/// Lower-cased name, whose it is, what it is here.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("documentroot", "Apache", "`root PATH;`"),
    ("servername", "Apache", "`server_name NAME;`"),
    ("serveralias", "Apache", "another name in `server_name`"),
    ("errordocument", "Apache", "`error_page CODE URI;`"),
    ("directoryindex", "Apache", "`index FILE …;`"),
    ("options", "Apache", "`autoindex on;` (for Indexes)"),
    ("indexoptions", "Apache", "`autoindex_format`"),
    ("<virtualhost", "Apache", "`server { … }`"),
    ("<directory", "Apache", "`location … { … }`"),
    ("<location", "Apache", "`location … { … }`"),
    ("redirect", "Apache", "`return 301 URL;`"),
    ("redirectmatch", "Apache", "`rewrite REGEX URL;`"),
    ("rewriterule", "Apache", "`rewrite REGEX URL;`"),
    ("rewritecond", "Apache", "`if (CONDITION) { … }`"),
    ("customlog", "Apache", "`access_log PATH [FORMAT];`"),
    ("errorlog", "Apache", "`error_log PATH [LEVEL];`"),
    ("logformat", "Apache", "`log_format NAME …;`"),
    ("proxypass", "Apache", "`proxy_pass URL;` in a `location`"),
    ("proxypassreverse", "Apache", "`proxy_redirect`"),
    ("limitrequestbody", "Apache", "`client_max_body_size SIZE;`"),
    ("keepalive", "Apache", "`keepalive_timeout TIME;`"),
    ("keepalivetimeout", "Apache", "`keepalive_timeout TIME;`"),
    ("maxkeepaliverequests", "Apache", "`keepalive_requests N;`"),
    ("timeout", "Apache", "`send_timeout`, `client_header_timeout` or `client_body_timeout`"),
    ("addtype", "Apache", "`types { TYPE EXTENSION; }`"),
    ("adddefaultcharset", "Apache", "`charset NAME;`"),
    ("header", "Apache", "`add_header NAME VALUE;`"),
    ("expiresactive", "Apache", "`expires TIME;`"),
    ("expiresdefault", "Apache", "`expires TIME;`"),
    ("authuserfile", "Apache", "`auth_basic_user_file PATH;`"),
    ("authname", "Apache", "`auth_basic REALM;`"),
    ("require", "Apache", "`allow`, `deny` or `auth_basic`"),
    ("scriptalias", "Apache", "`cgi_pass` in a `location`"),
    ("addhandler", "Apache", "`cgi_pass INTERPRETER;` in `location ~ \\.EXT$`"),
    ("server.document-root", "lighttpd", "`root PATH;`"),
    ("server.port", "lighttpd", "`listen PORT;`"),
    ("server.bind", "lighttpd", "`listen ADDRESS:PORT;`"),
    ("server.name", "lighttpd", "`server_name NAME;`"),
    ("server.errorlog", "lighttpd", "`error_log PATH;`"),
    ("server.username", "lighttpd", "`user NAME;`"),
    ("server.max-request-size", "lighttpd", "`client_max_body_size SIZE;`"),
    ("server.max-keep-alive-requests", "lighttpd", "`keepalive_requests N;`"),
    ("server.error-handler-404", "lighttpd", "`error_page 404 URI;`"),
    ("server.modules", "lighttpd", "not needed: every module is built in and off until configured, so it"),
    ("accesslog.filename", "lighttpd", "`access_log PATH;`"),
    ("dir-listing.activate", "lighttpd", "`autoindex on;`"),
    ("server.dir-listing", "lighttpd", "`autoindex on;`"),
    ("index-file.names", "lighttpd", "`index FILE …;`"),
    ("mimetype.assign", "lighttpd", "`types { TYPE EXTENSION; }`"),
    ("url.redirect", "lighttpd", "`return 301 URL;`"),
    ("url.rewrite", "lighttpd", "`rewrite REGEX URL;`"),
    ("alias.url", "lighttpd", "`alias PATH;` in a `location`"),
    ("cgi.assign", "lighttpd", "`cgi_pass INTERPRETER;` in a `location`"),
    ("$http[\"host\"]", "lighttpd", "`server { server_name …; }`"),
    ("file_server", "Caddy", "`root PATH;` (files are served unless something else is said)"),
    ("reverse_proxy", "Caddy", "`proxy_pass URL;`"),
    ("respond", "Caddy", "`return CODE [TEXT];`"),
    ("redir", "Caddy", "`return 301 URL;`"),
    ("handle_path", "Caddy", "`location /prefix/ { … }`"),
    ("handle", "Caddy", "`location … { … }`"),
    ("encode", "Caddy", "`gzip on;`"),
    ("basicauth", "Caddy", "`auth_basic` with `auth_basic_user_file`"),
    ("basic_auth", "Caddy", "`auth_basic` with `auth_basic_user_file`"),
    ("handle_errors", "Caddy", "`error_page CODE URI;`"),
    ("php_fastcgi", "Caddy", "`fastcgi_pass ADDRESS;` in `location ~ \\.php$`"),
    ("bind", "HAProxy", "`listen ADDRESS:PORT;`"),
    ("frontend", "HAProxy", "`server { … }`"),
    ("backend", "HAProxy", "`upstream NAME { … }`"),
    ("directory_index", "another server", "\"index\": `index FILE …;`"),
    ("max_body_size", "another server", "`client_max_body_size SIZE;`"),
    ("client_body_size", "another server", "`client_max_body_size SIZE;`"),
    ("body_size", "another server", "`client_max_body_size SIZE;`"),
    ("client_max_body", "another server", "`client_max_body_size SIZE;`"),
    ("limit_client_body_size", "another server", "`client_max_body_size SIZE;`"),
    ("request_max_body_size", "another server", "`client_max_body_size SIZE;`"),
    ("port", "another server", "`listen PORT;`"),
    ("host", "another server", "`listen ADDRESS:PORT;`"),
    ("document_root", "another server", "`root PATH;`"),
    ("root_dir", "another server", "`root PATH;`"),
    ("default_file", "another server", "`index FILE …;`"),
    ("default_error_page", "another server", "`error_page CODE … URI;`"),
    ("error_pages", "another server", "`error_page CODE … URI;`"),
    ("directory_listing", "another server", "`autoindex on|off;`"),
    ("dir_listing", "another server", "`autoindex on|off;`"),
    ("listing", "another server", "`autoindex on|off;`"),
    ("route", "another server", "`location PATH { … }`"),
    ("redirection", "another server", "`return 301 URL;`"),
    ("cgi", "another server", "`cgi_pass INTERPRETER;`"),
    ("cgi_path", "another server", "`cgi_pass INTERPRETER;`"),
    ("cgi_bin", "another server", "`cgi_pass INTERPRETER;`"),
    ("cgi_ext", "another server", "`cgi_pass INTERPRETER;` in `location ~ \\.EXT$`"),
    ("upload_directory", "another server", "`upload_store PATH;`"),
    ("uploads", "another server", "`upload_store PATH;`"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_servers_are_translated() {
        assert_eq!(foreign("DocumentRoot", &[]).as_deref(), Some("Apache's `DocumentRoot` is `root PATH;` here"));
        assert_eq!(
            foreign("max_body_size", &[]).as_deref(),
            Some("another server's `max_body_size` is `client_max_body_size SIZE;` here")
        );
        assert_eq!(foreign("root", &[]), None);
    }

    #[test]
    fn the_table_is_searchable() {
        for (n, (name, _, _)) in FOREIGN.iter().enumerate() {
            assert_eq!(*name, name.to_ascii_lowercase());
            assert!(!FOREIGN.iter().take(n).any(|(other, _, _)| other == name), "{name} twice");
        }
    }
}
