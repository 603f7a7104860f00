"""InterCode Bash: tasks in words, to be done with shell commands in a sandboxed copy of a small file system."""
