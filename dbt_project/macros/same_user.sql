{# An id of a person as it is compared: a mail address in lower case, since `Ann@example.com` and `ann@example.com` are one person. #}
{% macro same_user(user_id) %}case when {{ user_id }} like '%@%' then lower({{ user_id }}) else {{ user_id }} end{% endmacro %}
