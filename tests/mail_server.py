"""A local server that takes e-mail, remembers it, and refuses on command."""

import socketserver
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self


@dataclass
class MailServer:
    """`with MailServer() as server:` then `server.address`; `refuses` maps a command, such as `RCPT`, to the answer it gets."""

    refuses: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
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

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"smtp://127.0.0.1:{self._server.server_address[1]}"

    def take(self) -> list[EmailMessage]:
        """What came since the last call."""
        taken, self.mails[:] = list(self.mails), []
        return taken
