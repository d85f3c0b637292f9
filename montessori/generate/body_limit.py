"""A limit of size for what a server answers: a small body may unpack to hundreds of megabytes."""

import zlib
from collections.abc import AsyncIterator

import httpx2

#: Bytes of an unpacked answer: a hundred times the longest texts that models write.
MOST = 16 << 20
#: What a server is asked for: what is unpacked here.
ASKED = "gzip"
_KNOWN = {"", "identity", "gzip", "x-gzip", "deflate"}
_ANY_HEADER = 32 + zlib.MAX_WBITS  # of gzip or of zlib


class TooLarge(Exception):
    """An answer that is larger than MOST, or packed in a way that was not asked for."""


async def limit_answer(response: httpx2.Response) -> None:
    """Have the body of a response read by `_Unpacked`: an event hook of the client."""
    packed = response.headers.pop("content-encoding", "").strip().lower()
    if packed not in _KNOWN:
        raise TooLarge(f"it is packed as {packed[:40]!r}; asked for was {ASKED}")
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    response.stream = _Unpacked(stream, packed not in ("", "identity"))


class _Unpacked(httpx2.AsyncByteStream):
    """The bytes of a stream, unpacked; raises TooLarge behind MOST of them."""

    def __init__(self, stream: httpx2.AsyncByteStream, packed: bool) -> None:
        self.stream, self.size = stream, 0
        self.unpacker = zlib.decompressobj(_ANY_HEADER) if packed else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self.stream:
            yield self._unpack(chunk)

    async def aclose(self) -> None:
        """Close the stream below."""
        await self.stream.aclose()

    def _unpack(self, chunk: bytes) -> bytes:
        if self.unpacker is not None:
            try:
                chunk = self.unpacker.decompress(chunk, MOST + 1)
            except zlib.error as error:
                raise httpx2.DecodingError(str(error)) from error
        self.size += len(chunk)
        if self.size > MOST:
            raise TooLarge(f"it is larger than {MOST >> 20} MiB")
        return chunk
