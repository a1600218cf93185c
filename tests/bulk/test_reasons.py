"""Why a customer was skipped is said in a sentence, whatever the code."""

import pytest

from app.bulk.errors import OTHER, reason
from app.core.errors import known_errors
from app.core.i18n import language
from tests.laws.contract import document


@pytest.mark.parametrize("spoken", ["vi", "en"])
def test_every_refusal_has_a_sentence(spoken: str) -> None:
    # Every domain is known.
    assert document()
    token = language.set("vi" if spoken == "vi" else "en")
    try:
        for one in known_errors():
            said = reason(one.code)
            assert " " in said, one.code
            assert "{" not in said, one.code
        assert reason("merge_other_kind") in ("Chỉ gộp được các khách hàng cùng kiểu",
                                              "Only customers of the same kind can be merged")  # fmt: skip
        assert reason("no_such_code") == OTHER[0 if spoken == "vi" else 1]
    finally:
        language.reset(token)
