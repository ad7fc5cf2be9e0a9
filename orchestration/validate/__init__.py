"""Validation: does the score tell who leaves? (docs/scoring.md, "Does the score tell who leaves?")

Reads a published generation only, and looks at nothing after its newest day. DuckDB labels the points; numpy counts pairs and draws.

    points      the scored Mondays of one version and history, each with the day on which the account left next
    statistics  bootstrap, AUC within strata, rates, isotonic probabilities: pure functions over arrays
    judge       the figures of one horizon and their verdict
    tables      the published tables, as data
    run         all of it for a generation
"""
