"""The table in README.md names every point of the topic guides, and only tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE / "README.md").read_text()


def test_the_table_has_all_55_points():
    assert [int(point) for point in re.findall(r"^\| (\d+) \|", TABLE, re.MULTILINE)] == list(range(1, 56))


def test_each_test_that_the_table_names_exists():
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TABLE)

    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^(async )?def {test}\(", (HERE / file).read_text(), re.MULTILINE)
    ]

    assert len(named) > 70
    assert missing == []
