//! `webserv cert`: where the certificates of `ssl_certificate auto` are on this machine, and how to trust them. Creates
//! those that are missing.

use crate::config::local_ca;
use crate::tls::{issue, names};

/// The output for a server with these names.
///
/// # Errors
/// The certificates can neither be read nor created; with the reason.
pub fn page(wanted: &[String], now: i64) -> Result<String, String> {
    let cured = |why: String| format!("{why}; {}", local_ca::REMEDY);
    let directory = local_ca::directory().map_err(cured)?;
    let made = local_ca::obtain(Some(&directory), wanted, now).map_err(cured)?;
    let all = local_ca::names(wanted);
    let (certificate, key) = local_ca::paths(&directory, &all);
    let until = issue::covers(made.certificate.as_bytes(), &[]).map_or(0, |found| found.until);
    let (authority, certificate, key) =
        (directory.join("ca.crt").display().to_string(), certificate.display().to_string(), key.display().to_string());
    let (list, until) = (all.join(", "), names::time(until));
    Ok(format!(
        "\
authority    {authority}
certificate  {certificate}
             for {list}, until {until}
key          {key}

Trust the authority, once on this machine; it has signed nothing but what lies beside it:

  Debian, Ubuntu   sudo cp {authority} /usr/local/share/ca-certificates/webserv.crt && sudo update-ca-certificates
  Fedora, Arch     sudo trust anchor {authority}
  Chromium         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n webserv -i {authority}
  Firefox          Settings, Certificates, View Certificates, Authorities, Import: {authority}
  curl, once       curl --cacert {authority} https://localhost:8443/

In a server: listen 8443 ssl; ssl_certificate auto;
"
    ))
}
