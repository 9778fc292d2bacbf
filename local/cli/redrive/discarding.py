"""`redrive discard`: dead letters that nobody needs any more."""

import sys

from local.cli.accounts import named
from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.redrive.quarantined import Found, Quarantined, open_quarantine, redrives_in_words

_VERSIONS = (
    "Deleted from quarantine. The bucket keeps their versions, which are PHI, until its lifecycle drops them."
)


def discard(hub: DeployedHub, output: Output, keys: list[str], *, confirmed: bool) -> int:
    """Delete dead letters after a confirmation; 1 when one has been changed meanwhile, and stays.

    Raises CommandError, before anything is deleted, for keys outside of the quarantine, dead letters that
    are not there, and when nobody confirms.
    """
    quarantined = open_quarantine(hub, *keys)
    found = [quarantined.get(key) for key in dict.fromkeys(keys)]
    _show(output, found)
    if not confirmed:
        _confirm(hub, len(found))
    stayed = _delete(quarantined, output, found)
    output.line(_VERSIONS)
    for key in stayed:
        output.bad(f"{key} was changed meanwhile and stays; look at it again.")
    discarded = [one.letter.key for one in found if one.letter.key not in stayed]
    output.document({"hub": hub.document(), "discarded": discarded, "changedMeanwhile": stayed})
    return 1 if stayed else 0


def _show(output: Output, found: list[Found]) -> None:
    letters = [one.letter for one in found]
    rows = [
        [one.queue_name, one.reason, redrives_in_words(one.redrives, one.bulk_at), one.key] for one in letters
    ]
    show_table(output, ("queue", "reason", "redrives", "key"), rows)
    for one in found:
        claim = one.letter.returned
        if claim is not None and "sentAt" not in claim:
            output.warning(f"{one.letter.key}: a return was begun at {claim.get('at')}, and not seen to end")


def _delete(quarantined: Quarantined, output: Output, found: list[Found]) -> list[str]:
    """The keys of what stays, since somebody changed it after it was shown."""
    stayed: list[str] = []
    with output.step(f"Discard {counted(len(found), 'dead letter')}") as step:
        for number, one in enumerate(found, start=1):
            step.progress(f"{number:,} of {len(found):,}")
            if not quarantined.remove(one):
                stayed.append(one.letter.key)
        step.failed = bool(stayed)
        step.result = f"{len(found) - len(stayed):,} deleted"
    return stayed


def _confirm(hub: DeployedHub, number: int) -> None:
    where = f"quarantine of {hub.stack_name} of {named(hub.account)}"
    what = f"This deletes {counted(number, 'dead letter')} from the {where}"
    if not sys.stdin.isatty():
        raise CommandError(f"{what}, and nobody is there to confirm it.", "Add --yes if it is meant.")
    print(f"{what}; nobody gets them then.", file=sys.stderr)
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was deleted.")
