"""The console: what the server shows under /_pinstripe/."""
