{# Whether a query can be asked while the project is compiled: not while dbt parses it, and not where dbt is started by hand without a
   warehouse (profiles.yml). What loops over metrics then renders without them. #}
{% macro has_warehouse() %}{{ return(execute and target.path != ':memory:') }}{% endmacro %}
