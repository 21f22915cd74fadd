"""Ways in which bytes on a disk go wrong, each a pure function of a random generator."""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[bytearray, random.Random], str]
PAGE = 4096


def truncate(data: bytearray, chance: random.Random) -> str:
    """The end is missing."""
    keep = chance.randrange(len(data))
    del data[keep:]
    return f"truncated to {keep}"


def flip_bits(data: bytearray, chance: random.Random) -> str:
    """One to eight bits anywhere."""
    places = [chance.randrange(8 * len(data)) for _ in range(chance.choice((1, 1, 1, 2, 8)))]
    for place in places:
        data[place // 8] ^= 1 << place % 8
    return f"bits {places} flipped"


def change_bytes(data: bytearray, chance: random.Random) -> str:
    """One to four bytes anywhere."""
    places = [chance.randrange(len(data)) for _ in range(chance.choice((1, 1, 2, 4)))]
    for place in places:
        data[place] = chance.randrange(256)
    return f"bytes {places} changed"


def overwrite(data: bytearray, chance: random.Random) -> str:
    """A range of 1 to 64 bytes: noise, zeros, ones, or bytes from elsewhere in the file."""
    length = min(len(data), chance.randint(1, 64))
    start, source = (chance.randrange(len(data) - length + 1) for _ in range(2))
    noise = bytes(chance.randrange(256) for _ in range(length))
    fill = chance.choice((noise, bytes(length), b"\xff" * length, bytes(data[source : source + length])))
    data[start : start + length] = fill
    return f"bytes {start} to {start + length} overwritten"


def zero_page(data: bytearray, chance: random.Random) -> str:
    """A page that never reached the disk."""
    page = chance.randrange(-(-len(data) // PAGE))
    size = len(data[page * PAGE : (page + 1) * PAGE])
    data[page * PAGE : page * PAGE + size] = bytes(size)
    return f"page {page} zeroed"


MUTATIONS: tuple[Mutation, ...] = (
    truncate,
    flip_bits,
    flip_bits,
    change_bytes,
    overwrite,
    overwrite,
    zero_page,
)


def mutated(data: bytes, seed: int) -> tuple[bytes, str]:
    """The bytes damaged in one way, which ``seed`` chooses, and what was done."""
    chance = random.Random(seed)
    out = bytearray(data)
    what = chance.choice(MUTATIONS)(out, chance)
    return bytes(out), what


def changed(before: bytes, after: bytes) -> list[tuple[int, int]]:
    """Ranges of ``before`` that ``after`` no longer has."""
    ranges: list[tuple[int, int]] = []
    for start in range(0, len(before), 64):
        if before[start : start + 64] == after[start : start + 64]:
            continue
        for place in range(start, min(start + 64, len(before))):
            if place >= len(after) or before[place] != after[place]:
                if ranges and ranges[-1][1] == place:
                    ranges[-1] = (ranges[-1][0], place + 1)
                else:
                    ranges.append((place, place + 1))
    return ranges
