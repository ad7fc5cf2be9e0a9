"""Every kind of the contract: what is read, what is null, what goes to quarantine and why."""

from datetime import date, datetime

import pytest

from orchestration.extract.judge import QuarantineLimitExceeded


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
    [
        "infinity",
        "epoch",
        "01/02/2026",
        "2026-02-30",
        "2026-13-01",
        "20260105",
        "now",
        "1767571200",
        "2026-01-05T25:00",
        "2026-01-05T10:00:00+99:00",
        "2026-1-5",
        "0000-01-01",
        "2026-01-05 10:00:00 Europe/Berlin",
    ],
)
def test_what_is_not_an_iso_timestamp_is_quarantined(world, text):
    landed = land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,a1,review,{text}")
    assert landed.quarantined == {"occurred_at: not a timestamp like 2026-01-31 10:00:00": 1}
    assert world.rows("advocacy_events") == []
    assert world.quarantine("advocacy_events") == [("t.csv", 2, "occurred_at: not a timestamp like 2026-01-31 10:00:00")]


def test_a_date_from_a_timestamp_is_its_utc_day(world):
    land_one(world, "feature_releases", "feature,released_on", "chat,2026-01-05T23:30:00-02:00")
    assert world.rows("feature_releases") == [("chat", date(2026, 1, 6))]


@pytest.mark.parametrize(("seats", "value"), [("10", 10), ("10.0", 10), ("1e2", 100), (" 7 ", 7), ("0", 0), ("", None), ("  ", None)])
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
    landed = land_one(world, "subscriptions", f"subscription_id,account_id,started_on,{column}", f"s,a1,2026-01-01,{text}")
    assert landed.quarantined == {reason: 1}
    assert (landed.delivered, landed.loaded) == (1, 0)


def test_blank_texts_are_null_and_others_stay_as_they_are(world):
    land_one(world, "accounts", "account_id,account_name,segment,csm,created_at", 'a1," Acme ","  ",=HYPERLINK(1),2026-01-01')
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
        "ticket_id,account_id,opened_at,priority,topic\nt1,a1,2026-01-01,high,\nt2,a1,2026-01-01,High,bug\nt3,a1,2026-01-01, high,bug\n",
    )
    world.source("tickets", 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land("tickets")
    assert world.rows("tickets", "ticket_id, priority, topic") == [("t1", "high", None)]
    assert landed.quarantined == {"priority: none of low, normal, high, critical": 2}


@pytest.mark.parametrize(("survey", "least", "greatest"), [("nps", 0, 10), ("csat", 1, 5), ("ces", 1, 7), ("product_rating", 1, 5)])
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
        *((text, FRACTION) for text in ('"1,23457E+11"', '"1234,0"')),
        *((text, "account_id: true or false, not an id") for text in ("true", "False")),
        ("[object Object]", NESTED),
        *((text, NESTED) for text in ("[1]", "[]", '"[""a1"", ""a2""]"', "{}", "\"['a', 'b']\"", '"{""id"": 7}"', "\"{'id': 7}\"")),
    ],
)
def test_what_is_not_an_id_is_quarantined(world, text, reason):
    landed = land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,{text},review,2026-01-01")
    assert landed.quarantined == {reason: 1}


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "007",
        "-7",
        "12345678901234567890123",
        "a1.5",
        "v1.5",
        "1.5.2",
        "12e45",
        "1e5-7",
        "user@example.com",
        "1.acme",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "{3f2504e0-4f89-41d3-9a0c-0305e82c3301}",
        "[a",
        "[a1]",
        "1+1",
        "5-3",
        "10.0.0.1",
    ],
)
def test_text_and_whole_numbers_are_ids(world, text):
    land_one(world, "advocacy_events", "advocacy_id,account_id,kind,occurred_at", f"x,{text},review,2026-01-01")
    assert world.rows("advocacy_events", "account_id") == [(text,)]


