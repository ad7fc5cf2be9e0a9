"""The `zendesk` connector: tickets and satisfaction ratings."""
