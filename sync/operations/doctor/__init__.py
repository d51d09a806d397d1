"""``ltw doctor``: is this warehouse one that the product can work on? One file for each section."""
