"""The wire as of commit a9ab4a6, frozen: never edited."""
