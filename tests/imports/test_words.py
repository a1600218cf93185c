"""What imports say: a sentence for every state, notice and end."""

import re
from pathlib import Path
from typing import get_args

import pytest

from app.imports import finishing, queries, reading
from app.imports.errors import STATES, ImportState
from app.imports.notices import TEXTS
from app.imports.schemas import Activity, State

NOTICE = re.compile(r'Notice\(\s*"([a-z0-9_]+)"')


@pytest.mark.parametrize("state", get_args(State))
def test_a_state_is_said_in_the_callers_language(state: str) -> None:
    refusal = ImportState(state=state)
    assert refusal.extra == {"state": state}
    assert state not in refusal.message("vi")
    assert f"“{STATES[state][0]}”" in refusal.message("vi")
    assert STATES[state][1] in refusal.message("en")


def test_every_notice_of_reading_has_a_sentence() -> None:
    folder = Path(reading.__file__).parent
    told = {code for file in folder.glob("*.py") for code in NOTICE.findall(file.read_text())} | {"several_sheets"}
    assert len(told) > 10
    assert told == TEXTS.keys()


@pytest.mark.parametrize("activity", [one for one in get_args(Activity) if one != "read"])
def test_the_end_is_told_as_it_was(activity: str) -> None:
    said = {state: finishing.message(activity, state, "a.csv", {}) for state in finishing.ENDED}
    assert queries.ENDED == ("succeeded", "failed", "cancelled", "undone")
    assert said.keys() == set(queries.ENDED)
    for spoken, words in ((0, ("thất bại", "đã bị hủy")), (1, ("failed", "was cancelled"))):
        heads = {state: sentences[spoken].partition(":")[0] for state, sentences in said.items()}
        assert heads["failed"].endswith(words[0])
        assert heads["cancelled"].endswith(words[1])
        assert heads["succeeded"] == heads["undone"] not in (heads["failed"], heads["cancelled"])
