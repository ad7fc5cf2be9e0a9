{# A number as a person writes it: whole numbers and thousands without decimals, others with two digits behind the point at most. #}
{% macro number_text(expression) -%}
    case
        when abs({{ expression }}) >= 1000 or {{ expression }} = round({{ expression }}) then {{ thousands_text('cast(round(' ~ expression ~ ') as bigint)') }}
        when abs({{ expression }}) >= 10 then regexp_replace(cast(cast({{ rounded(expression, 1) }} as decimal(18, 1)) as string), '[.]0$', '')
        else regexp_replace(cast(cast({{ rounded(expression, 2) }} as decimal(18, 2)) as string), '[.]?0+$', '')
    end
{%- endmacro %}

{# A whole number with a comma before every three digits. #}
{% macro thousands_text(expression) %}{{ return(adapter.dispatch('thousands_text')(expression)) }}{% endmacro %}

{% macro duckdb__thousands_text(expression) %}format('{:,d}', {{ expression }}){% endmacro %}

{% macro spark__thousands_text(expression) %}format_number({{ expression }}, 0){% endmacro %}
