"""Notices that kinds of measurement give about a site."""

import dataclasses

import pytest

from collector.kinds import STAMP
from collector.live import notices as notices_module
from collector.live.fleet import Fleet
from collector.live.notices import notices
from collector.model.notice import Notice
from tests.collector.examples import HOUR_US, NOW_US, SITE, failed, seen, stamp


def test_a_kind_may_say_what_a_failed_attempt_found_while_it_is_fresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = dataclasses.replace(STAMP, attempt_notices=lambda found: [Notice(str(found.failure))])
    monkeypatch.setattr(notices_module, "BY_PROBE", {"stamp": kind})
    made = Fleet({})
    made.learn([seen(stamp(1)), seen(failed(2, NOW_US + 1), 2)], NOW_US)
    site = made.get(SITE)
    assert site is not None
    assert Notice("no-answer") in notices(site, NOW_US + 2)
    assert Notice("no-answer") not in notices(site, NOW_US + HOUR_US)
