"""The charts as Vega-Lite specifications without data; `board.js` gives each its rows under the name `rows`.

A row of a tier has its key as `tier` and its name as `label`.

Dates are UTC days: without `utc` a browser west of Greenwich would show the day before.
"""

from typing import Any

import altair as alt

from orchestration.publish.tiers import TIER_COLOURS

ACCENT = "#2f5fd0"
RISE = TIER_COLOURS["healthy"]
FALL = TIER_COLOURS["poor"]
QUIET = "#6b7686"
INK = "#1b2433"
MUTED = "#5a6474"
LINE = "#e4e8ee"
FONT = "Inter, system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"

_TIERS = alt.Scale(domain=list(TIER_COLOURS), range=list(TIER_COLOURS.values()))
_ROWS = alt.NamedData("rows")
# What happens to an account, as account.js names it -> its mark.
_EVENTS = {
    "Escalation": "triangle-up",
    "Critical ticket": "triangle-down",
    "Late invoice": "diamond",
    "Call or meeting": "circle",
    "Rating": "square",
    "Detractor": "triangle-left",
    "Advocacy": "triangle-right",
    "Tier set by a person": "cross",
    "Contract": "arrow",
}
# Of figures to the right of a bar.
_ROOM_FOR_TEXTS = {"left": 0, "right": 42, "top": 5, "bottom": 5}
_CONFIG = {
    "font": FONT,
    "background": "transparent",
    "padding": {"left": 0, "right": 2, "top": 5, "bottom": 5},
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "labelFontSize": 11,
        "titleColor": MUTED,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": LINE,
        "domainColor": "#c9d0d9",
        "tickColor": "#c9d0d9",
        "tickSize": 4,
        "labelPadding": 5,
    },
}


def all_charts() -> dict[str, dict[str, Any]]:
    """Name -> specification, checked against Vega-Lite's schema."""
    charts = {
        "tiersByAccounts": tiers_over_time("accounts", ",.0f"),
        "tiersByArr": tiers_over_time("arr", ".3~s"),
        "renewals": _renewals("Week from", "%-d %b"),
        "forecast": _renewals("Month", "%b %Y"),
        "segments": _segments(),
        "history": _history(),
        "dimensions": _dimensions(),
        "changes": _changes(),
        "rates": _rates(),
    }
    return {name: finish(chart) for name, chart in charts.items()}


