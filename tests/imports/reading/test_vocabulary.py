"""Invented customers: the same for the same seed, different from each other, and well formed."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from app.demo.vocabulary import CUSTOMER_TYPES, GENDERS, PROVINCES, SOURCES, person, phone, tax_code
from tests.factories.workbooks import CUSTOMER_HEADERS, customers, customers_xlsx
from tests.imports.reading.reading import only_rows


def test_same_seed_same_people() -> None:
    assert list(customers(50, seed=7)) == list(customers(50, seed=7))
    assert list(customers(50, seed=7)) != list(customers(50, seed=8))


def test_people_are_well_formed() -> None:
    rng = Random(5)
    people = [person(rng, i) for i in range(5_000)]
    assert list(people[0]) == list(CUSTOMER_HEADERS)
    assert len({made["phone"] for made in people}) == len({made["email"] for made in people if made["email"]}) + sum(
        made["email"] is None for made in people
    )
    assert all(re.fullmatch(r"0[35789]\d{8}", made["phone"]) for made in people)
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\d+@[a-z.]+", made["email"]) for made in people if made["email"])
    assert {made["source"] for made in people} == set(SOURCES)
    assert {made["customer_type"] for made in people} == set(CUSTOMER_TYPES)
    assert {made["gender"] for made in people} == set(GENDERS)
    assert {made["province"] for made in people} == set(PROVINCES)
    assert len(PROVINCES) == 34
    assert all((made["tax_code"] is None) == (made["customer_type"] == "Cá nhân") for made in people)


def test_phone_numbers_differ() -> None:
    assert len({phone(i) for i in range(100_000)}) == 100_000


def test_tax_codes_have_their_check_digit() -> None:
    assert [tax_code(int(known[:9])) for known in ("0101248141", "0300588569", "0402230476")] == [
        "0101248141",
        "0300588569",
        "0402230476",
    ]


def test_shares_of_duplicates_and_invalid_rows() -> None:
    repeated = [made["phone"] for made in customers(2_000, duplicates=0.2)]
    assert 0.15 < 1 - len(set(repeated)) / 2_000 < 0.25
    clean = list(customers(2_000))
    spoilt = sum(a != b for a, b in zip(customers(2_000, invalid=0.1), clean, strict=True))
    assert 0.07 < spoilt / 2_000 < 0.13


def test_lists_may_follow_each_other(tmp_path: Path) -> None:
    first = only_rows(customers_xlsx(tmp_path / "a.xlsx", 100))
    second = only_rows(customers_xlsx(tmp_path / "b.xlsx", 100, first=100))
    assert {cells[1] for _, cells in first[1:]}.isdisjoint(cells[1] for _, cells in second[1:])
