{# The comparison operators that seeds may name, evaluated without building SQL from the seed's text. #}
{% macro compare(left, operator, right) -%}
    case {{ operator }}
        when '<' then {{ left }} < {{ right }}
        when '<=' then {{ left }} <= {{ right }}
        when '>' then {{ left }} > {{ right }}
        when '>=' then {{ left }} >= {{ right }}
        when '=' then {{ left }} = {{ right }}
        when '!=' then {{ left }} <> {{ right }}
    end
{%- endmacro %}
