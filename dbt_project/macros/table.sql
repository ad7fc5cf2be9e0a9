-- The built-in materialization makes a table under another name, renames both and drops the old one after the commit: eight statements more for each
-- model. DuckDB replaces a table within one transaction, which leaves the old one if the model fails.
{% materialization table, adapter='duckdb' %}
    {% set target = this.incorporate(type='table') %}
    {% set existing = load_cached_relation(this) %}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {% if existing is not none %}
        drop {{ existing.type }} {{ existing }};
        {% endif %}
        {{ create_table_as(False, target, compiled_code) }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target, model) %}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
