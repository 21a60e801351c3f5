"""Tables and arrays in, matplotlib figures out; loads nothing."""
