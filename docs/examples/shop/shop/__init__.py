"""The shop's own code. The project's root is on the import path, so jobs import it as anything else does."""
