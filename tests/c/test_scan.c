/* scan.h on exact-size heap blocks: ASan sees each byte that is read beyond the data. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../connectors/scan.h"

static scan_value values[SCAN_KEYS];
static uint64_t found;

/* The text in a block of its own size. */
static size_t scan(const char* text, size_t size) {
    char* block = malloc(size ? size : 1);
    size_t used;
    assert(block);
    memcpy(block, text, size);
    used = scan_flat(block, size, values, &found);
    free(block);
    return used;
}

static void refused(const char* text) {
    if (scan(text, strlen(text)) != 0) {
        printf("accepted: %s\n", text);
        abort();
    }
}

static void accepted(const char* text) {
    if (scan(text, strlen(text)) != strlen(text)) {
        printf("refused: %s\n", text);
        abort();
    }
}

static int64_t integer_of(const char* text) {
    accepted(text);
    assert(values[scan_place('u')].kind == SCAN_INTEGER);
    return values[scan_place('u')].integer;
}

static void test_every_kind(void) {
    const char* text = "{\"u\":12,\"b\":\"1.5\",\"m\":true,\"M\":false,\"X\":null,\"long\":\"skipped\"}";
    char* block = malloc(strlen(text));
    assert(block);
    memcpy(block, text, strlen(text));
    assert(scan_flat(block, strlen(text), values, &found) == strlen(text));
    assert(found == (scan_bit('u') | scan_bit('b') | scan_bit('m') | scan_bit('M') | scan_bit('X')));
    assert(values[scan_place('u')].integer == 12);
    assert(values[scan_place('b')].size == 3 && !memcmp(values[scan_place('b')].text, "1.5", 3));
    assert(values[scan_place('m')].kind == SCAN_TRUE && values[scan_place('M')].kind == SCAN_FALSE);
    assert(values[scan_place('X')].kind == SCAN_NULL);
    free(block);
}

static void test_integers(void) {
    assert(integer_of("{\"u\":0}") == 0);
    assert(integer_of("{\"u\":-7}") == -7);
    assert(integer_of("{\"u\":9223372036854775807}") == INT64_MAX);
    assert(integer_of("{\"u\":-9223372036854775807}") == -INT64_MAX);
    refused("{\"u\":9223372036854775808}");
    refused("{\"u\":-9223372036854775808}");
    refused("{\"u\":99999999999999999999999}");
    refused("{\"u\":01}");
    refused("{\"u\":-}");
    refused("{\"u\":}");
    refused("{\"u\":1.5}");
    refused("{\"u\":1e5}");
    refused("{\"u\":+1}");
}

static void test_unusual_is_refused(void) {
    refused("");
    refused("{");
    refused("{}");
    refused("[]");
    refused("{\"\":1}");
    refused("{\"u\":1,\"u\":2}");
    refused("{\"u\":1,}");
    refused("{\"u\" :1}");
    refused("{ \"u\":1}");
    refused("{\"u\":{}}");
    refused("{\"u\":[1]}");
    refused("{\"u\":\"a\\n\"}");
    refused("{\"u\":\"\x01\"}");
    refused("{\"u\":\"\xc3\xa9\"}");
    refused("{\"u\":tru}");
    refused("{\"u\":truex}");
    refused("{\"u\":nul}");
    refused("{\"1\":1}");
    accepted("{\"12\":1}");
    accepted("{\"b\":\"\"}");
}

/* Each byte in a string against the rule in words. */
static void test_plain_characters(void) {
    int c;
    for (c = 0; c < 256; c++) {
        char text[] = "{\"u\":\"?\"}";
        text[6] = (char)c;
        if (c == '"') continue;
        assert((scan(text, sizeof text - 1) != 0) == (c >= 0x20 && c <= 0x7e && c != '\\'));
    }
}

static void test_every_cut_is_refused(void) {
    const char* text = "{\"u\":12,\"b\":\"1.5\",\"m\":true,\"long\":false,\"X\":null}";
    size_t size;
    for (size = 0; size < strlen(text); size++) assert(scan(text, size) == 0);
}

/* Random changes of a good message: accepted or refused, never read beyond. */
static void test_random_bytes(void) {
    const char* good = "{\"e\":\"trade\",\"E\":1723161600000,\"s\":\"BTCUSDT\",\"t\":5,\"p\":\"61.5\",\"m\":true}";
    const char alphabet[] = "{}[]\":,\\-0123456789truefalsenull.eE \x00\x7f\xff";
    char text[128];
    int round;
    srand(7);
    for (round = 0; round < 300000; round++) {
        size_t size = strlen(good), changes = (size_t)(rand() % 4), k;
        memcpy(text, good, size);
        for (k = 0; k < changes; k++) text[(size_t)rand() % size] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        if (rand() % 3 == 0) size = (size_t)rand() % (size + 1);
        assert(scan(text, size) <= size);
    }
}

int main(void) {
    test_every_kind();
    test_integers();
    test_unusual_is_refused();
    test_plain_characters();
    test_every_cut_is_refused();
    test_random_bytes();
    puts("test_scan: all passed");
    return 0;
}
