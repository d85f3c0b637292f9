"""Where rows come from: files of one's own, the lab's families, a data set of the hub."""
