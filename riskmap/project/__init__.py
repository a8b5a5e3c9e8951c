"""What holds the project together: where things lie, files that are whole or absent, progress bars, YAML, the virtual
environment, which code a stored result came from, and how a command speaks and ends. It knows nothing of images or
networks and imports no other room; what the front door needs runs on a bare Python."""
