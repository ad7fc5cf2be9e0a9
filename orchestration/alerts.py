"""`python -m orchestration.alerts [--dry-run [--json]]`: send the alerts that are due, once each.

After a run from the command line, where no Dagster sensor does it. An endpoint that cannot be reached is reported on
standard error and tried again the next time; the exit code stays 0.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from orchestration.publish import PublishError
from orchestration.publish.alerts import AlertLogError, AlertsBusy, as_text, endpoints, preview_alerts, send_alerts
from orchestration.publish.alerts.messages import Message
from orchestration.scorecard import ConfigurationError
from orchestration.settings import Settings, SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 2 for a wrong configuration, 1 for a mart or log that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.alerts", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent; send and note nothing")
    parser.add_argument("--json", action="store_true", help="with --dry-run: the bodies that would be posted")
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if chosen.dry_run:
            _show(preview_alerts(settings), chosen.json)
        else:
            _send(settings)
    except (SettingsError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 2
    except (PublishError, AlertLogError, AlertsBusy) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _show(messages: Sequence[Message], as_json: bool) -> None:
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


def _send(settings: Settings) -> None:
    sent = send_alerts(settings)
    if not endpoints(settings):
        print(f"no alert is sent: {settings.config_file.name} names neither alerts.slack_webhook nor alerts.webhook")
    for channel, number in sent.messages.items():
        faults = sent.faults[channel]
        if number or not faults:
            print(f"{channel}: {number} sent" if number else f"{channel}: no alert is due")
        for fault in faults:
            print(f"{channel}: not delivered, tried again with the next run: {fault}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
