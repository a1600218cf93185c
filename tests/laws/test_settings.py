"""The list of settings that operators read is the list of settings."""

import re

from app.core.settings import Settings
from tests.laws.source import ROOT


def test_every_setting_is_explained() -> None:
    listed = re.findall(r"^\| (.*?) \|", (ROOT / "docs" / "notes" / "operations.md").read_text(), re.M)
    named = {name for cell in listed for name in re.findall(r"`CHOT_(\w+)`", cell)}
    assert named == {name.upper() for name in Settings.model_fields}
