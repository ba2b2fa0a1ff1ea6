"""Fingerprints of functions: what changes a key and what does not."""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
import math
import operator
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fluent_pipe.errors import ArgumentError
from fluent_pipe.store.fingerprint import of_code, of_value


def module(source: str, name: str = "user_code", path: Path | None = None) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = str(path or f"/home/somebody/{name}.py")
    exec(compile(textwrap.dedent(source), made.__file__, "exec"), vars(made))
    return made


def key(source: str, function: str = "f") -> str:
    return of_code(getattr(module(source), function))


BASE = "def f(x):\n    return g(x) + LIMIT\ndef g(x):\n    return x * 2\nLIMIT = 3\n"


@pytest.mark.parametrize(
    "other",
    [
        "# a comment\n\n\n" + BASE,
        BASE.replace("return g", "# why\n\n    return g"),
        BASE.replace("    return g", '    """What it does."""\n    return g'),
        BASE.replace("    return x", '    """What it does."""\n    return x'),
        BASE.replace("g(x) + LIMIT", "(\n        g(x)\n        + LIMIT\n    )"),
        "LIMIT = 3\n" + BASE.replace("LIMIT = 3\n", "\n"),
        BASE + "UNREAD = 5\ndef other():\n    return UNREAD\n",
        BASE.replace("def f(x)", "def f(x: int) -> float"),
    ],
)
def test_what_does_not_change_what_is_done_keeps_the_key(other: str) -> None:
    assert key(BASE) == key(other)


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("x * 2", "x * 3"),
        BASE.replace("x * 2", "x + 2"),
        BASE.replace("LIMIT = 3", "LIMIT = 4"),
        BASE.replace("LIMIT = 3", "LIMIT = 3.0"),
        BASE.replace("LIMIT = 3", "LIMIT = True"),
        BASE.replace("def f(x)", "def f(x, y=1)"),
        BASE.replace("+ LIMIT", "+ LIMIT if x else 0"),
        BASE.replace("LIMIT = 3\n", ""),
    ],
)
def test_what_changes_what_is_done_changes_the_key(other: str) -> None:
    assert key(BASE) != key(other)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("def f(x=1): return x", "def f(x=2): return x"),
        ("def f(*, x=1): return x", "def f(*, x=2): return x"),
        ("def m(n):\n def f(): return n\n return f\nf = m(1)", "def m(n):\n def f(): return n\n return f\nf = m(2)"),
        ("def f(): return (lambda: K)()\nK = 1", "def f(): return (lambda: K)()\nK = 2"),
        ("def f(): return [K for _ in 'ab']\nK = 1", "def f(): return [K for _ in 'ab']\nK = 2"),
        ("def f(x): return x in {1, 2}", "def f(x): return x in {1, 3}"),
        (
            "class A:\n def m(self): return 1\ndef f(): return A()",
            "class A:\n def m(self): return 2\ndef f(): return A()",
        ),
        ("class A:\n k = 1\ndef f(): return A.k", "class A:\n k = 2\ndef f(): return A.k"),
        ("class B: k = 1\nclass A(B): pass\ndef f(): return A", "class B: k = 2\nclass A(B): pass\ndef f(): return A"),
        (
            "def f(x):\n try: return 1/x\n except ValueError: return 0",
            "def f(x):\n try: return 1/x\n except TypeError: return 0",
        ),
        ("def f(x): return len(x)", "def f(x): return sum(x)"),
        ("import math\ndef f(x): return math.sin(x)", "import math\ndef f(x): return math.cos(x)"),
    ],
)
def test_each_thing_that_a_function_reads_counts(one: str, two: str) -> None:
    assert key(one) == key(one)
    assert key(one) != key(two)


def test_class_and_method_docstrings_do_not_count() -> None:
    plain = "class A:\n    def m(self):\n        return 1\ndef f():\n    class L:\n        k = 1\n    return A, L\n"
    told = plain.replace("class A:", 'class A:\n    "doc"').replace("class L:", 'class L:\n        "doc"')
    assert key(plain) == key(told.replace("def m(self):", 'def m(self):\n        "doc"'))


def test_functions_that_call_each_other_end() -> None:
    cycle = "def f(n): return g(n - 1)\ndef g(n): return f(n) if n else {}\n".format("1")
    assert key(cycle) == key(cycle)
    assert key(cycle) != key(cycle.replace("{0}", "{2}").replace("n - 1", "n - 2"))
    holder = "class A:\n    def m(self): return f(self), super().__init__()\n"
    holder += "def f(a): return A, a\nBOX = [f]\nBOX.append(BOX)\n"
    assert key(holder + "def h(): return BOX\n", "h") == key(holder + "def h(): return BOX\n", "h")


def test_being_called_does_not_change_the_key() -> None:
    made = module(BASE)
    before = of_code(made.f)
    for i in range(2000):
        made.f(i)
    assert of_code(made.f) == before


def decorated(times: int) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(x: int) -> int:
            return int(function(x)) * times

        return wrapper

    return decorate


