"""Tax codes: shape and check digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam.tax_code import checksum_ok, normalise

# Published codes of state agencies and listed companies.
PUBLISHED = ["0101248141", "0300588569", "0100109106", "0301444753", "0402230476", "0311638652"]


@pytest.mark.parametrize("code", PUBLISHED)
def test_published_codes_pass_and_a_wrong_digit_does_not(code: str) -> None:
    assert normalise(code) == code
    assert checksum_ok(code)
    assert checksum_ok(code + "-001")
    for digit in "0123456789":
        assert checksum_ok(code[:9] + digit) == (digit == code[9])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0101 248 141", "0101248141"),
        ("0101.248.141", "0101248141"),
        ("'0101248141", "0101248141"),
        ("0101248141.0", "0101248141"),
        ("０１０１２４８１４１", "0101248141"),
        ("0101248141-001", "0101248141-001"),
        ("0101248141 - 001", "0101248141-001"),
        ("0101248141\u2013001", "0101248141-001"),
        ("0101248141001", "0101248141-001"),
        ("001090012345", "001090012345"),
        ("0101248141-000", None),
        ("0101248141000", None),
        ("010124814-1001", None),
        ("101248141", None),
        ("101248141.0", None),
        ("01012481411", None),
        ("MST 0101248141", None),
        ("", None),
        ("0101248141-01", None),
    ],
)
def test_normalise(text: str, expected: str | None) -> None:
    assert normalise(text) == expected


def test_personal_ids_have_no_check_digit() -> None:
    assert checksum_ok("001090012345")


@pytest.mark.parametrize("code", ["", "abc", "0101248141001", "01012481", "0101248141-000", "0000000000"])
def test_checksum_of_other_shapes_is_wrong(code: str) -> None:
    assert not checksum_ok(code)


@given(st.text("0123456789 .-'", max_size=18))
def test_normalise_is_idempotent(text: str) -> None:
    code = normalise(text)
    if code is not None:
        assert normalise(code) == code
        assert len(code) in (10, 12, 14)


@given(st.from_regex("[0-9]{9}", fullmatch=True), st.integers(0, 8), st.integers(1, 9))
def test_one_mistyped_digit_is_always_seen(base: str, place: int, step: int) -> None:
    right = [base + digit for digit in "0123456789" if checksum_ok(base + digit)]
    assert len(right) <= 1
    for code in right:
        wrong = code[:place] + str((int(code[place]) + step) % 10) + code[place + 1 :]
        assert not checksum_ok(wrong)
