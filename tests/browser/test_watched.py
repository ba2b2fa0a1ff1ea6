"""The watch itself: what it would see."""

import pytest

from fluent_pipe.display.charts import Chart, as_image, inline, label
from fluent_pipe.display.markup import joined, tag


@pytest.fixture
def complaints(watch):
    """What a page with a body of HTML is complained of."""

    def of(body, **how):
        seen = watch(**how)
        seen.page.set_content(f"<!doctype html><body>{body}</body>")
        seen.page.wait_for_load_state("networkidle")
        seen.look("watched")
        found, seen.complaints = seen.complaints, []
        return found

    return of


def chart(*labels):
    return Chart(200, 80, joined(labels), "a test")


@pytest.mark.parametrize("embed", [as_image, inline])
def test_it_sees_labels_that_overlap(complaints, embed):
    apart = chart(label(10, 20, "one"), label(60, 20, "two"), label(10, 33, "below"))
    assert complaints(embed(apart)) == []
    over = chart(label(10, 20, "one"), label(20, 20, "two"))
    assert complaints(embed(over)) == ['"one" and "two" overlap in "a test"']


def test_turned_labels_are_judged_as_they_lie(complaints):
    turned = [label(x, 65, "some words", transform=f"rotate(-45 {x} 65)") for x in (20, 45, 70)]
    assert complaints(inline(chart(*turned))) == []


def test_it_sees_text_that_its_picture_cuts_off(complaints):
    (found,) = complaints(inline(chart(label(180, 20, "a long name"))))
    assert found.startswith('"a long name" sticks out by ')


def test_it_sees_images_that_are_squashed(complaints):
    narrow = tag("div", as_image(chart()), style="width:100px")
    assert complaints(narrow) == []
    assert complaints(str(narrow).replace("max-width:none", "max-width:50%")) != []


@pytest.mark.parametrize("scripts", [True, False])
def test_it_sees_requests_to_the_world(complaints, scripts):
    found = complaints('<img src="https://example.org/x.png" alt="x">', scripts=scripts)
    assert "request to https://example.org/x.png" in found


def test_it_sees_what_runs_and_what_fails(complaints):
    assert "a name ran as script" in complaints('<img src="data:," onerror="window.hacked = 1">')
    assert "a script opened a dialog: 1" in complaints("<script>alert(1)</script>")
    assert any("no such thing" in c for c in complaints("<script>throw new Error('no such thing')</script>"))
    assert any("oh no" in c for c in complaints("<script>console.error('oh no')</script>"))
