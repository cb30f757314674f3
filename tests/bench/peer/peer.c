/* The server side of the neutral peer, and the door to the client side (load.c).
 *
 *     peer serve [CERT KEY]       listens on 127.0.0.1, prints `PLAIN_PORT TLS_PORT` (0: no TLS), ends with stdin
 *     peer load / peer idle ...   see load.c
 *
 * The path of a request says what its connection is for; what is counted starts with the client's first frame.
 *     /echo                                     each data frame comes back
 *     /firehose?count=N&size=S&chunk=C&record=1 N frames, C of them per send(); record=1: a TLS record for each
 *     /sink                                     BINARY is counted and dropped, TEXT comes back
 *     /paced?count=N&size=S&rate=R              R frames per second; payload[:8] = CLOCK_MONOTONIC ns at the
 *                                               send, little endian; the process does nothing else meanwhile
 *     /idle                                     nothing
 */
#include "ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, SEND_SIZE = 64 * 1024, EVENTS = 256 };

static int epoll_fd;
static int listeners[2] = {-1, -1};
static SSL_CTX *server_tls;

static uint64_t number(const char *path, const char *name, uint64_t otherwise)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%s=", name);
    const char *found = strchr(path, '?');
    while (found != NULL && *found != 0) {
        if (strncmp(++found, wanted, strlen(wanted)) == 0) {
            return strtoull(found + strlen(wanted), NULL, 10);
        }
        found = strchr(found, '&');
    }
    return otherwise;
}

static void prepare(conn_t *conn, const char *path)
{
    static const struct { const char *path; enum mode mode; } modes[] = {
        {"/echo", MODE_ECHO}, {"/firehose", MODE_FIREHOSE}, {"/sink", MODE_SINK},
        {"/paced", MODE_PACED}, {"/idle", MODE_IDLE},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strncmp(path, modes[i].path, strlen(modes[i].path)) == 0) {
            conn->mode = modes[i].mode;
        }
    }
    if (conn->mode != MODE_FIREHOSE && conn->mode != MODE_PACED) {
        return;
    }
    conn->count = number(path, "count", 1000);
    conn->size = number(path, "size", 256);
    conn->rate = number(path, "rate", 1000);
    conn->is_record_per_frame = number(path, "record", 0) != 0;
    conn->frame_size = conn->size + (conn->size < 126 ? 2 : conn->size < 65536 ? 4 : 10);
    conn->chunk = number(path, "chunk", SEND_SIZE / conn->frame_size);
    conn->chunk = conn->chunk ? conn->chunk : 1;
    for (uint64_t i = 0; i < (conn->mode == MODE_PACED ? 1 : conn->chunk); i++) {
        buf_reserve(&conn->prepared, conn->frame_size);
        uint8_t *frame = conn->prepared.data + conn->prepared.end;
        memset(frame + ws_put_header(frame, OP_BINARY, conn->size, NULL), 'x', conn->size);
        conn->prepared.end += conn->frame_size;
    }
}

