"""Why a message, by mail or HTTP, is still to be sent."""


class NotDelivered(RuntimeError):
    """The message is still to be sent; one line, without the address.

    Attributes:
        is_refused: the endpoint answered that it does not want this message, so it may want another one.
    """

    def __init__(self, text: str, is_refused: bool = False, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.is_refused = is_refused
        self.retry_after = retry_after


class Passing(NotDelivered):
    """May be over in a moment."""
