"""Blocks of one deflate stream: each by itself, and all of it by any inflater."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import DamagedError
from recorder.format import blocks
from recorder.format.blocks import END, decode_block, encode_block

RNG = np.random.default_rng(0)
CONTENTS = [b"", b"a", bytes(200_000), RNG.bytes(200_000), RNG.integers(0, 9, 50_000).tobytes()]


@given(st.lists(st.sampled_from(CONTENTS) | st.binary(max_size=200), max_size=6))
def test_blocks_are_read_singly_and_together(contents: list[bytes]) -> None:
    encoded = [encode_block(memoryview(raw)) for raw in contents]
    assert [decode_block(block, len(raw)) for block, raw in zip(encoded, contents, strict=True)] == contents
    assert zlib.decompress(b"".join(encoded) + END, -15) == b"".join(contents)


def test_noise_takes_no_more_room_than_it_has() -> None:
    noise = RNG.bytes(1_000_000)
    assert len(encode_block(memoryview(noise))) < 1_000_200


@pytest.mark.parametrize("raw", CONTENTS[2:])
def test_a_block_of_another_size_is_damaged(raw: bytes) -> None:
    block = encode_block(memoryview(raw))
    with pytest.raises(DamagedError):
        decode_block(block, len(raw) + 1)
    with pytest.raises(DamagedError):
        decode_block(block[: len(block) // 2], len(raw))


def test_blocks_are_the_same_streams_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = encode_block(memoryview(CONTENTS[4]))
    monkeypatch.setattr(blocks, "INFLATER", zlib)
    assert decode_block(written, len(CONTENTS[4])) == CONTENTS[4]
    plain = encode_block(memoryview(CONTENTS[4]))
    monkeypatch.undo()
    assert decode_block(plain, len(CONTENTS[4])) == CONTENTS[4]
