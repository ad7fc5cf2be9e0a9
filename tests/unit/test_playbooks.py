"""Playbooks as data: fields, reasons taken apart, and what is refused with file and line."""

import re
from pathlib import Path

import pytest

from orchestration.scorecard import ConfigurationError, load_seeds, read_playbooks, scorecard_rules
from orchestration.scorecard.playbooks import NUMBER_FIELDS, TEXT_FIELDS, Part, all_fields, split_reason
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT

SHIPPED = PROJECT_ROOT / "seeds"


def test_a_reason_is_taken_apart_at_its_fields() -> None:
    assert split_reason("License use {license_utilization_28d} of { seats } seats") == [
        Part("License use ", None),
        Part(None, "license_utilization_28d"),
        Part(" of ", None),
        Part(None, "seats"),
        Part(" seats", None),
    ]
    assert split_reason("") == []
    assert split_reason("{tier}") == [Part(None, "tier")]


@pytest.mark.parametrize("text", ["{tier", "tier}", "{{tier}}", "a {b {c}"])
def test_a_lone_brace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="brace without its counterpart"):
        split_reason(text)


def test_a_metric_has_a_value_a_score_and_a_change() -> None:
    fields = all_fields(["csm_pulse"], ["voice"])
    assert (fields["csm_pulse"].kind, fields["csm_pulse"].key) == ("metric", "csm_pulse")
    assert (fields["csm_pulse.score"].kind, fields["csm_pulse.change_28d"].kind) == ("score", "change")
    assert (fields["voice_score"].kind, fields["voice_score"].key) == ("dimension", "voice")
    assert fields["tier"].is_text and not fields["arr"].is_text


def test_the_models_know_every_field_of_the_account() -> None:
    sql = (DBT_PROJECT / "models" / "intermediate" / "actions" / "int_actions__facts.sql").read_text()
    listed = sql[sql.index("account_columns = {") : sql.index("} %}", sql.index("account_columns = {"))]
    assert set(re.findall(r"^    '(\w+)':", listed, re.MULTILINE)) == {*NUMBER_FIELDS, *TEXT_FIELDS}


def test_the_shipped_playbooks_are_ranked_due_and_have_a_reason_and_one_fallback() -> None:
    playbooks = read_playbooks(load_seeds(SHIPPED))
    assert [playbook.priority for playbook in playbooks] == list(range(1, 20))
    for playbook in playbooks:
        assert playbook.conditions and any(part.field for part in playbook.reason)
        assert 1 <= playbook.due_days <= 28
    assert [playbook.key for playbook in playbooks if playbook.is_fallback] == ["ease_weakest_point"]


def test_every_shipped_cap_has_a_playbook_on_its_metric() -> None:
    seeds = load_seeds(SHIPPED)
    assert {row["metric_key"] for row in seeds["score_caps"]} <= {row["field"] for row in seeds["playbook_conditions"]}


def test_playbooks_of_before_there_were_due_dates_are_due_in_two_weeks(seeds: Path) -> None:
    (seeds / "playbooks.csv").write_text("playbook_key,label,priority,reason_template\ncall,Call,1,\n")
    (seeds / "playbook_conditions.csv").write_text("playbook_key,field,operator,value\ncall,tier,=,poor\n")
    [playbook] = read_playbooks(load_seeds(seeds))
    assert (playbook.due_days, playbook.is_fallback) == (14, False)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    for path in SHIPPED.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def fault(seeds: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_seeds(seeds)
    (line,) = str(caught.value).splitlines()
    return line.partition("/")[2]


CONDITIONS = {
    "ask_review,tear,=,healthy": "field 'tear', which nothing computes. Did you mean 'tier'?",
    "ask_review,tier,<,healthy": "operator '<' does not compare words. Use = or != with tier",
    "ask_review,tier,=,heathy": "value 'heathy' is not one of healthy, at_risk, poor, unknown. Did you mean 'healthy'?",
    "ask_review,arr,>,many": "value 'many' is not a finite number. Write digits with a decimal point, such as 1.25",
    "ask_review,arr,>,": "value is blank. Fill it in",
    "ask_review,nps_180d.change,>,1": "field 'nps_180d.change', which nothing computes. Did you mean 'nps_180d.change_28d'?",
    "ask_review,'; drop table x; --,=,1": 'field "\'; drop table x; --", which nothing computes.',
}


@pytest.mark.parametrize("line", CONDITIONS)
def test_a_condition_that_cannot_be_evaluated_is_refused(seeds: Path, line: str) -> None:
    path = seeds / "playbook_conditions.csv"
    path.write_text(path.read_text() + line + "\n")
    number = len(path.read_text().splitlines())
    assert fault(seeds).startswith(f"playbook_conditions.csv line {number}: {CONDITIONS[line]}")


def test_a_reason_that_cannot_be_shown_is_refused(seeds: Path) -> None:
    path = seeds / "playbooks.csv"
    path.write_text(path.read_text().replace("score {nps_180d}, healthy", "score {nps_180}, healthy"))
    assert "reason_template shows field 'nps_180', which nothing computes. Did you mean 'nps_180d'?" in fault(seeds)
    path.write_text(path.read_text().replace("{nps_180}", "{nps_180d"))
    assert "reason_template has a brace without its counterpart" in fault(seeds)


def test_a_playbook_without_a_condition_is_refused(seeds: Path) -> None:
    path = seeds / "playbooks.csv"
    path.write_text(path.read_text() + "all,Everybody,9,,,\n")
    assert fault(seeds).startswith("playbooks.csv line 21: playbook 'all' has no condition, so it would hold for every account.")


def test_rules_are_the_same_where_scores_are(seeds: Path) -> None:
    rules = scorecard_rules(load_seeds(seeds))
    assert set(rules) == {("2026.1", "onboarding"), ("2026.1", "standard")}

    def edit(name: str, old: str, new: str) -> dict[tuple[str, str], str]:
        path = seeds / f"{name}.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        edited = scorecard_rules(load_seeds(seeds))
        path.write_text(text)
        return edited

    # Words, other versions and playbooks decide nothing.
    assert edit("scorecards", "First 90 days", "The beginning") == rules
    assert edit("config_versions", "project", "somebody") == rules
    assert edit("playbooks", "Offer an upgrade", "Sell more") == rules
    # A weight of one scorecard is that scorecard's.
    other = edit("scorecard_metrics", "2026.1,standard,nps_180d,1.25", "2026.1,standard,nps_180d,1.5")
    assert other["2026.1", "standard"] != rules["2026.1", "standard"]
    assert other["2026.1", "onboarding"] == rules["2026.1", "onboarding"]
    # So is the direction of a metric that it has.
    assert edit("metrics", "Net promoter score,points,true", "Net promoter score,points,false") != rules
    for name, old, new in [
        ("score_caps", ">=,1,60", ">=,1,61"),
        ("tiers", "healthy,green,70", "healthy,green,75"),
        ("metric_bands", "tickets_per_10_users_28d,30,0", "tickets_per_10_users_28d,30,1"),
        ("scorecard_dimensions", "standard,voice,10.8", "standard,voice,11"),
    ]:
        assert edit(name, old, new) != rules
