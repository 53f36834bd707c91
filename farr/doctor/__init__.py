"""Why a node cannot serve: the network on the way, the disk under the home, the clock, each with what to do."""
