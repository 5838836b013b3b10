"""How answers and plans are told to people: in a line or three, and as tables of a notebook."""
