/* OpenSSL without its headers and without linking to it: the functions of the very library that Python's _ssl
 * uses are looked up at run time, and the SSL objects stay Python's.
 *
 * How the SSL of an ssl.SSLObject is found, without knowing how `_ssl` lays out its objects: OpenSSL tells a
 * registered "ex data" callback of every SSL it makes. So the SSL that SSLContext.wrap_bio() has made in this
 * thread is known, and it is the right one if its application data, which `_ssl` sets to the Python object
 * that owns it, is the object that wrap_bio() has returned. Another library than _ssl's never calls us.
 */
#ifndef PICOWS_OPENSSL_H
#define PICOWS_OPENSSL_H

#include <stddef.h>
#include <string.h>

#include "records.h"

/* The constants below are part of OpenSSL's ABI since 1.1.1 at least (openssl/ssl.h, openssl/bio.h). */
#define WS_SSL_ERROR_WANT_READ 2
#define WS_SSL_ERROR_WANT_WRITE 3
#define WS_SSL_ERROR_ZERO_RETURN 6
#define WS_SSL_CTRL_CLEAR_MODE 78
#define WS_SSL_MODE_RELEASE_BUFFERS 0x10L
#define WS_CRYPTO_EX_INDEX_SSL 0
#define WS_BIO_TYPE_SOURCE_SINK 0x0400
#define WS_BIO_FLAGS_READ 1
#define WS_BIO_FLAGS_RETRY 8
#define WS_BIO_FLAGS_ALL_RETRY 0xf
#define WS_BIO_CTRL_PENDING 10
#define WS_BIO_CTRL_FLUSH 11
#define WS_BIO_CTRL_DUP 12

/* SSL, BIO and BIO_METHOD are opaque here: void. */
typedef void ws_ex_new_fn(void *parent, void *ptr, void *ad, int index, long argl, void *argp);
typedef int ws_bio_read_fn(void *bio, char *to, size_t n, size_t *done);
typedef int ws_bio_write_fn(void *bio, const char *from, size_t n, size_t *done);
typedef long ws_bio_ctrl_fn(void *bio, int command, long number, void *pointer);

#define WS_OPENSSL_FUNCTIONS(X)                                                                     \
    X(const char *, OpenSSL_version, (int what))                                                    \
    X(unsigned long, OpenSSL_version_num, (void))                                                   \
    X(unsigned long, ERR_peek_error, (void))                                                        \
    X(void, ERR_clear_error, (void))                                                                \
    X(int, CRYPTO_get_ex_new_index,                                                                 \
      (int kind, long argl, void *argp, ws_ex_new_fn *made, void *copied, ws_ex_new_fn *freed))     \
    X(int, BIO_get_new_index, (void))                                                               \
    X(void *, BIO_meth_new, (int type, const char *name))                                           \
    X(int, BIO_meth_set_read_ex, (void *method, ws_bio_read_fn *read))                              \
    X(int, BIO_meth_set_write_ex, (void *method, ws_bio_write_fn *write))                           \
    X(int, BIO_meth_set_ctrl, (void *method, ws_bio_ctrl_fn *ctrl))                                 \
    X(void *, BIO_new, (const void *method))                                                        \
    X(int, BIO_free, (void *bio))                                                                   \
    X(int, BIO_up_ref, (void *bio))                                                                 \
    X(void, BIO_set_init, (void *bio, int is_ready))                                                \
    X(void, BIO_set_data, (void *bio, void *data))                                                  \
    X(void *, BIO_get_data, (void *bio))                                                            \
    X(void, BIO_set_flags, (void *bio, int flags))                                                  \
    X(void, BIO_clear_flags, (void *bio, int flags))                                                \
    X(void *, SSL_get_ex_data, (const void *ssl, int index))                                        \
    X(void, SSL_set_bio, (void *ssl, void *rbio, void *wbio))                                       \
    X(void, SSL_set_read_ahead, (void *ssl, int yes))                                               \
    X(long, SSL_ctrl, (void *ssl, int command, long number, void *pointer))                         \
    X(int, SSL_read_ex, (void *ssl, void *to, size_t n, size_t *got))                               \
    X(int, SSL_write_ex, (void *ssl, const void *from, size_t n, size_t *written))                  \
    X(int, SSL_pending, (const void *ssl))                                                          \
    X(int, SSL_get_error, (const void *ssl, int result))                                            \
    X(int, SSL_shutdown, (void *ssl))                                                               \
    X(int, SSL_free_buffers, (void *ssl))                                                           \
    X(const char *, SSL_rstate_string, (const void *ssl))

#define WS_POINTER(result, name, args) result(*name) args;
/* Written once, when the module is imported; read by all threads. */
static struct {
    WS_OPENSSL_FUNCTIONS(WS_POINTER)
    void *bio_method;
    const char *missing; /* why it cannot be used; NULL: it can */
} ws_openssl = {.missing = "not looked up"};
#undef WS_POINTER

