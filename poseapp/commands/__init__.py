"""One function an action: each takes the :class:`~poseapp.commands.context.Context`. The table of actions, in
``poseapp/window/actions.py``, says which menu and keys run it."""
