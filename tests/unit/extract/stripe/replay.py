"""The place by which programs outside the project know the stand-in for Stripe."""

from tests.unit.extract.connectors.stripe.replay import replay_server

__all__ = ["replay_server"]
