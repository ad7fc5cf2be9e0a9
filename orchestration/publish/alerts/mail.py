"""One e-mail by the server of `[mail]`.

A password goes over an encrypted connection only. No fault says the server's address or its answer: both may hold what is secret.
"""

import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from threading import Timer
from typing import Any
from urllib.parse import unquote, urlsplit

from orchestration.publish.alerts.faults import NotDelivered, Passing

_log = logging.getLogger(__name__)

_PORTS = {"smtp": 25, "smtps": 465}
_REMEDY = "Write smtp://user:password@host:587 or smtps://user:password@host, percent-encoded"


def send_mail(where: str, server: str, mail: EmailMessage, timeout: float, seconds: float) -> None:
    """Send a mail to those it names, in one conversation of at most `seconds`.

    Args:
        where: key of the server in the configuration, for faults.
        server: its address, see `settings.Mail`.
        timeout: longest wait for a connection and for each answer.

    Raises:
        Passing, NotDelivered: nobody got it.
    """
    try:
        url = urlsplit(server)
        host, port, user, password = url.hostname, url.port or _PORTS[url.scheme], unquote(url.username or ""), unquote(url.password or "")
        if not host:
            raise ValueError
    except (ValueError, KeyError):
        raise NotDelivered(f"{where}: is not the address of a mail server. {_REMEDY}") from None
    try:
        with _conversation(url.scheme, host, port, timeout, seconds) as talk:
            is_encrypted = url.scheme == "smtps"
            talk.ehlo()
            if not is_encrypted and talk.has_extn("starttls"):
                talk.starttls(context=ssl.create_default_context())
                talk.ehlo()
                is_encrypted = True
            if user:
                if not is_encrypted:
                    raise NotDelivered(
                        f"{where}: offers no encryption, so the password is not sent. Use smtps:// or a server with STARTTLS"
                    )
                talk.login(user, password)
            if refused := talk.send_message(mail):
                _log.warning("%s: refuses %d of the addresses of a message; the others have it", where, len(refused))
    except smtplib.SMTPAuthenticationError as error:
        raise NotDelivered(f"{where}: refuses the user or the password ({error.smtp_code})") from None
    except smtplib.SMTPRecipientsRefused as error:
        # Of these addresses: the server may well take the mails of others.
        raise _refusal(where, "the addresses", max(code for code, _ in error.recipients.values()), True) from None
    except smtplib.SMTPConnectError as error:
        raise Passing(f"{where}: answers {error.smtp_code}") from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(where, "the message", error.smtp_code) from None
    except ssl.SSLError as error:
        raise NotDelivered(
            f"{where}: no encrypted connection ({type(error).__name__}). Check the port, and the server's certificate"
        ) from None
    except TimeoutError:
        raise Passing(f"{where}: gives no answer within {timeout:g} s") from None
    except smtplib.SMTPNotSupportedError:
        raise NotDelivered(f"{where}: takes no password, or not such addresses. {_REMEDY}") from None
    except (smtplib.SMTPException, OSError):
        raise Passing(f"{where}: cannot be reached") from None


def mail_of(sender: str, recipients: Sequence[str], message_id: str, content: dict[str, Any]) -> EmailMessage:
    """The mail of a message. A repetition has the same `Message-ID`, by which mail programs know it."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = content["subject"]
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    # So that nobody's out-of-office notice answers it.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(content["text"])
    mail.add_alternative(content["html"], subtype="html")
    return mail


def _refusal(where: str, what: str, code: int, is_refused: bool = False) -> NotDelivered:
    if code < 500:
        return Passing(f"{where}: answers {code}", is_refused)
    return NotDelivered(f"{where}: refuses {what} ({code}). Check mail.sender and the addresses", is_refused=True)


class _Bounded:
    """Hangs up after so many seconds, since each byte of an answer begins the time-out anew."""

    def __init__(self, seconds: float, *arguments: Any, **options: Any) -> None:
        self._hanging_up = Timer(seconds, self._hang_up)
        self._hanging_up.daemon = True
        self._hanging_up.start()
        super().__init__(*arguments, **options)

    def close(self) -> None:
        self._hanging_up.cancel()
        super().close()  # type: ignore[misc]  # of smtplib

    def _hang_up(self) -> None:
        if (connected := getattr(self, "sock", None)) is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)


class _Plain(_Bounded, smtplib.SMTP):
    pass


class _Encrypted(_Bounded, smtplib.SMTP_SSL):
    pass


@contextmanager
def _conversation(scheme: str, host: str, port: int, timeout: float, seconds: float) -> Iterator[smtplib.SMTP]:
    if scheme == "smtps":
        talk: smtplib.SMTP = _Encrypted(seconds, host, port, timeout=timeout, context=ssl.create_default_context())
    else:
        talk = _Plain(seconds, host, port, timeout=timeout)
    try:
        yield talk
        # It has the mail by now, whatever becomes of the farewell.
        with suppress(smtplib.SMTPException, OSError):
            talk.quit()
    finally:
        talk.close()
