"""Connectors: one module or package for each system that raw tables come from."""
