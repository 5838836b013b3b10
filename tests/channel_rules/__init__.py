"""What channels publish about the files that they take, as checks written from their pages alone.

Each module has `problems(path)`: what a channel would refuse in a file, [] where nothing. They
share no code or table with the exporter, which is tested by them.
"""
