//! As [`super::mistakes`]: values of another directive, signs between words, and names that lack letters.

#[rustfmt::skip]
pub const MISTAKES: &[(&str, &str)] = &[
    ("http_3 on;", "http3"),
    ("h2 on;", "http2 on"),
    ("lstn 81;", "\"listen\""),
    ("location / {\nproxy_pass fastcgi://127.0.0.1:9000;\n}", "fastcgi_pass 127.0.0.1:9000;"),
    ("location / {\nproxy_pass http:/run/a.sock;\n}", "proxy_pass http://unix:/run/a.sock;"),
    ("location / {\nproxy_buffer_size 4 16k;\n}", "proxy_buffers 4 16k;"),
    ("location / {\nproxy_busy_buffers_size 1m;\n}", "proxy_busy_buffers_size 28k;"),
    ("location / {\nproxy_buffers 4 4k;\nproxy_busy_buffers_size 2k;\n}", "proxy_busy_buffers_size 4k;"),
    ("access_log logs/a warn;", "error_log logs/a warn;"),
    ("access_log logs/a combined buffer =32k;", "buffer=32k;"),
    ("listen :::8080;", "listen [::]:8080;"),
    ("return 30l /x;", "return 301 /x;"),
    ("location / {\nupload_extensions .jpg,.png;\n}", ".jpg .png"),
    ("index a.html,b.html;", "a.html b.html"),
    ("location / {\nupload_return /x;\n}", "upload_return 303 /x;"),
    ("location / {\ndav_ext_methods PROPFIND PUT;\n}", "dav_methods PUT; dav_ext_methods PROPFIND;"),
    ("location / {\ndav_access user:rw,group:r;\n}", "dav_access user:rw group:r;"),
    ("location ~ ^/(?<a-b>.*)$ { root /x; }", "(?<a_b>"),
    ("auth_basic \"x\" alice:secret;", "auth_basic_user_file"),
    ("add_header X-C #ff0000;\nroot /x;", "\"#ff0000\""),
    ("upload_methods POST;", "allowed_methods"),
    ("include a.conf { }", "include a.conf;"),
];
