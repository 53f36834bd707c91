"""What a hospital's operator does, apart from any command line or page."""