def finish(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """A chart as it is embedded: in the board's type and colours, as wide as its place."""
    return chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding")).configure(**_CONFIG).to_dict()


def tiers_over_time(measure: str, number_format: str) -> alt.Chart:
    """A stack of the tiers on every day, the worst at the bottom: rows of day, tier, stack, value."""
    return (
        alt.Chart(_ROWS, height=220, width="container")
        .mark_bar(binSpacing=0, width={"band": 1}, strokeWidth=0.7)
        .encode(
            x=alt.X(
                "utcyearmonthdate(day):T",
                title=None,
                axis=alt.Axis(format="%-d %b", grid=False, tickCount=6, labelOverlap=True),
            ),
            y=alt.Y(
                "value:Q",
                stack="zero",
                title=None,
                axis=alt.Axis(format=number_format, tickCount=4, domain=False, ticks=False),
            ),
            color=alt.Color("tier:N", scale=_TIERS, legend=None),
            # Closes the seams between the days.
            stroke=alt.Stroke("tier:N", scale=_TIERS, legend=None),
            order=alt.Order("stack:Q"),
            tooltip=[
                alt.Tooltip("utcyearmonthdate(day):T", title="Day", format="%-d %b %Y"),
                alt.Tooltip("label:N", title="Tier"),
                alt.Tooltip("value:Q", title=measure.capitalize(), format=",.0f"),
            ],
        )
    )


def _renewals(title: str, label: str) -> alt.Chart:
    """Arr up for renewal by week or month and tier: rows of start (its first day), tier, stack, arr, accounts."""
    return (
        alt.Chart(_ROWS, height=180, width="container")
        .mark_bar(cornerRadius=1)
        .encode(
            x=alt.X(
                "start:O",
                title=None,
                axis=alt.Axis(
                    labelAngle=0,
                    labelOverlap=True,
                    labelSeparation=8,
                    grid=False,
                    ticks=False,
                    labelExpr=f"utcFormat(toDate(datum.value), '{label}')",
                ),
            ),
            y=alt.Y("arr:Q", stack="zero", title=None, axis=alt.Axis(format=".3~s", tickCount=4, domain=False, ticks=False)),
            color=alt.Color("tier:N", scale=_TIERS, legend=None),
            order=alt.Order("stack:Q"),
            tooltip=[
                alt.Tooltip("utcyearmonthdate(start):T", title=title, format=f"{label} %Y" if "%Y" not in label else label),
                alt.Tooltip("label:N", title="Tier"),
                alt.Tooltip("arr:Q", title="ARR", format=",.0f"),
                alt.Tooltip("accounts:Q", title="Accounts", format=",.0f"),
            ],
        )
    )


def _segments() -> alt.Chart:
    return (
        alt.Chart(_ROWS, height=alt.Step(26), width="container")
        .mark_bar(height={"band": 0.62}, cornerRadius=1)
        .encode(
            y=alt.Y(
                "segment:N",
                title=None,
                sort=None,
                axis=alt.Axis(domain=False, ticks=False, labelLimit=130, labelFontSize=12, labelColor=INK),
            ),
            x=alt.X(
                "value:Q",
                stack="normalize",
                title=None,
                axis=alt.Axis(format=".0%", tickCount=4, grid=False, domain=False, ticks=False),
            ),
            color=alt.Color("tier:N", scale=_TIERS, legend=None),
            order=alt.Order("stack:Q"),
            tooltip=[
                alt.Tooltip("segment:N", title="Segment"),
                alt.Tooltip("label:N", title="Tier"),
                alt.Tooltip("value:Q", title="Accounts", format=",.0f"),
                alt.Tooltip("share:Q", title="Share", format=".0%"),
            ],
        )
    )


def _history() -> alt.LayerChart:
    """An account's score over its tier bands, a line where other rules begin, and a strip of the tier in force below.

    Datasets: `rows` (day, score, uncapped: null without a cap, run: a number that changes at a gap), `bands` (start, end, from, to, tier),
    `marks` (day, text), `events` (day, kind, text) and `strip` (start, end, tier).
    """
    days = alt.Axis(format="%-d %b", grid=False, tickCount=6, labelOverlap=True, offset=16)
    x = alt.X("utcyearmonthdate(day):T", title=None, axis=days)
    spans = {"x": alt.X("utcyearmonthdate(start):T", title=None, axis=days), "x2": alt.X2("utcyearmonthdate(end):T")}
    scores = alt.Scale(domain=[0, 100], nice=False)
    y_axis = alt.Axis(values=[0, 20, 40, 60, 80, 100], domain=False, ticks=False, grid=True)
    bands = (
        alt.Chart(alt.NamedData("bands"))
        .mark_rect(opacity=0.13)
        .encode(
            **spans,
            y=alt.Y("from:Q", scale=scores, title=None, axis=y_axis),
            y2=alt.Y2("to:Q"),
            color=alt.Color("tier:N", scale=_TIERS, legend=None),
        )
    )
    line = (
        alt.Chart(_ROWS)
        .mark_line(color=ACCENT, strokeWidth=2, interpolate="linear")
        .encode(x=x, y=alt.Y("score:Q", scale=scores, title=None, axis=y_axis), detail="run:N")
    )
    uncapped = (
        alt.Chart(_ROWS)
        .mark_line(color=ACCENT, strokeWidth=1.2, strokeDash=[2, 2])
        .encode(x=x, y=alt.Y("uncapped:Q", scale=scores), detail="run:N")
    )
    # Invisible, wide enough to be hit by a finger.
    points = (
        alt.Chart(_ROWS)
        .mark_point(size=90, opacity=0, filled=True)
        .encode(
            x=x,
            y=alt.Y("score:Q", scale=scores),
            tooltip=[
                alt.Tooltip("utcyearmonthdate(day):T", title="Day", format="%-d %b %Y"),
                alt.Tooltip("score:Q", title="Score", format=".1f"),
                alt.Tooltip("label:N", title="Tier"),
            ],
        )
    )
    marks = alt.Chart(alt.NamedData("marks"))
    rules = marks.mark_rule(color=INK, strokeDash=[3, 3], strokeWidth=1).encode(x=x, tooltip=alt.Tooltip("text:N", title="From here on"))
    names = marks.mark_text(align="left", baseline="top", dx=4, fontSize=11, color=INK, limit=150).encode(
        x=x, y=alt.value(2), text="text:N"
    )
    events = (
        alt.Chart(alt.NamedData("events"))
        .mark_point(filled=True, size=45, color=INK, opacity=0.75)
        .encode(
            x=x,
            y=alt.value(212),
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(domain=list(_EVENTS), range=list(_EVENTS.values())),
                legend=alt.Legend(orient="bottom", title=None, columns=5, labelColor=MUTED, symbolSize=50),
            ),
            tooltip=[
                alt.Tooltip("utcyearmonthdate(day):T", title="Day", format="%-d %b %Y"),
                alt.Tooltip("kind:N", title="What"),
                alt.Tooltip("text:N", title="More"),
            ],
        )
    )
    strip = (
        alt.Chart(alt.NamedData("strip"))
        .mark_rect()
        .encode(
            **spans,
            y=alt.value(226),
            y2=alt.value(234),
            color=alt.Color("tier:N", scale=_TIERS, legend=None),
            tooltip=[
                alt.Tooltip("label:N", title="Tier"),
                alt.Tooltip("utcyearmonthdate(start):T", title="From", format="%-d %b %Y"),
            ],
        )
    )
    return alt.layer(bands, strip, line, uncapped, rules, names, points, events).properties(width="container", height=220)


