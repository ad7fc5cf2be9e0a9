"""The `sql` connector: a table, or a query, of any database that SQLAlchemy speaks to."""
