"""Blocks end where Arrow ends a row, whatever the quoting."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.arrow.csv_blocks import Block, Dialect, blocks, byte_ranges, row_ends
from fluent_pipe.arrow.files import Piece
from fluent_pipe.errors import InputError

COMMAS = Dialect()


def cut(text: bytes, size: int, dialect: Dialect = COMMAS) -> list[Block]:
    return list(blocks(io.BytesIO(text), size, dialect))


def rows(text: bytes, dialect: Dialect = COMMAS) -> list[bytes]:
    ends = row_ends(text, dialect).tolist()
    return [text[b:e] for b, e in zip([0, *ends], ends, strict=False)]


def test_a_newline_inside_quotes_ends_no_row():
    assert rows(b'a,"1\n2"\nb,3\n') == [b'a,"1\n2"\n', b"b,3\n"]


def test_a_doubled_quote_is_a_character():
    assert rows(b'"say ""hi\n""",1\n2,3') == [b'"say ""hi\n""",1\n', b"2,3"]


def test_a_quote_within_a_field_is_a_character():
    assert rows(b'6" pipe,1\n4" pipe,"x\ny"\n') == [b'6" pipe,1\n', b'4" pipe,"x\ny"\n']


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends(end):
    assert rows(b"a,b" + end + b"c,d" + end) == [b"a,b" + end, b"c,d" + end]
    assert b"".join(b.data for b in cut((b"a,b" + end) * 50, 7)) == (b"a,b" + end) * 50
    assert cut((b"a,b" + end) * 50, 7)[-1].line >= 47


def test_an_escaped_quote_and_an_escaped_newline():
    dialect = Dialect(escape="\\")
    assert rows(b'"a\\"\n",1\nb\\\nc,2\n', dialect) == [b'"a\\"\n",1\n', b"b\\\nc,2\n"]
    assert next(b.data for b in cut(b'"a\\"\n",1\n' + b"b\\\nc,2\n" * 9, 9, dialect)) == b'"a\\"\n",1\n'


def test_a_quote_that_never_closes_costs_its_own_line():
    found = cut(b'1,2\n3,"4\n5,6\n7,8\n', 5)
    assert [b for b in found if b.unclosed] == [Block(b'3,"4\n', 1, unclosed=True)]
    assert b"".join(b.data for b in found if not b.unclosed) == b"1,2\n5,6\n7,8\n"


def test_text_without_line_ends_is_refused():
    with pytest.raises(InputError, match="no line end within 16 MiB"):
        cut(b"x" * (17 << 20), 1 << 20)


PARTS = [b'"', b"\n", b"\r\n", b",", b"a", b'""', b'"a\nb"', b',"x",']
PIECES = st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join)


@settings(deadline=None)
@given(text=PIECES, size=st.integers(1, 30))
def test_nothing_is_lost_and_lines_are_counted(text, size):
    found = cut(text, size)
    assert b"".join(b.data for b in found) == text
    seen = b""
    for block in found:
        assert block.line == seen.replace(b"\r\n", b"\n").count(b"\n")
        seen += block.data


@settings(deadline=None)
@given(text=PIECES, size=st.integers(1, 30))
def test_block_size_does_not_change_rows(text, size):
    def records(size: int) -> list[bytes]:
        return [row for b in cut(text, size) for row in ([b.data] if b.unclosed else rows(b.data)) if row.strip()]

    assert records(size) == records(1000)


@settings(deadline=None, max_examples=50)
@given(text=PIECES.filter(bool), size=st.integers(1, 30))
def test_ranges_begin_where_rows_begin(text, size, tmp_path_factory):
    path = tmp_path_factory.mktemp("ranges") / "a.csv"
    path.write_bytes(text)
    pieces = byte_ranges(Piece(str(path)), size, Dialect(), "utf-8")
    assert pieces[0].begin == 0
    if len(pieces) > 1:
        begins = {0}
        for block in cut(text, 1000):
            begins |= {len(b"".join(b.data for b in cut(text, 1000) if b.line < block.line))}
            base = max(begins)
            begins |= {base + e for e in ([len(block.data)] if block.unclosed else row_ends(block.data, Dialect()))}
        assert {p.begin for p in pieces} <= begins
        assert [p.end for p in pieces[:-1]] == [p.begin for p in pieces[1:]]
        assert pieces[-1].end == len(text)


def test_wide_characters_and_escapes_are_not_split(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a,b\n" * 100, encoding="utf-16")
    piece = Piece(str(tmp_path / "a.csv"))
    assert byte_ranges(piece, 10, Dialect(), "utf-16") == [piece]
    assert byte_ranges(piece, 10, Dialect(escape="\\"), "utf-8") == [piece]
