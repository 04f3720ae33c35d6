"""The journal's promises while it is open."""

import asyncio
import base64
import threading

import pytest

from ailab_async import errors
from ailab_async.batch import verbs
from ailab_async.batch.entries import MOVES, EntryState, Planned, SavedFile, entry_key

# written out once more, so that the table cannot change unseen
TAKES = {
    "submitting": "pending -> submitting",
    "withdrawn": "submitting -> pending",
    "submitted": "submitting -> submitted",
    "done": "submitting submitted done -> done",
    "saved": "done saved -> saved",
    "lost": "saved -> done",
    "rejected": "pending submitting -> rejected",
    "failed": "submitted done -> failed",
    "unknown": "submitting -> unknown",
}
CALLS = {
    "submitting": lambda journal, key, _: journal.submitting(key),
    "withdrawn": lambda journal, key, _: journal.withdrawn(key),
    "submitted": lambda journal, key, bench: journal.submitted(key, bench.record),
    "done": lambda journal, key, bench: journal.done(key, bench.raw, expires_at=1.5, of=1),
    "saved": lambda journal, key, bench: journal.saved(key, 1, bench.file),
    "lost": lambda journal, key, _: journal.lost(key),
    "rejected": lambda journal, key, _: journal.rejected(key, code="C", message="refused"),
    "failed": lambda journal, key, _: journal.failed(key, code="C", message="gave up"),
    "unknown": lambda journal, key, _: journal.unknown(key, message="no answer"),
}


def held(journal):
    """Make the writer wait, so that what is asked for meanwhile becomes one group."""
    gate = threading.Event()
    waiting = journal._do(lambda _: gate.wait(30))
    return gate, waiting


@pytest.mark.parametrize("verb", TAKES)
async def test_a_change_takes_these_states_and_leaves_the_others_alone(bench, journal, verb):
    sources, target = TAKES[verb].split(" -> ")
    for state in EntryState:
        key = await bench.bring(journal, f"{verb} {state}", state)
        before = await journal.get(key)
        if state in sources.split():
            await CALLS[verb](journal, key, bench)
            after = await journal.get(key)
            # what is saved already stays saved when its result is looked up again
            assert after.state == target
        else:
            with pytest.raises(errors.JournalConflict, match=rf"is {state}; '{verb}'") as caught:
                await CALLS[verb](journal, key, bench)
            assert caught.value.path == str(bench.path)
            assert await journal.get(key) == before
    with pytest.raises(errors.JournalConflict, match="has no entry"):
        await CALLS[verb](journal, bench.key("nobody"), bench)


def test_every_move_is_written_out_here():
    assert set(MOVES) == {*TAKES, "retry", "renew"}


async def test_an_entry_keeps_what_it_was_told(bench, journal):
    name = "Ufer\udcff/早晨.jpg"  # a byte of a file name that is no UTF-8
    key = bench.key("one")
    planned = Planned(key=key, operation="image-erasure", label=name)
    (entry,) = await journal.plan([planned])
    assert (entry.state, entry.operation, entry.label) == ("pending", "image-erasure", name)
    assert (entry.record, entry.raw, entry.files, entry.submissions) == ({}, None, (), 0)

    bench.now += 1
    await journal.submitting(key)
    entry = await journal.get(key)
    assert (entry.submissions, entry.changed) == (1, bench.now)

    await journal.submitted(key, bench.record)
    await journal.done(key, bench.raw, expires_at=bench.now + 86400, of=2)
    second = SavedFile(path="out/\udcff-2.png", sha256="cd" * 32, size=5)
    await journal.saved(key, 2, second)
    entry = await journal.get(key)
    assert (entry.state, entry.of, entry.files) == ("done", 2, (second,))
    assert (entry.record, entry.raw) == (bench.record, bench.raw)
    assert entry.expires_at == bench.now + 86400
    assert "Signature" not in repr(entry)

    await journal.saved(key, 1, bench.file)
    entry = await journal.get(key)
    assert (entry.state, entry.files) == ("saved", (bench.file, second))


