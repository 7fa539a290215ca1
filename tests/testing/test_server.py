"""The server misbehaves on the wire exactly as it is told, for httpx and for bare sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from calendar import timegm
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.errors import InvalidParameterError
from ttskit.testing.pushback import RetryAfter, http_date, retry_after_headers
from ttskit.testing.server import FaultyServer
from ttskit.testing.wire import Ending, Framing, Reply

BODY = bytes(range(256)) * 40
TIMEOUT_S = 10.0
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(BODY) as running:
        yield running


@pytest.fixture
def client(server: FaultyServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_S, trust_env=False) as opened:
        yield opened


def wire(server: FaultyServer, *, read_timeout_s: float = TIMEOUT_S) -> bytes:
    """Return all that a bare socket reads until the end, the reset or the timeout."""
    data = b""
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as connection:
        connection.sendall(REQUEST)
        connection.settimeout(read_timeout_s)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while piece := connection.recv(65_536):
                data += piece
    return data


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


def until(condition: Callable[[], bool]) -> bool:
    """Return whether the condition came true in time."""
    end = time.monotonic() + TIMEOUT_S
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.001)
    return condition()


def test_a_good_answer_comes_whole_and_the_connection_is_used_again(
    server: FaultyServer, client: httpx.Client
) -> None:
    replies = [client.get("/"), client.get("/")]
    assert [reply.content for reply in replies] == [BODY, BODY]
    assert replies[0].headers["content-type"] == "audio/wav"
    assert server.connections == 1


@pytest.mark.parametrize("framing", Framing, ids=lambda framing: framing.name.lower())
def test_every_framing_carries_the_whole_body(
    framing: Framing, server: FaultyServer, client: httpx.Client
) -> None:
    server.reply(Reply(framing=framing, step=700))
    assert client.get("/").content == BODY


def test_what_was_asked_is_recorded(server: FaultyServer, client: httpx.Client) -> None:
    client.post("/speech?voice=a", content=b"hello", headers={"X-Key": "1"})
    client.post("/speech", content=iter([b"in ", b"chunks"]))
    first, second = server.requests
    assert (first.method, first.target, first.body) == ("POST", "/speech?voice=a", b"hello")
    assert first.headers["x-key"] == "1"
    assert second.body == b"in chunks"
    assert until(lambda: second.ended is not None)
    assert (second.sent, second.client_left) == (len(BODY), False)


def test_a_refused_connection_is_a_connect_error_until_it_heals(
    server: FaultyServer, client: httpx.Client
) -> None:
    server.refuse()
    with pytest.raises(httpx.ConnectError):
        client.get("/")
    server.heal()
    assert client.get("/").content == BODY


def test_a_reset_before_the_header_sends_nothing(
    server: FaultyServer, client: httpx.Client
) -> None:
    server.reset()
    assert wire(server) == b""
    with pytest.raises(httpx.ReadError):
        client.get("/")


def read_until_reset(connection: socket.socket) -> Iterator[bytes]:
    try:
        while True:
            yield connection.recv(65_536)
    except ConnectionResetError:
        return


@settings(max_examples=30)
@given(at=st.integers(0, len(BODY)))
def test_a_reset_comes_after_exactly_so_many_bytes(at: int) -> None:
    with FaultyServer(BODY) as server:
        server.reset(at=at)
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as connection:
            connection.sendall(REQUEST)
            data = b"".join(read_until_reset(connection))
    assert body_of(data) == BODY[:at]


def test_the_server_sees_that_a_client_left_during_a_stall(server: FaultyServer) -> None:
    server.stall(at=100)
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as connection:
        connection.sendall(REQUEST)
        data = b""
        while len(body_of(data)) < 100:
            data += connection.recv(65_536)
        assert (server.open_connections, server.requests[0].ended) == (1, None)
    assert until(lambda: server.open_connections == 0)
    assert (server.requests[0].sent, server.requests[0].client_left) == (100, True)


@pytest.mark.parametrize("at", [None, 0, 100], ids=["no header", "header", "some body"])
def test_a_stall_is_a_read_timeout(at: int | None, server: FaultyServer) -> None:
    server.stall(at=at)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(server.url, timeout=httpx.Timeout(TIMEOUT_S, read=0.05), trust_env=False)


def test_a_stall_before_the_header_sends_nothing(server: FaultyServer) -> None:
    server.stall()
    assert wire(server, read_timeout_s=0.05) == b""


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED], ids=["length", "chunked"])
def test_a_truncated_body_is_noticed_where_its_end_was_told(
    framing: Framing, server: FaultyServer, client: httpx.Client
) -> None:
    server.truncate(at=100, framing=framing)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")


def test_a_truncated_body_without_a_length_looks_whole(
    server: FaultyServer, client: httpx.Client
) -> None:
    server.truncate(at=100)
    assert client.get("/").content == BODY[:100]


def test_a_trickle_comes_in_small_steps(server: FaultyServer, client: httpx.Client) -> None:
    server.trickle(step=2_000, every_s=0.005)
    with client.stream("GET", "/") as reply:
        pieces = list(reply.iter_raw())
    assert b"".join(pieces) == BODY
    assert len(pieces) > 1


@pytest.mark.parametrize(
    ("by", "comes"), [(10, len(BODY)), (-10, len(BODY))], ids=["over", "under"]
)
def test_the_length_lies_and_the_body_does_not(by: int, comes: int, server: FaultyServer) -> None:
    server.wrong_length(by)
    data = wire(server)
    assert f"Content-Length: {len(BODY) + by}".encode() in data
    assert len(body_of(data)) == comes


def test_a_body_shorter_than_promised_is_a_protocol_error(
    server: FaultyServer, client: httpx.Client
) -> None:
    server.wrong_length(10)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")


def test_a_web_page_and_nothing_at_all_come_with_status_200(
    server: FaultyServer, client: httpx.Client
) -> None:
    server.html(times=1).empty(times=1)
    page, nothing = client.get("/"), client.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert (nothing.status_code, nothing.content) == (200, b"")
    assert client.get("/").content == BODY


@pytest.mark.parametrize("form", RetryAfter, ids=str)
@pytest.mark.parametrize("status", [429, 503])
def test_an_error_says_when_to_come_again(
    status: int, form: RetryAfter, server: FaultyServer, client: httpx.Client
) -> None:
    server.fail(status, retry_after=90, form=form)
    reply = client.get("/")
    said = retry_after_headers(90, form)[-1][0]
    assert reply.status_code == status
    assert said.lower() in reply.headers
    assert len(reply.headers.get_list("date")) == 1


def test_an_error_can_say_nothing_or_nonsense(server: FaultyServer, client: httpx.Client) -> None:
    twice = (("Retry-After", "soon"), ("Retry-After", "-1"))
    server.fail(500, times=1).fail(429, headers=twice)
    assert "retry-after" not in client.get("/").headers
    assert client.get("/").headers.get_list("retry-after") == ["soon", "-1"]


@given(moment=st.integers(0, 4_000_000_000), form=st.sampled_from(list(RetryAfter)[-3:]))
def test_every_form_of_a_date_is_the_same_moment(moment: int, form: RetryAfter) -> None:
    year = time.gmtime(moment).tm_year
    parsed = parsedate_to_datetime(http_date(moment, form))
    # Two digits of a year are read as 1969 to 2068: RFC 9110 leaves later ones to the reader.
    if form is not RetryAfter.DATE_RFC850 or year < 2069:
        assert (parsed.timestamp() if parsed.tzinfo else timegm(parsed.timetuple())) == moment


def test_a_date_is_as_far_off_as_the_servers_own_clock() -> None:
    headers = dict(retry_after_headers(30, RetryAfter.DATE, skew_s=3_600))
    own, then = (parsedate_to_datetime(headers[name]) for name in ("Date", "Retry-After"))
    assert (then - own).total_seconds() == 30
    assert own.timestamp() == pytest.approx(time.time() + 3_600, abs=5)


def test_a_slow_header_outlasts_a_short_timeout(server: FaultyServer) -> None:
    server.slow_header(0.1, times=1)
    assert httpx.get(server.url, timeout=TIMEOUT_S, trust_env=False).content == BODY
    server.slow_header(600)
    assert b"\r\n\r\n" not in wire(server, read_timeout_s=0.05)


def test_a_slow_close_sends_all_and_leaves_the_end_open(server: FaultyServer) -> None:
    server.slow_close(600)
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as connection:
        connection.sendall(REQUEST)
        data = b""
        while len(body_of(data)) < len(BODY):
            data += connection.recv(65_536)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_faults_go_by_their_order_and_number(server: FaultyServer, client: httpx.Client) -> None:
    server.fail(500, times=2).fail(503, times=1)
    assert [client.get("/").status_code for _ in range(4)] == [500, 500, 503, 200]
    with pytest.raises(InvalidParameterError):
        server.html(times=0)


def test_faults_can_be_kept_to_a_part_of_the_service() -> None:
    with FaultyServer(BODY, faults_on="/speech") as server:
        server.serve("/voices", b"[]", content_type="application/json").fail(500)
        voices = httpx.get(f"{server.url}/voices", trust_env=False)
        speech = httpx.get(f"{server.url}/speech", trust_env=False)
    assert (voices.json(), speech.status_code) == ([], 500)


def test_requests_under_way_are_counted(server: FaultyServer) -> None:
    server.stall()
    with contextlib.ExitStack() as opened:
        for _ in range(8):
            connection = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
            opened.enter_context(connection).sendall(REQUEST)
        assert until(lambda: server.most_in_flight == 8)
    assert until(lambda: server.open_connections == 0)
    assert server.connections == 8


def test_a_garbled_request_harms_nobody(server: FaultyServer, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as connection:
        connection.sendall(b"\0\1nonsense\r\n\r\n")
        assert connection.recv(1) == b""
    assert client.get("/").content == BODY


@pytest.mark.parametrize("at", [None, 100], ids=["before the header", "in the body"])
def test_leaving_ends_what_is_still_under_way(at: int | None) -> None:
    threads = threading.active_count()
    with FaultyServer(BODY) as server:
        server.reply(Reply(ending=Ending.STALL, at=at))
        waiting = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
        waiting.sendall(REQUEST)
        assert until(lambda: len(server.requests) == 1)
    with waiting:
        while waiting.recv(65_536):
            pass
    assert threading.active_count() == threads
    assert server.open_connections == 0
