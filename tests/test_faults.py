"""Every fault of the way, in every kind of exchange, below every library: what the server saw whole
against what the user was told.
"""

import asyncio

import pytest
from loopback import Close, Loopback, Reply, Reset, answer
from test_transport import QUICK, WAYS, Wire, form, scripted

from ailab_async import errors

GOOD = {"error_code": 0, "task_id": "t-1", "task_status": 1}
BODY = b'{"error_code": 0, "task_id": "t-1"}'
DATES = {"retry-after": "Fri, 20 Nov 2026 10:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}


async def never(_):
    await asyncio.Event().wait()


FAULTS = {
    "reset at accept": "accept",
    "reset in mid-body": "body",
    "reset after the whole": Reset(),
    "closed after the whole": Close(),
    "cut at byte 0": Reply(body=BODY, cut=0),
    "cut at byte 20": Reply(body=BODY, cut=20),
    "cut in the body": Reply(body=BODY, cut=-5),
    "a byte at a time": Reply(body=BODY, drip=asyncio.Event()),
    "no answer": never,
    "garbage": Reply(body=b"\x00\xffnot JSON"),
    "503": Reply(status=503, body=b"busy"),
    "429 in seconds": Reply(status=429, body=b"busy", headers={"retry-after": "0"}),
    "429 with a date": Reply(status=429, body=b"busy", headers=DATES),
    "429 with nonsense": Reply(status=429, body=b"busy", headers={"retry-after": "soon"}),
}
REFUSALS = {"503", "429 in seconds", "429 with a date", "429 with nonsense"}
NEVER_WHOLE = {"reset at accept", "reset in mid-body"}


class Faulty:
    """A server whose first exchange goes wrong and whose later ones go well."""

    def __init__(self, fault):
        self.fault = FAULTS[fault]
        first = self.fault if not isinstance(self.fault, str) else answer(GOOD)
        rest = scripted(answer(GOOD))
        self.healed = False

        def handle(seen):
            if self.healed or isinstance(self.fault, str):
                return rest(seen)
            self.healed = True
            if isinstance(first, Exception):
                raise first
            return first(seen) if callable(first) else first

        self.server = Loopback(handle)
        if self.fault == "accept":
            self.server.on_accept = self.reset_once
        if self.fault == "body":
            self.server.read_at_most = 100_000
            self.server.on_head = self.heal_later

    def reset_once(self):
        if not self.healed:
            self.healed = True
            raise Reset

    def heal_later(self, _):
        if len(self.server.seen) > 1:
            self.server.read_at_most = None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_submission_is_never_seen_whole_twice_but_after_a_refusal(fault, way):
    faulty = Faulty(fault)
    async with faulty.server as server, Wire(server.url, way=way, timeouts=QUICK) as wire:
        told = None
        # so large that no buffer on the way can take it whole
        body = form(8 * 2**20) if fault in NEVER_WHOLE else form()
        try:
            told = await wire.submit(body)
        except errors.OutcomeUnknown:
            told = "unknown"
        whole = len(server.whole())
        if fault in REFUSALS:
            assert (told, whole) == ("t-1", 2)
        elif fault in NEVER_WHOLE:
            assert (told, whole) == ("t-1", 1)
        else:
            assert (told, whole) == ("unknown", 1)
        # and the slot is good for the next one
        assert await wire.submit(form()) == "t-1"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "reset in mid-body"])
async def test_a_question_gets_its_answer_in_spite_of(fault, way):
    faulty = Faulty(fault)
    async with faulty.server as server, Wire(server.url, way=way, timeouts=QUICK) as wire:
        assert (await wire.look()).task_id == "t-1"
        assert len(server.whole("GET")) <= 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fault",
    ["reset at accept", "reset after the whole", "cut at byte 0", "cut at byte 20", "no answer"],
)
async def test_a_file_of_which_nothing_came_is_fetched_again(fault, way):
    faulty = Faulty(fault)
    async with faulty.server as server, Wire(server.url, way=way, timeouts=QUICK) as wire:
        assert b"t-1" in await wire.download(f"{server.url}/a.png")


@pytest.mark.parametrize("way", WAYS)
async def test_a_file_of_which_a_part_came_is_an_error_and_not_begun_again(way):
    faulty = Faulty("cut in the body")
    async with faulty.server as server, Wire(server.url, way=way, timeouts=QUICK) as wire:
        with pytest.raises(errors.DownloadFailed):
            await wire.download(f"{server.url}/a.png")
        assert len(server.seen) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_kept_connection_that_the_server_closed_costs_nothing_unseen(way):
    """The commonest ambiguity: the server gives an idle connection up just as we use it."""

    def leave(seen):
        reply = answer(GOOD)
        reply.length = len(reply.body)  # said as always, and then hung up
        return reply

    async with Loopback(leave) as server, Wire(server.url, way=way, max_in_flight=1) as wire:
        told = {"t-1": 0, "unknown": 0}
        for _ in range(20):
            try:
                told[await wire.submit()] += 1
            except errors.OutcomeUnknown:
                told["unknown"] += 1
        assert told["t-1"] + told["unknown"] == 20
        assert len(server.whole()) <= 20
        assert told["t-1"] <= len(server.whole())
