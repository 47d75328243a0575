"""The account: what closes it, and that each thing that may be wrong keeps it from closing."""

from collections import Counter

import pytest

from lab.faults.accounts.account import Account, Content, DeclaredGap, Held, Noted, RecordIdentity, settle

SITE, EPOCH = "SITE1", "e1"


def content(seq: int, digest: bytes = b"d") -> Content:
    return Content(RecordIdentity(SITE, EPOCH, seq), digest)


def noted(*seqs: int, unfinished: tuple[int, ...] = ()) -> Noted:
    committed = frozenset(content(seq) for seq in seqs)
    return Noted(committed | {content(seq) for seq in unfinished}, committed)


def held(*seqs: int, **more: object) -> Held:
    contents = Counter(content(seq) for seq in seqs)
    serials = {content(seq).identity: f"serial {seq}" for seq in seqs}
    return Held(**({"contents": contents, "serials": serials} | more))  # type: ignore[arg-type]


def seqs(identities: tuple[RecordIdentity, ...]) -> list[int]:
    return [at.seq for at in identities]


def test_it_closes_when_the_ledger_holds_what_was_journalled() -> None:
    account = settle(noted(1, 2, 3), held(1, 2, 3), said=[content(1).identity])
    assert account.closes
    assert (account.journalled, account.held, account.declared, account.beyond) == (3, 3, 0, 0)
    assert account.lines()[-1] == "the account closes"


def test_one_measurement_that_is_nowhere_is_lost_by_name() -> None:
    account = settle(noted(1, 2, 3), held(1, 3))
    assert not account.closes
    assert seqs(account.lost) == [2]
    assert f"LOST                         1  {SITE}/{EPOCH}/2" in account.lines()
    assert account.lines()[-1] == "the account DOES NOT CLOSE"


def test_a_declared_gap_is_no_loss_and_covers_nothing_beside_it() -> None:
    gaps = (DeclaredGap(SITE, EPOCH, 2, 3), DeclaredGap("SITE2", EPOCH, 4, 9))
    account = settle(noted(1, 2, 3, 4), held(1, gaps=gaps))
    assert (account.declared, seqs(account.lost)) == (2, [4])


def test_what_was_declared_and_came_after_all_is_held() -> None:
    account = settle(noted(1, 2), held(1, 2, gaps=(DeclaredGap(SITE, EPOCH, 1, 2),)))
    assert (account.held, account.declared, account.closes) == (2, 0, True)


def test_lost_ones_that_the_ledger_knows_to_be_missing_are_shown() -> None:
    account = settle(noted(1, 2, 3), held(1, marks={(SITE, EPOCH): 2}))
    assert (seqs(account.lost), seqs(account.shown)) == ([2, 3], [2])


def test_a_kill_between_commit_and_note_is_neither_loss_nor_invention() -> None:
    account = settle(noted(1, unfinished=(2, 3)), held(1, 2))
    assert (account.closes, account.beyond) == (True, 1)


@pytest.mark.parametrize(("ledger", "name"), [
    (held(1, 2, contents=Counter({content(1): 1, content(2): 2})), "duplicated"),
    (held(1, 2, serials={content(1).identity: "same", content(2).identity: "same"}), "duplicated"),
    (held(1, 2, contents=Counter([content(1), content(2, b"other")])), "altered"),
    (held(1, 2, 7), "invented"),
])  # fmt: skip
def test_what_is_wrong_is_told_apart(ledger: Held, name: str) -> None:
    account = settle(noted(1, 2), ledger)
    assert not account.closes
    assert getattr(account, name)


def test_a_mark_for_what_the_ledger_does_not_hold_is_premature() -> None:
    account: Account = settle(noted(1), held(1), said=[content(1).identity, content(2).identity])
    assert (account.closes, seqs(account.premature)) == (False, [2])


def test_a_conflict_swallows_nothing_and_is_shown() -> None:
    second = Noted(frozenset({content(1, b"other")}), frozenset({content(1, b"other")}))
    account = settle(noted(1) | second, held(1, conflicts=frozenset({content(1, b"other")})))
    assert (account.lost, account.held, account.conflicts, account.closes) == ((), 2, 1, False)


def test_a_journal_need_not_keep_what_it_was_told_to_forget() -> None:
    told = noted(1, 2) | Noted(let_go=frozenset({content(1).identity}))
    assert {one.identity.seq for one in told.still_kept().committed} == {2}


@pytest.mark.parametrize(
    "held",
    [Held(marks={("A", "e"): 0}, counts={("A", "e"): (1, 0)}), Held(marks={("A", "e"): 1}, counts={})],
    ids=["counts what it does not hold", "shows as missing what nobody journalled"],
)
def test_a_ledger_that_is_wrong_of_itself_keeps_the_account_open(held: Held) -> None:
    assert not settle(Noted(), held).closes
