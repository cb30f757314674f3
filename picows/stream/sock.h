/* Non-blocking socket calls that return a count or -errno, retried on EINTR. Windows uses the event loop's transports. */
#ifndef PICOWS_SOCK_H
#define PICOWS_SOCK_H

#include <errno.h>
#include <stddef.h>

#define WS_EMPTY (-1000000) /* nothing to read, or no room to write, right now */

#if defined(_WIN32)

static inline void ws_close(int fd) { (void)fd; }
static inline ptrdiff_t ws_recv(int fd, char *to, size_t n) { (void)fd; (void)to; (void)n; return -ENOSYS; }
static inline ptrdiff_t ws_send(int fd, const char *from, size_t n) { (void)fd; (void)from; (void)n; return -ENOSYS; }
static inline ptrdiff_t ws_send2(int fd, const char *head, size_t head_size, const char *body, size_t body_size)
{
    (void)fd; (void)head; (void)head_size; (void)body; (void)body_size;
    return -ENOSYS;
}

#else

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE anyway */
#endif

/* Not retried: after EINTR the descriptor is closed on Linux, and undefined elsewhere. */
static inline void ws_close(int fd) { (void)close(fd); }

static inline ptrdiff_t ws_result(ptrdiff_t n)
{
    if (n >= 0) {
        return n;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? WS_EMPTY : -(ptrdiff_t)errno;
}

/* > 0: bytes read; 0: end of stream; WS_EMPTY; else -errno. */
static inline ptrdiff_t ws_recv(int fd, char *to, size_t n)
{
    ptrdiff_t got;
    do {
        got = recv(fd, to, n, 0);
    } while (got < 0 && errno == EINTR);
    return ws_result(got);
}

/* >= 0: bytes the kernel has taken, perhaps fewer than n; WS_EMPTY; else -errno. */
static inline ptrdiff_t ws_send(int fd, const char *from, size_t n)
{
    ptrdiff_t sent;
    do {
        sent = send(fd, from, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return ws_result(sent);
}

/* The same for two pieces in one call. */
static inline ptrdiff_t ws_send2(int fd, const char *head, size_t head_size, const char *body, size_t body_size)
{
    struct iovec pieces[2];
    struct msghdr message = {0};
    ptrdiff_t sent;
    pieces[0].iov_base = (void *)head;
    pieces[0].iov_len = head_size;
    pieces[1].iov_base = (void *)body;
    pieces[1].iov_len = body_size;
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return ws_result(sent);
}

#endif
#endif