async def test_reasons_are_kept_and_forgotten_with_the_attempt(bench, journal):
    key = await bench.bring(journal, "a", EntryState.FAILED)
    entry = await journal.get(key)
    assert (entry.code, entry.message) == ("PROCESS_FAILED", "gave up")
    assert await journal.retry(EntryState.FAILED) == 1
    entry = await journal.get(key)
    assert (entry.state, entry.code, entry.message, entry.record) == ("pending", "", "", {})
    assert entry.submissions == 1


async def test_retry_takes_what_was_asked_for_and_nothing_else(bench, journal):
    keys = {state: await bench.bring(journal, state, state) for state in EntryState}
    failed = await bench.bring(journal, "another", EntryState.FAILED)
    assert await journal.retry(EntryState.FAILED, keys=[failed, keys[EntryState.UNKNOWN]]) == 1
    assert await journal.retry(EntryState.UNKNOWN, EntryState.REJECTED) == 2
    states = {state: (await journal.get(key)).state for state, key in keys.items()}
    again = {EntryState.UNKNOWN, EntryState.REJECTED}
    assert states == {state: "pending" if state in again else state for state in EntryState}
    assert await journal.retry(EntryState.FAILED, keys=[]) == 0


@pytest.mark.parametrize("states", [(), (EntryState.SUBMITTED,), ("failed", EntryState.SAVED)])
async def test_nothing_that_may_still_be_paid_for_is_retried(bench, journal, states):
    key = await bench.bring(journal, "a", EntryState.SUBMITTED)
    with pytest.raises(errors.InvalidOperation, match="states: must be one or more of unknown"):
        await journal.retry(*states)
    assert (await journal.get(key)).state == "submitted"


async def test_renew_takes_all_that_was_under_way(bench, journal):
    keys = {state: await bench.bring(journal, state, state) for state in EntryState}
    assert await journal.renew() == 4
    states = {state: (await journal.get(key)).state for state, key in keys.items()}
    ended = {EntryState.SAVED, EntryState.REJECTED, EntryState.FAILED}
    assert states == {state: state if state in ended else "pending" for state in EntryState}


async def test_a_result_without_files_is_saved_at_once(bench, journal):
    key = await bench.bring(journal, "a", EntryState.SUBMITTING)
    await journal.done(key, {"data": {"age": 30}}, expires_at=None, of=0)
    entry = await journal.get(key)
    assert (entry.state, entry.raw, entry.expires_at) == ("saved", {"data": {"age": 30}}, None)


async def test_a_result_looked_up_again_keeps_the_files_that_are_saved(bench, journal):
    key = await bench.bring(journal, "a", EntryState.SUBMITTED)
    await journal.done(key, bench.raw, expires_at=1.0, of=2)
    await journal.saved(key, 2, bench.file)
    fresh = {"data": {"image_url": "https://example.test/fresh.png"}}
    await journal.done(key, fresh, record={"id": "t2"}, expires_at=2.0, of=2)
    entry = await journal.get(key)
    assert (entry.state, entry.raw, entry.record, entry.expires_at) == (
        "done",
        fresh,
        {"id": "t2"},
        2.0,
    )
    assert dict(entry.saved) == {2: bench.file}
    await journal.saved(key, 1, bench.file)
    await journal.lost(key)
    entry = await journal.get(key)
    assert (entry.state, entry.files) == ("done", ())


@pytest.mark.parametrize("number", [0, 2, -1])
async def test_a_file_that_the_result_does_not_have_is_refused(bench, journal, number):
    key = await bench.bring(journal, "a", EntryState.DONE)
    with pytest.raises(errors.InvalidOperation, match=r"number: must be .* 1 to 1"):
        await journal.saved(key, number, bench.file)
    assert (await journal.get(key)).files == ()


async def test_a_result_with_less_than_no_files_is_refused(bench, journal):
    key = await bench.bring(journal, "a", EntryState.SUBMITTED)
    with pytest.raises(errors.InvalidOperation, match="of: must be a number of files"):
        await journal.done(key, bench.raw, expires_at=None, of=-1)


