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
    if matches!(&*lower, "deny" | "allow") && args.iter().any(|word| word.bytes().eq_ignore_ascii_case(b"from")) {
        let who = args.last().map(|word| word.str().to_ascii_lowercase()).unwrap_or_default();
        return Some(format!("Apache's `{name} from {who}` is `{lower} {who};` here"));
    }
    let row = FOREIGN.iter().find(|(from, _, _)| *from == lower)?;
    if row.2.starts_with("not needed") {
        return Some(format!("{}'s `{name}` is {}", row.1, row.2));
    }
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
    ("rewriteengine", "Apache", "not needed: `rewrite` and `return` work where they stand"),
    ("rewritebase", "Apache", "not needed: `rewrite` sees the whole URI"),
    ("allowoverride", "Apache", "not needed: there are no .htaccess files, all is in the configuration"),
    ("order", "Apache", "`allow` and `deny` in their order, the first that matches decides, and it"),
    ("loadmodule", "Apache", "not needed: every module is built in"),
    ("<ifmodule", "Apache", "not needed: every module is built in; what is inside it is written alone"),
    ("<files", "Apache", "`location ~ REGEX { … }`"),
    ("<filesmatch", "Apache", "`location ~ REGEX { … }`"),
    ("<locationmatch", "Apache", "`location ~ REGEX { … }`"),
    ("<directorymatch", "Apache", "`location ~ REGEX { … }`"),
    ("<proxy", "Apache", "`upstream NAME { … }`"),
    ("alias", "Apache", "`location PATH { alias DIRECTORY; }`"),
    ("proxypreservehost", "Apache", "`proxy_set_header Host $host;`"),
    ("proxyrequests", "Apache", "not needed: there is no forward proxy"),
    ("requestheader", "Apache", "`proxy_set_header NAME VALUE;`"),
    ("setenv", "Apache", "`set $NAME VALUE;`"),
    ("setenvif", "Apache", "`map $http_NAME $variable { … }`"),
    ("sslengine", "Apache", "`listen 443 ssl;`"),
    ("sslcertificatefile", "Apache", "`ssl_certificate PATH;`"),
    ("sslcertificatekeyfile", "Apache", "`ssl_certificate_key PATH;`"),
    ("sslprotocol", "Apache", "`ssl_protocols TLSv1.2 TLSv1.3;`"),
    ("serverroot", "Apache", "the `-p` of the command line"),
    ("serveradmin", "Apache", "not needed"),
    ("serversignature", "Apache", "`server_tokens off;`"),
    ("fallbackresource", "Apache", "`try_files $uri /index.html;`"),
    ("authtype", "Apache", "`auth_basic REALM;`"),
    ("addencoding", "Apache", "`gzip_static on;`"),
    ("addoutputfilterbytype", "Apache", "`gzip_types TYPE …;`"),
    ("user", "Apache", "`user NAME;`, at the top of the file, and it"),
    ("group", "Apache", "`user NAME GROUP;`"),
    ("documentindex", "Apache", "`index FILE …;`"),
    ("ssl", "an older nginx", "`listen 443 ssl;`"),
    ("spdy", "an older nginx", "`http2 on;`"),
    ("server.document-root", "lighttpd", "`root PATH;`"),
    ("server.port", "lighttpd", "`listen PORT;`"),
    ("server.bind", "lighttpd", "`listen ADDRESS:PORT;`"),
    ("server.name", "lighttpd", "`server_name NAME;`"),
    ("server.errorlog", "lighttpd", "`error_log PATH;`"),
    ("server.username", "lighttpd", "`user NAME;`"),
    ("server.max-request-size", "lighttpd", "`client_max_body_size SIZE;`"),
    ("server.max-keep-alive-requests", "lighttpd", "`keepalive_requests N;`"),
    ("server.error-handler-404", "lighttpd", "`error_page 404 URI;`"),
    ("server.modules", "lighttpd", "not needed: every module is built in, and off until configured"),
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
    ("file_server", "Caddy", "`root PATH;` (files are served unless something else is configured)"),
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
    ("root*", "Caddy", "`root PATH;`"),
    ("tls", "Caddy", "`listen 443 ssl; acme_certificate default;`"),
    ("log", "Caddy", "`access_log PATH;`"),
    ("uri", "Caddy", "`rewrite REGEX URI;`"),
    ("templates", "Caddy", "`ssi on;`"),
    ("browse", "Caddy", "`autoindex on;`"),
    ("request_body", "Caddy", "`client_max_body_size SIZE;`"),
    ("import", "Caddy", "`include PATH;`"),
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
    ("index_file", "another server", "`index FILE …;`"),
    ("index_files", "another server", "`index FILE …;`"),
    ("default_index", "another server", "`index FILE …;`"),
    ("round_robin", "another server", "not needed: servers take turns unless something else is written"),
    ("roundrobin", "another server", "not needed: servers take turns unless something else is written"),
    ("balance", "HAProxy", "`least_conn;`, `ip_hash;`, `hash …;` or nothing (servers take turns)"),
    ("max_upload_size", "another server", "`client_max_body_size SIZE;`"),
    ("upload_max_filesize", "PHP", "`client_max_body_size SIZE;`"),
    ("upload_limit", "another server", "`client_max_body_size SIZE;`"),
    ("cors", "another server", "`add_header Access-Control-Allow-Origin …;`"),
    ("compress", "another server", "`gzip on;`"),
    ("compression", "another server", "`gzip on;`"),
    ("methods", "another server", "`allowed_methods METHOD …;`"),
    ("allow_method", "another server", "`allowed_methods METHOD …;`"),
    ("timeouts", "another server", "`send_timeout`, `client_header_timeout` or `client_body_timeout`"),
    ("log_file", "another server", "`access_log PATH;`"),
    ("log_level", "another server", "`error_log PATH LEVEL;`"),
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
