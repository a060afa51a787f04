return remove() and 1 or 0
