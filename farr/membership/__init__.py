"""A member's home: keys, joining, renewal."""
