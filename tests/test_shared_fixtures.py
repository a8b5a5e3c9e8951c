"""What the processes of one run of the tests share: made once, and never taken for made when making it failed."""

import pytest
from conftest import made_once


def test_what_is_there_is_not_made_again(tmp_path):
    for _ in range(2):
        assert made_once(tmp_path / "data", lambda folder: folder.mkdir()) == tmp_path / "data"


def test_what_failed_fails_for_the_next_that_asks_too(tmp_path):
    """Without anything of the first attempt, which a second could take for its own."""
    seen = []

    def fail(folder):
        seen.append(folder.exists())
        folder.mkdir()
        raise RuntimeError("half made")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="half made"):
            made_once(tmp_path / "data", fail)
    assert seen == [False, False]
