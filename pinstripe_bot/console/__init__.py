"""The console: what the server shows under /_pinstripe/."""

PREFIX = "/_pinstripe"
