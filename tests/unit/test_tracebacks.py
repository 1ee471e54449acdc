"""The tests' own eye for tracebacks: without it none of them would see one in our logs."""

import json
import traceback

from rig.tracebacks import tracebacks

from runtime.logs import render_exception


def fail() -> None:
    raise RuntimeError("on purpose")


def test_a_traceback_in_our_logs_is_seen() -> None:
    try:
        fail()
    except RuntimeError as error:
        said = render_exception((type(error), error, error.__traceback__))
    assert "Traceback" not in said
    assert tracebacks(said)
    assert tracebacks(json.dumps({"event": "it_failed", "exception": said}))
    assert tracebacks("a File of somebody's, line 7") == []


def test_a_traceback_of_python_is_seen() -> None:
    try:
        fail()
    except RuntimeError:
        assert tracebacks(traceback.format_exc())
