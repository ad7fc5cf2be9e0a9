{# The rows of a seed. dbt-spark puts each cell between apostrophes as it is: one within a text breaks the statement, and a blank cell becomes the
   text `None`. #}
{% macro spark__load_csv_rows(model, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set statement -%}
        insert into {{ this }} values
        {%- for row in agate_table.rows %}
        (
            {%- for cell in row -%}
            {%- set column = agate_table.column_names[loop.index0] -%}
            cast({{ spark_text(cell) }} as {{ types.get(column, adapter.convert_type(agate_table, loop.index0)) }}){{ ', ' if not loop.last }}
            {%- endfor -%}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    {%- endset -%}
    {%- if agate_table.rows | length -%}
        {%- do adapter.add_query(statement, abridge_sql_log=True) -%}
    {%- endif -%}
    {{- return(statement) }}
{% endmacro %}

{% macro spark_text(value) -%}
    {{ 'null' if value is none else "'" ~ (value | string).replace('\\', '\\\\').replace("'", "\\'") ~ "'" }}
{%- endmacro %}
