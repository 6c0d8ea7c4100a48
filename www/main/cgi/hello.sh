#!/bin/sh
# A CGI program: it greets, and shows what its form sends. The form's fields come on standard input, $CONTENT_LENGTH
# bytes of them; everything else is in the environment (REQUEST_METHOD, QUERY_STRING, HTTP_...).

# The value of a field, its %-escapes and + undone.
field() {
    printf '%s' "$form" | tr '&' '\n' | sed -n "s/^$1=//p" | head -n 1 | tr '+' ' ' | awk '
        BEGIN { for (i = 0; i < 256; i++) byte[sprintf("%02X", i)] = sprintf("%c", i) }
        { while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
              printf "%s%s", substr($0, 1, RSTART - 1), byte[toupper(substr($0, RSTART + 1, 2))]
              $0 = substr($0, RSTART + 3)
          }
          print }'
}

# Nothing that a client sends is taken for HTML.
text() {
    sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' -e 's/"/\&quot;/g'
}

export LC_ALL=C
form=
if [ "$REQUEST_METHOD" = POST ]; then
    if [ "${CONTENT_LENGTH:-0}" -gt 10000 ]; then
        printf 'Status: 413\nContent-Type: text/plain\n\nThat is too much for this form.\n'
        exit
    fi
    form=$(head -c "${CONTENT_LENGTH:-0}")
fi
name=$(field name | text)
words=$(field words | text)

printf 'Content-Type: text/html; charset=utf-8\nCache-Control: no-store\n\n'
cat <<PAGE
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A CGI program</title>
<link rel="stylesheet" href="/style.css">
<main>
<h1>Hello${name:+, $name}!</h1>
<p>This page is written by <code>www/main/cgi/hello.sh</code>, a program that the server starts for each request.</p>
${words:+<p>You wrote:</p><blockquote>$words</blockquote>}
<form method="post" action="/cgi/hello.sh">
<p><label>Name <input name="name" value="$name"></label></p>
<p><label>Words <textarea name="words" rows="3">$words</textarea></label></p>
<p><button>Send</button></p>
</form>
<p><a href="/">Back</a></p>
</main>
</html>
PAGE
