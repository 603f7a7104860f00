"""Text from outside: read so that nothing in it can do harm, its marks known, shown as it is."""
