"""The command `health alerts`: show the alerts that are due, or send them."""

import json
import sys

from orchestration.publish.alerts import as_text, endpoints, preview_alerts, send_alerts
from orchestration.settings import Settings


def show_due(settings: Settings, as_json: bool) -> None:
    """Print what would be sent, with `as_json` as it would be posted; nothing is noted."""
    messages = preview_alerts(settings)
    if not messages:
        print("no alert is due")
    for message in messages:
        content = json.loads(message.body)
        if as_json:
            text = json.dumps(content, indent=2)
        elif message.channel == "slack":
            text = as_text(content)
        else:
            text = f"{content['alert_count']} alerts as JSON (--json shows it)"
        print(f"--- {message.channel}\n{text}")


def send_due(settings: Settings) -> None:
    """Send what is due. An endpoint that cannot be reached is reported on standard error and tried again the next time."""
    sent = send_alerts(settings)
    if not endpoints(settings):
        print(f"no alert is sent: {settings.config_file.name} names neither alerts.slack_webhook nor alerts.webhook")
    for channel, number in sent.messages.items():
        faults = sent.faults[channel]
        if number or not faults:
            print(f"{channel}: {number} sent" if number else f"{channel}: no alert is due")
        for fault in faults:
            print(f"{channel}: not delivered, tried again with the next run: {fault}", file=sys.stderr)
