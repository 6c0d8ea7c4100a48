/* beside.c - how long a small response waits beside a large download on the same HTTP/2 connection.
 *
 *   cc -O2 -o beside beside.c
 *   beside PORT SECONDS WINDOW [LARGE SMALL]     paths: /1g.bin and /1k.bin; WINDOW: bytes granted, 65535 to 1073741824
 *
 * Speaks HTTP/2 with prior knowledge to 127.0.0.1:PORT, downloads LARGE again and again, and asks for SMALL every 10 ms.
 * The time is from the request to the last byte of its response, the wait in this program's own receive buffer included.
 * What was found is in docs/performance.md.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, HEAD = 9, MOST = 100000 };
static int fd;
static unsigned char out[4096], in[1 << 20];
static int out_len;

static void die(const char *what) { perror(what); exit(1); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
static int by_size(const void *a, const void *b) { double d = *(double *)a - *(double *)b; return d < 0 ? -1 : d > 0; }

/* ---- what is sent ---- */
static void frame(int type, int flags, unsigned stream, const void *payload, int len) {
    unsigned char head[HEAD] = { len >> 16, len >> 8, len, type, flags, stream >> 24, stream >> 16, stream >> 8, stream };
    memcpy(out + out_len, head, HEAD);
    memcpy(out + out_len + HEAD, payload, len);
    out_len += HEAD + len;
}
static void window(unsigned stream, unsigned by) {
    unsigned char b[4] = { by >> 24, by >> 16, by >> 8, by };
    frame(WINDOW_UPDATE, 0, stream, b, sizeof b);
}
static void get(unsigned stream, const char *path) {            /* :method GET, :scheme http, :path, :authority */
    unsigned char b[160] = { 0x82, 0x86, 0x04, strlen(path) };
    int n = 4;
    memcpy(b + n, path, strlen(path)); n += strlen(path);
    memcpy(b + n, "\x01\x09localhost", 11); n += 11;
    frame(HEADERS, END_STREAM | END_HEADERS, stream, b, n);
}
static void go(void) {
    for (int at = 0; at < out_len;) {
        int n = write(fd, out + at, out_len - at);
        if (n <= 0) die("write");
        at += n;
    }
    out_len = 0;
}

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "beside PORT SECONDS WINDOW [LARGE SMALL]\n"); return 2; }
    double most = atof(argv[2]) * 1e3;
    long granted = atol(argv[3]);
    const char *large = argc > 5 ? argv[4] : "/1g.bin", *small = argc > 5 ? argv[5] : "/1k.bin";
    if (strlen(large) > 99 || strlen(small) > 99) { fprintf(stderr, "a path is too long\n"); return 2; }
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&to, sizeof to)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    memcpy(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24); out_len = 24;
    unsigned char initial[6] = { 0, 4, granted >> 24, granted >> 16, granted >> 8, granted };
    frame(SETTINGS, 0, 0, initial, sizeof initial);
    if (granted > 65535) window(0, granted - 65535);
    unsigned last = 1, downloading = 1, asked = 0, stream = 0;
    get(downloading, large);
    go();

    static double waits[MOST];
    int n = 0, flags = 0;
    long whole = 0, bytes = 0, of_connection = 0, of_stream = 0;
    size_t have = 0, body = 0;                                  /* bytes in `in`; bytes of DATA still to come */
    double begun = now(), since = 0, next = begun + 100;
    while (now() - begun < most && n < MOST) {
        if (!asked && now() >= next) { asked = last += 2; since = now(); get(asked, small); go(); }
        ssize_t got = read(fd, in + have, sizeof in - have);
        if (got <= 0) die("read");
        have += got;
        size_t at = 0;
        for (;;) {
            int ended = 0;
            if (body) {
                size_t part = have - at < body ? have - at : body;
                at += part;
                body -= part;
                if (body) break;
                ended = flags & END_STREAM;
            } else {
                if (have - at < HEAD) break;
                unsigned char *f = in + at;
                size_t len = f[0] << 16 | f[1] << 8 | f[2];
                int type = f[3];
                if (type != DATA && have - at < HEAD + len) break;
                flags = f[4];
                stream = (f[5] & 127u) << 24 | f[6] << 16 | f[7] << 8 | f[8];
                at += HEAD;
                if (type == RST_STREAM || type == GOAWAY) { fprintf(stderr, "the server sent a frame of type %d\n", type); return 1; }
                if (type == SETTINGS && !(flags & ACK)) frame(SETTINGS, ACK, 0, "", 0);
                if (type != DATA) { at += len; continue; }
                bytes += len;
                of_connection += len;
                if (stream == downloading) of_stream += len;
                body = len;
                if (body) continue;
                ended = flags & END_STREAM;
            }
            if (ended && stream == asked) { waits[n++] = now() - since; asked = 0; next = now() + 10; if (n == MOST) break; }
            else if (ended && stream == downloading) { whole++; of_stream = 0; get(downloading = last += 2, large); }
        }
        memmove(in, in + at, have -= at);
        if (of_connection > granted / 2) { window(0, of_connection); of_connection = 0; }
        if (of_stream > granted / 2) { window(downloading, of_stream); of_stream = 0; }
        if (out_len) go();
    }
    if (!n) { fprintf(stderr, "no response in time\n"); return 1; }
    qsort(waits, n, sizeof *waits, by_size);
    printf("window %ld: %d responses, median %.2f, p90 %.2f, p99 %.2f, most %.2f ms; %.2f GB/s, %ld downloads whole\n", granted, n,
           waits[n / 2], waits[n * 9 / 10], waits[n * 99 / 100], waits[n - 1], bytes / (now() - begun) / 1e6, whole);
}
