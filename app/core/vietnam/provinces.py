"""The 34 provinces since 2025-07-01 (admin version "2025") and the 63 they came from ("pre2025").

Codes of the two versions overlap with other meanings (24 was Bắc Giang, is Bắc Ninh), so a bare code is
always read as a new one; an old code must be asked for by `by_old_code`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from app.core.vietnam.text import words

__all__ = [
    "ALL",
    "AREA_CODES",
    "OLD",
    "Match",
    "OldProvince",
    "Province",
    "by_area_code",
    "by_code",
    "by_old_code",
    "find",
]


@dataclass(frozen=True, slots=True)
class Province:
    """A province (tỉnh) or centrally run city (thành phố) of today."""

    code: str
    name: str
    full_name: str
    is_city: bool
    area_codes: tuple[str, ...]
    """Landline areas without the leading zero; the surviving province's comes first."""
    old_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OldProvince:
    """One of the 63 provinces before 2025-07-01; `new_code` is where all of it belongs today."""

    code: str
    name: str
    new_code: str
    area_code: str


class Match(NamedTuple):
    """What `find` understood; `old_name` and `old_code` are set when the text named a unit that is no more."""

    code: str
    name: str
    old_name: str | None
    old_code: str | None


def by_code(code: str) -> Province | None:
    """The province of a new two-digit code."""
    return _BY_CODE.get(code)


def by_old_code(code: str) -> OldProvince | None:
    """The province that had this two-digit code before 2025-07-01."""
    return _BY_OLD_CODE.get(code)


def by_area_code(area: str) -> Province | None:
    """The province of a landline area code without its leading zero: "28", "274"."""
    code = AREA_CODES.get(area)
    return None if code is None else _BY_CODE[code]


def find(text: str) -> Match | None:
    """The province that a cell names, or None.

    Takes new and old names with or without accents and Tỉnh, TP., Thành phố, T., English forms, the common
    short forms (HCM, SG, HN, BR-VT), a trailing "Việt Nam", and new codes of two digits. Short forms that
    fit several provinces (ĐN, QN, BD) are not understood.
    """
    return _find(text) if len(text) <= 80 else None


@lru_cache(maxsize=4096)
def _find(text: str) -> Match | None:
    found = words(text)
    key = "".join(found)
    match = _NAMES.get(key)
    if match is None and found[-1:] == ["vn"]:
        match = _NAMES.get(key[:-2])
    if match is None and found[-2:] == ["viet", "nam"]:
        match = _NAMES.get(key[:-7])
    return match


# code, name, area codes, old codes
_NEW_ROWS = (
    ("01", "Hà Nội", "24", "01"),
    ("04", "Cao Bằng", "206", "04"),
    ("08", "Tuyên Quang", "207 219", "08 02"),
    ("11", "Điện Biên", "215", "11"),
    ("12", "Lai Châu", "213", "12"),
    ("14", "Sơn La", "212", "14"),
    ("15", "Lào Cai", "214 216", "10 15"),
    ("19", "Thái Nguyên", "208 209", "19 06"),
    ("20", "Lạng Sơn", "205", "20"),
    ("22", "Quảng Ninh", "203", "22"),
    ("24", "Bắc Ninh", "222 204", "27 24"),
    ("25", "Phú Thọ", "210 211 218", "25 26 17"),
    ("31", "Hải Phòng", "225 220", "31 30"),
    ("33", "Hưng Yên", "221 227", "33 34"),
    ("37", "Ninh Bình", "229 226 228", "37 35 36"),
    ("38", "Thanh Hóa", "237", "38"),
    ("40", "Nghệ An", "238", "40"),
    ("42", "Hà Tĩnh", "239", "42"),
    ("44", "Quảng Trị", "233 232", "45 44"),
    ("46", "Huế", "234", "46"),
    ("48", "Đà Nẵng", "236 235", "48 49"),
    ("51", "Quảng Ngãi", "255 260", "51 62"),
    ("52", "Gia Lai", "269 256", "64 52"),
    ("56", "Khánh Hòa", "258 259", "56 58"),
    ("66", "Đắk Lắk", "262 257", "66 54"),
    ("68", "Lâm Đồng", "263 252 261", "68 60 67"),
    ("75", "Đồng Nai", "251 271", "75 70"),
    ("79", "Thành phố Hồ Chí Minh", "28 274 254", "79 74 77"),
    ("80", "Tây Ninh", "276 272", "72 80"),
    ("82", "Đồng Tháp", "277 273", "87 82"),
    ("86", "Vĩnh Long", "270 275 294", "86 83 84"),
    ("91", "An Giang", "296 297", "89 91"),
    ("92", "Cần Thơ", "292 293 299", "92 93 94"),
    ("96", "Cà Mau", "290 291", "96 95"),
)
_CITIES = frozenset({"01", "31", "46", "48", "79", "92"})

