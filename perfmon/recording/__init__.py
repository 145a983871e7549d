"""From a recording call to the window and to storage, without losing anything."""
