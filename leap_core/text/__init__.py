"""Text from outside: reading it safely, knowing its markup, showing it."""
