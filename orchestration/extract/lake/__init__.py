"""The lake: Parquet files of the raw tables, which of them count, and which of their rows a later delivery replaced."""
