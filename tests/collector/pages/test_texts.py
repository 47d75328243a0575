"""Texts of all pages: one for each word of the vocabularies, in both languages."""

from collections.abc import Iterable

import pytest

from collector.incidents.correlation import Level
from collector.live.notices import NoticeKind
from collector.live.site_state import SiteState
from collector.model.own_problem import ProblemKind
from collector.pages.completeness import CompletenessFinding
from collector.pages.overview import Waiting
from collector.pages.texts import CATALOGUE, Language, choose
from wire.messages.envelope import GapReason, PresenceState
from wire.records import BY_NAME, Cause, Direction, Failure, Verdict


@pytest.mark.parametrize(("prefix", "words"), [
    ("state", SiteState),
    ("explain", [*SiteState, *CompletenessFinding]),
    ("finding", CompletenessFinding),
    ("reason", GapReason),
    ("failure", Failure),
    ("problem", ProblemKind),
    ("verdict", Verdict),
    ("presence", PresenceState),
    ("waiting", Waiting),
    ("notice", NoticeKind),
    ("direction", Direction),
    ("trouble", ["", *BY_NAME]),
    ("cause", Cause),
    ("level", Level),
])  # fmt: skip
def test_every_word_of_the_vocabularies_has_a_text(prefix: str, words: Iterable[str]) -> None:
    assert {f"{prefix}.{word}" for word in words} <= CATALOGUE[Language.ENGLISH].keys()


def test_no_text_is_empty_in_either_language() -> None:
    assert all(all(found.values()) for found in CATALOGUE.values())
    assert CATALOGUE[Language.FRENCH]["finding.missing"] == "Manquant"


@pytest.mark.parametrize(("asked", "accepted", "expected"), [
    ("fr", "en", Language.FRENCH),
    ("", "fr-FR,fr;q=0.9,en;q=0.8", Language.FRENCH),
    ("de", "de-DE, en;q=0.5", Language.ENGLISH),
    ("", "", Language.FRENCH),
    ("", "," * 100_000, Language.FRENCH),
])  # fmt: skip
def test_choice_of_the_language(asked: str, accepted: str, expected: Language) -> None:
    assert choose(asked, accepted, otherwise=Language.FRENCH) is expected