# The old units whose name is gone; the other 33 live on under the name of their new province.
_GONE = {
    "02": "Hà Giang",
    "06": "Bắc Kạn",
    "15": "Yên Bái",
    "17": "Hòa Bình",
    "24": "Bắc Giang",
    "26": "Vĩnh Phúc",
    "30": "Hải Dương",
    "34": "Thái Bình",
    "35": "Hà Nam",
    "36": "Nam Định",
    "44": "Quảng Bình",
    "46": "Thừa Thiên Huế",
    "49": "Quảng Nam",
    "52": "Bình Định",
    "54": "Phú Yên",
    "58": "Ninh Thuận",
    "60": "Bình Thuận",
    "62": "Kon Tum",
    "67": "Đắk Nông",
    "70": "Bình Phước",
    "74": "Bình Dương",
    "77": "Bà Rịa - Vũng Tàu",
    "80": "Long An",
    "82": "Tiền Giang",
    "83": "Bến Tre",
    "84": "Trà Vinh",
    "91": "Kiên Giang",
    "93": "Hậu Giang",
    "94": "Sóc Trăng",
    "95": "Bạc Liêu",
}

# Folded, without spaces. Forms that could mean a second province are left out on purpose.
_ALIASES = {
    "01": ("hn", "thudohanoi"),
    "31": ("hp",),
    "66": ("daclac", "daclak", "daklac"),
    "79": ("hcm", "hcmc", "hochiminh", "saigon", "sg"),
}
_OLD_ALIASES = {
    "06": ("baccan",),
    "46": ("tthue", "thuathien"),
    "67": ("dacnong", "daknong"),
    "77": ("brvt", "vungtau", "baria"),
}
_PREFIXES = ("", "tinh", "thanhpho", "tp", "t")
_SUFFIXES = ("", "city", "province")


def _build() -> tuple[tuple[Province, ...], tuple[OldProvince, ...]]:
    provinces = []
    old = []
    for code, name, areas, old_codes in _NEW_ROWS:
        area_codes, olds = tuple(areas.split()), tuple(old_codes.split())
        kind = "Thành phố" if code in _CITIES else "Tỉnh"
        full_name = name if name.startswith(kind) else f"{kind} {name}"
        provinces.append(Province(code, name, full_name, code in _CITIES, area_codes, olds))
        for old_code, area in zip(olds, area_codes, strict=True):
            old.append(OldProvince(old_code, _GONE.get(old_code, name), code, area))
    return tuple(provinces), tuple(sorted(old, key=lambda unit: unit.code))


def _name_table() -> dict[str, Match]:
    table: dict[str, Match] = {}

    def add(form: str, match: Match) -> None:
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                table.setdefault(prefix + form + suffix, match)

    for province in ALL:
        today = Match(province.code, province.name, None, None)
        table[province.code] = today
        for form in ("".join(words(province.name)), *_ALIASES.get(province.code, ())):
            add(form, today)
    for unit in OLD:
        if unit.code in _GONE:
            gone = Match(unit.new_code, _BY_CODE[unit.new_code].name, unit.name, unit.code)
            for form in ("".join(words(unit.name)), *_OLD_ALIASES.get(unit.code, ())):
                add(form, gone)
    # Joined to Hà Nội in 2008; still written in company addresses.
    add("hatay", Match("01", _BY_CODE["01"].name, "Hà Tây", None))
    return table


ALL, OLD = _build()
_BY_CODE = {province.code: province for province in ALL}
_BY_OLD_CODE = {unit.code: unit for unit in OLD}
AREA_CODES: dict[str, str] = {area: province.code for province in ALL for area in province.area_codes}
"""Landline area without the leading zero → new province code; the areas outlived the merge of 2025."""
_NAMES = _name_table()