def test_partials_methods_and_decorated_functions_count_with_what_they_hold() -> None:
    class Scale:
        def __init__(self, by: int) -> None:
            self.by = by

        def apply(self, x: int) -> int:
            return x * self.by

        def __call__(self, x: int) -> int:
            return x + self.by

    def plain(x: int, y: int = 0) -> int:
        return x + y

    assert of_code(functools.partial(plain, y=1)) == of_code(functools.partial(plain, y=1))
    assert of_code(functools.partial(plain, y=1)) != of_code(functools.partial(plain, y=2))
    assert of_code(Scale(1).apply) == of_code(Scale(1).apply) != of_code(Scale(2).apply)
    assert of_code(Scale(1)) == of_code(Scale(1)) != of_code(Scale(2))
    assert of_code(decorated(2)(plain)) == of_code(decorated(2)(plain)) != of_code(decorated(3)(plain))
    cached = functools.lru_cache(plain)
    before = of_code(cached)
    cached(1)
    assert of_code(cached) == before


def test_builtin_and_library_functions_count_by_name() -> None:
    functions: list[Any] = [
        len,
        sum,
        math.sin,
        "x".join,
        "y".join,
        str.upper,
        json.dumps,
        operator.itemgetter(1),
        operator.itemgetter(2),
    ]
    assert len({of_code(f) for f in functions}) == len(functions)
    assert of_code(json.dumps) == of_code(json.dumps)


def test_a_key_is_the_same_in_every_process() -> None:
    program = """
import functools, logging, threading, datetime, enum, dataclasses
from fluent_pipe.store.fingerprint import of_code
class Color(enum.Enum):
    RED = 1
@dataclasses.dataclass
class Setting:
    names: set = dataclasses.field(default_factory=lambda: {"a", "b", "c"})
    day: datetime.date = datetime.date(2020, 1, 1)
LOG, LOCK, SETTING, SENTINEL = logging.getLogger("x"), threading.Lock(), Setting(), object()
def f(x):
    import json
    with LOCK:
        LOG.info("%s", SENTINEL)
    return x in {"a", "b", "c"} and Color.RED and SETTING and json
print(of_code(f), of_code(Setting), of_code(Color))
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(said) == 1


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


def test_functions_of_the_users_own_modules_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "main_module_fp.py").write_text("import helpers_fp\ndef f(x):\n    return helpers_fp.scale(x)\n")

    def with_helpers(source: str) -> str:
        (tmp_path / "helpers_fp.py").write_text(source)
        for name in ("helpers_fp", "main_module_fp"):
            sys.modules.pop(name, None)
            load(tmp_path / f"{name}.py", name)
        return of_code(sys.modules["main_module_fp"].f)

    first = with_helpers("def scale(x):\n    return x * 2\ndef unread():\n    return 1\n")
    assert first == with_helpers("# moved\ndef unread():\n    return 2\ndef scale(x):\n    return x * 2\n")
    assert first != with_helpers("def scale(x):\n    return x * 3\n")


def test_imports_inside_a_function_count_without_being_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "def f(x):\n    from inner_helpers_fp import scale\n    import yaml\n    return scale(x), yaml\n"
    (tmp_path / "inner_helpers_fp.py").write_text("def scale(x): return x * 2\n")
    first = key(source)
    (tmp_path / "inner_helpers_fp.py").write_text("def scale(x): return x * 2  # the same\n")
    assert key(source) == first
    (tmp_path / "inner_helpers_fp.py").write_text("def scale(x): return x * 3\n")
    assert key(source) != first
    assert "inner_helpers_fp" not in sys.modules


def test_a_value_without_stable_content_is_an_error_that_names_it(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w") as handle:
        made = module("def f(x):\n    return SETTINGS\n")
        vars(made)["SETTINGS"] = {"log": [handle]}
        with pytest.raises(ArgumentError, match=r"'f -> SETTINGS\['log'\]\[0\]' is a _io.TextIOWrapper") as caught:
            of_code(made.f)
    assert "__fingerprint__" in str(caught.value)


def test_locks_and_loggers_do_not_stand_in_the_way() -> None:
    class Guarded:
        def __init__(self, n: int) -> None:
            self.n, self.lock, self.log = n, threading.RLock(), logging.getLogger("guarded")

    assert of_value(Guarded(1)) == of_value(Guarded(1)) != of_value(Guarded(2))


KERAS = """
import keras
import tensorflow as tf
from fluent_pipe.store.fingerprint import of_code, of_value
LOSS, SCALE = keras.losses.BinaryCrossentropy(from_logits=True), tf.constant([1.0, 2.0])
OPTIMIZER = keras.optimizers.Adam(0.1)
@tf.function
def scaled(x):
    return x * SCALE
def build_model(data, hp):
    model = keras.Sequential([keras.layers.Dense(3, activation="relu")])
    model.compile(loss=LOSS, optimizer=OPTIMIZER)
    return model, scaled, tf.nn.relu
for x in (build_model, scaled, tf.nn.relu, keras.layers.Dense, tf.float32, SCALE, keras.losses.BinaryCrossentropy()):
    print(of_value(x))
"""


def test_keras_and_tensorflow_objects_have_a_key_that_stays() -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", KERAS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    one, two = (process.communicate(timeout=120)[0].split() for process in running)
    assert one == two
    assert len(set(one)) == 7
