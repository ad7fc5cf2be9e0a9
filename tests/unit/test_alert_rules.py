"""Alert rules as data: what is refused with file and line, and what counts as a worsening."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from orchestration.alert_rules import AlertKind, AlertRule, read_alert_rules
from orchestration.run_guard import check_configuration
from orchestration.scorecard import ConfigurationError, configuration_hash, load_seeds
from orchestration.settings import PROJECT_ROOT, SettingsError, load_settings

SHIPPED = PROJECT_ROOT / "seeds"
HEADER = "rule_key,label,kind,from_tier,tier,points,days,segment,min_arr,channel\n"


def write(folder: Path, *lines: str) -> Path:
    (folder / "alert_rules.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return folder


def test_a_rule_is_read_as_it_is_written(tmp_path: Path) -> None:
    rules = read_alert_rules(
        write(tmp_path, "big,Big ones,tier_worsened,healthy,poor,,, enterprise ,50000,slack", "late,,source_late,,,,,,,")
    )
    assert rules == [
        AlertRule("big", "Big ones", "tier_worsened", "healthy", "poor", None, None, "enterprise", 50000.0, "slack"),
        AlertRule("late", "late", "source_late"),
    ]


def test_the_shipped_rules_cover_every_kind() -> None:
    assert {rule.kind for rule in read_alert_rules(SHIPPED)} == set(get_args(AlertKind))


def test_a_folder_without_the_file_has_the_shipped_rules_and_an_empty_file_has_none(tmp_path: Path) -> None:
    assert read_alert_rules(tmp_path) == read_alert_rules(SHIPPED)
    assert read_alert_rules(write(tmp_path)) == []


WRONG = {
    "r,,tier_worse,,,,,,,": "kind 'tier_worse' is not one of tier_worsened, score_fell, renewal_near, champion_left, source_late, "
    "drift_seen, run_failed, mart_late, today. Did you mean 'tier_worsened'?",
    "r,,tier_worsened,,healthy,,,,,": "tier healthy is never worse. Write at_risk, poor or unknown, or leave it blank",
    "r,,tier_worsened,at_risk,at_risk,,,,,": "from_tier at_risk to tier at_risk is not a worsening. Let tier be the worse one",
    "r,,tier_worsened,,poor,5,,,,": "kind tier_worsened does not use points. Leave it blank",
    "r,,score_fell,,,,7,,,": "kind score_fell needs points, but it is blank. Fill it in",
    "r,,score_fell,,,10,14,,,": "days 14 is neither 7 nor 28, over which changes are explained. Choose one of them",
    "r,,score_fell,,,0,7,,,": "points '0' is not above 0. Give a greater number",
    "r,,renewal_near,,poor,,,,,": "kind renewal_near needs days, but it is blank. Fill it in",
    "r,,renewal_near,,,,90,,,": "kind renewal_near needs tier, but it is blank. Fill it in",
    "r,,source_late,,,,,smb,,": "kind source_late does not use segment. Leave it blank",
    "r,,drift_seen,,,,,,1000,": "kind drift_seen does not use min_arr. Leave it blank",
    "r,,drift_seen,,,,,,,mail": "channel 'mail' is not one of email, slack, teams, webhook. Did you mean 'email'?",
    "r,,today,,,,,,,": "kind today looks for a fall by points or for the rise of a metric. Fill in points or metric_key",
    "r,,today,,,5,1,,,": "kind today does not use days. Leave it blank",
    "My rule,,drift_seen,,,,,,,": "rule_key is not a plain name. Use at most 60 of a-z, 0-9 and _, a letter first",
    "fine,,source_late,,,,,,,": "rule_key 'fine' is duplicated, first on line 2. Remove one",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_rule_is_one_line_with_file_and_remedy(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_alert_rules(write(tmp_path, "fine,,drift_seen,,,,,,,", line))
    assert str(caught.value) == f"{tmp_path.name}/alert_rules.csv line 3: {WRONG[line]}"


def test_a_run_refuses_a_wrong_rule_before_anything_is_written(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for path in SHIPPED.glob("*.csv"):
        (seeds / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "health.toml"
    config.write_text('[pipeline]\nstart_date = 2026-01-01\nseeds_dir = "seeds"\n[sources.accounts]\nconnector = "demo"\n')
    settings = load_settings(config)
    check_configuration(settings)
    before = configuration_hash(load_seeds(seeds))

    write(seeds, "r,,drift_seen,,,,,,,")
    # Whom the team hears of does not change a score.
    assert configuration_hash(load_seeds(seeds)) == before
    write(seeds, "r,,nothing,,,,,,,")
    with pytest.raises(ConfigurationError, match=r"seeds/alert_rules\.csv line 2: kind 'nothing'"):
        check_configuration(settings)


@pytest.mark.parametrize(
    ("from_tier", "tier", "before", "now", "is_worse"),
    [
        (None, None, "healthy", "at_risk", True),
        (None, None, "at_risk", "poor", True),
        (None, None, "poor", "at_risk", False),
        (None, None, "healthy", "healthy", False),
        (None, None, "healthy", "unknown", False),
        (None, "unknown", "healthy", "unknown", True),
        (None, "poor", "healthy", "poor", True),
        (None, "poor", "healthy", "at_risk", False),
        ("healthy", "poor", "at_risk", "poor", False),
        ("healthy", None, "healthy", "poor", True),
    ],
)
def test_what_worsening_means(from_tier: str | None, tier: str | None, before: str, now: str, is_worse: bool) -> None:
    assert AlertRule("r", "R", "tier_worsened", from_tier=from_tier, tier=tier).worsened(before, now) is is_worse


def test_a_rule_is_another_one_when_it_looks_for_something_else() -> None:
    rule = AlertRule("r", "R", "score_fell", points=10, days=7)
    assert replace(rule, label="Other words", channel="slack").fingerprint == rule.fingerprint
    for other in (replace(rule, points=9.0), replace(rule, days=28), replace(rule, segment="smb"), replace(rule, min_arr=1.0)):
        assert other.fingerprint != rule.fingerprint


@pytest.mark.parametrize("key", ["slack_webhook", "webhook", "webhook_key"])
def test_an_address_in_the_file_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    config = tmp_path / "health.toml"
    config.write_text(
        f'[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "demo"\n[alerts]\n{key} = "https://hooks.example/T0SECRET"\n'
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert f"alerts.{key}: a secret must not be in the file" in str(caught.value)
    assert "T0SECRET" not in str(caught.value)