def test_ids_in_json_lines(world):
    ids = ["7", '"7.x"', "1.5", "1e5", "7.0", "[1]", '{"a": 1}', "12345678901234567890123"]
    lines = [f'{{"advocacy_id": "x{n}", "account_id": {id_}, "kind": "review", "occurred_at": "2026-01-01"}}' for n, id_ in enumerate(ids)]
    world.write("t.jsonl", "\n".join(lines) + "\n")
    world.source("advocacy_events", 'path = "t.jsonl"\nmax_bad_share = 1.0')
    landed = world.land("advocacy_events")
    assert world.rows("advocacy_events", "account_id") == [("12345678901234567890123",), ("7",), ("7.x",)]
    assert landed.quarantined == {FRACTION: 3, NESTED: 2}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("7", "7"),
        ("7.0::double", "7"),
        ("-7.0::float", "-7"),
        ("7.00::decimal(9, 2)", "7"),
        ("9007199254740992::double", "9007199254740992"),
        ("uuid '3f2504e0-4f89-41d3-9a0c-0305e82c3301'", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("7.5::double", FRACTION),
        ("7.25::decimal(9, 2)", FRACTION),
        ("1e17::double", FRACTION),
        ("'nan'::double", "account_id: missing"),
        ("true", "account_id: true or false, not an id"),
        ("[7]", NESTED),
        ("[7]::integer[1]", NESTED),
        ("{'a': 7}", NESTED),
        ("map {'a': 7}", NESTED),
    ],
)
def test_ids_in_typed_columns(world, value, found):
    world.write_parquet(
        "t.parquet", f"select 'x' as advocacy_id, {value} as account_id, 'review' as kind, date '2026-01-01' as occurred_at"
    )
    world.source("advocacy_events", 'path = "t.parquet"\nmax_bad_share = 1.0')
    landed = world.land("advocacy_events")
    if found.startswith("account_id: "):
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
    assert world.rows("subscriptions", "subscription_id, seats, mrr, started_on, is_trial") == [("7", 10, 99.5, date(2026, 1, 6), True)]


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
        ("t.parquet", 4, "started_on: not a date like 2026-01-31"),
        ("t.parquet", 5, "account_id: missing"),
    ]


WORDS = ["NULL", "null", "(null)", "[NULL]", "\\N", "None", "NaN", "nan", "NaT", "<NA>", "N/A", "#N/A", "undefined", " NULL\u00a0"]


def test_words_for_nothing_are_null_in_every_kind_of_column(world):
    rows = [f"s{number},a1,{word},{word},{word},2026-01-05,{word},{word}" for number, word in enumerate(WORDS)]
    world.write("s.csv", "\n".join(["subscription_id,account_id,plan,seats,mrr,started_on,ended_on,is_trial", *rows]) + "\n")
    world.source("subscriptions", 'path = "s.csv"')
    world.land("subscriptions")
    assert world.rows("subscriptions", "plan, seats, mrr, ended_on, is_trial") == [(None,) * 5] * len(WORDS)
    rows = [f"r{n},a1,{word},nps,9,2026-01-05\nq{n},{word},u,nps,9,2026-01-05" for n, word in enumerate(WORDS)]
    world.write("r.csv", "\n".join(["response_id,account_id,user_id,survey,score,responded_at", *rows]) + "\n")
    world.source("survey_responses", 'path = "r.csv"\nmax_bad_share = 1.0')
    assert world.land("survey_responses").quarantined == {"account_id: missing": len(WORDS)}
    assert world.rows("survey_responses", "user_id") == [(None,)] * len(WORDS)


def test_a_source_has_its_own_words_for_nothing(world):
    world.write("t.csv", "ticket_id,account_id,opened_at,topic,resolved_at\nt1,a1,2026-01-05,-,keine\nt2,null,2026-01-05,bug,\n")
    world.source("tickets", 'path = "t.csv"\nnulls = ["-", "keine"]')
    world.land("tickets")
    assert world.rows("tickets", "ticket_id, account_id, topic, resolved_at") == [("t1", "a1", None, None), ("t2", "null", "bug", None)]


def test_a_placeholder_that_could_be_a_value_is_none_where_the_source_says_so(world):
    """Days, whole numbers, amounts, truths; required ones are missing then. What is part of another value is no placeholder."""
    rows = ["s1,a1,-1,-1,2026-01-05,1900-01-01,0", "s2,a1,1, -1 ,2026-01-05, 1900-01-01 ,1", "s3,a1,1,-1.5,1900-01-01,,1"]
    world.write("s.csv", "\n".join(["subscription_id,account_id,seats,mrr,started_on,ended_on,is_trial", *rows]) + "\n")
    world.source("subscriptions", 'path = "s.csv"\nmax_bad_share = 1\nnulls = ["1900-01-01", "-1", "0"]')
    assert world.land("subscriptions").quarantined == {"started_on: missing": 1}
    assert world.rows("subscriptions", "subscription_id, seats, mrr, ended_on, is_trial") == [
        ("s1", None, None, None, None),
        ("s2", 1, None, None, True),
    ]


