"""Any sequence of changes, with crashes at any place: what was confirmed is there afterwards."""

import asyncio
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ailab_async import errors
from ailab_async.batch import ledger as ledger_module
from ailab_async.batch.entries import MOVES, EntryState, Planned, SavedFile
from ailab_async.batch.journal import Journal

NAMES = st.sampled_from("abcd")
VERBS = st.sampled_from(sorted(set(MOVES) - {"retry", "renew"}))


def key_of(name):
    return name.encode() * 32


class Believed:
    """What an entry is believed to be: its state, how many files it has, which are saved."""

    def __init__(self, state=EntryState.PENDING, of=0, saved=(), submissions=0):
        self.state = state
        self.of = of
        self.saved = frozenset(saved)
        self.submissions = submissions

    def facts(self):
        return self.state, self.of, self.saved, self.submissions

    def after(self, verb, of, number):
        """Return what it is after a change, None where the change does not suit it."""
        if self.state not in MOVES[verb].sources:
            return None
        state, files, saved = MOVES[verb].target, self.of, self.saved
        if verb == "done":
            files, saved = of, frozenset(known for known in saved if known <= of)
        if verb == "saved":
            if number > files:
                return None
            saved |= {number}
        if verb == "lost":
            saved = frozenset()
        if verb in {"done", "saved"} and len(saved) < files:
            state = EntryState.DONE
        submissions = self.submissions + (verb == "submitting")
        return Believed(state, files, saved, submissions)

    def after_a_crash(self):
        lost = self.state is EntryState.SUBMITTING
        state = EntryState.UNKNOWN if lost else self.state
        return Believed(state, self.of, self.saved, self.submissions)


def facts_of(entry):
    return entry.state, entry.of, frozenset(entry.saved), entry.submissions


class JournalMachine(RuleBasedStateMachine):
    """Does what a batch does, on a real file, and crashes."""

    folder = None  # set by the test

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.path = Path(tempfile.mkdtemp(dir=self.folder)) / "run.sqlite"
        self.journal = Journal(self.path)
        self.runner.run(self.journal.open())
        self.believed = {}

    def teardown(self):
        self.runner.run(self.journal.aclose())
        self.runner.close()

    async def call(self, verb, name, of, number):
        key = key_of(name)
        match verb:
            case "submitted":
                await self.journal.submitted(key, {"id": name})
            case "done":
                await self.journal.done(key, {"of": of}, expires_at=None, of=of)
            case "saved":
                file = SavedFile(path=f"{name}-{number}", sha256="00", size=number)
                await self.journal.saved(key, number, file)
            case "rejected" | "failed":
                await getattr(self.journal, verb)(key, code="C", message="M")
            case "unknown":
                await self.journal.unknown(key, message="M")
            case _:
                await getattr(self.journal, verb)(key)

    @rule(names=st.lists(NAMES, max_size=4))
    def plan(self, names):
        items = [Planned(key=key_of(name), operation="x", label=name) for name in names]
        entries = self.runner.run(self.journal.plan(items))
        for name, entry in zip(names, entries, strict=True):
            assert facts_of(entry) == self.believed.setdefault(name, Believed()).facts()

    @rule(name=NAMES, verb=VERBS, of=st.integers(0, 2), number=st.integers(1, 2))
    def change(self, name, verb, of, number):
        before = self.believed.get(name)
        after = before.after(verb, of, number) if before else None
        if after is None:
            with pytest.raises((errors.JournalConflict, errors.InvalidOperation)):
                self.runner.run(self.call(verb, name, of, number))
        else:
            self.runner.run(self.call(verb, name, of, number))
            self.believed[name] = after

    @rule(name=NAMES, steps=st.integers(1, 4), of=st.integers(0, 2))
    def walk(self, name, steps, of):
        """Take an entry some steps on its usual way, which chance alone seldom finds."""
        self.plan([name])
        for verb in ("submitting", "submitted", "done", "saved")[:steps]:
            if self.believed[name].after(verb, of, 1) is not None:
                self.change(name, verb, of, 1)

    @rule(state=st.sampled_from(MOVES["retry"].sources))
    def retry(self, state):
        chosen = [name for name, entry in self.believed.items() if entry.state is state]
        assert self.runner.run(self.journal.retry(state)) == len(chosen)
        self.begin_again(chosen)

    @rule()
    def renew(self):
        sources = MOVES["renew"].sources
        chosen = [name for name, entry in self.believed.items() if entry.state in sources]
        assert self.runner.run(self.journal.renew()) == len(chosen)
        self.begin_again(chosen)

    def begin_again(self, names):
        for name in names:
            self.believed[name] = Believed(submissions=self.believed[name].submissions)

    @rule()
    def close_and_open(self):
        self.runner.run(self.journal.aclose())
        self.runner.run(self.journal.open())
        self.believed = settle(self.believed)

    @rule(
        under_way=st.lists(st.tuples(NAMES, VERBS, st.integers(0, 2)), max_size=4),
        at=st.integers(0, 4),
        in_one_group=st.booleans(),
    )
    def crash(self, under_way, at, in_one_group):
        """Go on with the files as they lay on the disk at some moment, with changes under way."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))

        def copy(_):
            for suffix in ("", "-wal"):
                copied = self.path.with_name(f"{self.path.name}{suffix}")
                (folder / copied.name).write_bytes(copied.read_bytes())

        async def crash_among_them():
            gate = threading.Event()
            asked = [self.journal._do(lambda _: gate.wait(30))] if in_one_group else []
            for name, verb, of in under_way[:at]:
                asked.append(asyncio.ensure_future(self.call(verb, name, of, 1)))
                await asyncio.sleep(0)
            asked.append(self.journal._do(copy))
            for name, verb, of in under_way[at:]:
                asked.append(asyncio.ensure_future(self.call(verb, name, of, 1)))
                await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(*asked, return_exceptions=True)
            await self.journal.aclose()

        self.runner.run(crash_among_them())
        self.path = folder / "run.sqlite"
        self.journal = Journal(self.path)
        self.runner.run(self.journal.open())
        found = self.runner.run(self.read())
        # of what was under way any beginning may have been written, and nothing that came later
        possible = [dict(self.believed)]
        for name, verb, of in under_way[:at]:
            before = possible[-1].get(name)
            after = before.after(verb, of, 1) if before else None
            possible.append({**possible[-1], name: after} if after else possible[-1])
        settled = [settle(believed) for believed in possible]
        facts = [{name: entry.facts() for name, entry in state.items()} for state in settled]
        assert found in facts
        self.believed = settled[facts.index(found)]

    async def read(self):
        return {entry.label: facts_of(entry) async for entry in self.journal.entries()}

    @invariant()
    def all_that_was_confirmed_is_there(self):
        found = self.runner.run(self.read())
        assert found == {name: entry.facts() for name, entry in self.believed.items()}


def settle(believed):
    return {name: entry.after_a_crash() for name, entry in believed.items()}


def test_whatever_happens_the_journal_knows_what_was_confirmed(bench, monkeypatch):
    monkeypatch.setattr(ledger_module, "RESERVE_BYTES", 4096)
    monkeypatch.setattr(ledger_module, "CHECKPOINT_PAGES", 3)
    machine = type("Machine", (JournalMachine,), {"folder": bench.folder})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
