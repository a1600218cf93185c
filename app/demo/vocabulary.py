"""Vietnamese words of which invented customers are made: for demo data, benchmarks and tests.

Nobody here is real: names are drawn at random, and e-mail addresses use domains reserved for examples.
"""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from random import Random
from typing import TypedDict

SOURCES = ("Facebook", "Zalo", "Website", "Giới thiệu", "Hội thảo", "Quảng cáo Google")
CUSTOMER_TYPES = ("Cá nhân", "Doanh nghiệp", "Đại lý")
GENDERS = ("Nam", "Nữ")
PROVINCES = (
    "TP Hà Nội", "Cao Bằng", "Tuyên Quang", "Điện Biên", "Lai Châu", "Sơn La", "Lào Cai", "Thái Nguyên",
    "Lạng Sơn", "Quảng Ninh", "Bắc Ninh", "Phú Thọ", "TP Hải Phòng", "Hưng Yên", "Ninh Bình", "Thanh Hóa",
    "Nghệ An", "Hà Tĩnh", "Quảng Trị", "TP Huế", "TP Đà Nẵng", "Quảng Ngãi", "Gia Lai", "Khánh Hòa",
    "Đắk Lắk", "Lâm Đồng", "Đồng Nai", "TP Hồ Chí Minh", "Tây Ninh", "Đồng Tháp", "Vĩnh Long", "An Giang",
    "TP Cần Thơ", "Cà Mau",
)  # fmt: skip


class Person(TypedDict):
    """The 13 built-in fields of one invented customer; a field the person lacks is None."""

    name: str
    phone: str
    email: str | None
    birthday: date | None
    province: str
    gender: str
    address: str
    source: str
    customer_type: str
    company_name: str | None
    tax_code: str | None
    position: str | None
    note: str | None


def person(rng: Random, i: int) -> Person:
    """The i-th invented customer.

    The phone number (and so the e-mail address) depends on `i` alone: different for every `i` below 260
    million, whatever the generator. Everything else is drawn from `rng`.
    """
    r = rng.random
    female = r() < 0.5
    family = _FAMILIES[int(r() * len(_FAMILIES))]
    middle, given = (_FEMALE, _FEMALE_GIVEN) if female else (_MALE, _MALE_GIVEN)
    j, k = int(r() * len(middle)), int(r() * len(given))
    kind = _TYPE_DRAW[int(r() * len(_TYPE_DRAW))]
    company = tax = position = None
    if kind != "Cá nhân":
        company = (
            f"{_COMPANY_FORMS[int(r() * len(_COMPANY_FORMS))]} "
            f"{_TRADES[int(r() * len(_TRADES))]} {_BRANDS[int(r() * len(_BRANDS))]}"
        )
        tax = tax_code(int(r() * 90_000_000) + 10_000_000)
        position = _POSITIONS[int(r() * len(_POSITIONS))]
    elif r() < 0.3:
        position = _JOBS[int(r() * len(_JOBS))]
    chance = r()
    return {
        "name": f"{family} {middle[j]} {given[k]}",
        "phone": phone(i),
        "email": f"{_ASCII[given[k]]}.{_ASCII[family]}{i}@{_MAIL[i % len(_MAIL)]}" if chance < 0.8 else None,
        "birthday": _FIRST_BIRTHDAY + timedelta(days=int(r() * 18_000)) if chance > 0.15 else None,
        "province": PROVINCES[int(r() * len(PROVINCES))],
        "gender": "Nữ" if female else "Nam",
        "address": f"Số {1 + int(r() * 400)} {_STREETS[int(r() * len(_STREETS))]}, {_WARDS[int(r() * len(_WARDS))]}",
        "source": SOURCES[int(r() * len(SOURCES))],
        "customer_type": kind,
        "company_name": company,
        "tax_code": tax,
        "position": position,
        "note": _NOTES[int(r() * len(_NOTES))] if chance < 0.5 else None,
    }


def phone(i: int) -> str:
    """The i-th mobile number, ten digits with its leading zero."""
    n = (i * _STEP + 1_234_567) % (len(_PREFIXES) * 10_000_000)
    return f"{_PREFIXES[n // 10_000_000]}{n % 10_000_000:07d}"


def tax_code(n: int) -> str:
    """The tax code (mã số thuế, 10 digits) whose first nine digits are nearest above `n`.

    One in eleven has no valid check digit; the next number takes its place.
    """
    while True:
        digits = f"{n % 1_000_000_000:09d}"
        check = 10 - sum(int(d) * w for d, w in zip(digits, _TAX_WEIGHTS, strict=True)) % 11
        if check < 10:
            return f"{digits}{check}"
        n += 1


