"""What a code object says, without where it stands: the part of bytecode that a fingerprint is made of."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

_GLOBAL_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTE_READS = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
# They depend on line numbers, or on whether a constant's index needs more than eight bits.
_POSITIONAL = frozenset({"NOP", "EXTENDED_ARG", "CACHE"})
_CLASS_POSITION = frozenset({"__doc__", "__firstlineno__", "__static_attributes__"})


@dataclass(frozen=True)
class Read:
    """A global that code reads, and the attributes that it reads off it at once: ``helpers.math.scale``."""

    name: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Import:
    """A module that code imports while it runs."""

    name: str
    level: int


def statements(code: CodeType) -> list[Any]:
    """Plain values that stand for what the code does; nested code objects stand in it as themselves.

    Constants are put in the place of their index, and jump targets are counted in the instructions that are kept, so a
    docstring, a comment or a moved line changes nothing.
    """
    kept = [i for i in _without_docstrings(code) if i.opname not in _POSITIONAL]
    place = _places(code, kept)
    says: list[Any] = [
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_varnames[: code.co_argcount + code.co_kwonlyargcount],
        code.co_freevars,
        code.co_cellvars,
    ]
    for instruction in kept:
        value = instruction.argval
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            value = place.get(value, -1)
        says.append((instruction.opname, value))
    says.extend(
        ("except", place.get(entry.start), place.get(entry.end), place.get(entry.target), entry.depth)
        for entry in getattr(dis.Bytecode(code), "exception_entries", ())
    )
    return says


def reads(code: CodeType) -> tuple[set[Read], set[Import]]:
    """Globals and imports of a code object and of the code nested in it."""
    globals_read: set[Read] = set()
    imports: set[Import] = set()
    for nested in _nested(code):
        instructions = [i for i in dis.get_instructions(nested) if i.opname not in _POSITIONAL]
        for index, instruction in enumerate(instructions):
            if instruction.opname in _GLOBAL_READS:
                globals_read.add(Read(str(instruction.argval), _attributes(instructions, index + 1)))
            elif instruction.opname == "IMPORT_NAME":
                level = instructions[index - 2].argval
                imports.add(Import(str(instruction.argval), level if isinstance(level, int) else 0))
    return globals_read, imports


def _attributes(instructions: list[dis.Instruction], start: int) -> tuple[str, ...]:
    names = []
    for instruction in instructions[start:]:
        if instruction.opname not in _ATTRIBUTE_READS:
            break
        names.append(str(instruction.argval))
    return tuple(names)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _without_docstrings(code: CodeType) -> list[dis.Instruction]:
    """Instructions without the ``__doc__ = ...`` of a class body. A function's docstring is in no instruction."""
    kept: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_NAME" and instruction.argval in _CLASS_POSITION and kept:
            kept.pop()
            continue
        kept.append(instruction)
    return kept


def _places(code: CodeType, kept: list[dis.Instruction]) -> dict[int, int]:
    """Index among the kept instructions for every byte offset, that of the next one for offsets between them."""
    place: dict[int, int] = {}
    index = 0
    for offset in range(0, len(code.co_code) + 2, 2):
        while index < len(kept) and kept[index].offset < offset:
            index += 1
        place[offset] = index
    return place
