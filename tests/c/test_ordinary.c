/* ws_ordinary_frame says nothing that ws_header_parse does not say too. Every buffer is a malloc of exactly its
 * size, so that AddressSanitizer sees a byte read too far.
 */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

static void check(const uint8_t *bytes, size_t avail, unsigned masked, uint64_t max_len)
{
    uint8_t *p = malloc(avail ? avail : 1);
    unsigned head = 0;
    ws_header_t header;
    if (!p)
        abort();
    memcpy(p, bytes, avail);

    const size_t total = ws_ordinary_frame(p, avail, masked, max_len, &head);
    const int size = ws_header_parse(p, avail, &header);
    const int is_ordinary = size > 0 && header.fin && !header.rsv1 && !header.rsv2 && !header.rsv3
        && (header.opcode == 1 || header.opcode == 2) && header.masked == masked
        && header.payload_len <= max_len && header.payload_len < 65536;

    if (total != 0 && (!is_ordinary || head != (unsigned)size || total != head + header.payload_len)) {
        fprintf(stderr, "%02x %02x %02x %02x, %zu bytes: not what ws_header_parse says\n", bytes[0], bytes[1],
                bytes[2], bytes[3], avail);
        exit(1);
    }
    if (total == 0 && is_ordinary && avail >= 4) {
        fprintf(stderr, "%02x %02x, %zu bytes: ordinary, but not recognised\n", bytes[0], bytes[1], avail);
        exit(1);
    }
    free(p);
}

int main(void)
{
    static const uint8_t edges[] = {0, 1, 125, 126, 127, 128, 255};
    static const uint64_t limits[] = {0, 1, 125, 126, 300, 65535, 1 << 20};
    uint8_t bytes[16] = {0};

    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (size_t i = 0; i < sizeof edges; i++)
                for (size_t j = 0; j < sizeof edges; j++)
                    for (unsigned masked = 0; masked < 2; masked++) {
                        bytes[0] = (uint8_t)first;
                        bytes[1] = (uint8_t)second;
                        bytes[2] = edges[i];
                        bytes[3] = edges[j];
                        /* Every length of what is there, for the frames that may be ordinary. */
                        const int is_near = (first & 0x7c) == 0 || first >= 0xf0;
                        for (size_t avail = is_near ? 0 : 8; avail <= 14; avail += is_near ? 1 : 6)
                            check(bytes, avail, masked, limits[(i + j) % 7]);
                    }
    printf("ok test_ordinary_frames_are_those_that_the_full_parser_finds_ordinary\n");
    return 0;
}
