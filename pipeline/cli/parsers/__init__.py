"""The arguments and the help of each command.

Nothing here imports torch or Beam, so that help appears at once.
"""
