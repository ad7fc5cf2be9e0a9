"""Every kind of the contract: what is read, what is null, what goes to quarantine and why."""

from datetime import date, datetime

import pytest


def land_one(world, table, header, row):
    world.write("t.csv", f"{header}\n{row}\n")
    world.source(table, 'path = "t.csv"\nmax_bad_share = 1.0')
    return world.land(table)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-05", datetime(2026, 1, 5)),
        ("2026-01-05T10:20:30Z", datetime(2026, 1, 5, 10, 20, 30)),
        ("2026-01-05 10:20:30", datetime(2026, 1, 5, 10, 20, 30)),
        ("2026-01-05 10:20", datetime(2026, 1, 5, 10, 20)),
        ("2026-01-05T10:20Z", datetime(2026, 1, 5, 10, 20)),
        ("2026-01-05T10:20:30.5+02:00", datetime(2026, 1, 5, 8, 20, 30, 500000)),
        ("2026-01-05T00:30:00+0130", datetime(2026, 1, 4, 23, 0)),
        ("2026-01-05 20:20:30-05", datetime(2026, 1, 6, 1, 20, 30)),
        ("2026-01-05 10:20:30 UTC", datetime(2026, 1, 5, 10, 20, 30)),
        ("2026-01-05 10:20:30 +01", datetime(2026, 1, 5, 9, 20, 30)),
        ("2024-02-29T00:00:00", datetime(2024, 2, 29)),
        ("9999-12-31", datetime(9999, 12, 31)),
    ],
)
def test_timestamps_become_utc(world, text, value):
    land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,a1,review,{text}")
    assert world.rows("advocacy_events", "occurred_at") == [(value,)]


@pytest.mark.parametrize(
    "text",
    ["infinity", "epoch", "01/02/2026", "2026-02-30", "2026-13-01", "20260105", "now", "1767571200", "2026-01-05T25:00",
     "2026-01-05T10:00:00+99:00", "2026-1-5", "0000-01-01", "2026-01-05 10:00:00 Europe/Berlin"],
)
def test_what_is_no_iso_timestamp_is_quarantined(world, text):
    landed = land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,a1,review,{text}")
    assert landed.quarantined == {"occurred_at: not a timestamp like 2026-01-31 10:00:00": 1}
    assert world.rows("advocacy_events") == []
    assert world.quarantine("advocacy_events") == [("t.csv", 2, "occurred_at: not a timestamp like 2026-01-31 10:00:00")]


def test_a_date_from_a_timestamp_is_its_utc_day(world):
    land_one(world, "feature_releases", "feature,released_on", "chat,2026-01-05T23:30:00-02:00")
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 6))]


@pytest.mark.parametrize(
    ("seats", "value"), [("10", 10), ("10.0", 10), ("1e2", 100), (" 7 ", 7), ("0", 0), ("", None), ("  ", None)]
)
def test_whole_numbers(world, seats, value):
    land_one(world, "subscriptions", "subscription_id,account_id,started_on,seats", f"s,a1,2026-01-01,{seats}")
    assert world.rows("subscriptions", "seats") == [(value,)]


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("seats", "2.5", "seats: not a whole number"),
        ("seats", "0x10", "seats: not a whole number"),
        ("seats", "1_000", "seats: not a whole number"),
        ("seats", "-1", "seats: below 0"),
        ("seats", "1000000001", "seats: above 1000000000"),
        ("mrr", "NaN", "mrr: not a number like 1234.5"),
        ("mrr", "inf", "mrr: not a number like 1234.5"),
        ("mrr", "1e999", "mrr: not a number like 1234.5"),
        ("mrr", "12 USD", "mrr: not a number like 1234.5"),
        ("mrr", "1e15", "mrr: above 100000000000000"),
        ("is_trial", "maybe", "is_trial: not true or false"),
        ("ended_on", "soon", "ended_on: not a date like 2026-01-31"),
        ("currency", "XXX", "currency: no rate for XXX on started_on in fx_rates.csv"),
    ],
)
def test_what_breaks_a_column_is_named(world, column, text, reason):
    landed = land_one(
        world, "subscriptions", f"subscription_id,account_id,started_on,{column}", f"s,a1,2026-01-01,{text}"
    )
    assert landed.quarantined == {reason: 1}
    assert (landed.delivered, landed.loaded) == (1, 0)


def test_blank_texts_are_null_and_others_stay_as_they_are(world):
    land_one(
        world, "accounts", "account_id,account_name,segment,csm,created_at", 'a1," Acme ","  ",=HYPERLINK(1),2026-01-01'
    )
    assert world.rows("accounts", "account_name, segment, csm") == [(" Acme ", None, "=HYPERLINK(1)")]


@pytest.mark.parametrize("padded", [" a1", "a1 ", "\u00a0a1", "a1\t"])
def test_padded_ids_are_quarantined(world, padded):
    header = "advocacy_id,account_id,kind,occurred_at"
    landed = land_one(world, "advocacy_events", header, f"x,{padded},review,2026-01-01")
    assert landed.quarantined == {"account_id: white space around it": 1}


