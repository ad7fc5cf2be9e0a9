{# Values in words, for reasons and drivers. A unit `share of seats` is shown in percent, `relative change` in percent with its sign. #}

{# The bare value: `31%`, `+12%`, `3.5`. #}
{% macro value_text(value, unit) -%}
    case
        when {{ unit }} like 'share of%' then {{ number_text('round(100 * ' ~ value ~ ')') }} || '%'
        when {{ unit }} = 'relative change' then case when {{ value }} > 0 then '+' else '' end || {{ number_text('round(100 * ' ~ value ~ ')') }} || '%'
        else {{ number_text(value) }}
    end
{%- endmacro %}

{# The value with its unit: `31% of seats`, `+12%`, `3.5 days`, `1 day`, `4 (1 to 5)` on a scale; `measure` in board.js does the same. #}
{% macro value_with_unit(value, unit) -%}
    {{ value_text(value, unit) }}
    || case
        when {{ unit }} like 'share of%' then substr({{ unit }}, 6)
        when {{ unit }} is null or {{ unit }} in ('relative change', 'ratio') then ''
        when {{ unit }} like '% to %' then ' (' || {{ unit }} || ')'
        when {{ value }} = 1 and {{ unit }} like '%s' then ' ' || substr({{ unit }}, 1, length({{ unit }}) - 1)
        else ' ' || {{ unit }}
    end
{%- endmacro %}

{# A difference of two values: `down 18 points`, `up 3`, `unchanged`. #}
{% macro change_text(change, unit) -%}
    case
        when {{ change }} is null then null
        when {{ unit }} like 'share of%' or {{ unit }} = 'relative change' then
            case
                when round(100 * {{ change }}) = 0 then 'unchanged'
                else case when {{ change }} > 0 then 'up ' else 'down ' end || {{ number_text('abs(round(100 * ' ~ change ~ '))') }} || ' points'
            end
        when {{ rounded(change, 2) }} = 0 then 'unchanged'
        else case when {{ change }} > 0 then 'up ' else 'down ' end || {{ number_text('abs(' ~ change ~ ')') }}
    end
{%- endmacro %}

{# A number as a person writes it: whole numbers and thousands without decimals, others with two digits behind the point at most. #}
{% macro number_text(expression) -%}
    case
        when abs({{ expression }}) >= 1000 or {{ expression }} = round({{ expression }}) then {{ thousands_text('cast(round(' ~ expression ~ ') as bigint)') }}
        when abs({{ expression }}) >= 10 then regexp_replace(cast(cast({{ rounded(expression, 1) }} as decimal(18, 1)) as string), '[.]0$', '')
        else regexp_replace(cast(cast({{ rounded(expression, 2) }} as decimal(18, 2)) as string), '[.]?0+$', '')
    end
{%- endmacro %}
