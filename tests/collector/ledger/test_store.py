"""The engine of a ledger."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from collector.ledger.store import connect


def test_an_error_of_the_database_has_no_measurement_in_its_text(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    engine = connect(tmp_path / "ledger.db", writing=True)
    with engine.begin() as connection, pytest.raises(OperationalError) as failed:
        connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "measured-at-S1"})
    engine.dispose()
    assert "measured-at-S1" not in str(failed.value)