def test_a_float_that_is_not_a_number_is_null_like_its_word(world):
    header = "select 's1' as subscription_id, 'a1' as account_id, date '2026-01-01' as started_on"
    world.write_parquet("t.parquet", f"{header}, 'nan'::double as mrr, 'nan'::float as seats")
    world.source("subscriptions", 'path = "t.parquet"')
    world.land("subscriptions")
    assert world.rows("subscriptions", "mrr, seats") == [(None, None)]


@pytest.mark.parametrize(
    ("settings", "text", "value"),
    [
        ('decimal = ","\nthousands = "."', "1.200", 1200),
        ('decimal = ","\nthousands = "."', "-1.234.567,89", -1234567.89),
        ('decimal = ","\nthousands = "."', "99,90", 99.9),
        ('decimal = ","\nthousands = "."', "1.20", None),
        ('decimal = ","', "1.200", None),
        ('decimal = "."', "1.200", 1.2),
        ('thousands = ","', "12,000.50", 12000.5),
        ('thousands = ","', "1,20,000", 120000),
        ('thousands = ","', "1,2", None),
        ("""thousands = "'\"""", "1'200.5", 1200.5),
        ('decimal = ","\nthousands = "space"', "1\u00a0200,5", 1200.5),
        ('decimal = ","', "1,5E3", 1500),
        ("", "(12.50)", -12.5),
        ("", "12.50-", -12.5),
        ('decimal = ","\nthousands = "."', "(1.200,50)", -1200.5),
        ("", "(12.50", None),
        ("", "-(3)", None),
    ],
)
def test_numbers_as_a_source_writes_them(world, settings, text, value):
    world.write("t.csv", f"invoice_id;account_id;issued_on;due_on;amount\ni1;a1;2026-01-01;2026-02-01;{text}\n")
    world.source("invoices", f'path = "t.csv"\nmax_bad_share = 1.0\n{settings}')
    landed = world.land("invoices")
    if value is None:
        assert landed.quarantined == {"amount: not a number like 1234.5": 1}
    else:
        assert world.rows("invoices", "amount") == [(value,)]


UNCLEAR = "amount: may be a thousand or a fraction"


@pytest.mark.parametrize(
    ("amounts", "unclear"),
    [
        (("1.200", "500"), 1),  # A German thousand, or 1.2: nothing says which.
        (("1.200", "99,90"), 1),
        (("1.200", "2.400", "-3.600"), 3),
        (("33.333", "99.90"), 0),  # The second one has a decimal point.
        (("33.333", "0.125"), 0),
        (("33.333", "1234.567"), 0),
        (("(1.200)", "1.200-"), 2),
        (("(1.200)", "(99.90)"), 0),
    ],
)
def test_a_number_that_may_be_a_thousand_is_not_guessed(world, amounts, unclear):
    rows = "".join(f"i{number};a1;2026-01-01;2026-02-01;{amount}\n" for number, amount in enumerate(amounts))
    world.write("t.csv", f"invoice_id;account_id;issued_on;due_on;amount\n{rows}")
    world.source("invoices", 'path = "t.csv"\nmax_bad_share = 1.0')
    assert world.land("invoices").quarantined.get(UNCLEAR, 0) == unclear


def test_booleans_as_sources_write_them(world):
    rows = "".join(
        f"t{at},a1,2026-01-05,call,inbound,{word}\n" for at, word in enumerate(("TRUE", "yes", "on", "1.0", "No", "off", "0.0", ""))
    )
    world.write("t.csv", f"touchpoint_id,account_id,occurred_at,channel,direction,responded\n{rows}")
    world.source("touchpoints", 'path = "t.csv"')
    world.land("touchpoints")
    assert [row[0] for row in world.rows("touchpoints", "responded", "touchpoint_id")] == [True] * 4 + [False] * 3 + [None]


def test_json_numbers_and_typed_ones_are_what_they_are(world):
    world.write("t.jsonl", '{"invoice_id": "i1", "account_id": "a1", "issued_on": "2026-01-01", "due_on": "2026-02-01", "amount": 1.125}\n')
    world.source("invoices", 'path = "t.jsonl"')
    world.land("invoices")
    assert world.rows("invoices", "amount") == [(1.125,)]


