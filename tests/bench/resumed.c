/* resumed.c - what a TLS connection that resumes a session and fetches 1 KiB costs without TLS: the same system calls and
 * packets of the same size, their content meaningless.
 *
 *   cc -O2 -o resumed resumed.c
 *   resumed serve PORT
 *   resumed ask PORT SECONDS                 prints how many connections there were
 *
 * CPU per connection by /proc/PID/schedstat of `resumed serve`, pinned to another core than the client. No server whose
 * handshake takes one round trip is cheaper, whatever its cryptography costs. What was found is in docs/performance.md.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HELLO = 479, FLIGHT = 203, FINISHED = 64, REQUEST = 82, RESPONSE = 1516 };
static char bytes[65536];

static void die(const char *what) { perror(what); exit(1); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

static int ask(struct sockaddr_in to, double seconds) {
    long n = 0;
    int on = 1;
    for (double end = now() + seconds; now() < end; n++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&to, sizeof to)) die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        send(fd, bytes, HELLO, 0);
        recv(fd, bytes, sizeof bytes, 0);
        send(fd, bytes, FINISHED, 0);
        send(fd, bytes, REQUEST, 0);
        while (recv(fd, bytes, sizeof bytes, 0) > 0) {}
        close(fd);
    }
    printf("%ld\n", n);
    return 0;
}

static void serve(struct sockaddr_in at) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1, ep = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 511)) die("listen");
    struct epoll_event events[512], e = { EPOLLIN, { .fd = listener } };
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(ep, events, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                recv(fd, bytes, sizeof bytes, 0);
                send(fd, bytes, RESPONSE, MSG_NOSIGNAL | MSG_MORE);
                shutdown(fd, SHUT_WR);
                close(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                recv(fd, bytes, 4096, 0);
                send(fd, bytes, FLIGHT, MSG_NOSIGNAL);
                struct epoll_event watched = { EPOLLIN | EPOLLRDHUP | EPOLLET, { .fd = fd } };
                epoll_ctl(ep, EPOLL_CTL_ADD, fd, &watched);
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) { fprintf(stderr, "resumed serve PORT | resumed ask PORT SECONDS\n"); return 2; }
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (!strcmp(argv[1], "ask")) return ask(a, argc > 3 ? atof(argv[3]) : 1);
    serve(a);
}
