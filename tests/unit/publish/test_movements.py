"""Who moved in a week, net, and which change is the reason: on a table written by hand."""

from datetime import date

import duckdb

from orchestration.publish.movements import MOVEMENTS

# The week up to 31 March begins on 25 March.
_ROWS = """
create table tier_changes (
    account_id varchar, as_of_date date, from_tier varchar, to_tier varchar, cause varchar, reason varchar, points double, component varchar
);
insert into tier_changes (account_id, as_of_date, from_tier, to_tier, cause, reason, points) values
    ('two steps', '2026-03-25', 'healthy', 'at_risk', 'score', 'first', -4),
    ('two steps', '2026-03-31', 'at_risk', 'poor', 'score', 'second', -5),
    ('there and back', '2026-03-26', 'healthy', 'poor', 'score', 'fell', -30),
    ('there and back', '2026-03-27', 'poor', 'healthy', 'score', 'rose', 30),
    ('fell and recovered in part', '2026-03-26', 'healthy', 'poor', 'score', 'fell', -30),
    ('fell and recovered in part', '2026-03-30', 'poor', 'at_risk', 'score', 'rose', 10),
    ('through unknown', '2026-03-26', 'poor', 'unknown', 'coverage', 'lost', -1),
    ('through unknown', '2026-03-28', 'unknown', 'healthy', 'coverage', 'found', 9),
    ('to unknown', '2026-03-26', 'healthy', 'poor', 'score', 'fell', -30),
    ('to unknown', '2026-03-28', 'poor', 'unknown', 'coverage', 'lost', -1),
    ('set', '2026-03-26', 'poor', 'healthy', 'override', 'set', null),
    ('the week before', '2026-03-24', 'poor', 'healthy', 'score', 'rose', 9),
    ('later', '2026-04-01', 'poor', 'healthy', 'score', 'rose', 9);
-- A feed that stopped moves no account.
insert into tier_changes values ('a late feed', '2026-03-26', 'healthy', 'at_risk', 'score', 'Data came or went', -9, 'availability');
"""


def test_the_reason_is_the_last_change_that_went_the_same_way() -> None:
    with duckdb.connect() as connection:
        connection.execute(_ROWS)
        rows = connection.execute(MOVEMENTS, {"as_of": date(2026, 3, 31)}).fetchall()
    assert {row[0]: row[1:] for row in rows} == {
        "two steps": ("healthy", "poor", -1, "second", -5, date(2026, 3, 31)),
        "fell and recovered in part": ("healthy", "at_risk", -1, "fell", -30, date(2026, 3, 26)),
        "through unknown": ("poor", "healthy", 1, "found", None, date(2026, 3, 28)),
        "to unknown": ("healthy", "unknown", None, "lost", None, date(2026, 3, 28)),
        "set": ("poor", "healthy", 1, "set", None, date(2026, 3, 26)),
    }
