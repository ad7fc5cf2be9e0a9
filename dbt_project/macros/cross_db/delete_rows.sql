{# Pre-hook of an incremental model: takes out the rows for which the condition holds. Null is no reason to go.
   In Spark only table formats with transactions can delete. A table of plain Parquet is written anew without them: a run that fails in between
   leaves it broken, so the pipeline then builds all days again (orchestration/transform.py). #}
{% macro delete_rows(condition) %}{{ return(adapter.dispatch('delete_rows')(condition)) }}{% endmacro %}

{% macro duckdb__delete_rows(condition) %}delete from {{ this }} where {{ condition }}{% endmacro %}

{% macro spark__delete_rows(condition) %}
    {%- if config.get('file_format') != 'parquet' -%}
        delete from {{ this }} where {{ condition }}
    {%- elif execute -%}
        {%- set kept = this.incorporate(path={'identifier': this.identifier ~ '__kept'}) -%}
        {%- do run_query('drop table if exists ' ~ kept) -%}
        {%- do run_query('create table ' ~ kept ~ ' using parquet as select * from ' ~ this ~ ' where not coalesce(' ~ condition ~ ', false)') -%}
        {%- do run_query('drop table ' ~ this) -%}
        alter table {{ kept }} rename to {{ this }}
    {%- endif -%}
{% endmacro %}