@pytest.mark.parametrize("unseen", ["a\u200b1", "\ufeffa1", "a1\u2060", "a\t1", "a\u00a01", "a\u20031", "a\u202e1", "a\u00851", "a\x071"])
def test_ids_with_what_cannot_be_seen_are_quarantined(world, unseen):
    header = "advocacy_id,account_id,kind,occurred_at"
    landed = land_one(world, "advocacy_events", header, f"x,{unseen},review,2026-01-01")
    assert landed.quarantined == {"account_id: a character in it that cannot be seen": 1}


@pytest.mark.parametrize("seen", ["a 1", "Société Générale", "株式会社 1", "\u0645\u06cc\u200c\u062e", "a-1_@=/.é"])
def test_ids_with_what_can_be_seen_land(world, seen):
    assert land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,{seen},review,2026-01-01").loaded == 1


@pytest.mark.parametrize("blank", ["", "   ", "\u00a0"])
def test_blank_required_ids_are_missing(world, blank):
    header = "advocacy_id,account_id,kind,occurred_at"
    landed = land_one(world, "advocacy_events", header, f"x,{blank},review,2026-01-01")
    assert landed.quarantined == {"account_id: missing": 1}


def test_choices_match_exactly_and_blank_optional_ones_are_null(world):
    world.write(
        "t.csv",
        "ticket_id,account_id,opened_at,priority,topic\n"
        "t1,a1,2026-01-01,high,\nt2,a1,2026-01-01,High,bug\nt3,a1,2026-01-01, high,bug\n",
    )
    world.source("tickets", 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land("tickets")
    assert world.rows("tickets", "ticket_id, priority, topic") == [("t1", "high", None)]
    assert landed.quarantined == {"priority: none of low, normal, high, critical": 2}


@pytest.mark.parametrize(
    ("survey", "least", "greatest"), [("nps", 0, 10), ("csat", 1, 5), ("ces", 1, 7), ("product_rating", 1, 5)]
)
def test_scores_lie_on_the_scale_of_their_survey(world, survey, least, greatest):
    scores = (least - 1, least - 0.01, least, greatest, greatest + 0.01, 95)
    rows = [f"r{number},a1,{survey},{score},2026-01-01" for number, score in enumerate(scores)]
    world.write("t.csv", "\n".join(["response_id,account_id,survey,score,responded_at", *rows]) + "\n")
    world.source("survey_responses", 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land("survey_responses")
    assert world.rows("survey_responses", "score") == [(least,), (greatest,)]
    assert landed.quarantined == {f"score: outside {least} to {greatest} for {survey}": 4}


def test_a_subscription_ends_no_earlier_than_it_begins(world):
    world.write(
        "t.csv",
        "subscription_id,account_id,started_on,ended_on\n"
        "same_day,a1,2026-01-05,2026-01-05\nbefore,a1,2026-01-05,2026-01-04\nopen,a1,2026-01-05,\n",
    )
    world.source("subscriptions", 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land("subscriptions")
    assert world.rows("subscriptions", "subscription_id") == [("open",), ("same_day",)]
    assert landed.quarantined == {"ended_on: before started_on": 1}


FRACTION = "account_id: a fraction or in scientific notation, not an id"
NESTED = "account_id: a list or an object, not an id"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, FRACTION) for text in ("1.5", "1234.0", "7.", ".5", "-1.0", "1.23457E+11", "1e+16", "5E-3", "+2.5e3")),
        *((text, NESTED) for text in ("[1]", "[]", '"[""a1"", ""a2""]"', "{}", "\"['a', 'b']\"", '"{""id"": 7}"', "\"{'id': 7}\"")),
    ],
)
def test_what_is_no_id_is_quarantined(world, text, reason):
    landed = land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,{text},review,2026-01-01")
    assert landed.quarantined == {reason: 1}


