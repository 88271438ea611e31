"""The tests: a package of its own, so that none of that name which a dependency brings hides it."""
