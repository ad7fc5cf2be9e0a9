"""Groups `scorecard`, `transform` and `marts`: the dbt seeds and models, lake -> health mart, with the dbt tests as asset checks."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from orchestration.dbt import check_sentence, column_description, known_columns, load_project, note_columns
from orchestration.dbt_build import build, build_part
from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS, RunGuard, add_to_last_day, days_of
from orchestration.progress import now_at
from orchestration.settings import DBT_PROJECT
from orchestration.transform import mark_passed, part_days, prepare

MANIFEST = load_project(SETTINGS)
PROJECT = DbtProject(DBT_PROJECT, target_path=SETTINGS.dbt_target)
COLUMNS = known_columns(SETTINGS)
CONTROL_SCHEMA = "control"
# Layer -> group. Of the many models between raw tables and marts each domain is a group within `transform`, which the UI can fold.
_GROUPS = {"seeds": "scorecard", "staging": "transform/staging", "marts": "marts"}


class Translator(DagsterDbtTranslator):
    """Models in groups by what they are for, owned by the team; the control tables, which each run writes itself, are not assets."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        is_seed = node["resource_type"] == "seed"
        # Folders name the layer and, below it, the domain: intermediate/usage/int_usage__windows.sql.
        layer, *domain = ["seeds"] if is_seed else node["fqn"][1:-1]
        return spec.replace_attributes(
            group_name=_GROUPS.get(layer) or f"transform/{domain[0]}",
            # Also what a run makes as a whole: from assets with and without days the UI would make a backfill of several partial runs.
            partitions_def=PARTITIONS,
            owners=OWNERS,
            deps=[dep for dep in spec.deps if dep.asset_key.path[0] != CONTROL_SCHEMA],
            # A seed has no SQL to show.
            description=f"{node['description']} Edit it in `{SETTINGS.seeds_dir.name}/{node['name']}.csv`."
            if is_seed
            else spec.description,
            kinds=spec.kinds | {"csv"} if is_seed else spec.kinds,
            tags={**spec.tags, "layer": layer} | ({"domain": domain[0]} if domain else {}),
            metadata={**spec.metadata, **_column_schema(node)},
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        return spec and spec._replace(description=check_sentence(self.get_resource_props(manifest, unique_id)))


def _column_schema(node: Mapping[str, Any]) -> dict[str, dg.TableSchema]:
    """The columns, each with what the project says of it. Types that it does not state are those of the last run; before it, no columns."""
    stated: Mapping[str, Any] = node["columns"]
    types = {name: column["data_type"] for name, column in stated.items()} | node["config"].get("column_types", {})
    columns = COLUMNS.get(f"{node['schema']}.{node['name']}", []) if None in types.values() else [[name, types[name]] for name in stated]
    schema = dg.TableSchema([dg.TableColumn(name, kind, column_description(stated, name)) for name, kind in columns])
    return {"dagster/column_schema": schema} if columns else {}


@dbt_assets(
    manifest=MANIFEST,
    project=PROJECT,
    exclude="tag:ci",
    dagster_dbt_translator=Translator(DagsterDbtTranslatorSettings(enable_code_references=True)),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def health_models(context: dg.AssetExecutionContext, run_guard: RunGuard) -> Iterator[Any]:
    start, end = days_of(context)
    # A part of the models cannot be built day by day: the days before are not there.
    most_days = None if context.is_subset else part_days(SETTINGS)
    now_at("prepare", "warehouse")
    plan = prepare(SETTINGS, context.run_id, start, end, most_days)
    if plan.begins_anew:
        context.log.warning("a run that did not finish cannot be gone on with: the days, the raw data or the rules are others now")
    elif plan.done:
        context.log.warning(
            f"goes on where a run of the same days stopped: {len(plan.done)} days up to {plan.done[-1]} are scored, "
            f"{len(plan.as_of_days) + len(plan.rest)} are left"
        )
    if plan.rebuilt:
        context.log.warning(f"warehouse rebuilt from the lake: {plan.rebuilt}")
    context.log.info(
        f"scores {len(plan.as_of_days)} days, {plan.as_of_days[0]} to {plan.as_of_days[-1]}; "
        f"rolls up the usage of {len(plan.changed_event_days)} days"
    )
    late_days, counted_days = set(plan.late_days), plan.counted_days
    while plan.rest:
        build_part(SETTINGS, plan)
        mark_passed(SETTINGS, context.run_id)
        now_at("prepare", "warehouse")
        plan = prepare(SETTINGS, context.run_id, start, end, most_days)
        late_days |= set(plan.late_days)
        counted_days += plan.counted_days
    # Here and not where the facts land: a run that does not pass must not keep the news to itself.
    if late_days:
        context.log.warning(
            f"usage: facts arrived for {len(late_days)} days older than the lookback ({min(late_days)} to "
            f"{max(late_days)}); the scores stay as they are until a backfill of these days"
        )
    if counted_days:
        context.log.warning(
            f"usage: {counted_days} days of accounts are in usage_days and in usage_events; usage_days alone counts for them"
        )
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    for later in plan.later_facts:
        # A run of earlier days leaves what came after them for later.
        if later.last > tomorrow:
            context.log.warning(
                f"{later.table}: rows dated after {later.after}: {later.rows}, the last of them {later.last}, which is still to come. "
                "A row counts from its own day on, and keeps no table up to date before. Fix its date in the source"
            )
    # One writer at a time: all runs share one folder of artifacts, and with it what dbt has parsed.
    for event in build(SETTINGS, context, plan):
        if isinstance(event, dg.Output):
            add_to_last_day(context, event.metadata, context.asset_key_for_output(event.output_name))
            event = event.with_metadata({})
        yield event
    # A part of the models does not make a mart: only a whole build that passed may be published.
    if not context.is_subset:
        mark_passed(SETTINGS, context.run_id)
    try:
        note_columns(SETTINGS)
    except (duckdb.Error, OSError) as error:
        context.log.warning(f"the UI keeps showing the columns of the run before: {error}")


@dg.definitions
def transform() -> dg.Definitions:
    return dg.Definitions(assets=[health_models])