@pytest.mark.parametrize(
    ("settings", "text", "value"),
    [
        ('date_format = "%d.%m.%Y"', "05.01.2026", datetime(2026, 1, 5)),
        ('date_format = "%d.%m.%Y"', "5.1.2026 14:30", datetime(2026, 1, 5, 14, 30)),
        ('date_format = "%d.%m.%Y"', "2026-01-05T10:00:00Z", datetime(2026, 1, 5, 10)),
        ('date_format = ["%m/%d/%Y", "%m/%d/%Y %I:%M %p"]', "1/5/2026 2:30 PM", datetime(2026, 1, 5, 14, 30)),
        ('date_format = "%d-%b-%Y"', "05-Jan-2026", datetime(2026, 1, 5)),
        ('date_format = "%d.%m.%Y"', "05.01.26", None),
        ('date_format = "%d.%m.%Y"', "31.02.2026", None),
        ('date_format = "%d.%m.%Y"\ntimezone = "Europe/Berlin"', "05.07.2026 14:30", datetime(2026, 7, 5, 12, 30)),
        ('timezone = "America/New_York"', "2026-01-05 20:00", datetime(2026, 1, 6, 1)),
        ('timezone = "America/New_York"', "2026-01-05T20:00:00+01:00", datetime(2026, 1, 5, 19)),
        ('date_format = "epoch"', "1767609000", datetime(2026, 1, 5, 10, 30)),
        ('date_format = "epoch"', "1767609000.5", datetime(2026, 1, 5, 10, 30, 0, 500_000)),
        ('date_format = ["%d.%m.%Y", "epoch"]\ntimezone = "Europe/Berlin"', "1767609000123", datetime(2026, 1, 5, 10, 30, 0, 123_000)),
        ('date_format = "epoch"', "1767609000123456", datetime(2026, 1, 5, 10, 30, 0, 123_456)),
        ('date_format = "epoch"', "20260105", None),
        ("", "1767609000", None),
    ],
)
def test_times_as_a_source_writes_them(world, settings, text, value):
    world.write("t.csv", f"ticket_id,account_id,opened_at\nt1,a1,{text}\n")
    world.source("tickets", f'path = "t.csv"\nmax_bad_share = 1.0\n{settings}')
    landed = world.land("tickets")
    if value is None:
        assert landed.quarantined == {"opened_at: not a timestamp like 2026-01-31 10:00:00": 1}
    else:
        assert world.rows("tickets", "opened_at") == [(value,)]


@pytest.mark.parametrize(
    ("settings", "text", "day"),
    [
        ("", "2026-03-11T00:00:00+01:00", date(2026, 3, 11)),
        ("", "2026-03-11 00:00+05:30", date(2026, 3, 11)),
        ("", "2026-03-11T00:00:00.000-08:00", date(2026, 3, 11)),
        ("", "2026-03-10T23:59:59.999-05:00", date(2026, 3, 10)),
        ("", "2026-03-10T23:00:00Z", date(2026, 3, 10)),
        ('timezone = "Europe/Berlin"', "2026-03-10T23:00:00Z", date(2026, 3, 11)),
        ('timezone = "Europe/Berlin"', "2026-03-11 00:00:00", date(2026, 3, 11)),
        ('timezone = "Europe/Berlin"\ndate_format = "%d.%m.%Y"', "11.03.2026", date(2026, 3, 11)),
        ('timezone = "Europe/Berlin"\ndate_format = "epoch"', "1773183600", date(2026, 3, 11)),
    ],
)
def test_a_date_at_local_midnight_keeps_its_day(world, settings, text, day):
    world.write("t.csv", f"feature,released_on\nchat,{text}\n")
    world.source("feature_releases", f'path = "t.csv"\n{settings}')
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("chat", day)]


def test_typed_times_follow_the_zone_of_the_source(world):
    values = "timestamp '2026-03-11 00:30:00' as opened_at, timestamptz '2026-03-11 00:30:00+01' as resolved_at"
    world.write_parquet("t.parquet", f"select 't1' as ticket_id, 'a1' as account_id, {values}")
    world.source("tickets", 'path = "t.parquet"\ntimezone = "Europe/Berlin"')
    world.land("tickets")
    assert world.rows("tickets", "opened_at, resolved_at") == [(datetime(2026, 3, 10, 23, 30),) * 2]
    world.write_parquet("f.parquet", "select 'chat' as feature, timestamptz '2026-03-11 00:00:00+01' as released_on")
    world.source("feature_releases", 'path = "f.parquet"\ntimezone = "Europe/Berlin"')
    world.land("feature_releases")
    assert world.rows("feature_releases") == [("chat", date(2026, 3, 11))]


def test_clean_events_in_local_time_are_not_copied_as_they_are(world):
    row = (
        "'e1' as event_id, 'a1' as account_id, 'u1' as user_id, 'chat' as feature, timestamp '2026-01-02 00:30:00' as occurred_at, "
        "5.0::double as duration_seconds"
    )
    world.write_parquet("events/2026-01-02.parquet", f"select {row}")
    world.source("usage_events", 'path = "events/{day}.parquet"\ntimezone = "Europe/Berlin"')
    world.land("usage_events", date(2026, 1, 2))
    assert world.rows("usage_events", "occurred_at") == [(datetime(2026, 1, 1, 23, 30),)]


