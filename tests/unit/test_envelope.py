"""The framing of bundles: what was packed is unpacked, and damage is told from events."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.envelope import Envelope, pack, unpack
from schema.errors import NotAnEvent, UnknownFormat

envelopes = st.builds(Envelope, st.integers(1, 2**63 - 1), st.integers(0, 10**17 - 1), st.binary(max_size=40))


@given(st.lists(envelopes, max_size=5))
def test_what_was_packed_is_unpacked(packed: list[Envelope]) -> None:
    assert unpack(pack(packed)) == packed


@given(st.binary(max_size=80))
def test_any_bytes_are_envelopes_or_a_reason_why_not(damaged: bytes) -> None:
    try:
        found = unpack(damaged)
    except (NotAnEvent, UnknownFormat):
        return
    assert pack(found) == damaged


@pytest.mark.parametrize("header", [(0, 0), (2**63, 0), (1, 10**17), (1, 2**64 - 1)])
def test_a_header_that_cannot_be_ours_is_damage(header: tuple[int, int]) -> None:
    """Postgres could not store it, not even as a dead letter."""
    with pytest.raises(NotAnEvent):
        unpack(b"\x01" + struct.pack(">QQI", *header, 1) + b"x")
