{# Pre-hook of every incremental history: takes out the days that this run computes, in the transaction that inserts them anew.
   A rerun gives the same rows, and an account that left or a day that became empty leaves nothing behind. The days are those that the run
   scores, or what rests on them: `ledger_days`, `restated_days`; with them go days that a run began and no run finished. #}
{% macro replace_as_of_days(days='as_of_days') %}
    {% if is_incremental() %}
        {%- set condition %}
            as_of_date in (select as_of_date from {{ source('control', days) }} union select as_of_date from {{ source('control', 'unfinished_days') }})
        {%- endset %}
        {{ delete_rows(condition) }}
    {% endif %}
{% endmacro %}

{# The same for the usage rollups, which are kept by event day: takes out the days whose events changed since they were rolled up. #}
{% macro replace_changed_event_days() %}
    {% if is_incremental() %}
        {{ delete_rows('activity_day in (select activity_day from ' ~ source('control', 'changed_event_days') ~ ')') }}
    {% endif %}
{% endmacro %}
