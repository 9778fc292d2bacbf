"""What a command tells its user when it cannot go on."""


class CommandError(Exception):
    """A mistake or a condition that the user can do something about: what was wrong, and what to do.

    It is shown without a stack trace, and the command exits with 1.
    """

    def __init__(self, what: str, todo: str = "", details: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo
        self.details = details


def account_is_down() -> CommandError:
    return CommandError("The local account is not running.", "Start it with `make up`.")
