/* uring.c - what io_uring would save: the same small server twice, once over epoll, once over a ring.
 *
 *   cc -O2 -o uring uring.c -luring
 *   uring epoll|ring  keep  PORT             1 KiB per request, connections kept
 *   uring epoll|ring  close PORT             a connection each
 *   uring epoll|ring  proxy PORT UPSTREAM    what comes goes on to 127.0.0.1:UPSTREAM and back, one connection each
 *
 * Neither parses anything: what comes in one piece is one request, so no server that makes the same calls is cheaper.
 * What was found is in docs/performance.md. Measured with wrk -c64 on the other core, by utime + stime of /proc/PID/stat;
 * the upstream is `uring epoll keep PORT`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEEP, CLOSE, PROXY };
enum { MAXFD = 1 << 16, BUFFERS = 1024, SIZE = 4096 };
static int mode, upstream_port, listener, peer[MAXFD];
static char answer[2048];
static size_t answer_len;

static void die(const char *what) { perror(what); exit(1); }

static int listening(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) die("listen");
    return fd;
}

static int to_upstream(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(upstream_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (connect(fd, (void *)&a, sizeof a)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* ---- epoll ---- */
static int ep;
static void watch(int fd) {
    struct epoll_event e = { EPOLLIN | EPOLLET | EPOLLRDHUP, { .fd = fd } };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}
static void hangup(int fd) { if (mode == PROXY && peer[fd]) { close(peer[fd]); peer[peer[fd]] = 0; } peer[fd] = 0; close(fd); }
static void readable(int fd) {
    static char b[SIZE];
    ssize_t n = recv(fd, b, sizeof b, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { hangup(fd); return; }
    if (mode == PROXY) { if (send(peer[fd], b, n, MSG_NOSIGNAL) != n) hangup(fd); }
    else { send(fd, answer, answer_len, MSG_NOSIGNAL); if (mode == CLOSE) close(fd); }
}
static void run_epoll(void) {
    struct epoll_event e[512], l = { EPOLLIN, { .fd = listener } };
    ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &l);
    for (;;) {
        int n = epoll_wait(ep, e, 512, -1);
        for (int i = 0; i < n; i++) {
            if (e[i].data.fd != listener) { readable(e[i].data.fd); continue; }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (mode == PROXY) { int up = to_upstream(); peer[fd] = up; peer[up] = fd; watch(up); }
                if (mode == CLOSE) { readable(fd); continue; }   /* the request is there: TCP_DEFER_ACCEPT */
                watch(fd);
            }
        }
    }
}

