// The tests arrive with the next merge.
