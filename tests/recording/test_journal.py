"""The journal: what was appended is there, however the process or the file ended."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon.recording import journal as journals
from perfmon.recording.journal import Journal, JournalFull, Record, orphans

payloads = st.lists(st.binary(min_size=1, max_size=400), max_size=30)


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "journal", 64 * 2**20)
    yield made
    made.close(keep=False)


def _abandon(journal: Journal) -> None:
    """What a killed process leaves: its files, and no lock."""
    journal.close(keep=True)


@given(payloads)
def test_records_are_read_back_in_order(tmp_path_factory, wanted):
    """Every record from a position on, with its kind."""
    journal = Journal(tmp_path_factory.mktemp("journal"), 64 * 2**20)
    start = journal.position()
    for number, payload in enumerate(wanted):
        journal.append(number % 2 + 1, payload)
    records, after = journal.read(start, 1000)
    assert records == [Record(number % 2 + 1, payload) for number, payload in enumerate(wanted)]
    assert after == journal.position()
    journal.close(keep=False)


def test_reading_goes_on_across_files(journal, monkeypatch):
    """A record that does not fit begins the next file, and readers follow."""
    big = b"x" * 3_000_000
    start = journal.position()
    for _ in range(7):
        journal.append(1, big)
    first, middle = journal.read(start, 3)
    rest, _ = journal.read(middle, 100)
    assert [len(record.payload) for record in first + rest] == [3_000_000] * 7


def test_what_is_stored_is_forgotten(journal):
    """Files before a position are removed, the one it lies in is kept."""
    for _ in range(7):
        journal.append(1, b"x" * 3_000_000)
    before = len(list(journal.folder.glob("*.log")))
    journal.forget(journal.position())
    assert len(list(journal.folder.glob("*.log"))) < before
    journal.append(1, b"more")


def test_a_full_journal_refuses(tmp_path):
    """Beyond its bound it raises, and what it holds stays readable."""
    journal = Journal(tmp_path / "journal", 2 * journals.SEGMENT)
    start = journal.position()
    held = []

    def fill():
        while len(held) < 100:
            journal.append(1, b"x" * 3_000_000)
            held.append(1)

    with pytest.raises(JournalFull):
        fill()
    records, _ = journal.read(start, 100)
    assert len(records) == len(held) > 2
    journal.close(keep=False)


def test_a_living_journal_is_nobodys_orphan(journal):
    """Another process's start leaves alone what is in use."""
    journal.append(1, b"mine")
    assert list(orphans(journal.folder)) == []


@given(payloads)
def test_an_abandoned_journal_is_found_whole(tmp_path_factory, wanted):
    """Without its process the journal is an orphan with every record, and goes when removed."""
    journal = Journal(tmp_path_factory.mktemp("journal"), 64 * 2**20)
    for payload in wanted:
        journal.append(1, payload)
    _abandon(journal)
    (orphan,) = orphans(journal.folder)
    assert [record.payload for record in orphan.records() if record] == wanted
    orphan.remove()
    assert list(journal.folder.iterdir()) == []


@given(payloads, st.floats(0, 1))
def test_a_cut_file_gives_what_came_before_the_cut(tmp_path_factory, wanted, where):
    """Truncated anywhere, the whole records before are read and nothing is made up."""
    journal = Journal(tmp_path_factory.mktemp("journal"), 64 * 2**20)
    for payload in wanted:
        journal.append(1, payload)
    end = journal.position()[1]
    _abandon(journal)
    (path,) = journal.folder.glob("*-00000001.log")
    cut = int(where * end)
    path.write_bytes(path.read_bytes()[:cut])
    (orphan,) = orphans(journal.folder)
    found = [record.payload for record in orphan.records() if record]
    assert found == wanted[: len(found)]
    whole, offset = 0, 16
    while whole < len(wanted) and offset + 9 + len(wanted[whole]) <= cut:
        offset += 9 + len(wanted[whole])
        whole += 1
    assert len(found) == whole
    orphan.remove()


@given(payloads.filter(len), st.data())
def test_a_flipped_byte_costs_only_its_record(tmp_path_factory, wanted, data):
    """A damaged payload is told by its checksum; its neighbours are read."""
    journal = Journal(tmp_path_factory.mktemp("journal"), 64 * 2**20)
    for payload in wanted:
        journal.append(1, payload)
    _abandon(journal)
    (path,) = journal.folder.glob("*-00000001.log")
    content = bytearray(path.read_bytes())
    victim = data.draw(st.integers(0, len(wanted) - 1))
    offset = 16 + sum(9 + len(payload) for payload in wanted[:victim]) + 9
    content[offset] ^= 0xFF
    assert zlib.crc32(content[offset : offset + len(wanted[victim])])
    path.write_bytes(content)
    (orphan,) = orphans(journal.folder)
    found = [None if record is None else record.payload for record in orphan.records()]
    assert found == [*wanted[:victim], None, *wanted[victim + 1 :]]
    orphan.remove()


@pytest.mark.parametrize("how", ["length", "longer", "zeros", "garbage", "kind"])
@pytest.mark.parametrize("where", [0, 7, 98])
def test_damage_costs_the_records_it_hits_and_no_other(journal, how, where):
    """Wherever it is, the length of a record included: the next whole one is looked for."""
    wanted = [bytes([1 + number]) * (50 + number) for number in range(100)]
    starts = []
    for payload in wanted:
        starts.append(journal.position()[1])
        journal.append(1, payload)
    _abandon(journal)
    (path,) = journal.folder.glob("*-00000001.log")
    content = bytearray(path.read_bytes())
    at = starts[where]
    if how == "length":
        content[at] ^= 0x10
    elif how == "longer":
        content[at + 2] ^= 0x40
    elif how == "zeros":
        content[at : at + 59] = bytes(59)
    elif how == "kind":
        content[at + 5 : at + 9] = b"\xff" * 4
    else:
        content[at : at + 30] = random.Random(where).randbytes(30)
    path.write_bytes(content)
    (orphan,) = orphans(journal.folder)
    found = [None if record is None else record.payload for record in orphan.records()]
    assert [payload for payload in found if payload] == [*wanted[:where], *wanted[where + 1 :]]
    assert None in found
    kept = orphan.remove()
    assert [one.read_bytes() for one in kept] == [content]
    assert list(orphans(journal.folder)) == []


def test_a_record_that_the_end_of_its_process_tore_is_no_damage_to_keep(journal):
    """It was promised to nobody."""
    journal.append(1, b"whole")
    at = journal.position()[1]
    journal.append(1, b"torn in its midst")
    _abandon(journal)
    (path,) = journal.folder.glob("*-00000001.log")
    content = bytearray(path.read_bytes())
    content[at + 14 : at + 40] = bytes(26)
    path.write_bytes(content)
    (orphan,) = orphans(journal.folder)
    assert [one and one.payload for one in orphan.records()] == [b"whole", None]
    assert orphan.remove() == []


def test_making_pages_ready_leaves_what_is_written_alone(journal):
    """Through the end of one file and into the next."""
    start, payloads = journal.position(), []
    for number in range(60):
        payloads.append(bytes([number]) * 200_000)
        journal.append(1, payloads[-1])
        journal.prepare()
    records, _ = journal.read(start, 100)
    assert [record.payload for record in records] == payloads
