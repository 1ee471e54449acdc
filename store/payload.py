"""Bodies as the database keeps them: as received, compressed by zstandard."""

import zstandard

_MOST_BYTES = 64 * 1024 * 1024

# One context each for the process: making one costs more than compressing a body.
_compressor = zstandard.ZstdCompressor(level=1)
_decompressor = zstandard.ZstdDecompressor()


def compress(body: bytes) -> bytes:
    return _compressor.compress(body)


def decompress(payload: bytes) -> bytes:
    return _decompressor.decompress(payload, max_output_size=_MOST_BYTES)
