-- The built-in materialization makes a table under another name, renames both and drops the old one after the commit: eight statements more for each
-- model. DuckDB replaces a table within one transaction, which leaves the old one if the model fails.
{% materialization table, adapter='duckdb' %}
    {% set target = this.incorporate(type='table') %}
    {% set existing = load_cached_relation(this) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {{ create_in_place_of(existing, target, compiled_code) }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target, model) %}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

-- The built-in materialization computes the new rows into a temporary table, compares its columns with the table's by several queries, and copies it.
-- Here they go into the table at once, by the names of the columns. A column that the table lacks is
-- an error, or with `append_new_columns` is added; one that only the table has is null in the new rows.
{% materialization incremental, adapter='duckdb' %}
    {% set target = this.incorporate(type='table') %}
    {% set existing = load_cached_relation(this) %}
    {% set is_new = existing is none or existing.is_view or should_full_refresh() %}
    {% if not is_new and config.get('on_schema_change') == 'append_new_columns' and not columns_are_known() %}
        {% set known = adapter.get_columns_in_relation(existing) | map(attribute='name') | list %}
        {# Before the hook: DuckDB refuses to add a column to a table from which the transaction has deleted rows. #}
        {% for column in run_query('describe ' ~ compiled_code).rows if column[0] not in known %}
            {% do run_query('alter table ' ~ target ~ ' add column ' ~ adapter.quote(column[0]) ~ ' ' ~ column[1]) %}
        {% endfor %}
    {% endif %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {% if is_new %}
        {{ create_in_place_of(existing, target, compiled_code) }}
        {% else %}
        insert into {{ target }} by name
        {{ compiled_code }}
        {% endif %}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target, model) %}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# Columns change with the product and the rules alone. Where these are as in the last complete build, a run says so (orchestration/dbt_build.py): to
   describe the query of a wide table takes as long as to run it for a day. #}
{% macro columns_are_known() %}{{ return(env_var('HEALTH_COLUMNS_KNOWN', '') == 'yes') }}{% endmacro %}

{# The comparison of a model's columns with its contract. #}
{% macro duckdb__get_assert_columns_equivalent(sql) %}{% if not columns_are_known() %}{{ return(assert_columns_equivalent(sql)) }}{% endif %}{% endmacro %}

{# A table of what a query gives, in place of what has its name. #}
{% macro create_in_place_of(existing, target, query) %}
    {% if existing is not none %}
    drop {{ existing.type }} {{ existing }};
    {% endif %}
    {{ create_table_as(False, target, query) }}
{% endmacro %}