async def test_inline_pictures_are_kept_until_they_are_saved_and_not_longer(bench, journal):
    first, second = (base64.b64encode(bytes([n]) * 3000).decode() for n in (7, 8))
    raw = {"data": {"image": f"data:image/png;base64,{first}", "binary_data_base64": [second]}}
    key = await bench.bring(journal, "a", EntryState.SUBMITTING)
    await journal.done(key, raw, expires_at=None, of=2)
    await journal.saved(key, 1, bench.file)
    assert (await journal.get(key)).raw == raw
    await journal.saved(key, 2, bench.file)
    kept = (await journal.get(key)).raw
    assert kept["data"] == {"image": "data:image/png;base64,", "binary_data_base64": [""]}


async def test_planning_adds_what_is_new_and_returns_all_in_order(bench, journal):
    saved = await bench.bring(journal, "b", EntryState.SAVED)
    entries = await journal.plan(bench.planned("c", "b", "a", "c"))
    assert [entry.label for entry in entries] == ["c", "b", "a", "c"]
    assert [entry.state for entry in entries] == ["pending", "saved", "pending", "pending"]
    assert entries[1].key == saved
    assert sum((await journal.counts()).values()) == 3


async def test_entries_come_in_the_order_of_planning_page_by_page(bench, journal):
    names = [f"picture {number}" for number in range(verbs.PAGE_ENTRIES * 2 + 3)]
    await journal.plan(bench.planned(*names))
    assert [entry.label async for entry in journal.entries()] == names
    await journal.submitting(bench.key(names[1]))
    await journal.submitting(bench.key(names[-1]))
    chosen = journal.entries(EntryState.SUBMITTING, EntryState.DONE)
    assert [entry.label async for entry in chosen] == [names[1], names[-1]]
    counts = await journal.counts()
    assert counts == dict.fromkeys(EntryState, 0) | {
        EntryState.PENDING: len(names) - 2,
        EntryState.SUBMITTING: 2,
    }


async def test_a_page_of_large_answers_is_cut_before_it_fills_the_memory(bench, journal):
    picture = base64.b64encode(bytes(1_600_000)).decode()
    for name in "abcd":
        key = await bench.bring(journal, name, EntryState.SUBMITTING)
        await journal.done(key, {"data": {"image": picture}}, expires_at=None, of=1)
    found, after = await journal._do(verbs.page, 0, ())
    assert len(found) == 2
    assert after == 2
    assert [entry.label async for entry in journal.entries()] == ["a", "b", "c", "d"]


async def test_a_conflict_does_not_undo_its_neighbours(bench, journal):
    names = [f"picture {number}" for number in range(9)]
    keys = [entry.key for entry in await journal.plan(bench.planned(*names))]
    await journal.submitting(keys[4])
    gate, waiting = held(journal)
    asked = [asyncio.ensure_future(journal.submitting(key)) for key in keys]
    asked.append(asyncio.ensure_future(journal.done(keys[4], {"no": {1}}, expires_at=None, of=0)))
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*asked, waiting, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes if outcome not in {None, True}] == [
        "JournalConflict",
        "TypeError",
    ]
    assert (await journal.counts())[EntryState.SUBMITTING] == 9


async def test_of_two_that_submit_the_same_one_is_refused(bench, journal):
    key = await bench.bring(journal, "a", EntryState.PENDING)
    tries = (journal.submitting(key), journal.submitting(key))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["JournalConflict", "NoneType"]
    assert (await journal.get(key)).submissions == 1


async def test_work_that_fails_half_way_leaves_nothing_behind(bench, journal):
    def fail_half_way(connection):
        planned = [*bench.planned("new"), Planned(key=bench.key("x"), operation=object(), label="")]
        return verbs.plan(connection, 1.0, planned)

    with pytest.raises(Exception, match="type 'object' is not supported"):
        await journal._do(fail_half_way)
    assert [entry async for entry in journal.entries()] == []