@pytest.mark.parametrize(
    "text",
    ["7", "007", "-7", "12345678901234567890123", "a1.5", "v1.5", "1.5.2", "12e45", "1e5-7", "user@example.com", "1.acme",
     "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "{3f2504e0-4f89-41d3-9a0c-0305e82c3301}", "[a", "[a1]", "1+1", "5-3", "10.0.0.1"],
)
def test_text_and_whole_numbers_are_ids(world, text):
    land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,{text},review,2026-01-01")
    assert world.rows("advocacy_events", "account_id") == [(text,)]


def test_ids_in_json_lines(world):
    ids = ['7', '"7.x"', "1.5", "1e5", "7.0", "[1]", '{"a": 1}', "12345678901234567890123"]
    lines = [f'{{"advocacy_id": "x{n}", "account_id": {id_}, "kind": "review", "occurred_at": "2026-01-01"}}' for n, id_ in enumerate(ids)]
    world.write("t.jsonl", "\n".join(lines) + "\n")
    world.source("advocacy_events", 'path = "t.jsonl"\nmax_bad_share = 1.0')
    landed = world.land("advocacy_events")
    assert world.rows("advocacy_events", "account_id") == [("12345678901234567890123",), ("7",), ("7.x",)]
    assert landed.quarantined == {FRACTION: 3, NESTED: 2}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("7", "7"), ("7.0::double", "7"), ("-7.0::float", "-7"), ("7.00::decimal(9, 2)", "7"), ("9007199254740992::double", "9007199254740992"),
        ("uuid '3f2504e0-4f89-41d3-9a0c-0305e82c3301'", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("7.5::double", FRACTION), ("7.25::decimal(9, 2)", FRACTION), ("1e17::double", FRACTION), ("'nan'::double", FRACTION),
        ("[7]", NESTED), ("[7]::integer[1]", NESTED), ("{'a': 7}", NESTED), ("map {'a': 7}", NESTED),
    ],
)
def test_ids_in_typed_columns(world, value, found):
    world.write_parquet("t.parquet", f"select 'x' as advocacy_id, {value} as account_id, 'review' as kind, date '2026-01-01' as occurred_at")
    world.source("advocacy_events", 'path = "t.parquet"\nmax_bad_share = 1.0')
    landed = world.land("advocacy_events")
    if found in (FRACTION, NESTED):
        assert landed.quarantined == {found: 1}
    else:
        assert world.rows("advocacy_events", "account_id") == [(found,)]


def test_currencies_need_a_rate_in_force_on_the_rows_own_date(world):
    world.write("seeds/fx_rates.csv", "currency,valid_from,rate\nEUR,2026-02-01,1.1\nEUR,2026-01-10,1.0\n")
    world.write(
        "t.csv",
        "invoice_id,account_id,issued_on,due_on,amount,currency\n"
        "before,a1,2026-01-09,2026-02-01,1,EUR\nfirst_day,a1,2026-01-10,2026-02-01,1,eur\n"
        "own,a1,2020-01-01,2020-02-01,1,usd\nnone,a1,2020-01-01,2020-02-01,1,\n",
    )
    world.source("invoices", 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land("invoices")
    assert world.rows("invoices", "invoice_id, currency") == [("first_day", "EUR"), ("none", None), ("own", "USD")]
    assert landed.quarantined == {"currency: no rate for EUR on issued_on in fx_rates.csv": 1}


def test_a_row_counts_under_its_first_reason_and_keeps_all(world):
    landed = land_one(world, "subscriptions", "subscription_id,account_id,started_on,seats,mrr", "s,,2026-02-30,-1,x")
    assert landed.quarantined == {"account_id: missing": 1}
    assert world.quarantine("subscriptions") == [
        ("t.csv", 2, "account_id: missing; seats: below 0; mrr: not a number like 1234.5; started_on: not a date like 2026-01-31")
    ]


def test_the_quarantine_keeps_the_row_as_delivered(world):
    land_one(world, "feature_releases", "feature,released_on", '" chat",someday')
    folder = world.settings.lake / "quarantine" / "feature_releases"
    assert world.query(f"select \"table\", row from read_parquet('{folder}/*.parquet')") == [
        ("feature_releases", '{"feature":" chat","released_on":"someday"}')
    ]


def test_parquet_types_are_taken_as_they_are_or_converted(world):
    world.write_parquet(
        "t.parquet",
        "select 7 as subscription_id, 'a1' as account_id, 10.0::double as seats, 99.5::decimal(9,2) as mrr,"
        " timestamptz '2026-01-05 23:30:00-02' as started_on, true as is_trial",
    )
    world.source("subscriptions", 'path = "t.parquet"')
    world.land("subscriptions")
    assert world.rows("subscriptions", "subscription_id, seats, mrr, started_on, is_trial") == [
        ("7", 10, 99.5, date(2026, 1, 6), True)
    ]


def test_bad_values_in_typed_parquet_are_quarantined_by_row_number(world):
    world.write_parquet(
        "t.parquet",
        "select * from (values ('s1', 'a1', 1.0::double, date '2026-01-01'), ('s2', 'a1', 1.5, date '2026-01-01'),"
        " ('s3', 'a1', 'nan', date '2026-01-01'), ('s4', 'a1', 1, date 'infinity'), ('s5', null, 1, date '2026-01-01'))"
        " as t(subscription_id, account_id, seats, started_on)",
    )
    world.source("subscriptions", 'path = "t.parquet"\nmax_bad_share = 1.0')
    world.land("subscriptions")
    assert world.quarantine("subscriptions") == [
        ("t.parquet", 2, "seats: not a whole number"),
        ("t.parquet", 3, "seats: not a whole number"),
        ("t.parquet", 4, "started_on: not a date like 2026-01-31"),
        ("t.parquet", 5, "account_id: missing"),
    ]
