"""The jobs of duplicates and merges."""

from collections.abc import Mapping

from app.core.runner import Handler
from app.duplicates import building, rules, settings

HANDLERS: Mapping[str, Handler] = {
    settings.BUILD: Handler(building.build),
    building.SCAN: Handler(building.scan),
    rules.MERGE: Handler(rules.merge_by_rule),
}
