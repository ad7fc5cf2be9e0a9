-- Grain: account x as_of_date x scorecard that the change ledger asks for: what an earlier day would have scored under the rules of a later one.

-- depends_on: {{ ref('int_scoring__scores') }}, {{ ref('int_scoring__account_scores') }}, {{ ref('int_scoring__scorings') }}
select
    account_id,
    as_of_date,
    scorecard_id,
    uncapped_score
    {%- for metric in scorecard_metrics() %},
    {{ metric.key }}__score
    {%- endfor %}
from {{ scores_on('earlier') }} as scores
