"""The `stripe` connector: accounts, subscriptions, invoices and account outcomes from a Stripe account."""