#if defined(_WIN32)

#define WS_THREAD_LOCAL
static inline void *ws_library(const char *path) { (void)path; return NULL; }
static inline void *ws_symbol(void *library, const char *name) { (void)library; (void)name; return NULL; }

#else

#include <dlfcn.h>

#define WS_THREAD_LOCAL __thread

/* The loaded library at `path`, or the program itself where `_ssl` is built in. It stays loaded for good. */
static inline void *ws_library(const char *path)
{
#if defined(RTLD_NOLOAD)
    return path != NULL ? dlopen(path, RTLD_LAZY | RTLD_NOLOAD) : dlopen(NULL, RTLD_LAZY);
#else
    (void)path;
    return NULL;
#endif
}

static inline void *ws_symbol(void *library, const char *name) { return dlsym(library, name); }

#endif

/* The SSL that was made last in this thread, while it lives. */
static WS_THREAD_LOCAL void *ws_last_ssl;

static void ws_ssl_made(void *parent, void *ptr, void *ad, int index, long argl, void *argp)
{
    (void)ptr; (void)ad; (void)index; (void)argl; (void)argp;
    ws_last_ssl = parent;
}

static void ws_ssl_freed(void *parent, void *ptr, void *ad, int index, long argl, void *argp)
{
    (void)ptr; (void)ad; (void)index; (void)argl; (void)argp;
    if (ws_last_ssl == parent) {
        ws_last_ssl = NULL;
    }
}

/* A BIO without data belongs to an SSLObject that has outlived its connection: nothing to read, no room. */
static int ws_bio_read(void *bio, char *to, size_t n, size_t *done)
{
    ws_records_t *records = (ws_records_t *)ws_openssl.BIO_get_data(bio);
    size_t there = records != NULL ? (size_t)(records->end - records->next) : 0;
    *done = 0;
    if (there == 0) {
        if (records != NULL) {
            records->is_dry = records->is_marked = 1;
        }
        ws_openssl.BIO_set_flags(bio, WS_BIO_FLAGS_READ | WS_BIO_FLAGS_RETRY);
        return -1;
    }
    if (records->is_marked) {
        records->is_marked = 0;
        ws_openssl.BIO_clear_flags(bio, WS_BIO_FLAGS_ALL_RETRY);
    }
    if (n > there) {
        n = there;
    }
    memcpy(to, records->next, n);
    records->next += n;
    *done = n;
    return 1;
}

static int ws_bio_write(void *bio, const char *from, size_t n, size_t *done)
{
    ws_records_t *records = (ws_records_t *)ws_openssl.BIO_get_data(bio);
    *done = 0;
    if (records == NULL || !ws_records_reserve(records, n)) {
        ws_openssl.BIO_clear_flags(bio, WS_BIO_FLAGS_ALL_RETRY);
        return -1;
    }
    memcpy(records->out + records->out_size, from, n);
    records->out_size += n;
    *done = n;
    return 1;
}

static long ws_bio_ctrl(void *bio, int command, long number, void *pointer)
{
    ws_records_t *records;
    (void)number; (void)pointer;
    switch (command) {
    case WS_BIO_CTRL_FLUSH:
    case WS_BIO_CTRL_DUP:
        return 1;
    case WS_BIO_CTRL_PENDING:
        records = (ws_records_t *)ws_openssl.BIO_get_data(bio);
        return records != NULL ? (long)(records->end - records->next) : 0;
    default:
        return 0; /* kernel TLS, for one, is not offered */
    }
}

/* Look the functions up. path: the file of the _ssl module, NULL if it is built in. version: ssl.OPENSSL_VERSION.
 * NULL when all is well, else what is missing. Called once, before any thread uses the rest. */
