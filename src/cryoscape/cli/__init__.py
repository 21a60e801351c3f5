"""One thin file per command: typed parameters to one workflow; help imports no torch."""
