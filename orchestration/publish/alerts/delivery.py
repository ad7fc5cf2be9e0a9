"""One message to one address, with patience that ends.

The address is a secret: whoever has it can write. So no error says it, and urllib3's debug log, which does, is off
meanwhile. With `alerts.webhook_key` the JSON is signed: the header `X-Health-Signature` is `sha256=` and the HMAC-SHA256
of the body, in hex.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import tenacity
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from orchestration.alert_rules import Channel
from orchestration.http_deadline import DeadlineAdapter
from orchestration.publish.alerts.messages import Message, mark_repeated
from orchestration.settings import Settings, SettingsError, secret_value
from orchestration.sources import Secret

SIGNATURE = "X-Health-Signature"
_USER_AGENT = "customer-health-warehouse"

_GROWING_PAUSE = tenacity.wait_exponential_jitter(initial=1, max=30)
_sleep = time.sleep


class NotDelivered(RuntimeError):
    """The message is still to be sent; one line, without the address.

    Attributes:
        is_refused: the endpoint answered that it does not want this message, so it may want another one.
    """

    def __init__(self, text: str, is_refused: bool = False, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.is_refused = is_refused
        self.retry_after = retry_after


class _Passing(NotDelivered):
    """May be over in a moment."""


def endpoints(settings: Settings) -> dict[Channel, Secret]:
    """Where messages go; empty where alerts are not configured."""
    alerts = settings.alerts
    configured: dict[Channel, Secret | None] = {"slack": alerts.slack_webhook, "webhook": alerts.webhook}
    return {channel: secret for channel, secret in configured.items() if secret is not None}


def deliver(settings: Settings, message: Message, secret: Secret) -> None:
    """Send a message; try again, with growing pauses, after no answer, 429 (as long as Retry-After says) and 5xx.

    Raises:
        NotDelivered: not within `alerts.max_attempts` and `alerts.max_seconds`, or refused.
    """
    name = "alerts.slack_webhook" if message.channel == "slack" else "alerts.webhook"
    headers = {"Content-Type": "application/json", "Idempotency-Key": message.message_id, "User-Agent": _USER_AGENT}
    is_repeated = message.channel == "slack" and message.attempts > 0
    body = (mark_repeated(message.body) if is_repeated else message.body).encode()
    try:
        url = secret_value(name, secret)
        if message.channel == "webhook" and settings.alerts.webhook_key is not None:
            key = secret_value("alerts.webhook_key", settings.alerts.webhook_key)
            headers[SIGNATURE] = f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"
    except SettingsError as error:
        raise NotDelivered(str(error)) from None
    patiently = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Passing),
        stop=tenacity.stop_any(
            tenacity.stop_after_attempt(settings.alerts.max_attempts), tenacity.stop_before_delay(settings.alerts.max_seconds)
        ),
        wait=_pause,
        sleep=lambda seconds: _sleep(seconds),
        reraise=True,
    )
    with _silent_urllib3():
        patiently(_post, name, url, body, headers, settings.alerts.timeout_seconds)


def _post(name: str, url: str, body: bytes, headers: dict[str, str], timeout: float) -> None:
    try:
        # What it answers is not read, so a slow answer costs nothing.
        with (
            _session() as session,
            session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True) as response,
        ):
            status, retry_after = response.status_code, response.headers.get("Retry-After")
    except requests.Timeout:
        raise _Passing(f"{name}: gives no answer within {timeout:g} s") from None
    except requests.ConnectionError:
        raise _Passing(f"{name}: cannot be reached") from None
    except (requests.RequestException, ValueError, OSError) as error:
        text = f"{name}: cannot be used ({type(error).__name__}). Give an address that begins with https://"
        raise NotDelivered(text) from None
    if status == 429 or status >= 500:
        raise _Passing(f"{name}: answers {status}", retry_after=_seconds(retry_after))
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
