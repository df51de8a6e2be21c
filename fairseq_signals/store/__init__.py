"""Record stores: shards, how they are built, sorted and read."""
