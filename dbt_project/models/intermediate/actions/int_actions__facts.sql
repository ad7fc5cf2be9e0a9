-- depends_on: {{ ref('int_scoring__dimension_scores') }}, {{ ref('int_scoring__metric_points') }}
-- Grain: account x as_of_date, for the run's days and all scored days after them: the fields that the playbooks name, a column each.

{% set fields = playbook_fields() %}
{% set sources = {} %}
{% for dimension in dimensions() if execute %}
    {% for metric, code in metrics_of(ref('int_metrics__' ~ dimension)) %}
        {% do sources.update({metric: {'dimension': dimension, 'code': code}}) %}
    {% endfor %}
{% endfor %}
{% set metric_fields = fields | selectattr('kind', 'in', ['metric', 'change']) | selectattr('key', 'in', sources) | list %}
{% set account_columns = {
    'health_score': 'scores.health_score',
    'uncapped_score': 'scores.uncapped_score',
    'coverage': 'scores.coverage',
    'delta_7d': 'trends.delta_7d',
    'delta_28d': 'trends.delta_28d',
    'delta_90d': 'trends.delta_90d',
    'slope_28d': 'trends.slope_28d',
    'days_in_tier': dbt.datediff('tiers.tier_since', 'scores.as_of_date', 'day') ~ ' + 1',
    'arr': 'round(scores.mrr * 12, 2)',
    'mrr': 'scores.mrr',
    'seats': 'scores.seats',
    'tenure_days': 'scores.tenure',
    'tier': 'tiers.tier',
    'model_tier': 'tiers.model_tier',
    'raw_tier': 'scores.raw_tier',
    'previous_tier': 'tiers.previous_tier',
    'trend': 'trends.trend',
    'stage': 'scores.stage',
    'segment': 'scores.segment',
    'scorecard_key': 'scorecards.scorecard_key',
    'account_name': 'accounts.account_name',
    'industry': 'accounts.industry',
    'region': 'accounts.region',
    'csm': 'accounts.csm',
} %}

with restated as (

    select as_of_date from {{ source('control', 'restated_days') }}

)

select
    scores.account_id,
    scores.as_of_date,
    tiers.previous_as_of_date
    {%- for field in fields %},
    {% if field.kind == 'account' -%}
        {{ account_columns[field.key] }}
    {%- elif field.kind == 'dimension' -%}
        dimension_{{ field.key }}.dimension_score
    {%- elif field.key not in sources -%}
        cast(null as double)
    {%- elif field.kind == 'metric' -%}
        {{ sources[field.key].dimension }}.{{ field.key }}
    {%- elif field.kind == 'change' -%}
        {{ sources[field.key].dimension }}.{{ field.key }} - {{ sources[field.key].dimension }}_before.{{ field.key }}
    {%- elif field.kind == 'score' -%}
        score_{{ field.key }}.normalized_score
    {%- endif %} as {{ field.column }}
    {%- endfor %}
from {{ ref('int_scoring__account_scores') }} as scores
inner join restated on scores.as_of_date = restated.as_of_date
inner join {{ ref('int_trend__account_tiers') }} as tiers
    on scores.account_id = tiers.account_id
    and scores.as_of_date = tiers.as_of_date
inner join {{ ref('int_trend__account_trends') }} as trends
    on scores.account_id = trends.account_id
    and scores.as_of_date = trends.as_of_date
left join {{ ref('stg_crm__accounts') }} as accounts on scores.account_id = accounts.account_id
inner join {{ ref('int_scoring__scorecard_names') }} as scorecards on scores.scorecard_code = scorecards.scorecard_code
{%- for dimension in dimensions() %}
{%- set relation = ref('int_metrics__' ~ dimension) %}
{%- set used = [] %}
{%- for field in metric_fields if sources[field.key].dimension == dimension %}{% do used.append(field.kind) %}{% endfor %}
{%- if used %}
left join {{ relation }} as {{ dimension }}
    on scores.account_id = {{ dimension }}.account_id
    and scores.as_of_date = {{ dimension }}.as_of_date
{%- endif %}
{%- if 'change' in used %}
left join {{ relation }} as {{ dimension }}_before
    on scores.account_id = {{ dimension }}_before.account_id
    and scores.as_of_date = {{ dbt.dateadd('day', 28, dimension ~ '_before.as_of_date') }}
{%- endif %}
{%- endfor %}
{%- for field in fields if field.kind == 'dimension' %}
left join {{ source('control', 'codes') }} as code_of_{{ field.key }}
    on code_of_{{ field.key }}.kind = 'dimension'
    and code_of_{{ field.key }}.key = '{{ field.key }}'
left join {{ ref('int_scoring__dimension_scores') }} as dimension_{{ field.key }}
    on scores.account_id = dimension_{{ field.key }}.account_id
    and scores.as_of_date = dimension_{{ field.key }}.as_of_date
    and code_of_{{ field.key }}.code = dimension_{{ field.key }}.dimension_code
{%- endfor %}
{%- for field in fields if field.kind == 'score' and field.key in sources %}
left join {{ ref('int_scoring__metric_points') }} as score_{{ field.key }}
    on scores.account_id = score_{{ field.key }}.account_id
    and scores.as_of_date = score_{{ field.key }}.as_of_date
    and score_{{ field.key }}.metric_code = {{ sources[field.key].code }}
{%- endfor %}
