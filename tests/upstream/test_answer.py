import gzip
import zlib

import pytest

from omniroute.errors import UpstreamError
from omniroute.upstream.answer import Inflater, Limits, inflater

TEXT = b"".join(b'data: {"n": %d}\n\n' % number for number in range(9000))
CODED = {"gzip": gzip.compress(TEXT), "deflate": zlib.compress(TEXT), "raw deflate": zlib.compress(TEXT)[2:-4]}


def inflate(coded: bytes, piece: int, *, is_gzip: bool, limits: Limits | None = None) -> bytes:
    stream = Inflater(gzip=is_gzip, limits=limits or Limits())
    text = b""
    for start in range(0, len(coded), piece):
        stream.feed(coded[start : start + piece])
        while got := stream.pull():
            assert len(got) <= Inflater.PIECE
            text += got
    stream.finish()
    return text


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_a_coding_is_undone_in_whatever_pieces_it_comes(name, piece):
    assert inflate(CODED[name], piece, is_gzip=name == "gzip") == TEXT


@pytest.mark.parametrize("size", [Inflater.PIECE - 1, Inflater.PIECE, Inflater.PIECE + 1, 2 * Inflater.PIECE])
def test_a_body_around_the_size_of_a_piece_loses_nothing(size):
    text = bytes(size)
    assert inflate(gzip.compress(text), 1 << 20, is_gzip=True) == text


def test_all_that_can_be_decoded_is_given_out_before_more_is_asked_for():
    coded = gzip.compress(bytes(100_000))
    for cut in range(1, len(coded)):
        stream = Inflater(gzip=True, limits=Limits())
        stream.feed(coded[:cut])
        given = sum(len(piece) for piece in iter(stream.pull, b""))
        assert given == len(zlib.decompressobj(31).decompress(coded[:cut])), cut


@pytest.mark.parametrize("name", CODED)
@pytest.mark.parametrize("missing", [1, 8, 100])
def test_a_coding_that_stops_is_truncated(name, missing):
    with pytest.raises(UpstreamError) as caught:
        inflate(CODED[name][:-missing], 1000, is_gzip=name == "gzip")
    assert caught.value.kind == "truncated"


def test_a_damaged_checksum_is_malformed():
    damaged = bytearray(CODED["gzip"])
    damaged[-6] ^= 1
    with pytest.raises(UpstreamError) as caught:
        inflate(bytes(damaged), 1000, is_gzip=True)
    assert caught.value.kind == "malformed"


def test_the_ratio_counts_only_beyond_a_length():
    bomb = gzip.compress(bytes(100_000))
    assert len(inflate(bomb, 1000, is_gzip=True)) == 100_000
    with pytest.raises(UpstreamError) as caught:
        inflate(bomb, 1000, is_gzip=True, limits=Limits(ratio=50, ratio_from=10_000))
    assert caught.value.kind == "malformed"


def test_which_codings_are_undone():
    limits = Limits()
    assert inflater([(b"content-type", b"text/plain")], limits) is None
    assert inflater([(b"content-encoding", b" Identity ")], limits) is None
    for coding in (b"gzip", b"x-gzip", b"GZIP", b"deflate"):
        assert inflater([(b"content-encoding", coding)], limits) is not None
    for coding in (b"br", b"zstd", b"gzip, gzip", b"identity, gzip", b"gzip;q=1"):
        with pytest.raises(UpstreamError) as caught:
            inflater([(b"content-encoding", coding)], limits)
        assert caught.value.kind == "malformed"