static int run_firehose(conn_t *conn)
{
    while (conn->left > 0 && !conn->wants_write) {
        uint64_t frames = conn->left < conn->chunk ? conn->left : conn->chunk;
        if (conn->is_record_per_frame) {
            for (uint64_t i = 0; i < frames; i++) {
                conn_put(conn, conn->prepared.data + i * conn->frame_size, conn->frame_size);
            }
        } else {
            conn_put(conn, conn->prepared.data, frames * conn->frame_size);
        }
        conn->left -= frames;
        if (conn_flush(conn) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The last processor for this process, where the system lets it; the worker does the same with the first one. */
static void undisturbed(int on)
{
    static cpu_set_t all, last;
    struct sched_param priority = {.sched_priority = on ? 1 : 0};
    if (sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &priority) != 0) {
        return;
    }
    if (on) {
        sched_getaffinity(0, sizeof all, &all);
        CPU_ZERO(&last);
        for (int i = 0; i < CPU_SETSIZE; i++) {
            if (CPU_ISSET(i, &all)) {
                CPU_ZERO(&last);
                CPU_SET(i, &last);
            }
        }
    }
    sched_setaffinity(0, sizeof all, on ? &last : &all);
}

/* Sleeps between the sends, so that the receiver has the processor: a late wake-up delays the stamp, too. */
static int run_paced(conn_t *conn)
{
    uint64_t began = now_ns();
    uint8_t *stamp = conn->prepared.data + conn->frame_size - conn->size;
    undisturbed(1);
    conn_block(conn);
    for (uint64_t i = 0; i < conn->count; i++) {
        uint64_t due = began + (i + 1) * 1000000000u / conn->rate;
        struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
        }
        uint64_t sent = now_ns();
        memcpy(stamp, &sent, 8); /* little endian hosts */
        conn_put(conn, conn->prepared.data, conn->frame_size);
        if (conn_flush(conn) < 0) {
            break; /* the next read tells */
        }
    }
    undisturbed(0);
    return set_nonblocking(conn->fd, 1);
}

static int on_data(conn_t *conn, const frame_t *frame, uint8_t *payload)
{
    if (conn->mode == MODE_ECHO || (conn->mode == MODE_SINK && frame->opcode == OP_TEXT)) {
        if (frame->masked) {
            ws_mask(payload, frame->size, frame->mask);
        }
        ws_send(conn, frame->opcode, payload, frame->size);
    } else if (conn->mode == MODE_FIREHOSE) {
        conn->left = conn->count;
    } else if (conn->mode == MODE_PACED) {
        return run_paced(conn);
    }
    return 0;
}

/* Take what has arrived whole; -1: the connection is to be closed. */
static int parse(conn_t *conn)
{
    frame_t frame;
    for (;;) {
        size_t n = conn->in.end - conn->in.start;
        size_t skipped = n < conn->skip ? n : conn->skip;
        conn->skip -= skipped;
        conn->in.start += skipped;
        uint8_t *data = conn->in.data + conn->in.start;
        n -= skipped;
        if (conn->skip || !ws_header(data, n, &frame)) {
            return 0;
        }
        if (conn->mode == MODE_SINK && frame.opcode == OP_BINARY) {
            conn->skip = frame.head + frame.size;
            continue;
        }
        if (n < frame.head + frame.size) {
            return 0;
        }
        conn->in.start += frame.head + frame.size;
        if (frame.opcode == OP_CLOSE) {
            ws_send(conn, OP_CLOSE, NULL, 0);
            conn_flush(conn);
            return -1;
        }
        if (frame.opcode == OP_PING) {
            if (frame.masked) {
                ws_mask(data + frame.head, frame.size, frame.mask);
            }
            ws_send(conn, OP_PONG, data + frame.head, frame.size);
        } else if (on_data(conn, &frame, data + frame.head) < 0) {
            return -1;
        }
    }
}

static int on_readable(conn_t *conn)
{
    for (;;) {
        int got = conn_fill(conn, READ_SIZE);
        if (got <= 0) {
            return got;
        }
        if (!conn->is_open) {
            char path[256];
            int done = ws_accept(conn, path, sizeof path);
            if (done < 0) {
                return -1;
            }
            if (done) {
                prepare(conn, path);
            }
        }
        if (conn->is_open && parse(conn) < 0) {
            return -1;
        }
        if (conn_flush(conn) < 0) {
            return -1;
        }
    }
}

static void watch(conn_t *conn)
{
    uint32_t wanted = EPOLLIN | (conn->wants_write ? EPOLLOUT : 0);
    if (wanted != conn->watched) {
        struct epoll_event event = {.events = wanted, .data.ptr = conn};
        epoll_ctl(epoll_fd, conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, conn->fd, &event);
        conn->watched = wanted;
    }
}

static void on_event(conn_t *conn, uint32_t events)
{
    int status = 0;
    if (events & EPOLLOUT) {
        status = conn_flush(conn);
    }
    if (status == 0 && events & ~(uint32_t)EPOLLOUT) {
        status = on_readable(conn);
    }
    if (status == 0) {
        status = run_firehose(conn);
    }
    if (status < 0) {
        conn_free(conn);
    } else {
        watch(conn);
    }
}

static void take_connections(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        watch(conn_new(fd, listener == listeners[1] ? server_tls : NULL, 0));
    }
}

static int listen_on(int *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (*listener < 0 || bind(*listener, (struct sockaddr *)&address, n) || listen(*listener, 4096) ||
        getsockname(*listener, (struct sockaddr *)&address, &n) ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, *listener, &event)) {
        die("listen");
    }
    return ntohs(address.sin_port);
}

static int serve(const char *cert, const char *key)
{
    static int from_parent;
    struct epoll_event events[EVENTS], on_stdin = {.events = EPOLLIN, .data.ptr = &from_parent};
#ifndef WITH_TLS
    cert = NULL; /* the second port is 0 then, and the rows that need it are skipped */
#endif
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &on_stdin); /* end of file: the parent is gone */
    server_tls = cert ? tls_context(0, cert, key) : NULL;
    int plain = listen_on(&listeners[0]);
    printf("%d %d\n", plain, cert ? listen_on(&listeners[1]) : 0);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &from_parent) {
                return 0;
            }
            if (what == &listeners[0] || what == &listeners[1]) {
                take_connections(*(int *)what);
            } else {
                on_event(what, events[i].events);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1); /* ns: the paced sender wakes when it wants to */
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc >= 2 && strcmp(argv[1], "serve") == 0) {
        return serve(argc > 3 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    }
    if (argc >= 2 && strcmp(argv[1], "load") == 0) {
        return run_load(argc - 2, argv + 2);
    }
    if (argc >= 2 && strcmp(argv[1], "idle") == 0) {
        return run_idle(argc - 2, argv + 2);
    }
    fprintf(stderr, "usage: peer serve [CERT KEY] | load PORT CONNECTIONS MESSAGES SIZE [tls] | "
                    "idle PORT CONNECTIONS [tls]\n");
    return 2;
}
