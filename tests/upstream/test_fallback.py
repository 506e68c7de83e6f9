import asyncio

import pytest
from raw_upstream import alone, asking, saying, serving

from omniroute.upstream.fallback import Fallback

OK = b"HTTP/1.1 200 OK\r\n"


def run(test):
    async def main():
        fallback = Fallback()
        try:
            await test(fallback)
        finally:
            await fallback.close()
            await alone()

    asyncio.run(main())


def test_no_answer_is_taken_for_that_of_the_next_request():
    async def test(fallback):
        two = OK + b"content-length: 2\r\n\r\nhi" + OK + b"content-length: 4\r\n\r\nevil"
        async with serving(saying(two, then="next")) as upstream:
            for _ in range(3):
                assert await (await fallback.send(asking(upstream.origin))).read(10) == b"hi"
            assert upstream.accepted == 3

    run(test)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environment_does_not_redirect_requests(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def test(fallback):
        async with serving(saying(OK + b"content-length: 2\r\n\r\nhi")) as upstream:
            assert await (await fallback.send(asking(upstream.origin))).read(10) == b"hi"

    run(test)


def test_cookies_are_not_kept():
    async def test(fallback):
        async with serving(saying(OK + b"set-cookie: a=b\r\ncontent-length: 0\r\n\r\n")) as upstream:
            for _ in range(2):
                await (await fallback.send(asking(upstream.origin))).read(10)
            assert all(b"cookie" not in head.lower() for head, _ in upstream.requests)

    run(test)


def test_a_request_is_not_logged(caplog):
    caplog.set_level("INFO")

    async def test(fallback):
        async with serving(saying(OK + b"content-length: 0\r\n\r\n")) as upstream:
            await (await fallback.send(asking(upstream.origin, target="/secret"))).read(10)

    run(test)
    assert "secret" not in caplog.text