def _named_rows(field: str, width: int) -> alt.Y:
    """One below the other, in their order, with names of at most so many pixels."""
    axis = alt.Axis(domain=False, ticks=False, labelFontSize=12, labelColor=INK, labelLimit=width)
    return alt.Y(f"{field}:N", sort=None, title=None, axis=axis)


def _dimensions() -> alt.LayerChart:
    """Score of each dimension: rows of dimension, score, text."""
    base = alt.Chart(_ROWS).encode(y=_named_rows("dimension", 130))
    x = alt.X(
        "score:Q",
        scale=alt.Scale(domain=[0, 100]),
        title=None,
        axis=alt.Axis(values=[0, 50, 100], domain=False, ticks=False),
    )
    bars = base.mark_bar(color=ACCENT, height={"band": 0.5}, cornerRadiusEnd=2).encode(x=x)
    texts = base.mark_text(align="left", dx=5, fontSize=11.5, color=INK).encode(x=alt.X("place:Q"), text="text:N")
    return alt.layer(bars, texts).properties(width="container", height=alt.Step(28), padding=_ROOM_FOR_TEXTS)


def _changes() -> alt.LayerChart:
    """A waterfall from an earlier score to that of today: rows of label, from, to, end, kind, text, in order."""
    base = alt.Chart(_ROWS).encode(y=_named_rows("label", 185))
    x = {
        "x": alt.X(
            "from:Q",
            title=None,
            scale=alt.Scale(zero=False, nice=True),
            axis=alt.Axis(tickCount=5, domain=False, ticks=False),
        ),
        "x2": alt.X2("to:Q"),
    }
    kinds = alt.Scale(domain=["score", "rise", "fall"], range=[QUIET, RISE, FALL])
    bars = base.mark_bar(height={"band": 0.56}, cornerRadius=1).encode(
        **x,
        color=alt.Color("kind:N", scale=kinds, legend=None),
        # A score has no width; its outline makes it a tick.
        stroke=alt.Stroke("kind:N", scale=kinds, legend=None),
        strokeWidth=alt.when("datum.kind == 'score'").then(alt.value(4)).otherwise(alt.value(0)),
        tooltip=[alt.Tooltip("label:N", title="What"), alt.Tooltip("text:N", title="Points")],
    )
    texts = base.mark_text(align="left", dx=5, fontSize=11.5, color=INK).encode(x=alt.X("end:Q"), text="text:N")
    return alt.layer(bars, texts).properties(width="container", height=alt.Step(26), padding=_ROOM_FOR_TEXTS)


def _rates() -> alt.LayerChart:
    """Shares with intervals, one below the other, and a dashed line at the share of all: rows of label, rate, low, high, base, text."""
    base = alt.Chart(_ROWS).encode(y=_named_rows("label", 130))
    shares = alt.Axis(format=".0%", tickCount=4, domain=False, ticks=False)
    tooltip = [alt.Tooltip("label:N", title="Accounts"), alt.Tooltip("text:N", title="Share")]
    bars = base.mark_bar(color=ACCENT, height={"band": 0.5}, cornerRadiusEnd=2, opacity=0.55).encode(
        x=alt.X("rate:Q", title=None, axis=shares), tooltip=tooltip
    )
    ranges = base.mark_rule(color=INK, strokeWidth=1.5).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), tooltip=tooltip)
    whole = alt.Chart(_ROWS).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x=alt.X("mean(base):Q"))
    return alt.layer(bars, ranges, whole).properties(width="container", height=alt.Step(28))