_TAX_WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)
_FIRST_BIRTHDAY = date(1958, 1, 1)
_TYPE_DRAW = ("Cá nhân",) * 7 + ("Doanh nghiệp",) * 2 + ("Đại lý",)
# A prime, so that multiplying by it permutes all numbers.
_STEP = 86_028_121
_PREFIXES = (
    "032", "033", "034", "035", "036", "037", "038", "039", "086", "096", "097", "098",
    "070", "076", "077", "078", "079", "090", "093",
    "081", "082", "083", "084", "085", "088", "091", "094",
)  # fmt: skip
_MAIL = ("example.com", "example.net", "example.org", "thu.example")
_FAMILIES = (
    ("Nguyễn",) * 12 + ("Trần",) * 5 + ("Lê",) * 4 + ("Phạm",) * 3 + ("Hoàng", "Huỳnh", "Phan", "Vũ", "Võ")
    + ("Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý", "Đinh", "Trương", "Lâm", "Mai", "Cao", "Tạ", "Hà")
)  # fmt: skip
_FEMALE = ("Thị", "Thị", "Thị Thu", "Thị Ngọc", "Ngọc", "Thanh", "Thùy", "Minh", "Kim", "Bảo", "Khánh", "Mỹ")
_MALE = ("Văn", "Văn", "Đức", "Minh", "Quang", "Hữu", "Công", "Xuân", "Anh", "Gia", "Quốc", "Thành")
_FEMALE_GIVEN = (
    "Lan", "Hương", "Hoa", "Mai", "Linh", "Trang", "Thảo", "Hà", "Ngân", "Nhung", "Yến", "Hạnh", "Vân",
    "Phương", "Quỳnh", "Chi", "Anh", "My", "Uyên", "Diệp", "Tuyết", "Loan", "Thủy", "Hằng", "Giang",
)  # fmt: skip
_MALE_GIVEN = (
    "Hùng", "Dũng", "Tuấn", "Nam", "Long", "Sơn", "Hải", "Bình", "Cường", "Thắng", "Khoa", "Phúc", "Đạt",
    "Huy", "Kiên", "Trung", "Việt", "Tùng", "Lâm", "Quân", "Thịnh", "Phong", "Khánh", "Duy", "Hiếu",
)  # fmt: skip
_STREETS = (
    "Trần Hưng Đạo", "Lê Lợi", "Nguyễn Huệ", "Hai Bà Trưng", "Lý Thường Kiệt", "Điện Biên Phủ",
    "Cách Mạng Tháng Tám", "Nguyễn Trãi", "Quang Trung", "Phan Chu Trinh", "Hùng Vương", "Võ Văn Kiệt",
    "Nguyễn Văn Cừ", "Lê Duẩn", "Trường Chinh", "Ngô Quyền", "Bà Triệu", "Phạm Văn Đồng",
)  # fmt: skip
_WARDS = (
    "phường Tân Định", "phường Hải Châu", "xã Đông Anh", "phường Ninh Kiều", "phường Hồng Bàng",
    "xã Củ Chi", "phường Thủ Dầu Một", "phường Vĩnh Hải", "xã Đức Trọng", "phường Hạc Thành",
)  # fmt: skip
_COMPANY_FORMS = ("Công ty TNHH", "Công ty Cổ phần", "Công ty TNHH MTV", "Doanh nghiệp tư nhân", "Hợp tác xã")
_TRADES = (
    "Thương mại", "Xây dựng", "Dịch vụ", "Nội thất", "Vận tải", "Thực phẩm", "Dệt may", "Công nghệ",
    "Du lịch", "Nông sản",
)  # fmt: skip
_BRANDS = (
    "Hoàng Gia", "An Phát", "Minh Long", "Đại Việt", "Phú Quý", "Tân Tiến", "Bình Minh", "Sao Mai",
    "Thành Công", "Hưng Thịnh", "Việt Á", "Nam Phong", "Đông Dương", "Trường Thịnh",
)  # fmt: skip
_POSITIONS = (
    "Giám đốc",
    "Phó giám đốc",
    "Kế toán trưởng",
    "Trưởng phòng kinh doanh",
    "Trưởng phòng mua hàng",
)
_JOBS = ("Giáo viên", "Kỹ sư", "Nhân viên văn phòng", "Bác sĩ", "Chủ cửa hàng", "Lái xe", "Nội trợ")
_NOTES = (
    "Gọi lại sau 17h", "Quan tâm gói 12 tháng", "Đã gửi báo giá, chờ phản hồi", "Chỉ liên hệ qua Zalo",
    "Khách quen giới thiệu", "Đang so sánh với bên khác", "Hẹn gặp cuối tuần", "Cần tư vấn thêm về bảo hành",
    "Không nghe máy, gọi lại buổi sáng", "Ưu tiên giao hàng nhanh",
)  # fmt: skip


def _ascii(word: str) -> str:
    bare = unicodedata.normalize("NFD", word.lower().replace("đ", "d").replace("Đ", "d"))
    return bare.encode("ascii", "ignore").decode()


_ASCII = {word: _ascii(word) for word in {*_FAMILIES, *_FEMALE_GIVEN, *_MALE_GIVEN}}
