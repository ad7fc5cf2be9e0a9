{# Runs statements of orchestration/engines on the connection of the target: a session, thrift or whatever a team's own profile names. #}
{% macro run_statements(statements) %}
    {%- for statement in statements %}
        {%- do run_query(statement) %}
    {%- endfor %}
{% endmacro %}
