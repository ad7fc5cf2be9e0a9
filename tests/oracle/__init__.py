"""An independent oracle: the scoring specification in plain Python, straight from its definitions.

`raw` reads and cleans the raw tables (section 2), `metrics` computes values and states (3, 4), `cards` reads the seeds
(9), `score` scores (5, 6), candidates too, `trend` confirms tiers, says why they change and looks back (6, 7),
`ledger` splits every change (7), `rollups` adds up segments and parents (8), `worlds` builds random companies full of
edge cases, `compare` holds the published mart against all that. None of it imports the pipeline, and none of it is
clever: its worth is that it was written from the specification alone.
"""
