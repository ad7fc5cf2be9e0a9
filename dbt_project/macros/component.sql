{# The components of the change ledger (section 7) as small integers. #}
{% macro components() %}
    {{ return({'configuration': 1, 'scorecard': 2, 'availability': 3, 'cap': 4, 'behaviour': 5}) }}
{% endmacro %}

{% macro component(name) %}cast({{ components()[name] }} as tinyint){% endmacro %}

{% macro component_name(expression) %}{{ return(name_of(components(), expression)) }}{% endmacro %}

{# The ledger looks back this many days; LEDGER_DAYS in orchestration/transform.py says which days that touches. #}
{% macro ledger_lags() %}{{ return([7, 28]) }}{% endmacro %}

{# A row of the ledger in words. `caps` and `earlier_caps` are int_scoring__cap_names of the later and of the earlier day. A score falls by the cap
   that holds now; it rises by the one that held before, whether that ended or takes less. #}
{% macro change_label(changes, metrics, caps, earlier_caps) -%}
    case {{ component_name(changes ~ '.component') }}
        when 'configuration' then 'The rules of the score changed'
        when 'scorecard' then 'Another scorecard (stage or segment)'
        when 'availability' then 'Data came or went'
        when 'cap' then coalesce(
            case
                when {{ changes }}.points < 0 then {{ caps }}.label
                when {{ changes }}.cap_code = {{ changes }}.earlier_cap_code then 'Weighs less: ' || {{ earlier_caps }}.label
                else 'No longer: ' || {{ earlier_caps }}.label
            end,
            'A cap began, ended or moved'
        )
        when 'behaviour' then {{ metrics }}.label
    end
{%- endmacro %}

{# The joins that change_label needs. #}
{% macro join_change_names(changes) %}
left join {{ ref('int_scoring__metric_names') }} as metrics on {{ changes }}.metric_code = metrics.metric_code
left join {{ ref('int_scoring__cap_names') }} as caps
    on {{ changes }}.scorecard_code = caps.scorecard_code
    and {{ changes }}.cap_code = caps.cap_code
left join {{ ref('int_scoring__cap_names') }} as earlier_caps
    on {{ changes }}.earlier_scorecard_code = earlier_caps.scorecard_code
    and {{ changes }}.earlier_cap_code = earlier_caps.cap_code
{%- endmacro %}
