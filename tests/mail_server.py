"""A local server that takes e-mail, remembers it, and refuses on command."""

import socketserver
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from tests.local_server import LocalServer


@dataclass
class MailServer(LocalServer):
    """`with MailServer() as server:` then `server.address`; `refuses` maps a command, such as `RCPT`, to the answer it gets."""

    refuses: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    server_type = socketserver.ThreadingTCPServer

    def handler(self) -> type[socketserver.BaseRequestHandler]:
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 local")
                while line := self.rfile.readline().decode().strip():
                    verb = line.split(" ")[0].upper()
                    outer.commands.append(line)
                    if verb in outer.refuses:
                        self.say(outer.refuses[verb])
                    elif verb == "DATA":
                        self.say("354 go on")
                        outer.mails.append(self.take())
                        self.say("250 taken")
                    else:
                        self.say("221 bye" if verb == "QUIT" else "250 ok")

            def take(self) -> EmailMessage:
                lines = iter(self.rfile.readline, b".\r\n")
                content = b"".join(line.removeprefix(b".") if line.startswith(b"..") else line for line in lines)
                mail = message_from_bytes(content, policy=policy.default)
                assert isinstance(mail, EmailMessage)
                return mail

            def say(self, answer: str) -> None:
                self.wfile.write(f"{answer}\r\n".encode())

        return Handler

    @property
    def address(self) -> str:
        return self.url.replace("http:", "smtp:")

    def take(self) -> list[EmailMessage]:
        """What came since the last call."""
        taken, self.mails[:] = list(self.mails), []
        return taken
