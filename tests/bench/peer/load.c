/* The client side of the neutral peer, against a server under measurement.
 *
 *     peer load PORT CONNECTIONS MESSAGES SIZE [tls | text]
 *         Each connection has one message on its way; ends after MESSAGES answers, all connections together.
 *         text: the messages are TEXT, and what comes back as BINARY is no answer.
 *     peer idle PORT CONNECTIONS [tls]
 *         Opens connections, prints `ready`, ends with stdin.
 */
#include "ws.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, EVENTS = 256 };

/* Read what comes next, of the handshakes. */
static void await_bytes(conn_t *conn)
{
    struct pollfd wanted = {.fd = conn->fd, .events = POLLIN};
    int got = conn_fill(conn, READ_SIZE);
    if (got < 0 || (got == 0 && poll(&wanted, 1, 10000) != 1)) {
        die("handshake: connection lost, or silent for 10 s");
    }
}

/* A connection whose upgrade is done. They open one after the other: it is not opening that is measured. */
static conn_t *open_connection(int port, SSL_CTX *tls)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), done = 0;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) {
        die("connect");
    }
    conn_t *conn = conn_new(fd, tls, 1);
#ifdef WITH_TLS
    while (tls != NULL && !SSL_is_init_finished(conn->ssl)) {
        await_bytes(conn);
    }
#endif
    ws_ask(conn, "127.0.0.1", "/");
    if (conn_flush(conn) < 0) {
        die("request");
    }
    while (done == 0) {
        await_bytes(conn);
        done = ws_answered(conn);
    }
    if (done < 0) {
        die("upgrade refused");
    }
    return conn;
}

static int has(const char *word, int argc, char **argv, int at)
{
    return argc > at && strcmp(argv[at], word) == 0;
}

/* Frames with this opcode that have arrived whole. */
static uint64_t take_frames(conn_t *conn, uint8_t opcode)
{
    uint64_t frames = 0;
    frame_t frame;
    while (ws_header(conn->in.data + conn->in.start, conn->in.end - conn->in.start, &frame) &&
           conn->in.end - conn->in.start >= frame.head + frame.size) {
        conn->in.start += frame.head + frame.size;
        frames += frame.opcode == opcode;
    }
    return frames;
}

int run_load(int argc, char **argv)
{
    if (argc < 4) {
        return 2;
    }
    int port = atoi(argv[0]), connections = atoi(argv[1]);
    uint64_t messages = strtoull(argv[2], NULL, 10), size = strtoull(argv[3], NULL, 10), answered = 0;
    SSL_CTX *tls = has("tls", argc, argv, 4) ? tls_context(1, NULL, NULL) : NULL;
    uint8_t opcode = has("text", argc, argv, 4) ? OP_TEXT : OP_BINARY;
    uint8_t *payload = calloc(1, size + 1);
    conn_t **conns = calloc((size_t)connections, sizeof *conns);
    int epoll_fd = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        conns[i] = open_connection(port, tls);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conns[i]};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i]->fd, &event);
    }
    for (int i = 0; i < connections; i++) {
        ws_send(conns[i], opcode, payload, size);
        conn_flush(conns[i]);
    }
    while (answered < messages) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll_fd, events, EVENTS, 10000);
        if (n <= 0) {
            die("no answer for 10 s");
        }
        for (int i = 0; i < n; i++) {
            conn_t *conn = events[i].data.ptr;
            int got;
            while ((got = conn_fill(conn, READ_SIZE)) > 0) {
            }
            uint64_t frames = take_frames(conn, opcode);
            answered += frames;
            while (frames-- > 0) {
                ws_send(conn, opcode, payload, size);
            }
            if (got < 0 || conn_flush(conn) < 0) {
                die("connection lost");
            }
        }
    }
    return 0;
}

int run_idle(int argc, char **argv)
{
    char rest[64];
    if (argc < 2) {
        return 2;
    }
    SSL_CTX *tls = has("tls", argc, argv, 2) ? tls_context(1, NULL, NULL) : NULL;
    for (int i = 0; i < atoi(argv[1]); i++) {
        open_connection(atoi(argv[0]), tls);
    }
    printf("ready\n");
    fflush(stdout);
    while (read(0, rest, sizeof rest) > 0) {
    }
    return 0;
}