static const char *ws_openssl_load(const char *path, const char *version)
{
    void *library = ws_library(path);
    void *method;
    if (library == NULL) {
        return ws_openssl.missing = "the library of _ssl";
    }
#define WS_LOOK_UP(result, name, args)                                 \
    *(void **)(&ws_openssl.name) = ws_symbol(library, #name);          \
    if (ws_openssl.name == NULL) {                                     \
        return ws_openssl.missing = #name;                             \
    }
    WS_OPENSSL_FUNCTIONS(WS_LOOK_UP)
#undef WS_LOOK_UP
    if (strncmp(version, "OpenSSL ", 8) != 0 || strstr(version, "compatible") != NULL ||
        strcmp(ws_openssl.OpenSSL_version(0), version) != 0 ||
        ws_openssl.OpenSSL_version_num() < 0x10101000UL) {
        return ws_openssl.missing = "OpenSSL 1.1.1 or newer";
    }
    method = ws_openssl.BIO_meth_new(
        ws_openssl.BIO_get_new_index() | WS_BIO_TYPE_SOURCE_SINK, "connection of picows");
    if (method == NULL || !ws_openssl.BIO_meth_set_read_ex(method, ws_bio_read) ||
        !ws_openssl.BIO_meth_set_write_ex(method, ws_bio_write) ||
        !ws_openssl.BIO_meth_set_ctrl(method, ws_bio_ctrl)) {
        return ws_openssl.missing = "a BIO_METHOD";
    }
    if (ws_openssl.CRYPTO_get_ex_new_index(
            WS_CRYPTO_EX_INDEX_SSL, 0, NULL, ws_ssl_made, NULL, ws_ssl_freed) < 0) {
        return ws_openssl.missing = "an index for ex data";
    }
    ws_openssl.bio_method = method;
    return ws_openssl.missing = NULL;
}

/* The SSL that `owner`, an _ssl._SSLSocket, has just been made with in this thread. NULL: unknown. */
static inline void *ws_ssl_of(const void *owner)
{
    void *ssl = ws_last_ssl;
    ws_last_ssl = NULL;
    return ssl != NULL && ws_openssl.SSL_get_ex_data(ssl, 0) == owner ? ssl : NULL;
}

static inline void ws_ssl_forget(void) { ws_last_ssl = NULL; }

/* SSL_get_error looks at this thread's error queue first, where others may have left something. */
static inline void ws_ssl_clear_errors(void)
{
    if (ws_openssl.ERR_peek_error() != 0) {
        ws_openssl.ERR_clear_error();
    }
}

/* Put a BIO between `ssl` and `records`; the caller owns one reference of it. NULL: no memory. */
static inline void *ws_ssl_attach(void *ssl, ws_records_t *records)
{
    void *bio = ws_openssl.BIO_new(ws_openssl.bio_method);
    if (bio == NULL) {
        return NULL;
    }
    ws_openssl.BIO_set_data(bio, records);
    ws_openssl.BIO_set_init(bio, 1);
    ws_openssl.BIO_up_ref(bio);
    ws_openssl.SSL_set_bio(ssl, bio, bio);
    ws_openssl.SSL_set_read_ahead(ssl, 0); /* nothing is left unseen inside of the SSL */
    return bio;
}

/* The records are going away, the SSL may live on. */
static inline void ws_ssl_detach(void *bio)
{
    ws_openssl.BIO_set_data(bio, NULL);
    ws_openssl.BIO_free(bio);
}

enum { WS_TLS_DATA, WS_TLS_EMPTY, WS_TLS_END, WS_TLS_FAILED };

static inline int ws_ssl_result(void *ssl, ws_records_t *records, int result)
{
    if (records->is_dry) {
        return WS_TLS_EMPTY;
    }
    switch (ws_openssl.SSL_get_error(ssl, result)) {
    case WS_SSL_ERROR_WANT_READ:
    case WS_SSL_ERROR_WANT_WRITE:
        return WS_TLS_EMPTY;
    case WS_SSL_ERROR_ZERO_RETURN:
        return WS_TLS_END;
    default:
        return WS_TLS_FAILED;
    }
}

/* Decrypt into `to`. *is_whole: OpenSSL holds neither plaintext nor a part of a record any more. */
static inline int ws_ssl_read(void *ssl, ws_records_t *records, char *to, size_t n, size_t *got, int *is_whole)
{
    int result;
    records->is_dry = 0;
    result = ws_openssl.SSL_read_ex(ssl, to, n, got);
    if (result == 1) {
        /* At most one record is read at a time, so a short read has emptied it. */
        *is_whole = records->next == records->end && (*got < n || ws_openssl.SSL_pending(ssl) == 0);
        return WS_TLS_DATA;
    }
    result = ws_ssl_result(ssl, records, result);
    *is_whole = result == WS_TLS_EMPTY && ws_openssl.SSL_rstate_string(ssl)[1] == 'H'; /* "RH": reads a header */
    return result;
}

static inline int ws_ssl_write(void *ssl, ws_records_t *records, const char *from, size_t n)
{
    size_t written = 0;
    int result;
    records->is_dry = 0;
    result = ws_openssl.SSL_write_ex(ssl, from, n, &written);
    return result == 1 ? WS_TLS_DATA : ws_ssl_result(ssl, records, result);
}

/* close_notify (RFC 8446 6.1) goes out; the peer's is not waited for. */
static inline void ws_ssl_say_goodbye(void *ssl)
{
    ws_openssl.SSL_shutdown(ssl);
    ws_ssl_clear_errors();
}

/* Buffers stay from record to record, instead of one malloc and free for each (_ssl asks for that). */
static inline void ws_ssl_keep_buffers(void *ssl)
{
    ws_openssl.SSL_ctrl(ssl, WS_SSL_CTRL_CLEAR_MODE, WS_SSL_MODE_RELEASE_BUFFERS, NULL);
}

/* Only where the SSL is_whole: see CVE-2024-4741. */
static inline void ws_ssl_drop_buffers(void *ssl) { (void)ws_openssl.SSL_free_buffers(ssl); }

#endif
