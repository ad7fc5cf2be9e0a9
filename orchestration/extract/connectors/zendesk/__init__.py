"""The `zendesk` connector: tickets from the incremental export, and satisfaction ratings as csat answers."""

from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import HttpSource, Preview, Window
from orchestration.settings import Settings
from orchestration.sources import SecretReference


class ZendeskSource(HttpSource):
    """`connector = "zendesk"`.

    Attributes:
        subdomain: `acme` of acme.zendesk.com; or give base_url.
        email, api_token: an API token and the e-mail address of the agent that it belongs to; or oauth_token alone.
        account_key: what names the account of an organization: `external_id`, `id`, `name`, `domain` (the first of its
            domain names that is not a public one) or `field.<key>` of its organization fields.
        priorities: Zendesk priority -> priority of the contract, where they differ from low, normal, high, urgent -> critical.
        topics: tag or, with topic_field, value of that field -> topic of the contract; the first that fits counts.
        topic_field: id of a custom ticket field; without it topics are found by tag.
        escalation_tags: a ticket that has one of them is escalated.
        escalation_field: id of a custom ticket field; a ticket is escalated while it is checked or filled.
        survey_scores: value of a satisfaction rating -> csat score.
        max_bad_share: half by default: tickets of people without an organization are ordinary, have no account and are quarantined.
    """

    max_bad_share: float | None = Field(default=0.5, ge=0, le=1)
    subdomain: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]*$")
    base_url: str | None = None
    email: str | None = None
    api_token: SecretReference | None = None
    oauth_token: SecretReference | None = None
    account_key: str = Field(default="external_id", pattern=r"^(external_id|id|name|domain|field\..+)$")
    priorities: dict[str, str] = {}
    topics: dict[str, str] = {}
    topic_field: int | None = None
    escalation_tags: list[str] = ["escalated", "escalation"]
    escalation_field: int | None = None
    survey_scores: dict[str, float] = {"good": 5, "bad": 1}

    tables: ClassVar[tuple[str, ...]] = ("tickets", "survey_responses")

    @model_validator(mode="after")
    def _complete(self) -> "ZendeskSource":
        if (self.subdomain is None) == (self.base_url is None):
            raise ValueError("give either subdomain or base_url")
        if (self.api_token is None) == (self.oauth_token is None):
            raise ValueError("give either api_token (with email) or oauth_token")
        if self.api_token is not None and self.email is None:
            raise ValueError("api_token needs the email address of its agent: add email")
        return self

    @property
    def url(self) -> str:
        return self.base_url or f"https://{self.subdomain}.zendesk.com"

    def is_incremental(self, table: RawTable) -> bool:
        """Both lists can be asked for what changed since a moment."""
        return True

    def read(self, settings: Settings, table: RawTable, window: Window) -> Iterator[pa.RecordBatch]:
        from orchestration.extract.connectors.zendesk import tickets

        return tickets.read(settings, table, self, window)

    def preview(self, settings: Settings, table: RawTable) -> Preview:
        from orchestration.extract.connectors.zendesk import tickets

        return tickets.preview(table, self)
