"""The commands `health alerts` and `health digest`: show the messages that are due, or send them; and word of a run that failed."""

import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime

from orchestration.errors import UserError
from orchestration.plain_text import as_said
from orchestration.publish.alerts import FailedRun, Sent, alert_destinations, preview_alerts, send_alerts
from orchestration.publish.alerts.messages import Message, identify
from orchestration.publish.alerts.rendering import as_text
from orchestration.settings import Settings

_NO_ALERT = "no alert is due"
_NO_DIGEST = "no digest is due: it was sent this week, or the mart has no newer day"


def show_due(settings: Settings, as_json: bool) -> None:
    """Print what would be sent, with `as_json` as it would be posted; nothing is noted."""
    _show(((message.channel, message) for message in preview_alerts(settings)), _NO_ALERT, as_json)


def send_due(settings: Settings) -> None:
    """Send what is due. An endpoint that cannot be reached is reported on standard error and tried again the next time."""
    if not alert_destinations(settings):
        print(f"no alert is sent: [alerts] of {settings.config_file.name} names no address")
        return
    _show_sent(send_alerts(settings), _NO_ALERT)


def show_digests(settings: Settings, as_json: bool) -> None:
    """Print the digests that would be sent; where no address is configured, the company's as a mail."""
    from orchestration.publish.digest import preview_digests

    _show(preview_digests(settings, _today()), _NO_DIGEST, as_json)


def send_digests_now(settings: Settings) -> None:
    """Send this week's digests that were not sent yet, and what is due from earlier, as `send_due` does."""
    from orchestration.publish.digest import is_configured, send_digests

    if not is_configured(settings):
        print(f"no digest is sent: [digest] of {settings.config_file.name} names no address")
        return
    sent = send_digests(settings, _today())
    _show_sent(sent, _NO_DIGEST)
    if sent.without_address:
        print(f"no digest, for want of an address in [digest.owners]: {', '.join(sent.without_address)}")


def tell_failed_run(settings: Settings, run_id: str | None, what: str, reasons: Iterable[str]) -> None:
    """Send word of a run that failed, where nobody watches it: a person at a terminal sees it there, and who sets up a company looks.

    Args:
        run_id: Dagster's; None if the run could not even begin. The same fault is then told of once a day.
        what: the job and its days.
        reasons: why, without secrets.
    """
    # os.path: a name that no file can have is not there either.
    if sys.stderr.isatty() or not os.path.exists(settings.data_dir):
        return
    said = [as_said(reason) for reason in reasons]
    failed = FailedRun(run_id or identify(_today().isoformat(), *said), what, said)
    try:
        _show_sent(send_alerts(settings, failed=failed), "no word of the failed run: it was sent before, or no rule asks for it")
    except UserError as error:
        print(f"no word of the failed run was sent: {error}", file=sys.stderr)


def _today() -> date:
    return datetime.now(UTC).date()


def _show(messages: Iterable[tuple[str, Message]], nothing: str, as_json: bool) -> None:
    shown = list(messages)
    if not shown:
        print(nothing)
    for where, message in shown:
        content = json.loads(message.body)
        if as_json:
            text = json.dumps(content, indent=2)
        elif message.channel == "webhook":
            text = f"{content['alert_count']} alerts as JSON (--json shows it)"
        else:
            text = as_text(message.channel, content)
        print(f"--- {where}\n{text}")


def _show_sent(sent: Sent, nothing: str) -> None:
    for where, number in sent.messages.items():
        faults = sent.faults[where]
        if number or not faults:
            print(f"{where}: {number} sent" if number else f"{where}: {nothing}")
        for fault in faults:
            print(f"{where}: not delivered, tried again with the next run: {fault}", file=sys.stderr)
