"""Published networks, read as data and renamed to the tensors of this suite: `leangan released`."""