def test_a_survey_on_another_scale_is_mapped_onto_ours(world):
    rows = ["r1,a1,csat,0", "r2,a1,csat,100", "r3,a1,csat,55", "r4,a1,csat,101", "r5,a1,nps,9"]
    world.write("t.csv", "response_id,account_id,survey,score,responded_at\n" + "".join(f"{row},2026-01-01\n" for row in rows))
    world.source("survey_responses", 'path = "t.csv"\nmax_bad_share = 1.0\nscales = { csat = [0, 100] }')
    landed = world.land("survey_responses")
    assert world.rows("survey_responses", "response_id, score") == [("r1", 1), ("r2", 5), ("r3", 3.2), ("r5", 9)]
    assert landed.quarantined == {"score: outside 0 to 100 for csat": 1}


@pytest.mark.parametrize(
    ("table", "header", "good", "bad", "reason"),
    [
        ("score_overrides", "override_id,account_id,tier,reason,author,starts_on,expires_on",
         "o1,a1,poor,r,k,2026-01-05,2026-01-05", "o2,a1,poor,r,k,2026-01-05,2026-01-04", "expires_on: before starts_on"),
        ("invoices", "invoice_id,account_id,amount,issued_on,due_on,paid_on",
         "i1,a1,5,2026-01-05,2025-12-30,2025-12-01", "i2,a1,5,2026-01-05,2026-02-05,1900-01-01",
         "paid_on: more than 10 years before issued_on"),
        ("tickets", "ticket_id,account_id,opened_at,resolved_at",
         "t1,a1,2026-01-05,2026-01-04", "t2,a1,2026-01-05,1970-01-01", "resolved_at: more than 10 years before opened_at"),
        ("subscriptions", "subscription_id,account_id,started_on,term_ends_on",
         "s1,a1,2026-01-05,2025-12-31", "s2,a1,2026-01-05,0001-01-01", "term_ends_on: more than 10 years before started_on"),
        ("action_log", "entry_id,account_id,playbook_key,logged_at,state,snoozed_until",
         "e1,a1,call,2026-01-05,done,", "e2,a1,call,2026-01-05,snoozed,", "snoozed_until: missing where state is snoozed"),
    ],
)  # fmt: skip
def test_two_values_of_a_row_that_contradict_each_other(world, table, header, good, bad, reason):
    world.write("t.csv", f"{header}\n{good}\n{bad}\n")
    world.source(table, 'path = "t.csv"\nmax_bad_share = 1.0')
    landed = world.land(table)
    assert (landed.loaded, landed.quarantined) == (1, {reason: 1})


@pytest.mark.parametrize(
    ("table", "row", "helps"),
    [
        ("invoices", "1.200,2026-01-01", 'sources.invoices.decimal = "," and sources.invoices.thousands = "." make it a thousand'),
        ("invoices", "10 USD,2026-01-01", "sources.invoices.decimal and sources.invoices.thousands say how numbers are written"),
        ("invoices", "10,01/02/2026", "sources.invoices.date_format says how dates are written"),
        ("survey_responses", "csat,55", "sources.survey_responses.scales gives the scale of a survey, for example { csat = [0, 100] }"),
        ("invoices", "10 EUR,01/02/2026", "select * replace (replace(amount, '€', '') as amount) from file"),
        ("survey_responses", "CSAT,5", "can map other words: select * replace (lower(survey) as survey) from file"),
        ("advocacy_events", "1001.0", "deliver ids as text or as whole numbers (pandas: read them with dtype=str)"),
    ],
)  # fmt: skip
def test_an_error_about_values_names_the_value_and_what_helps(world, table, row, helps):
    headers = {"invoices": "amount,due_on,invoice_id,account_id,issued_on",
    "survey_responses": "survey,score,response_id,account_id,responded_at",
               "advocacy_events": "account_id,advocacy_id,kind,occurred_at"}  # fmt: skip
    rest = "review,2026-01-01" if table == "advocacy_events" else "a1,2026-01-01"
    world.write("t.csv", f"{headers[table]}\n{row},x,{rest}\n")
    world.source(table, 'path = "t.csv"')
    with pytest.raises(QuarantineLimitExceeded) as raised:
        world.land(table)
    assert helps in str(raised.value) and "(found '" in str(raised.value) and "t.csv line 2" in str(raised.value)
