"""`make bench`: everything that is measured, as one table.

python -m bench [reads|filters|import|memory|writes|bulk …]     all of them without an argument
"""

import asyncio
import sys
from collections.abc import Callable

from bench import bulk, filters, import_100k, memory, reads, writes
from bench.dataset import prepare
from bench.table import Row, as_markdown

PARTS: dict[str, Callable[[], list[Row]]] = {
    "import": import_100k.measure,
    "reads": lambda: reads.measure(asyncio.run(prepare())),
    "filters": lambda: filters.measure(asyncio.run(prepare())),
    "writes": lambda: writes.measure(asyncio.run(prepare())),
    "bulk": lambda: bulk.measure(asyncio.run(prepare())),
    "memory": memory.measure,
}


def main() -> None:
    """Measures the named parts, or all, and prints the table."""
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        raise SystemExit(f"bench: no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    rows = [row for part in wanted for row in PARTS[part]()]
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
