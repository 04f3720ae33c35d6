"""Many operations at once, and the journal that keeps account of them."""
