"""The types of arguments that several commands share, each with the name it has in a command's
help.
"""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

# Without a hint tyro appends "(default: None)"; the help texts say what happens where nothing is
# given.
Flag = FlagCreatePairsOff[Annotated[bool, arg(help_behavior_hint="")]]
VectorsFile = Positional[Annotated[Path, arg(metavar="VECTORS", help_behavior_hint="")]]
Words = Positional[Annotated[tuple[str, ...], arg(metavar="[WORD ...]", help_behavior_hint="")]]
Paths = Annotated[tuple[Path, ...], arg(metavar="FILE [FILE ...]", help_behavior_hint="")]
PathOrNone = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
Number = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Json = Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")]
Count = Annotated[int, arg(metavar="N")]
