/* One connection: socket or TLS, receive buffer, send queue. */
#include "ws.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#endif

_Noreturn void die(const char *what)
{
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int set_nonblocking(int fd, int on)
{
    int flags = fcntl(fd, F_GETFL);
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void buf_reserve(buf_t *buf, size_t more)
{
    if (buf->start == buf->end) {
        buf->start = buf->end = 0;
    }
    if (buf->cap - buf->end >= more) {
        return;
    }
    memmove(buf->data, buf->data + buf->start, buf->end - buf->start);
    buf->end -= buf->start;
    buf->start = 0;
    if (buf->cap - buf->end < more) {
        buf->cap = 2 * buf->cap > buf->end + more ? 2 * buf->cap : buf->end + more;
        buf->data = realloc(buf->data, buf->cap);
        if (buf->data == NULL) {
            die("realloc");
        }
    }
}

void buf_put(buf_t *buf, const void *data, size_t n)
{
    buf_reserve(buf, n);
    memcpy(buf->data + buf->end, data, n);
    buf->end += n;
}

SSL_CTX *tls_context(int is_client, const char *cert, const char *key)
{
#ifdef WITH_TLS
    SSL_CTX *tls = SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method());
    if (tls == NULL || (cert != NULL && (SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
                                         SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1))) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    /* One cipher for all, whatever the library at the other end prefers. */
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(tls, "TLS_AES_256_GCM_SHA384");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(tls, 1);
    return tls;
#else
    (void)is_client, (void)cert, (void)key;
    fprintf(stderr, "peer: built without OpenSSL\n");
    exit(1);
#endif
}

conn_t *conn_new(int fd, SSL_CTX *tls, int is_client)
{
    int one = 1;
    conn_t *conn = calloc(1, sizeof(conn_t));
    if (conn == NULL) {
        die("calloc");
    }
    conn->fd = fd;
    conn->is_client = is_client;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    set_nonblocking(fd, 1);
#ifdef WITH_TLS
    if (tls != NULL) {
        conn->ssl = SSL_new(tls);
        SSL_set_bio(conn->ssl, BIO_new_socket(fd, BIO_NOCLOSE), BIO_new(BIO_s_mem()));
        if (is_client) {
            SSL_set_connect_state(conn->ssl);
        } else {
            SSL_set_accept_state(conn->ssl);
        }
    }
#else
    (void)tls;
#endif
    return conn;
}

void conn_free(conn_t *conn)
{
#ifdef WITH_TLS
    SSL_free(conn->ssl);
#endif
    close(conn->fd);
    free(conn->in.data);
    free(conn->out.data);
    free(conn->prepared.data);
    free(conn);
}

#ifdef WITH_TLS
/* What OpenSSL has written into memory goes behind what is queued. */
static void take_records(conn_t *conn)
{
    BIO *bio = SSL_get_wbio(conn->ssl);
    size_t n = BIO_ctrl_pending(bio);
    if (n > 0) {
        buf_reserve(&conn->out, n);
        BIO_read(bio, conn->out.data + conn->out.end, (int)n);
        conn->out.end += n;
    }
}

static int fill_tls(conn_t *conn, size_t room)
{
    int got = SSL_read(conn->ssl, conn->in.data + conn->in.end, (int)room);
    take_records(conn); /* handshake messages, key updates */
    if (conn->out.end > conn->out.start && conn_flush(conn) < 0) {
        return -1;
    }
    if (got > 0) {
        conn->in.end += (size_t)got;
        return got;
    }
    if (SSL_get_error(conn->ssl, got) == SSL_ERROR_WANT_READ) {
        return 0;
    }
    ERR_clear_error();
    return -1;
}
#endif

int conn_fill(conn_t *conn, size_t room)
{
    ssize_t got;
    buf_reserve(&conn->in, room);
#ifdef WITH_TLS
    if (conn->ssl != NULL) {
        return fill_tls(conn, room);
    }
#endif
    got = recv(conn->fd, conn->in.data + conn->in.end, room, 0);
    if (got > 0) {
        conn->in.end += (size_t)got;
        return (int)got;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void conn_put(conn_t *conn, const void *data, size_t n)
{
#ifdef WITH_TLS
    if (conn->ssl != NULL) {
        /* Into memory: it never blocks, and each call makes a record of its own (16 KiB at most in each). */
        if (SSL_write(conn->ssl, data, (int)n) <= 0) {
            ERR_print_errors_fp(stderr);
        }
        take_records(conn);
        return;
    }
#endif
    buf_put(&conn->out, data, n);
}

int conn_flush(conn_t *conn)
{
    while (conn->out.end > conn->out.start) {
        ssize_t n = send(conn->fd, conn->out.data + conn->out.start, conn->out.end - conn->out.start,
                         MSG_NOSIGNAL);
        if (n < 0) {
            conn->wants_write = errno == EAGAIN;
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        }
        conn->out.start += (size_t)n;
    }
    conn->wants_write = 0;
    return 0;
}

/* From now on reads and sends wait. */
void conn_block(conn_t *conn)
{
    set_nonblocking(conn->fd, 0);
}
