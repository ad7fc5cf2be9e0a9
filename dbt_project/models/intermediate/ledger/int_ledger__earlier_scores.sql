-- Grain: account x as_of_date x scorecard that the change ledger asks for: what an earlier day would have scored under the rules of a later one.

select
    account_id,
    as_of_date,
    scorecard_id,
    uncapped_score
    {%- for metric in scorecard_metrics() %},
    {{ metric.key }}__score
    {%- endfor %}
from {{ ref('int_scoring__scores') }}
where track = 'earlier'
