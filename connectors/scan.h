/* One flat JSON object of short keys: the shape of the hottest messages. Strict: whatever is unusual is refused, and
 * the caller reads it with the general decoder. No Python.h, no allocation; never reads at or beyond data + size. */
#ifndef CONN_SCAN_H
#define CONN_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum { SCAN_STRING = 1, SCAN_INTEGER = 2, SCAN_TRUE = 3, SCAN_FALSE = 4, SCAN_NULL = 5 };
enum { SCAN_KEYS = 64 };        /* keys of one character 0x40..0x7f, by their low six bits */

typedef struct {
    const char* text;           /* of a string, without its quotes; into the caller's data */
    size_t size;
    int64_t integer;
    int kind;
} scan_value;

/* The bit and the place of a key. */
static inline unsigned scan_place(char key) { return (unsigned)((unsigned char)key & 63u); }
static inline uint64_t scan_bit(char key) { return (uint64_t)1 << scan_place(key); }

/* Where a run of plain characters ends: 0x20..0x7e without the quote and the backslash. One load a byte. */
static const unsigned char scan_is_plain[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0,
};

/* Bytes up to and with the closing quote of a string whose opening quote was read; 0: escapes, not ASCII, no end. */
static inline size_t scan_string(const char* data, size_t size) {
    size_t i = 0;
    while (i < size && scan_is_plain[(unsigned char)data[i]]) i++;
    return i < size && data[i] == '"' ? i + 1 : 0;
}

/* Bytes of an integer as JSON writes it, in int64; 0: no integer, a fraction, an exponent, too large. */
static inline size_t scan_integer(const char* data, size_t size, int64_t* value) {
    size_t i = 0, first;
    uint64_t sum = 0, limit = INT64_MAX;
    int is_negative = 0;
    if (i < size && data[i] == '-') {
        is_negative = 1;
        i++;
    }
    first = i;
    while (i < size && data[i] >= '0' && data[i] <= '9') {
        uint64_t digit = (uint64_t)(data[i] - '0');
        if (sum > (limit - digit) / 10) return 0;
        sum = sum * 10 + digit;
        i++;
    }
    if (i == first || (data[first] == '0' && i > first + 1)) return 0;
    /* What follows decides whether this was the whole number. */
    if (i >= size || (data[i] != ',' && data[i] != '}')) return 0;
    *value = is_negative ? -(int64_t)sum : (int64_t)sum;
    return i;
}

static inline size_t scan_word(const char* data, size_t size, const char* word, size_t length) {
    size_t i;
    if (size < length) return 0;
    for (i = 0; i < length; i++)
        if (data[i] != word[i]) return 0;
    return length;
}

/* Bytes of one value; 0: an object, an array, a fraction, anything else. */
static inline size_t scan_one(const char* data, size_t size, scan_value* out) {
    size_t used;
    if (size == 0) return 0;
    switch (data[0]) {
    case '"':
        used = scan_string(data + 1, size - 1);
        if (!used) return 0;
        out->kind = SCAN_STRING;
        out->text = data + 1;
        out->size = used - 1;
        return used + 1;
    case 't':
        out->kind = SCAN_TRUE;
        return scan_word(data, size, "true", 4);
    case 'f':
        out->kind = SCAN_FALSE;
        return scan_word(data, size, "false", 5);
    case 'n':
        out->kind = SCAN_NULL;
        return scan_word(data, size, "null", 4);
    default:
        out->kind = SCAN_INTEGER;
        return scan_integer(data, size, &out->integer);
    }
}

/* `{"k":value,...}` without white space. values: SCAN_KEYS of them; only those whose bit is set in *found were
 * written. Longer keys are read over. Returns the bytes of the object; 0: refused (a key twice, an empty object or
 * key, a key of one character outside 0x40..0x7e, a nested value, and all that the functions above refuse). */
static inline size_t scan_flat(const char* data, size_t size, scan_value* values, uint64_t* found) {
    size_t i = 1, used;
    *found = 0;
    if (size == 0 || data[0] != '{') return 0;
    for (;;) {
        scan_value other;
        scan_value* out = &other;
        if (i >= size || data[i] != '"') return 0;
        i++;
        used = scan_string(data + i, size - i);
        if (used < 2) return 0;
        if (used == 2) {
            char key = data[i];
            if (key < 0x40 || (*found & scan_bit(key))) return 0;
            *found |= scan_bit(key);
            out = &values[scan_place(key)];
        }
        i += used;
        if (i >= size || data[i] != ':') return 0;
        i++;
        used = scan_one(data + i, size - i, out);
        if (!used) return 0;
        i += used;
        if (i >= size) return 0;
        if (data[i] == '}') return i + 1;
        if (data[i] != ',') return 0;
        i++;
    }
}

#endif
