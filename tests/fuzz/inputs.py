"""What the fuzz targets share: choices taken from the input, and mutations for runs without atheris."""

import random


class Choices:
    """Takes decisions from the end of the input, so that its front is the bytes on the wire."""

    def __init__(self, data):
        self._rest = bytes(data)

    def number(self, limit):
        """0 <= number < limit; 0 when the input is used up."""
        if not self._rest:
            return 0
        self._rest, last = self._rest[:-1], self._rest[-1]
        return last % limit

    def one_of(self, choices):
        return choices[self.number(len(choices))]

    def flag(self):
        return bool(self.number(2))

    def payload(self):
        """All that no decision was taken from."""
        return self._rest

    def cuts(self, size, most=8):
        """Sorted positions inside `size` bytes."""
        return sorted(self.number(256) * 256 % (size + 1) + self.number(16) for _ in range(self.number(most)))


def pieces(data, cuts):
    """`data` cut at the positions."""
    cuts = [min(cut, len(data)) for cut in cuts]
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


_INTERESTING = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b":",
    b" ",
    b",",
    b"%",
    b"@",
    b"[",
]
_MAX_INPUT = 4096


def mutate(random_source: random.Random, corpus):
    """An input near one of the corpus: some bytes changed, repeated, dropped, moved, or two inputs joined."""
    data = bytearray(random_source.choice(corpus))
    for _ in range(random_source.choice([1, 1, 2, 4, 8])):
        at = random_source.randrange(len(data) + 1)
        end = min(len(data), at + random_source.choice([1, 1, 2, 4, 16, 64]))
        match random_source.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << random_source.randrange(8)
            case 1 if at < len(data):
                data[at] = random_source.randrange(256)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * random_source.choice([1, 1, 2, 20])
            case 4:
                data[at:end] = random_source.choice(_INTERESTING)
            case 5:
                data[at:at] = random_source.randbytes(end - at)
            case _:
                other = random_source.choice(corpus)
                data[at:] = other[random_source.randrange(len(other) + 1) :]
    return bytes(data[:_MAX_INPUT])
