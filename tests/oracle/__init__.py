"""An independent oracle: docs/scoring.md in plain Python, straight from its definitions.

`raw` reads and cleans the raw tables, `metrics` computes values and states, `cards` reads the seeds, `score` scores,
candidates too, `trend` confirms tiers, says why they change and looks back, `ledger` splits every change, `rollups`
adds up segments and parents, `worlds` builds random companies full of edge cases, `compare` compares the published
mart with all that. None of it imports the pipeline, and none of it is clever: its worth is that it was written from
the contract alone.
"""
