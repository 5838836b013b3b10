"""What pages for people share: their style, their words in two languages, and shown evidence."""
