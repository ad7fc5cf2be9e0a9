{# A number as a person writes it: whole numbers and thousands without decimals, others with two digits behind the point at most. #}
{% macro number_text(expression) %}{{ return(adapter.dispatch('number_text')(expression)) }}{% endmacro %}

{% macro default__number_text(expression) -%}
    case
        when abs({{ expression }}) >= 1000 or {{ expression }} = round({{ expression }}) then format_number({{ expression }}, 0)
        when abs({{ expression }}) >= 10 then format_number({{ expression }}, '#,##0.#')
        else format_number({{ expression }}, '0.##')
    end
{%- endmacro %}

{% macro duckdb__number_text(expression) -%}
    case
        when abs({{ expression }}) >= 1000 or {{ expression }} = round({{ expression }}) then format('{:,d}', cast(round({{ expression }}) as bigint))
        when abs({{ expression }}) >= 10 then regexp_replace(cast(cast({{ expression }} as decimal(18, 1)) as varchar), '\.0$', '')
        else regexp_replace(cast(cast({{ expression }} as decimal(18, 2)) as varchar), '\.?0+$', '')
    end
{%- endmacro %}