/* ---- ring ---- */
enum { ACCEPT = 1, RECV, SEND, LAST };
static struct io_uring ring;
static struct io_uring_buf_ring *pool;
static char *memory;
static void recv_many(int fd) {
    struct io_uring_sqe *s = io_uring_get_sqe(&ring);
    if (!s) { io_uring_submit(&ring); s = io_uring_get_sqe(&ring); }
    if (mode == CLOSE) io_uring_prep_recv(s, fd, NULL, SIZE, 0); else io_uring_prep_recv_multishot(s, fd, NULL, 0, 0);
    s->flags |= IOSQE_BUFFER_SELECT; s->buf_group = 0;
    s->user_data = (unsigned long)RECV << 56 | (unsigned)fd;
}
static void send_one(int fd, const void *b, size_t n, int buffer, int op) {
    struct io_uring_sqe *s = io_uring_get_sqe(&ring);
    if (!s) { io_uring_submit(&ring); s = io_uring_get_sqe(&ring); }
    io_uring_prep_send(s, fd, b, n, MSG_NOSIGNAL | MSG_WAITALL);
    if (op == LAST) s->flags |= IOSQE_IO_HARDLINK;
    s->flags |= buffer < 0 ? IOSQE_CQE_SKIP_SUCCESS : 0;
    s->user_data = (unsigned long)SEND << 56 | (unsigned long)(buffer + 1) << 32 | (unsigned)fd;
}
static void give(int buffer) {
    io_uring_buf_ring_add(pool, memory + buffer * SIZE, SIZE, buffer, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(pool, 1);
}
static void shut(int fd) {
    struct io_uring_sqe *s = io_uring_get_sqe(&ring);
    if (!s) { io_uring_submit(&ring); s = io_uring_get_sqe(&ring); }
    io_uring_prep_close(s, fd); s->flags |= IOSQE_CQE_SKIP_SUCCESS; s->user_data = 0;
}
static void run_ring(void) {
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 8192 };
    if (io_uring_queue_init_params(2048, &ring, &p) < 0) die("io_uring");
    if (posix_memalign((void **)&pool, 4096, BUFFERS * sizeof(struct io_uring_buf))) die("memory");
    struct io_uring_buf_reg reg = { .ring_addr = (unsigned long)pool, .ring_entries = BUFFERS };
    if (io_uring_register_buf_ring(&ring, &reg, 0)) die("buffers");
    io_uring_buf_ring_init(pool);
    memory = malloc(BUFFERS * SIZE);
    for (int i = 0; i < BUFFERS; i++) give(i);
    struct io_uring_sqe *s = io_uring_get_sqe(&ring);
    io_uring_prep_multishot_accept(s, listener, NULL, NULL, 0); s->user_data = (unsigned long)ACCEPT << 56;
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *c; unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, c) {
            seen++;
            int op = c->user_data >> 56, fd = (int)(c->user_data & 0xffffffff);
            if (op == ACCEPT) {
                if (c->res < 0) continue;
                if (mode == PROXY) { int up = to_upstream(); peer[c->res] = up; peer[up] = c->res; recv_many(up); }
                recv_many(c->res);
            } else if (op == RECV) {
                int buffer = c->flags & IORING_CQE_F_BUFFER ? (int)(c->flags >> IORING_CQE_BUFFER_SHIFT) : -1;
                if (c->res <= 0) {
                    if (buffer >= 0) give(buffer);
                    if (c->res == -ENOBUFS) { recv_many(fd); continue; }
                    if (mode == PROXY && peer[fd]) { shutdown(peer[fd], SHUT_RDWR); peer[peer[fd]] = 0; peer[fd] = 0; }
                    shut(fd); continue;
                }
                if (mode == PROXY) {
                    if (peer[fd]) send_one(peer[fd], memory + buffer * SIZE, c->res, buffer, SEND); else give(buffer);
                } else {
                    give(buffer);
                    send_one(fd, answer, answer_len, -1, mode == CLOSE ? LAST : SEND);
                    if (mode == CLOSE) shut(fd);
                }
                if (mode != CLOSE && !(c->flags & IORING_CQE_F_MORE)) recv_many(fd);
            } else if (op == SEND) {
                int buffer = (int)((c->user_data >> 32) & 0xffffff) - 1;
                if (buffer >= 0) give(buffer);
            }
        }
        io_uring_cq_advance(&ring, seen);
    }
}

int main(int argc, char **argv) {
    struct rlimit r = { MAXFD, MAXFD };
    if (argc < 4) return fprintf(stderr, "uring epoll|ring keep|close|proxy PORT [UPSTREAM]\n"), 2;
    mode = !strcmp(argv[2], "keep") ? KEEP : !strcmp(argv[2], "close") ? CLOSE : PROXY;
    if (argc > 4) upstream_port = atoi(argv[4]);
    setrlimit(RLIMIT_NOFILE, &r);
    signal(SIGPIPE, SIG_IGN);
    int n = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nServer: uring\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n"
        "Connection: %s\r\n\r\n", mode == CLOSE ? "close" : "keep-alive");
    memset(answer + n, 'x', 1024);
    answer_len = n + 1024;
    listener = listening(atoi(argv[3]));
    if (strcmp(argv[1], "ring")) run_epoll(); else run_ring();
}
