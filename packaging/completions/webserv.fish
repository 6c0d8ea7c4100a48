# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_webserv_global_optspecs
    string join \n t T q v V version status all qr upload tls hidden follow-links print-config format= c= e= p= g= port= bind= auth= s= h/help
end

function __fish_webserv_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_webserv_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_webserv_using_subcommand
    set -l cmd (__fish_webserv_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s e -d 'set error log file' -r -F
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l port -d 'serving a directory: the port [default: 8000]' -r -f
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l bind -d 'serving a directory: the address [default: 127.0.0.1, this machine only]' -r -f
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l auth -d 'serving a directory: ask visitors for a password' -r -f
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s s -d 'send signal to the running server: stop, quit, reopen, reload, drain, upgrade' -r -f -a "stop\t''
quit\t''
reopen\t''
reload\t''
drain\t''
upgrade\t''"
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s t -d 'test configuration and exit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s T -d 'test configuration, dump it and exit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s v -d 'show version and exit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s V -d 'show version and configure options then exit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l version -d 'show webserv\'s own version and exit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l status -d 'show how the running server is doing (its configuration has an api)'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l all -d 'with --status: every counter, a line each'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l qr -d 'show the address as a QR code, on a terminal'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l upload -d 'serving a directory: let visitors upload, replace and delete'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l tls -d 'serving a directory: over HTTPS, by a certificate of the local authority'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l hidden -d 'serving a directory: names that begin with a dot, too, to those who know them'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l follow-links -d 'serving a directory: also what links lead to outside of it'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -l print-config -d 'print the configuration that serves the directory, and exit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -s h -l help -d 'show the help'
complete -c webserv -n "__fish_webserv_needs_command" -a "explain" -d 'Say what would become of a request, and why, without serving it'
complete -c webserv -n "__fish_webserv_needs_command" -a "cert" -d 'Print where the certificates of `ssl_certificate auto` are, and how to trust them'
complete -c webserv -n "__fish_webserv_needs_command" -a "fmt" -d 'Format configurations: indentation, spaces and blank lines; comments are kept'
complete -c webserv -n "__fish_webserv_needs_command" -a "lsp" -d 'Serve an editor over standard input and output (language server)'
complete -c webserv -n "__fish_webserv_needs_command" -a "check-nginx" -d 'Show what in an nginx configuration would be the same, ignored, refused or different'
complete -c webserv -n "__fish_webserv_needs_command" -a "diff" -d 'Compare how two configurations answer the requests in a log, or their directives without one'
complete -c webserv -n "__fish_webserv_needs_command" -a "version" -d 'the same as webserv --version'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -a "reload" -d 'the same as webserv -s reload'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -a "stop" -d 'the same as webserv -s stop'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -a "quit" -d 'the same as webserv -s quit'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -a "reopen" -d 'the same as webserv -s reopen'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -a "drain" -d 'the same as webserv -s drain'
complete -c webserv -n "not __fish_seen_subcommand_from explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help" -a "upgrade" -d 'the same as webserv -s upgrade'
complete -c webserv -n "__fish_webserv_needs_command" -a "status" -d 'the same as webserv --status'
complete -c webserv -n "__fish_webserv_needs_command" -a "run" -d 'serve a configuration or a directory'
complete -c webserv -n "__fish_webserv_needs_command" -a "serve" -d 'serve a configuration or a directory'
complete -c webserv -n "__fish_webserv_needs_command" -a "start" -d 'serve a configuration or a directory'
complete -c webserv -n "__fish_webserv_needs_command" -a "check" -d 'the same as webserv -t'
complete -c webserv -n "__fish_webserv_needs_command" -a "test" -d 'the same as webserv -t'
complete -c webserv -n "__fish_webserv_needs_command" -a "validate" -d 'the same as webserv -t'
complete -c webserv -n "__fish_webserv_needs_command" -a "configtest" -d 'the same as webserv -t'
complete -c webserv -n "__fish_webserv_needs_command" -a "dump" -d 'the same as webserv -T'
complete -c webserv -n "__fish_webserv_needs_command" -a "directives" -d 'Print the reference of all directives, or of one'
complete -c webserv -n "__fish_webserv_needs_command" -a "lint" -d 'Warn about what is valid but probably not intended'
complete -c webserv -n "__fish_webserv_needs_command" -a "sign" -d 'Print a link that `signed_link` accepts, for an upload or a download'
complete -c webserv -n "__fish_webserv_needs_command" -a "help" -d 'the same as webserv --help'
complete -c webserv -n "__fish_webserv_using_subcommand explain" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r
complete -c webserv -n "__fish_webserv_using_subcommand explain" -s g -d 'set global directives beside the configuration file' -r
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l log -d 'explain a request in this log: give its id or its line instead of METHOD URL' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand explain" -s H -d 'a request header' -r
complete -c webserv -n "__fish_webserv_using_subcommand explain" -s p -d 'set prefix path' -r
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l from -d 'the client\'s address' -r
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l tls -d 'the request comes over TLS, where the URL does not say'
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l http2 -d 'the request comes by HTTP/2'
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l client-cert -d 'the client presents a valid certificate, where one is asked for'
complete -c webserv -n "__fish_webserv_using_subcommand explain" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand cert" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand fmt" -l check -d 'change nothing; fail if anything would change'
complete -c webserv -n "__fish_webserv_using_subcommand fmt" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand lsp" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand check-nginx" -s p -d 'set prefix path' -r
complete -c webserv -n "__fish_webserv_using_subcommand check-nginx" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand diff" -s p -d 'set prefix path' -r
complete -c webserv -n "__fish_webserv_using_subcommand diff" -l log -d 'an access or error log with the requests' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand diff" -l exit-code -d 'fail if an answer would differ, as git diff does'
complete -c webserv -n "__fish_webserv_using_subcommand diff" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand version" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand reload" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand reload" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand reload" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand reload" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand stop" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand stop" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand stop" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand stop" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand quit" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand quit" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand quit" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand quit" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand reopen" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand reopen" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand reopen" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand reopen" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand drain" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand drain" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand drain" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand drain" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand upgrade" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand upgrade" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand upgrade" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand upgrade" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand status" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand status" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand status" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand status" -l all -d 'with --status: every counter, a line each'
complete -c webserv -n "__fish_webserv_using_subcommand status" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand run" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand run" -s e -d 'set error log file' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand run" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand run" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand run" -l port -d 'serving a directory: the port [default: 8000]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand run" -l bind -d 'serving a directory: the address [default: 127.0.0.1, this machine only]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand run" -l auth -d 'serving a directory: ask visitors for a password' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand run" -l qr -d 'show the address as a QR code, on a terminal'
complete -c webserv -n "__fish_webserv_using_subcommand run" -l upload -d 'serving a directory: let visitors upload, replace and delete'
complete -c webserv -n "__fish_webserv_using_subcommand run" -l tls -d 'serving a directory: over HTTPS, by a certificate of the local authority'
complete -c webserv -n "__fish_webserv_using_subcommand run" -l hidden -d 'serving a directory: names that begin with a dot, too, to those who know them'
complete -c webserv -n "__fish_webserv_using_subcommand run" -l follow-links -d 'serving a directory: also what links lead to outside of it'
complete -c webserv -n "__fish_webserv_using_subcommand run" -l print-config -d 'print the configuration that serves the directory, and exit'
complete -c webserv -n "__fish_webserv_using_subcommand run" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand serve" -s e -d 'set error log file' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand serve" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand serve" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l port -d 'serving a directory: the port [default: 8000]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l bind -d 'serving a directory: the address [default: 127.0.0.1, this machine only]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l auth -d 'serving a directory: ask visitors for a password' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l qr -d 'show the address as a QR code, on a terminal'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l upload -d 'serving a directory: let visitors upload, replace and delete'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l tls -d 'serving a directory: over HTTPS, by a certificate of the local authority'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l hidden -d 'serving a directory: names that begin with a dot, too, to those who know them'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l follow-links -d 'serving a directory: also what links lead to outside of it'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l print-config -d 'print the configuration that serves the directory, and exit'
complete -c webserv -n "__fish_webserv_using_subcommand serve" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand start" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand start" -s e -d 'set error log file' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand start" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand start" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand start" -l port -d 'serving a directory: the port [default: 8000]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand start" -l bind -d 'serving a directory: the address [default: 127.0.0.1, this machine only]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand start" -l auth -d 'serving a directory: ask visitors for a password' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand start" -l qr -d 'show the address as a QR code, on a terminal'
complete -c webserv -n "__fish_webserv_using_subcommand start" -l upload -d 'serving a directory: let visitors upload, replace and delete'
complete -c webserv -n "__fish_webserv_using_subcommand start" -l tls -d 'serving a directory: over HTTPS, by a certificate of the local authority'
complete -c webserv -n "__fish_webserv_using_subcommand start" -l hidden -d 'serving a directory: names that begin with a dot, too, to those who know them'
complete -c webserv -n "__fish_webserv_using_subcommand start" -l follow-links -d 'serving a directory: also what links lead to outside of it'
complete -c webserv -n "__fish_webserv_using_subcommand start" -l print-config -d 'print the configuration that serves the directory, and exit'
complete -c webserv -n "__fish_webserv_using_subcommand start" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand check" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand check" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand check" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand check" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand check" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand check" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand test" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand test" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand test" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand test" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand test" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand test" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand validate" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand validate" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand validate" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand validate" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand validate" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand validate" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand configtest" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand configtest" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand configtest" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand configtest" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand configtest" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand configtest" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand dump" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand dump" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand dump" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand dump" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand dump" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand dump" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand directives" -l markdown -d 'as Markdown instead of text'
complete -c webserv -n "__fish_webserv_using_subcommand directives" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand lint" -s p -d 'set prefix path' -r
complete -c webserv -n "__fish_webserv_using_subcommand lint" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand lint" -l explain -d 'print the page of a rule, or list the rules' -r -f -a "W001\t''
W002\t''
W003\t''
W004\t''
W005\t''
W006\t''
W007\t''
W008\t''
W009\t''
W010\t''
W011\t''
W012\t''
W013\t''
W014\t''
W015\t''
W016\t''
W017\t''
W018\t''
W019\t''
W020\t''
W021\t''
W022\t''
W023\t''
W024\t''
W025\t''
W026\t''
W027\t''
W028\t''
W029\t''
W030\t''
W031\t''
W032\t''
W033\t''
W034\t''
W035\t''
W036\t''
W037\t''
W038\t''
W039\t''
W040\t''
W041\t''
W042\t''
W043\t''
W044\t''
W045\t''
W046\t''
W047\t''
W048\t''
W049\t''
W050\t''
W051\t''
W052\t''
W054\t''
W055\t''
W056\t''
W057\t''
W058\t''
W059\t''
W060\t''
W061\t''
W062\t''
W063\t''
W064\t''
W065\t''
W066\t''
W067\t''
W068\t''
W069\t''
W070\t''
W071\t''
W072\t''
W073\t''
W074\t''
W075\t''
W076\t''
W077\t''
W078\t''
W079\t''
W080\t''
W081\t''
W082\t''
W083\t''
W084\t''
W085\t''
W086\t''
W087\t''
W088\t''
W089\t''
W090\t''
W091\t''
W092\t''
W093\t''
W094\t''
W095\t''
W096\t''
W097\t''
W098\t''
W099\t''
W101\t''
W102\t''
W103\t''
W104\t''
W105\t''
W106\t''
W107\t''
W108\t''
W109\t''
W110\t''
W111\t''
W112\t''
W113\t''
W114\t''
W115\t''
W116\t''
W117\t''
W118\t''
W119\t''
W120\t''
W121\t''
W122\t''
W123\t''
W124\t''
W125\t''
W126\t''
W127\t''
W128\t''
W129\t''
W130\t''
W131\t''
W132\t''
W133\t''
W134\t''
W135\t''
W136\t''
W137\t''
W138\t''
W139\t''
W140\t''
W141\t''
W142\t''
W143\t''
W144\t''
W145\t''
W146\t''
W147\t''
W148\t''
W149\t''
W150\t''
W151\t''
W152\t''
W153\t''
W154\t''
W155\t''
W156\t''
W157\t''
W158\t''
W159\t''
W160\t''
W161\t''
W162\t''
W163\t''
W164\t''
W165\t''
W166\t''
W167\t''
W168\t''
W169\t''
W170\t''
W171\t''
W172\t''
W174\t''
W175\t''
W176\t''
W177\t''
W178\t''
W179\t''
W180\t''
W181\t''
W182\t''
W183\t''
W184\t''
W185\t''
W187\t''
W188\t''
W189\t''
W190\t''
W201\t''
W202\t''
W203\t''
W204\t''
W205\t''
W206\t''
W207\t''
W210\t''
W211\t''
W212\t''
W213\t''
W214\t''
W215\t''
W216\t''
W217\t''
W218\t''
W219\t''
W220\t''
W221\t''
W222\t''
W223\t''
W224\t''
W225\t''
W226\t''
W227\t''
W228\t''
W229\t''
W230\t''
W231\t''
W232\t''
W233\t''
W234\t''
W235\t''
W236\t''
W237\t''
W301\t''
W302\t''
W303\t''
W304\t''
W305\t''
W306\t''
W307\t''
W309\t''
W310\t''
W311\t''
W312\t''
W313\t''
W314\t''
W315\t''
W316\t''
W317\t''
W318\t''
W319\t''
W320\t''
W321\t''
W322\t''
W323\t''
W325\t''
W326\t''
W327\t''
W328\t''
W329\t''
W330\t''
W331\t''
W332\t''
W333\t''
W334\t''
W335\t''
W336\t''
W338\t''
W339\t''
W340\t''
W341\t''
W342\t''
W343\t''
W344\t''
W345\t''
W346\t''
W347\t''
W348\t''
W349\t''
W350\t''
W351\t''
W352\t''
W353\t''
W354\t''
W355\t''
W357\t''
W358\t''
W359\t''
W360\t''
W361\t''
W362\t''
W363\t''
W364\t''
W365\t''
W366\t''
W367\t''
W368\t''
W369\t''
W370\t''
W371\t''
W372\t''
W373\t''
W374\t''
W375\t''
W376\t''
W377\t''
W378\t''
W379\t''
W380\t''
W381\t''
W382\t''
W383\t''
W384\t''
W385\t''
W386\t''
W387\t''
W388\t''
W389\t''
W390\t''
W391\t''
W392\t''"
complete -c webserv -n "__fish_webserv_using_subcommand lint" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l key -d 'the file that signed_link names' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l expires -d '30m, 2h, 7d from now, or a Unix time [default: 1h]' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l methods -d 'GET, or POST,PUT for uploads' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l size -d 'bytes of an uploaded file, such as 0-10m' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l types -d 'media types of uploaded files, such as image/*,application/pdf' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l place -d 'the path that the link is for, where it is not the URL\'s' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand sign" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand help" -l format -d 'how messages are printed: text or json' -r -f -a "text\t''
json\t''"
complete -c webserv -n "__fish_webserv_using_subcommand help" -s c -d 'set configuration file (nginx\'s defaults then apply)' -r -F
complete -c webserv -n "__fish_webserv_using_subcommand help" -s p -d 'set prefix path' -r -f -a "(__fish_complete_directories)"
complete -c webserv -n "__fish_webserv_using_subcommand help" -s g -d 'set global directives beside the configuration file' -r -f
complete -c webserv -n "__fish_webserv_using_subcommand help" -s q -d 'suppress non-error messages during configuration testing'
complete -c webserv -n "__fish_webserv_using_subcommand help" -l help -d 'show what it does'
complete -c webserv -n "__fish_webserv_using_subcommand directives" -f -a "absolute_redirect accept_terms_of_service access_log account_key acme_certificate acme_issuer acme_shared_zone add_header add_header_inherit add_trailer add_trailer_inherit alias allow allowed_methods api auth_basic auth_basic_user_file auth_delay auth_request auth_request_below auth_request_set autoindex autoindex_archive autoindex_exact_size autoindex_format autoindex_localtime autoindex_search autoindex_upload break cgi_env cgi_extension cgi_max_children cgi_pass cgi_stderr cgi_timeout cgi_working_dir challenge charset charset_map charset_types chunked_transfer_encoding client_body_buffer_size client_body_in_file_only client_body_in_single_buffer client_body_temp_path client_body_timeout client_header_buffer_size client_header_timeout client_max_body_size contact create_full_put_path daemon dav_access dav_ext_lock dav_ext_lock_zone dav_ext_methods dav_methods default_type delete_recursive delete_trash deny disable_symlinks drain_delay early_hints empty_gif env error_log error_page etag events expires external_account_key fastcgi_bind fastcgi_buffer_size fastcgi_buffering fastcgi_buffers fastcgi_busy_buffers_size fastcgi_cache fastcgi_cache_methods fastcgi_catch_stderr fastcgi_connect_timeout fastcgi_force_ranges fastcgi_hide_header fastcgi_ignore_client_abort fastcgi_ignore_headers fastcgi_index fastcgi_intercept_errors fastcgi_keep_conn fastcgi_limit_rate fastcgi_max_temp_file_size fastcgi_next_upstream fastcgi_next_upstream_timeout fastcgi_next_upstream_tries fastcgi_param fastcgi_pass fastcgi_pass_header fastcgi_pass_request_body fastcgi_pass_request_headers fastcgi_read_timeout fastcgi_request_buffering fastcgi_send_timeout fastcgi_socket_keepalive fastcgi_split_path_info fastcgi_store fastcgi_store_access fastcgi_temp_file_write_size fastcgi_temp_path geo gzip gzip_comp_level gzip_disable gzip_http_version gzip_min_length gzip_proxied gzip_static gzip_types gzip_vary hash health http http2 http2_body_preread_size http2_chunk_size http2_max_concurrent_streams if if_modified_since ignore_invalid_headers include index internal ip_hash keepalive keepalive_disable keepalive_glitches keepalive_requests keepalive_time keepalive_timeout large_client_header_buffers least_conn least_time limit_conn limit_conn_dry_run limit_conn_log_level limit_conn_status limit_conn_zone limit_except limit_rate limit_rate_after limit_req limit_req_dry_run limit_req_log_level limit_req_status limit_req_zone lingering_close lingering_time lingering_timeout listen listing_cache_size location log_format log_not_found log_subrequest map map_hash_bucket_size map_hash_max_size master_process max_headers max_ranges merge_slashes min_delete_depth msie_refresh open_log_file_cache override_charset pid port_in_redirect preferred_chain profile prometheus proxy_bind proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_cache proxy_cache_convert_head proxy_cache_methods proxy_connect_timeout proxy_cookie_domain proxy_cookie_flags proxy_cookie_path proxy_force_ranges proxy_hide_header proxy_http_version proxy_ignore_client_abort proxy_ignore_headers proxy_intercept_errors proxy_limit_rate proxy_max_temp_file_size proxy_method proxy_next_upstream proxy_next_upstream_timeout proxy_next_upstream_tries proxy_pass proxy_pass_header proxy_pass_request_body proxy_pass_request_headers proxy_pass_trailers proxy_read_timeout proxy_redirect proxy_request_buffering proxy_send_timeout proxy_set_body proxy_set_header proxy_socket_keepalive proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_ciphers proxy_ssl_crl proxy_ssl_name proxy_ssl_password_file proxy_ssl_protocols proxy_ssl_server_name proxy_ssl_session_reuse proxy_ssl_trusted_certificate proxy_ssl_verify proxy_ssl_verify_depth proxy_store proxy_store_access proxy_temp_file_write_size proxy_temp_path random random_index real_ip_header real_ip_recursive recursive_error_pages referer_hash_bucket_size referer_hash_max_size repeat_cache_size reset_timedout_connection resolver resolver_timeout return rewrite rewrite_log root satisfy scgi_bind scgi_buffer_size scgi_buffering scgi_buffers scgi_busy_buffers_size scgi_cache scgi_cache_methods scgi_connect_timeout scgi_force_ranges scgi_hide_header scgi_ignore_client_abort scgi_ignore_headers scgi_intercept_errors scgi_limit_rate scgi_max_temp_file_size scgi_next_upstream scgi_next_upstream_timeout scgi_next_upstream_tries scgi_param scgi_pass scgi_pass_header scgi_pass_request_body scgi_pass_request_headers scgi_read_timeout scgi_request_buffering scgi_send_timeout scgi_socket_keepalive scgi_store scgi_store_access scgi_temp_file_write_size scgi_temp_path secure_link secure_link_md5 secure_link_secret send_timeout sendfile server server_name server_name_in_redirect server_names_hash_bucket_size server_names_hash_max_size server_tokens set set_real_ip_from signed_link source_charset split_clients ssi ssi_ignore_recycled_buffers ssi_last_modified ssi_min_file_chunk ssi_silent_errors ssi_types ssi_value_length ssl_buffer_size ssl_certificate ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_crl ssl_early_data ssl_ecdh_curve ssl_password_file ssl_prefer_server_ciphers ssl_protocols ssl_reject_handshake ssl_session_cache ssl_session_ticket_key ssl_session_tickets ssl_session_timeout ssl_stapling_file ssl_trusted_certificate ssl_verify ssl_verify_client ssl_verify_depth state_path static_cache_size stub_status subrequest_output_buffer_size tcp_nodelay tcp_nopush try_files tunnel_bind tunnel_buffer_size tunnel_connect_timeout tunnel_next_upstream tunnel_next_upstream_timeout tunnel_next_upstream_tries tunnel_pass tunnel_read_timeout tunnel_send_timeout tunnel_socket_keepalive types underscores_in_headers uninitialized_variable_warn upload_create_path upload_cross_site upload_execute upload_extensions upload_filename upload_limit_rate upload_max_file_size upload_max_files upload_min_free upload_names upload_on_duplicate upload_quota upload_resumable upload_resumable_max_age upload_return upload_serve upload_state_store upload_store upload_store_access upload_sync upload_types upload_verify_digest upstream uri user uwsgi_bind uwsgi_buffer_size uwsgi_buffering uwsgi_buffers uwsgi_busy_buffers_size uwsgi_cache uwsgi_cache_methods uwsgi_connect_timeout uwsgi_force_ranges uwsgi_hide_header uwsgi_ignore_client_abort uwsgi_ignore_headers uwsgi_intercept_errors uwsgi_limit_rate uwsgi_max_temp_file_size uwsgi_modifier1 uwsgi_modifier2 uwsgi_next_upstream uwsgi_next_upstream_timeout uwsgi_next_upstream_tries uwsgi_param uwsgi_pass uwsgi_pass_header uwsgi_pass_request_body uwsgi_pass_request_headers uwsgi_read_timeout uwsgi_request_buffering uwsgi_send_timeout uwsgi_socket_keepalive uwsgi_ssl_certificate uwsgi_ssl_certificate_key uwsgi_ssl_ciphers uwsgi_ssl_crl uwsgi_ssl_name uwsgi_ssl_password_file uwsgi_ssl_protocols uwsgi_ssl_server_name uwsgi_ssl_session_reuse uwsgi_ssl_trusted_certificate uwsgi_ssl_verify uwsgi_ssl_verify_depth uwsgi_store uwsgi_store_access uwsgi_temp_file_write_size uwsgi_temp_path valid_referers worker_connections worker_memory_limit worker_rlimit_nofile worker_shutdown_timeout zone"
complete -c webserv -n "__fish_webserv_using_subcommand help" -f -a "explain cert fmt lsp check-nginx diff version reload stop quit reopen drain upgrade status run serve start check test validate configtest dump directives lint sign help"
