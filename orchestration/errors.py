"""What a person can set right."""


class UserError(Exception):
    """The message is made for people, one line for each fault: commands show it without a traceback and end with 2."""