async def test_a_cancelled_caller_loses_nothing(bench, journal):
    key = await bench.bring(journal, "a", EntryState.SUBMITTING)
    gate, waiting = held(journal)
    caller = asyncio.ensure_future(journal.submitted(key, bench.record))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    await waiting
    entry = await journal.get(key)
    assert (entry.state, entry.record) == ("submitted", bench.record)


async def test_what_goes_wrong_for_a_caller_who_left_is_logged(bench, journal, caplog):
    key = await bench.bring(journal, "a", EntryState.PENDING)
    gate, waiting = held(journal)
    caller = asyncio.ensure_future(journal.submitted(key, bench.record))
    await asyncio.sleep(0)
    caller.cancel()
    gate.set()
    await waiting
    await journal.counts()
    assert "a caller of the journal had left: The entry 'a'" in caplog.text
    assert bench.record["id"] in caplog.text


async def test_closing_writes_what_was_asked_for(bench):
    journal = bench.journal()
    await journal.open()
    names = [f"picture {number}" for number in range(50)]
    await journal.plan(bench.planned(*names))
    gate, waiting = held(journal)
    reason = {"code": "C", "message": "refused"}
    asked = [asyncio.ensure_future(journal.rejected(bench.key(name), **reason)) for name in names]
    await asyncio.sleep(0)
    closings = [asyncio.ensure_future(journal.aclose()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(errors.JournalError, match="is closed"):
        await journal.counts()
    gate.set()
    await asyncio.gather(waiting, *asked, *closings)
    await journal.aclose()
    assert [path.name for path in bench.folder.iterdir()] == ["run.sqlite"]
    async with bench.journal() as again:
        assert (await again.counts())[EntryState.REJECTED] == 50


async def test_a_cancelled_opening_leaves_nothing_open(bench):
    opening = asyncio.ensure_future(bench.journal().open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with bench.journal() as again:
        assert await again.get(bench.key("a")) is None


async def test_a_journal_that_is_not_open_says_so(bench):
    journal = bench.journal()
    assert repr(journal) == f"<Journal {bench.path} closed>"
    with pytest.raises(errors.JournalError, match="is not open"):
        await journal.submitting(bench.key("a"))
    async with journal:
        assert journal.path == bench.path
        with pytest.raises(errors.JournalError, match="is open already"):
            await journal.open()
    async with journal:  # and again
        assert await journal.plan([]) == []


async def test_a_journal_belongs_to_its_event_loop(bench, journal):
    def elsewhere():
        with pytest.raises(errors.ClientMisused, match="another event loop"):
            asyncio.run(journal.get(bench.key("a")))

    await asyncio.to_thread(elsewhere)


@pytest.mark.parametrize("key", [b"short", "a" * 32, None])
def test_a_key_of_another_kind_is_refused(key):
    with pytest.raises(errors.InvalidOperation, match="key: must be 32 bytes"):
        Planned(key=key, operation="x", label="")


def test_a_key_says_what_would_be_paid_for():
    facts = {
        "service": "direct",
        "operation": "hd-color-migration",
        "fields": [("mode", "auto"), ("degree", "0.4")],
        "pictures": [("image", b"\x01" * 32)],
    }
    key = entry_key(**facts)
    # pinned: keys of an earlier version must be found again
    assert key.hex() == "c17f5184e1a62242d8455bbff4d240b228d72250d48941b08e0bdefa1fe6d4be"
    others = [
        {"service": "rapidapi"},
        {"operation": "image-erasure"},
        {"fields": [("degree", "0.4"), ("mode", "auto")]},
        {"fields": [("mode", "aut"), ("odegree", "0.4")]},
        {"fields": [("mode", "auto")]},
        {"pictures": [("image", b"\x02" * 32)]},
        {"pictures": [("image", b"\x01" * 32)] * 2},
        {"fields": [*facts["fields"], ("image", "\x01" * 32)], "pictures": []},
    ]
    assert len({key, *(entry_key(**{**facts, **other}) for other in others)}) == len(others) + 1
    assert entry_key(**{**facts, "fields": [("name", "\udcff")]}) != key
