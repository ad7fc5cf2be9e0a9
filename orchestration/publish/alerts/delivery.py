"""One message to one destination, with patience that ends.

The address is a secret: whoever has it can write. So no error says it, and urllib3's debug log, which does, is off
meanwhile. With `alerts.webhook_key` the JSON is signed: the header `X-Health-Signature` is `sha256=` and the HMAC-SHA256
of the body, in hex.
"""

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
import tenacity
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from orchestration.alert_rules import Channel
from orchestration.http_deadline import DeadlineAdapter
from orchestration.publish.alerts.faults import NotDelivered, Passing
from orchestration.publish.alerts.mail import mail_of, send_mail
from orchestration.publish.alerts.messages import Message
from orchestration.publish.alerts.rendering import mark_repeated
from orchestration.settings import Addresses, Settings, SettingsError, secret_value
from orchestration.sources import Secret

SIGNATURE = "X-Health-Signature"
_USER_AGENT = "customer-health-warehouse"

_GROWING_PAUSE = tenacity.wait_exponential_jitter(initial=1, max=30)
_sleep = time.sleep


@dataclass(frozen=True)
class Destination:
    """Where messages of one kind go.

    Attributes:
        name: in the log of alerts, see `Message.destination`.
        label: for people.
        where: key of the address in the configuration, for faults.
        address: of the webhook, or of the mail server.
        recipients: mail addresses.
    """

    name: str
    channel: Channel
    label: str
    where: str
    address: Secret
    recipients: tuple[str, ...] = ()


def alert_destinations(settings: Settings) -> list[Destination]:
    """Where alerts go; empty where none are configured."""
    found = destinations(settings, settings.alerts, "alerts")
    if settings.alerts.webhook is not None:
        found.append(Destination("webhook", "webhook", "webhook", "alerts.webhook", settings.alerts.webhook))
    return found


def destinations(settings: Settings, addresses: Addresses, where: str, prefix: str = "", label: str = "") -> list[Destination]:
    """The channels of a section of addresses.

    Args:
        where: its key in the configuration.
        prefix: begins the names of the destinations.
        label: says to people what goes there.
    """
    mail = settings.mail
    given: list[tuple[Channel, str, Secret | None, tuple[str, ...]]] = [
        ("slack", f"{where}.slack_webhook", addresses.slack_webhook, ()),
        ("teams", f"{where}.teams_webhook", addresses.teams_webhook, ()),
        ("email", "mail.server", mail.server if mail is not None and addresses.email else None, addresses.email),
    ]
    return [
        Destination(f"{prefix}{channel}", channel, f"{label}{channel}", key, address, recipients)
        for channel, key, address, recipients in given
        if address is not None
    ]


def deliver(settings: Settings, message: Message, destination: Destination) -> None:
    """Send a message; try again, with growing pauses, after no answer, 429 (as long as Retry-After says) and 5xx.

    Raises:
        NotDelivered: not within `alerts.max_attempts` and `alerts.max_seconds`, or refused.
    """
    limits, channel = settings.alerts, destination.channel
    body = message.body
    if message.attempts > 0 and channel != "webhook":
        body = json.dumps(mark_repeated(channel, json.loads(body)))
    try:
        address = secret_value(destination.where, destination.address)
        key = secret_value("alerts.webhook_key", limits.webhook_key) if channel == "webhook" and limits.webhook_key else None
    except SettingsError as error:
        raise NotDelivered(str(error)) from None
    patiently = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Passing),
        stop=tenacity.stop_any(tenacity.stop_after_attempt(limits.max_attempts), tenacity.stop_before_delay(limits.max_seconds)),
        wait=_pause,
        sleep=lambda seconds: _sleep(seconds),
        reraise=True,
    )
    if settings.mail is not None and channel == "email":
        mail = mail_of(settings.mail.sender, destination.recipients, message.message_id, json.loads(body))
        patiently(send_mail, destination.where, address, mail, limits.timeout_seconds, limits.max_seconds)
        return
    headers = {"Content-Type": "application/json", "Idempotency-Key": message.message_id, "User-Agent": _USER_AGENT}
    if key is not None:
        headers[SIGNATURE] = f"sha256={hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()}"
    with _silent_urllib3():
        patiently(_post, destination.where, address, body.encode(), headers, limits.timeout_seconds)


def _post(name: str, url: str, body: bytes, headers: dict[str, str], timeout: float) -> None:
    try:
        # What it answers is not read, so a slow answer costs nothing.
        with (
            _session() as session,
            session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True) as response,
        ):
            status, retry_after = response.status_code, response.headers.get("Retry-After")
    except requests.Timeout:
        raise Passing(f"{name}: gives no answer within {timeout:g} s") from None
    except requests.ConnectionError:
        raise Passing(f"{name}: cannot be reached") from None
    except (requests.RequestException, ValueError, OSError) as error:
        text = f"{name}: cannot be used ({type(error).__name__}). Give an address that begins with https://"
        raise NotDelivered(text) from None
    if status == 429 or status >= 500:
        raise Passing(f"{name}: answers {status}", retry_after=_seconds(retry_after))
    if status >= 400:
        text = f"{name}: refuses the message ({status}). Check the address, and that it still takes messages"
        raise NotDelivered(text, is_refused=True)
    if status >= 300:
        raise NotDelivered(f"{name}: redirects ({status}). Give the final address")


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter())
    return session


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    return _GROWING_PAUSE(state) if asked is None else asked


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After, which is seconds or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, Retry().parse_retry_after(retry_after))
    except (InvalidHeader, ValueError, OverflowError):
        return None


@contextmanager
def _silent_urllib3() -> Iterator[None]:
    logger = logging.getLogger("urllib3.connectionpool")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
